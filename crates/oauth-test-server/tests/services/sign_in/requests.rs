//! What an authorization request may ask, and how it is refused.

use super::*;

fn request(server: &TestServer, parameters: &str) -> String {
    format!("{}?{parameters}", server.authorization_endpoint())
}

#[tokio::test(start_paused = true)]
async fn without_a_client_and_a_redirect_uri_to_trust_a_person_reads_why() {
    let server = TestServer::builder()
        .client(app())
        .client(Client::new("two").redirect_uri(CALLBACK).redirect_uri("https://app.test/other"))
        .client(Client::new("none"))
        .build();
    let good = "response_type=code&client_id=app&redirect_uri=https://app.test/callback";
    for (parameters, why) in [
        ("response_type=code".to_owned(), "The request does not say which application it is from."),
        ("response_type=code&client_id=nobody".to_owned(), "The application is not known here."),
        (good.replace("callback", "callback/"), "The application has not registered this redirect URI."),
        (
            good.replace("https://app.test", "https://evil.test"),
            "The application has not registered this redirect URI.",
        ),
        (
            good.replace("https://app.test", "https://app.test@evil.test"),
            "The application has not registered this redirect URI.",
        ),
        ("response_type=code&client_id=two".to_owned(), "The request does not say where its answer goes."),
        ("response_type=code&client_id=none".to_owned(), "The request does not say where its answer goes."),
        (format!("{good}&client_id=two"), "The request cannot be read."),
        (format!("{good}&state=%zz"), "The request cannot be read."),
        (format!("{good}&request_uri=urn:x"), "The request that was pushed is unknown, used or expired."),
    ] {
        let answer = authorize(&server, get(request(&server, &parameters))).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{parameters}");
        let page = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(page.contains(&format!("role=\"alert\">{why}<")), "{parameters}: {page}");
        let error = server.authorize(&request(&server, &parameters), "alice").await.unwrap_err();
        assert_eq!(error.to_string(), format!("the server answers 400 Bad Request: {why}"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_is_told_what_is_wrong_at_its_redirect_uri() {
    let public = Client::new("public").redirect_uri(CALLBACK);
    let server = TestServer::builder()
        .client(app())
        .client(public)
        .client(Client::new("strict").secret("s").redirect_uri(CALLBACK).require_pkce())
        .client(Client::new("pushing").secret("s").redirect_uri(CALLBACK).require_pushed_requests())
        .client(Client::new("machine").secret("s").redirect_uri(CALLBACK).grant_types(["client_credentials"]))
        .build();
    let to = |client: &str, more: &str| format!("client_id={client}&redirect_uri={CALLBACK}&state=st{more}");
    let code = |client: &str, more: &str| to(client, &format!("&response_type=code{more}"));
    for (parameters, error) in [
        (to("app", ""), "invalid_request"),
        (to("app", "&response_type=token"), "unsupported_response_type"),
        (to("app", "&response_type=code+id_token"), "unsupported_response_type"),
        (code("app", "&response_mode=fragment"), "invalid_request"),
        (code("app", "&request=x"), "request_not_supported"),
        (code("app", "&registration=x"), "registration_not_supported"),
        (code("app", "&scope=admin"), "invalid_scope"),
        (code("app", "&resource=x"), "invalid_target"),
        (code("app", "&authorization_details=x"), "invalid_authorization_details"),
        (code("app", "&claims=x"), "invalid_request"),
        (code("app", "&prompt=dance"), "invalid_request"),
        (code("app", "&prompt=none+login"), "invalid_request"),
        (code("app", "&max_age=-1"), "invalid_request"),
        (code("app", "&id_token_hint=x"), "invalid_request"),
        (code("app", "&dpop_jkt=short"), "invalid_request"),
        (code("app", "&code_challenge_method=S256"), "invalid_request"),
        (code("app", &format!("&code_challenge={VERIFIER}")), "invalid_request"),
        (code("app", &format!("&code_challenge={VERIFIER}&code_challenge_method=plain")), "invalid_request"),
        (code("app", "&code_challenge=short&code_challenge_method=S256"), "invalid_request"),
        (code("app", "&prompt=none"), "login_required"),
        (code("public", ""), "invalid_request"),
        (code("strict", ""), "invalid_request"),
        (code("pushing", ""), "invalid_request"),
        (code("machine", ""), "unauthorized_client"),
    ] {
        let answer = authorize(&server, get(request(&server, &parameters))).await.unwrap();
        let location = answer.header("location");
        assert_eq!(answer.status, 303, "{parameters}");
        assert!(location.starts_with("https://app.test/callback?error="), "{parameters} {location}");
        assert_eq!(parameter(location, "error").as_deref(), Some(error), "{parameters}");
        assert_eq!(parameter(location, "state").as_deref(), Some("st"));
        assert_eq!(parameter(location, "iss").as_deref(), Some("https://id.test"));
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    let openid = "client_id=app&response_type=code&scope=openid";
    let callback = server.authorize(&request(&server, openid), "alice").await.unwrap();
    assert_eq!(parameter(&callback, "error").unwrap(), "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn a_request_by_post_and_an_answer_by_form() {
    let server = TestServer::builder().client(app().without_consent()).build();
    let callback = alice(&server, "state=%22%3E%3Cscript%3E&response_mode=form_post").await;
    assert_eq!(parameter(&callback, "state").unwrap(), "\"><script>");
    assert_eq!(redeem(&server, &callback, "").await.status, 200);

    let (endpoint, parameters) = url(&server, "prompt=none&response_mode=form_post")
        .split_once('?')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    let answer = authorize(&server, form(endpoint, &parameters)).await.unwrap();
    assert_eq!(answer.status, 200);
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(page.contains("<form method=\"post\" action=\"https://app.test/callback\">"), "{page}");
    assert!(page.contains("name=\"error\" value=\"login_required\""), "{page}");
    let policy = answer.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' https://app.test;") && policy.contains("script-src 'sha256-"),
        "{policy}"
    );

    let put = http::Request::put(server.authorization_endpoint()).body(Full::default()).unwrap();
    assert_eq!(authorize(&server, put).await.unwrap().header("allow"), "GET, POST");
}

#[tokio::test(start_paused = true)]
async fn iss_and_all_else_in_the_answer_can_be_wrong() {
    let server = TestServer::builder().client(app()).build();
    assert_eq!(server.metadata()["authorization_response_iss_parameter_supported"], true);
    server.set_authorization_response("iss", "https://evil.test");
    server.set_authorization_response("extra", 1);
    let callback = alice(&server, "state=st").await;
    assert_eq!(parameter(&callback, "iss").unwrap(), "https://evil.test");
    assert_eq!(parameter(&callback, "extra").unwrap(), "1");
    server.set_authorization_response("iss", serde_json::Value::Null);
    server.set_authorization_response("state", "other");
    let callback = alice(&server, "state=st").await;
    assert_eq!((parameter(&callback, "iss"), parameter(&callback, "state").as_deref()), (None, Some("other")));

    server.set_authorization_error(Some("temporarily_unavailable"));
    assert_eq!(parameter(&alice(&server, "").await, "error").unwrap(), "temporarily_unavailable");
    server.set_authorization_error(None);
    assert_eq!(parameter(&alice(&server, "").await, "error"), None);

    let server = TestServer::builder().client(app()).response_iss(false).build();
    assert_eq!(parameter(&alice(&server, "").await, "iss"), None);
    assert_eq!(server.metadata()["authorization_response_iss_parameter_supported"], false);
}

#[tokio::test(start_paused = true)]
async fn pushed_requests_are_carried_out_once_by_their_client() {
    let server = TestServer::builder()
        .client(app())
        .client(Client::new("other").secret("secret").redirect_uri(CALLBACK))
        .require_pushed_requests()
        .build();
    assert_eq!(server.metadata()["require_pushed_authorization_requests"], true);
    assert_eq!(parameter(&alice(&server, "").await, "error").unwrap(), "invalid_request");
    let push = async |more: &str| {
        let parameters = format!(
            "client_id=app&client_secret=secret&response_type=code&redirect_uri={CALLBACK}&state=pushed&{CHALLENGE}{more}"
        );
        authorize(&server, form(server.pushed_authorization_endpoint(), &parameters)).await.unwrap()
    };
    let go = async |client: &str, pushed: &Answer| {
        let parameters = format!("client_id={client}&state=other&request_uri={}", pushed.text("request_uri"));
        server.authorize(&request(&server, &parameters), "alice").await
    };
    let pushed = push("").await;
    assert!(go("other", &pushed).await.is_err());
    let callback = go("app", &pushed).await.unwrap();
    assert_eq!(parameter(&callback, "state").unwrap(), "pushed");
    assert_eq!(redeem(&server, &callback, "").await.status, 200);
    assert!(go("app", &pushed).await.is_err(), "once is enough");

    let pushed = push("").await;
    advance(Duration::from_millis(59_999)).await;
    assert!(go("app", &pushed).await.is_ok());
    let pushed = push("").await;
    advance(Duration::from_secs(60)).await;
    assert!(go("app", &pushed).await.is_err());

    // What the authorization endpoint would refuse is refused at once.
    for (more, error) in
        [("&prompt=dance", "invalid_request"), ("&dpop_jkt=x", "invalid_request"), ("&scope=x", "invalid_scope")]
    {
        push(more).await.assert_error(400, error);
    }
    let elsewhere =
        format!("client_id=app&client_secret=secret&response_type=code&redirect_uri=https://evil.test&{CHALLENGE}");
    let answer = authorize(&server, form(server.pushed_authorization_endpoint(), &elsewhere)).await.unwrap();
    answer.assert_error(400, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn a_native_client_listens_on_any_port() {
    let native =
        Client::new("native").redirect_uri("http://127.0.0.1/callback").redirect_uri("com.example.app:/callback");
    let server = TestServer::builder().client(native).build();
    for uri in ["http://127.0.0.1:4711/callback", "http://127.0.0.1:4712/callback", "com.example.app:/callback"] {
        let parameters = format!("response_type=code&client_id=native&redirect_uri={uri}&{CHALLENGE}");
        let callback = server.authorize(&request(&server, &parameters), "alice").await.unwrap();
        assert!(callback.starts_with(&format!("{uri}?code=")), "{callback}");
        let code = parameter(&callback, "code").unwrap();
        let good = format!("grant_type=authorization_code&client_id=native&code_verifier={VERIFIER}&code={code}");
        token(&server, &format!("{good}&redirect_uri=http://127.0.0.1/callback"))
            .await
            .assert_error(400, "invalid_grant");
        assert_eq!(token(&server, &format!("{good}&redirect_uri={uri}")).await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirect_uri_with_a_query_keeps_it() {
    let server =
        TestServer::builder().client(Client::new("x").secret("s").redirect_uri("https://app.test/?a=b")).build();
    let callback = server.authorize(&request(&server, "client_id=x&response_type=code"), "alice").await.unwrap();
    assert!(callback.starts_with("https://app.test/?a=b&code="), "{callback}");
}
