//! The pages, as a browser sees them.

use oauth_test_server::Endpoint;

use super::*;

/// A browser of our own: what the played one hides.
#[derive(Clone, Default)]
struct Jar(Vec<String>);

impl Jar {
    async fn send(&mut self, server: &TestServer, mut request: http::Request<Full<Bytes>>) -> Answer {
        request.headers_mut().insert("cookie", self.0.join("; ").parse().unwrap());
        let answer = authorize(server, request).await.unwrap();
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            self.0.push(cookie.split(';').next().unwrap().to_owned());
        }
        answer
    }
}

fn html(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn interaction(answer: &Answer) -> String {
    let page = html(answer);
    let (_, rest) = page.split_once("name=\"interaction\" value=\"").unwrap_or_else(|| panic!("{page}"));
    rest.split('"').next().unwrap().to_owned()
}

fn sign_in(server: &TestServer, interaction: &str, more: &str) -> http::Request<Full<Bytes>> {
    form(format!("{}/sign-in", server.issuer()), &format!("interaction={interaction}&{more}"))
}

fn consent(server: &TestServer, interaction: &str, action: &str) -> http::Request<Full<Bytes>> {
    form(format!("{}/consent", server.issuer()), &format!("interaction={interaction}&action={action}"))
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_shown_is_markup() {
    let evil = "%3C%2Fp%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%22%27";
    let client = app().name("<script>alert(1)</script>").scopes(["<img>", "openid"]);
    let server = TestServer::builder().client(client).build();
    let mut jar = Jar::default();
    let first = jar.send(&server, get(url(&server, &format!("scope=%3Cimg%3E&login_hint={evil}")))).await;
    let second = jar.send(&server, sign_in(&server, &interaction(&first), &format!("username={evil}"))).await;
    let third = authorize(&server, get(format!("{}?user_code={evil}", server.verification_uri()))).await.unwrap();
    for page in [&first, &second, &third].map(html) {
        assert!(page.contains("&lt;"), "{page}");
        for markup in ["<script", "</script", "<img", "\"'"] {
            assert!(!page.contains(markup), "{page}");
        }
    }
    assert!(html(&second).contains("<li>&lt;img&gt;</li>"), "{}", html(&second));
}

#[tokio::test(start_paused = true)]
async fn pages_are_protected() {
    let server = TestServer::builder().client(app()).build();
    let mut jar = Jar::default();
    let page = jar.send(&server, get(url(&server, ""))).await;
    let consent_page = jar.send(&server, sign_in(&server, &interaction(&page), "username=alice")).await;
    let error = authorize(&server, get(server.authorization_endpoint())).await.unwrap();
    let device = authorize(&server, get(server.verification_uri())).await.unwrap();
    let end = jar.send(&server, get(server.end_session_endpoint())).await;
    let callback = jar.send(&server, consent(&server, &interaction(&consent_page), "allow")).await;
    for answer in [&page, &consent_page, &error, &device, &end, &callback] {
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value);
        }
    }
    assert!(page.header("content-security-policy").contains("form-action 'self' https://app.test;"));
    assert_eq!(callback.status, 303);
}

#[tokio::test(start_paused = true)]
async fn cookies() {
    for (issuer, names, attributes) in [
        (
            "https://id.test",
            ["oauth_test_server_browser", "oauth_test_server_session"],
            "; Path=/; HttpOnly; SameSite=Lax; Secure",
        ),
        (
            "http://127.0.0.1:81/t",
            ["oauth_test_server_browser_81", "oauth_test_server_session_81"],
            "; Path=/t; HttpOnly; SameSite=Lax",
        ),
    ] {
        let server = TestServer::builder().client(app()).issuer(issuer).build();
        let mut jar = Jar::default();
        let page = jar.send(&server, get(url(&server, ""))).await;
        let answer = jar.send(&server, sign_in(&server, &interaction(&page), "username=alice")).await;
        for (answer, name) in [page, answer].iter().zip(names) {
            let cookie = answer.header("set-cookie");
            let (pair, rest) = cookie.split_at(cookie.find(';').unwrap());
            let (known, value) = pair.split_once('=').unwrap();
            assert_eq!((known, value.len(), rest), (name, 32, attributes), "{cookie}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_is_good_once_for_ten_minutes_in_the_browser_that_saw_it() {
    let server = TestServer::builder().client(app()).build();
    let mut jar = Jar::default();
    let page = jar.send(&server, get(url(&server, ""))).await;
    let id = interaction(&page);
    let mut victim = Jar::default();
    victim.send(&server, get(url(&server, ""))).await;
    // An attacker's page posts the attacker's form in the victim's browser; or knows no form at all.
    for (mut jar, request) in [
        (victim, sign_in(&server, &id, "username=mallory")),
        (Jar::default(), sign_in(&server, &id, "username=mallory")),
        (jar.clone(), sign_in(&server, "00000000000000000000000000000000", "username=mallory")),
        (jar.clone(), form(format!("{}/sign-in", server.issuer()), "username=mallory")),
        (jar.clone(), consent(&server, &id, "allow")),
    ] {
        let answer = jar.send(&server, request).await;
        assert_eq!((answer.status.as_u16(), answer.header("location"), answer.header("set-cookie")), (400, "", ""));
    }
    let answer = jar.send(&server, sign_in(&server, &id, "username=alice")).await;
    let agree = interaction(&answer);
    assert_eq!(jar.send(&server, sign_in(&server, &id, "username=alice")).await.status, 400, "once is enough");
    assert_eq!(jar.send(&server, sign_in(&server, &agree, "username=bob")).await.status, 400, "another form");
    // Somebody else has signed in meanwhile, in the same browser.
    let mut other = Jar(jar.0.clone());
    let page = other.send(&server, get(url(&server, "prompt=login"))).await;
    other.send(&server, sign_in(&server, &interaction(&page), "username=bob")).await;
    let mixed = Jar(vec![jar.0[0].clone(), other.0.last().unwrap().clone()]);
    let mut request = consent(&server, &agree, "allow");
    request.headers_mut().insert("cookie", mixed.0.join("; ").parse().unwrap());
    assert_eq!(authorize(&server, request).await.unwrap().status, 400);

    for (milliseconds, status) in [(599_999, 200), (600_000, 400)] {
        let mut jar = Jar::default();
        let page = jar.send(&server, get(url(&server, "scope=email"))).await;
        advance(Duration::from_millis(milliseconds)).await;
        let answer = jar.send(&server, sign_in(&server, &interaction(&page), "username=carol")).await;
        assert_eq!(answer.status, status, "{milliseconds}");
    }
    assert_eq!(authorize(&server, get(format!("{}/sign-in", server.issuer()))).await.unwrap().status, 405);
}

#[tokio::test(start_paused = true)]
async fn nobody_else_signs_a_user_out() {
    let server = TestServer::builder().client(app().without_consent()).build();
    let mut victim = Jar::default();
    let page = victim.send(&server, get(url(&server, ""))).await;
    victim.send(&server, sign_in(&server, &interaction(&page), "username=alice")).await;
    let question = |answer: &Answer| {
        let page = html(answer);
        let (_, rest) = page.split_once("name=\"confirmation\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let confirm =
        |name: &str, action: &str| form(server.end_session_endpoint(), &format!("confirmation={name}&action={action}"));
    let asked = Jar::default().send(&server, get(server.end_session_endpoint())).await;
    assert!(html(&asked).contains("You are signed out"), "nobody is there to be asked");
    let asked = victim.send(&server, get(server.end_session_endpoint())).await;
    // A question that another browser was asked; one that is over; one that was answered.
    let mut attacker = Jar::default();
    let page = attacker.send(&server, get(url(&server, ""))).await;
    attacker.send(&server, sign_in(&server, &interaction(&page), "username=mallory")).await;
    let foreign = attacker.send(&server, get(server.end_session_endpoint())).await;
    assert_eq!(victim.send(&server, confirm(&question(&foreign), "sign-out")).await.status, 400);
    assert_eq!(victim.send(&server, confirm(&question(&asked), "stay")).await.status, 200);
    assert_eq!(victim.send(&server, confirm(&question(&asked), "sign-out")).await.status, 400);
    let asked = victim.send(&server, get(server.end_session_endpoint())).await;
    advance(Duration::from_secs(600)).await;
    assert_eq!(victim.send(&server, confirm(&question(&asked), "sign-out")).await.status, 400);
    let answer = victim.send(&server, get(url(&server, "prompt=none"))).await;
    assert!(parameter(answer.header("location"), "code").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_was_there_before_the_sign_in_is_worth_nothing_after() {
    let server = TestServer::builder().client(app().without_consent()).build();
    let mut jar = Jar::default();
    let page = jar.send(&server, get(url(&server, ""))).await;
    // Planted by an attacker, who knows the value.
    jar.0.push("oauth_test_server_session=planted".to_owned());
    let answer = jar.send(&server, sign_in(&server, &interaction(&page), "username=alice")).await;
    assert!(!answer.header("set-cookie").contains("planted"));
    let mut attacker = Jar(vec!["oauth_test_server_session=planted".to_owned()]);
    let answer = attacker.send(&server, get(url(&server, "prompt=none"))).await;
    assert_eq!(parameter(answer.header("location"), "error").unwrap(), "login_required");
}

#[tokio::test(start_paused = true)]
async fn passwords() {
    let server =
        TestServer::builder().client(app()).user(User::new("alice").password("s3cr3t")).user(User::new("bob")).build();
    let mut jar = Jar::default();
    let mut page = jar.send(&server, get(url(&server, "login_hint=alice"))).await;
    assert!(html(&page).contains("value=\"alice\"") && html(&page).contains("type=\"password\""));
    for wrong in
        ["username=alice", "username=alice&password=no", "username=nobody&password=s3cr3t", "password=s3cr3t", ""]
    {
        let answer = jar.send(&server, sign_in(&server, &interaction(&page), wrong)).await;
        assert_eq!((answer.status.as_u16(), answer.header("set-cookie")), (400, ""), "{wrong}");
        assert!(html(&answer).contains("The user name or the password is wrong."), "{wrong}");
        assert!(!html(&answer).contains("s3cr3t"));
        page = answer;
    }
    let answer = jar.send(&server, sign_in(&server, &interaction(&page), "username=alice&password=s3cr3t")).await;
    let page = html(&answer);
    assert!(page.contains("Allow app?") && page.contains("signed in as alice"), "{page}");
    assert!(page.contains("<li>See your e-mail address<small>email</small></li>"), "{page}");

    let page = jar.send(&server, get(url(&server, "prompt=login&state=st"))).await;
    let answer = jar.send(&server, sign_in(&server, &interaction(&page), "action=cancel")).await;
    assert_eq!(parameter(answer.header("location"), "error").unwrap(), "access_denied");
    assert_eq!(parameter(answer.header("location"), "state").unwrap(), "st");
    assert!(server.authorize(&url(&server, ""), "nobody").await.is_err());
    let callback = server.authorize(&url(&server, ""), "bob").await.unwrap();
    assert_eq!(redeem(&server, &callback, "").await.status, 200);

    // The page for devices asks for the same.
    let device = authorize(&server, form(server.device_authorization_endpoint(), "client_id=app&client_secret=secret"));
    let code = device.await.unwrap().text("user_code");
    for (more, status) in [("", 400), ("&password=no", 400), ("&password=s3cr3t", 200)] {
        let parameters = format!("user_code={code}&decision=approve&subject=alice{more}");
        assert_eq!(authorize(&server, form(server.verification_uri(), &parameters)).await.unwrap().status, status);
    }
}

#[tokio::test(start_paused = true)]
async fn the_user_may_take_another_account() {
    let server = TestServer::builder().client(app()).build();
    let mut jar = Jar::default();
    let page = jar.send(&server, get(url(&server, ""))).await;
    let page = jar.send(&server, sign_in(&server, &interaction(&page), "username=alice")).await;
    let page = jar.send(&server, consent(&server, &interaction(&page), "switch")).await;
    assert!(html(&page).contains("<h1>Sign in</h1>"), "{}", html(&page));
    let page = jar.send(&server, sign_in(&server, &interaction(&page), "username=bob")).await;
    // The newest cookie of a name is the one that a browser sends.
    jar.0 = vec![jar.0[0].clone(), jar.0.last().unwrap().clone()];
    let answer = jar.send(&server, consent(&server, &interaction(&page), "allow")).await;
    let tokens = redeem(&server, answer.header("location"), "").await;
    assert_eq!(api(&server, &tokens.text("access_token")).await.text("sub"), "bob");
}

#[tokio::test(start_paused = true)]
async fn another_site_approves_no_device() {
    let server = TestServer::builder().client(app()).build();
    let begin = form(server.device_authorization_endpoint(), "client_id=app&client_secret=secret");
    let code = authorize(&server, begin).await.unwrap().text("user_code");
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200)] {
        let mut request = form(server.verification_uri(), &format!("user_code={code}&decision=approve"));
        request.headers_mut().insert("sec-fetch-site", site.parse().unwrap());
        assert_eq!(authorize(&server, request).await.unwrap().status, status, "{site}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_secret_in_debug() {
    let user = User::new("alice").password("pl4nted-password");
    let client = app().secret("pl4nted-secret");
    let builder = TestServer::builder().client(client.clone()).user(user.clone());
    let mut shown = format!("{client:?} {user:?} {builder:?}");
    let server = builder.build();
    let mut browser = server.browser();
    let callback = browser.authorize(&url(&server, "nonce=pl4nted-nonce&state=pl4nted-state"), "alice").await.unwrap();
    let code = parameter(&callback, "code").unwrap();
    let answer = token(&server, &format!("{}&code={code}", redemption().replace("=secret", "=pl4nted-secret"))).await;
    let (access, id_token) = (answer.text("access_token"), answer.text("id_token"));
    server.set_client(app().backchannel_logout_uri("https://app.test/b"));
    server.end_sessions("alice");
    server.tamper_id_tokens(|jwt| assert!(!format!("{jwt:?}").contains("pl4nted")));
    let _ = server.issue_id_token("app", "pl4nted");
    shown += &format!("{server:?} {browser:?} {:?}", server.authorization_service());
    shown += &format!("{:?} {:?}", server.requests(), server.backchannel_logouts());
    for secret in ["pl4nted", VERIFIER, &code, &access, &id_token] {
        assert!(!secret.is_empty() && !shown.contains(secret), "{secret}: {shown}");
    }
    // The test itself reads all of it.
    let redeemed = &server.requests_to(Endpoint::Token)[0];
    assert_eq!(redeemed.form_value("code_verifier").as_deref(), Some(VERIFIER));
}
