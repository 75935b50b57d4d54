//! Whole sign-ins, against a server that looks at everything; and what must not end as one.

use std::time::Duration;

use oauth_test_server::{
    Algorithm as TestAlgorithm, Client, ClientAuthMethod, Endpoint, NoncePolicy, TestKey, TestServer,
};
use oauth_tokens::{
    Algorithm, AuthorizationServer, Callback, ClientAuth, DpopKey, Error, ErrorKind, HttpClient, PendingSignIn, Prompt,
    SignInRequest, SignedIn, SigningKey, TokenClient,
};
use serde_json::{Value, json};
use tokio::time::advance;

use super::REDIRECT;

fn app() -> Client {
    Client::new("app").scopes(["openid", "profile", "api"]).redirect_uri(REDIRECT)
}

fn client_of(server: &TestServer, auth: impl Into<ClientAuth>) -> TokenClient {
    AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .and_then(|at| at.client("app", auth))
        .expect("a client")
}

/// A server with a public client, and that client.
fn public() -> (TestServer, TokenClient) {
    let server = TestServer::builder().client(app()).build();
    let client = client_of(&server, ClientAuth::none());
    (server, client)
}

fn openid(client: &TokenClient) -> SignInRequest {
    client.sign_in(REDIRECT).scope("openid api")
}

/// Alice signs in, and agrees: the URL that she comes back with.
async fn come_back(server: &TestServer, request: &SignInRequest) -> (String, PendingSignIn) {
    let (url, pending) = request.begin().await.expect("begun").into_parts();
    (server.authorize(&url, "alice").await.expect("a callback"), pending)
}

async fn finish(client: &TokenClient, pending: PendingSignIn, url: &str) -> Result<SignedIn, Error> {
    let (page, query) = url.split_once('?').expect("a query");
    assert_eq!(page, REDIRECT);
    client.finish_sign_in(pending, &Callback::from_query(query)?).await
}

async fn sign_in(server: &TestServer, client: &TokenClient, request: &SignInRequest) -> Result<SignedIn, Error> {
    let (url, pending) = come_back(server, request).await;
    finish(client, pending, &url).await
}

#[tokio::test(start_paused = true)]
async fn a_user_signs_in_every_way() {
    let key = || DpopKey::new(SigningKey::generate(Algorithm::Es256).expect("a key")).expect("a key");
    for pushed in [false, true] {
        for form_post in [false, true] {
            for nonces in [None, Some(NoncePolicy::None), Some(NoncePolicy::Reusable), Some(NoncePolicy::SingleUse)] {
                let server = TestServer::builder().client(app().require_pkce());
                let server = match nonces {
                    None => server.build(),
                    Some(policy) => server.require_dpop().token_nonces(policy).build(),
                };
                let mut client = client_of(&server, ClientAuth::none());
                if nonces.is_some() {
                    client = client.dpop(key());
                }
                let mut request = openid(&client).return_to("/orders?x=1").resource("https://api.test/");
                if pushed {
                    request = request.pushed();
                }
                if form_post {
                    request = request.form_post();
                }
                let (url, pending) = come_back(&server, &request).await;
                let body = url.split_once('?').expect("parameters").1;
                let callback = Callback::from_form(body.as_bytes()).expect("a callback");
                assert_eq!(callback.state(), Some(pending.state()));
                let signed_in = client.finish_sign_in(pending, &callback).await.expect("signed in");
                let what = format!("pushed {pushed}, form {form_post}, nonces {nonces:?}");
                let user = signed_in.id_token.as_ref().expect("an ID token");
                assert_eq!((user.subject(), user.issuer()), ("alice", server.issuer()), "{what}");
                assert_eq!(signed_in.tokens.id_token.as_deref().map(String::as_str), Some(user.as_str()));
                assert_eq!(signed_in.tokens.access_token.is_bound(), nonces.is_some(), "{what}");
                assert_eq!(signed_in.return_to(), "/orders?x=1");
                assert_eq!(server.requests_to(Endpoint::PushedAuthorization).len(), usize::from(pushed), "{what}");
                assert_eq!(server.counters().tokens_issued, 1, "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn t9_the_client_proves_who_it_is_in_every_way() {
    let key = TestKey::generate(TestAlgorithm::Es256);
    let ours = SigningKey::from_jwk(&key.private_jwk().to_string()).expect("a JWK");
    let secret = "0123456789abcdef0123456789abcdef";
    let by_secret = |method| app().secret(secret).auth_methods([method]);
    let cases = [
        (app(), ClientAuth::none(), ClientAuthMethod::None),
        (app().secret(secret), ClientAuth::secret_basic(secret), ClientAuthMethod::ClientSecretBasic),
        (app().secret(secret), ClientAuth::secret_post(secret), ClientAuthMethod::ClientSecretPost),
        (app().key(&key), ClientAuth::private_key_jwt(ours), ClientAuthMethod::PrivateKeyJwt),
        (
            by_secret(ClientAuthMethod::ClientSecretJwt),
            ClientAuth::client_secret_jwt(secret),
            ClientAuthMethod::ClientSecretJwt,
        ),
    ];
    for (registered, auth, method) in cases {
        let server = TestServer::builder().client(registered).require_pushed_requests().build();
        let client = client_of(&server, auth);
        sign_in(&server, &client, &openid(&client)).await.unwrap_or_else(|error| panic!("{method:?}: {error}"));
        for endpoint in [Endpoint::PushedAuthorization, Endpoint::Token] {
            let requests = server.requests_to(endpoint);
            let methods: Vec<_> = requests.iter().map(|request| request.client_auth).collect();
            assert_eq!(methods, [Some(method)], "{endpoint:?}");
        }
    }
}

/// A code that is replayed, and one that was stolen and comes with another browser's verifier.
#[tokio::test(start_paused = true)]
async fn l2_a_code_is_good_once_and_for_its_own_verifier() {
    let (server, client) = public();
    let (url, pending) = come_back(&server, &openid(&client)).await;
    finish(&client, pending.clone(), &url).await.expect("signed in");
    let error = finish(&client, pending, &url).await.expect_err("a replay");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_grant"));

    let (stolen, _) = come_back(&server, &openid(&client)).await;
    let (url, pending) = come_back(&server, &openid(&client)).await;
    let code = |url: &str| url.split(['?', '&']).find_map(|pair| pair.strip_prefix("code=").map(str::to_owned));
    let injected = url.replace(&code(&url).expect("a code"), &code(&stolen).expect("a code"));
    let error = finish(&client, pending, &injected).await.expect_err("another's code");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_grant"));
    assert!(!error.is_transient());
}

/// The victim's browser is sent to a callback of the attacker's sign-in (login CSRF), and the other way round.
#[tokio::test(start_paused = true)]
async fn l2_a_callback_of_another_browser_is_refused() {
    let (server, client) = public();
    let (attackers, _) = come_back(&server, &openid(&client)).await;
    let (_, victims) = come_back(&server, &openid(&client)).await;
    let error = finish(&client, victims, &attackers).await.expect_err("another's callback");
    assert_eq!(error.kind(), ErrorKind::InvalidCallback);
    assert!(server.requests_to(Endpoint::Token).is_empty());
}

#[tokio::test(start_paused = true)]
async fn l2_the_server_says_no_in_many_ways() {
    let (server, client) = public();
    let (url, pending) = openid(&client).begin().await.expect("begun").into_parts();
    let callback = server.browser().deny(&url, "alice").await.expect("a callback");
    let error = finish(&client, pending, &callback).await.expect_err("the user said no");
    assert_eq!(error.kind(), ErrorKind::AccessDenied);

    let silent = openid(&client).prompt(Prompt::NONE);
    let mut browser = server.browser();
    let (url, pending) = silent.begin().await.expect("begun").into_parts();
    let callback = browser.authorize(&url, "alice").await.expect("a callback");
    let error = finish(&client, pending, &callback).await.expect_err("nobody is signed in");
    assert_eq!(error.kind(), ErrorKind::InteractionRequired);
    let (url, pending) = openid(&client).begin().await.expect("begun").into_parts();
    let callback = browser.authorize(&url, "alice").await.expect("a callback");
    finish(&client, pending, &callback).await.expect("signed in");
    let (url, pending) = silent.begin().await.expect("begun").into_parts();
    let callback = browser.authorize(&url, "alice").await.expect("a callback");
    finish(&client, pending, &callback).await.expect("somebody is signed in");

    for (code, transient) in [("temporarily_unavailable", true), ("server_error", true), ("unauthorized_client", false)]
    {
        server.set_authorization_error(Some(code));
        let error = sign_in(&server, &client, &openid(&client)).await.expect_err(code);
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::OAuth, transient), "{code}");
        assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some(code));
    }
}

#[tokio::test(start_paused = true)]
async fn l2_an_answer_of_another_server_is_refused() {
    for (name, value) in [("iss", json!("https://evil.test")), ("iss", Value::Null), ("state", json!("x"))] {
        let (server, client) = public();
        server.set_authorization_response(name, value.clone());
        let error = sign_in(&server, &client, &openid(&client)).await.expect_err(name);
        assert_eq!(error.kind(), ErrorKind::InvalidCallback, "{name} {value}");
        assert!(server.requests_to(Endpoint::Token).is_empty(), "{name} {value}");
    }
    // One that never promised it.
    let server = TestServer::builder().client(app()).response_iss(false).build();
    let client = client_of(&server, ClientAuth::none());
    sign_in(&server, &client, &openid(&client)).await.expect("signed in");
}

#[tokio::test(start_paused = true)]
async fn l2_an_id_token_that_is_not_of_this_sign_in_is_refused() {
    let long_ago = |server: &TestServer| server.unix_time().as_secs() - 3600;
    type Change = Box<dyn Fn(&mut oauth_test_server::JwtDraft) + Send + Sync>;
    let (server, client) = public();
    let (then, mut revoked) = (long_ago(&server), 0);
    let changes: Vec<(&str, Change)> = vec![
        ("no nonce", Box::new(|jwt| drop(jwt.claims.remove("nonce")))),
        ("another nonce", Box::new(|jwt| jwt.set_claim("nonce", "x"))),
        ("another at_hash", Box::new(|jwt| jwt.set_claim("at_hash", "x"))),
        ("another audience", Box::new(|jwt| jwt.set_claim("aud", "x"))),
        ("another issuer", Box::new(|jwt| jwt.set_claim("iss", "https://evil.test"))),
        ("no signature", Box::new(|jwt| jwt.set_header("alg", "none"))),
        ("no auth_time", Box::new(|jwt| drop(jwt.claims.remove("auth_time")))),
        ("an old auth_time", Box::new(move |jwt| jwt.set_claim("auth_time", then))),
    ];
    for (what, change) in changes {
        server.tamper_id_tokens(change);
        let request = openid(&client).max_age(Duration::from_secs(300));
        let error = sign_in(&server, &client, &request).await.err().unwrap_or_else(|| panic!("{what} was taken"));
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::InvalidIdToken, false), "{what}: {error}");
        // What came with it is of no use to anybody.
        revoked += 1;
        server.arrived(Endpoint::Revocation, revoked).await;
    }
    server.tamper_id_tokens(|_| ());
    sign_in(&server, &client, &openid(&client).max_age(Duration::from_secs(300))).await.expect("signed in");

    for value in [Value::Null, json!(""), json!(7)] {
        server.set_token_response("id_token", value.clone());
        let error = sign_in(&server, &client, &openid(&client)).await.expect_err("no ID token");
        assert_eq!(error.kind(), ErrorKind::InvalidIdToken, "{value}");
        assert!(error.to_string().contains("no ID token"), "{error}");
    }
}

/// `max_age` counts back from the beginning: who thinks about the consent for long did sign in as was asked.
#[tokio::test(start_paused = true)]
async fn l2_max_age_counts_from_the_beginning() {
    let (server, client) = public();
    let (url, pending) = come_back(&server, &openid(&client).max_age(Duration::ZERO)).await;
    advance(Duration::from_secs(50)).await;
    finish(&client, pending, &url).await.expect("signed in for this very request");
}

/// An ID token that nobody asked for is not verified, and so is not handed on.
#[tokio::test(start_paused = true)]
async fn l2_an_id_token_that_was_not_asked_for_is_dropped() {
    let (server, client) = public();
    server.set_token_response("id_token", json!("eyJhbGciOiJub25lIn0.e30."));
    let signed_in = sign_in(&server, &client, &client.sign_in(REDIRECT).scope("api")).await.expect("signed in");
    assert!(signed_in.id_token.is_none() && signed_in.tokens.id_token.is_none());
}
