//! The grants and endpoints against a server that verifies what it gets. Time is driven by hand, and there are no sockets.

use std::time::Duration;

use http::Request;
use http_body_util::{BodyExt, Empty};
use oauth_test_server::{
    Algorithm, Client, ClientAuthMethod, DeviceState, Endpoint, TestKey, TestServer, TrustedIssuer,
};
use oauth_tokens::{
    AccessToken, AuthorizationServer, ClientAuth, ErrorKind, Form, HttpClient, SecurityToken, SignedAssertion,
    SigningKey, TokenClient, TokenHint, TokenSource, TokenType,
};
use serde_json::{Value, json};
use tokio::time::{Instant, advance};
use tower::ServiceExt;

const PARTNER: &str = "https://partner.test";

/// A frontend that users sign in to, a service behind it, an app on a device, and a partner who vouches for people.
fn world() -> (TestServer, TestKey) {
    let partner = TestKey::generate(Algorithm::Es256);
    let server = TestServer::builder()
        .client(Client::new("frontend").secret("f").scopes(["orders", "stock"]))
        .client(Client::new("orders").secret("o").scopes(["stock", "audit"]))
        .client(Client::new("tv").scopes(["orders", "offline_access"]).auth_methods([ClientAuthMethod::None]))
        .trusted_issuer(TrustedIssuer::new(PARTNER).key(&partner).scopes(["orders"]).single_use())
        .refresh_tokens(true)
        .build();
    (server, partner)
}

fn server_of(server: &TestServer) -> AuthorizationServer {
    let http = HttpClient::new(server.authorization_service());
    AuthorizationServer::via(http).issuer(server.issuer()).expect("a server")
}

fn client_of(server: &TestServer, id: &str, auth: ClientAuth) -> TokenClient {
    server_of(server).client(id, auth).expect("a client")
}

fn orders(server: &TestServer) -> TokenClient {
    client_of(server, "orders", ClientAuth::secret_basic("o"))
}

fn tv(server: &TestServer) -> TokenClient {
    client_of(server, "tv", ClientAuth::none())
}

/// What the API sees in a token.
async fn seen_by_api(server: &TestServer, token: &AccessToken) -> Value {
    let request = Request::get(server.api_url("/stock")).header("authorization", token.authorization());
    let request = request.body(Empty::<bytes::Bytes>::new()).expect("a request");
    let response = server.api_service().oneshot(request).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&body).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn exchange_makes_a_token_that_speaks_of_the_caller() {
    let (server, _) = world();
    let caller = server.issue_access_token_for("alice", "frontend", "orders stock");
    // Impersonation: as if alice called herself.
    let exchange = || orders(&server).token_exchange(SecurityToken::access_token(caller.as_str())).scope("stock");
    let tokens = exchange().fetch().await.expect("a token");
    assert_eq!(tokens.issued_token_type, Some(TokenType::ACCESS_TOKEN));
    let seen = seen_by_api(&server, &tokens.access_token).await;
    assert_eq!(
        (&seen["sub"], &seen["client_id"], &seen["scope"]),
        (&json!("alice"), &json!("orders"), &json!("stock"))
    );

    // Delegation: the service acts, for alice.
    let ourselves = orders(&server).client_credentials().scope("audit").cached().expect("a request");
    let tokens = exchange().actor(&ourselves).fetch().await.expect("a token");
    let known = orders(&server).introspect(tokens.access_token.secret()).await.expect("an answer");
    assert_eq!((known.subject(), known.get("act")), (Some("alice"), Some(&json!({ "sub": "orders" }))));

    // More than the caller may is not to be had.
    let error = exchange().scope("audit").fetch().await.expect_err("more than alice has");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_scope"));
}

#[tokio::test(start_paused = true)]
async fn exchange_of_a_dead_token_is_refused_and_renewed_where_it_can_be() {
    let (server, _) = world();
    let caller = server.issue_access_token_for("alice", "frontend", "orders stock");
    let tokens =
        orders(&server).token_exchange(SecurityToken::access_token(caller.as_str())).cached().expect("a request");
    server.revoke(&caller);
    let error = tokens.token().await.expect_err("revoked");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_request"));
    assert!(!error.is_transient());

    // A subject of our own, which the server has forgotten.
    let subject = client_of(&server, "frontend", ClientAuth::secret_basic("f")).client_credentials().scope("stock");
    let subject = subject.cached().expect("a request");
    subject.token().await.expect("a token");
    server.revoke_access_tokens();
    orders(&server).token_exchange(&subject).fetch().await.expect("the subject was renewed");
}

#[tokio::test(start_paused = true)]
async fn exchange_issues_what_the_api_does_not_take() {
    let (server, _) = world();
    let caller = server.issue_access_token_for("alice", "frontend", "orders stock");
    let exchange = || orders(&server).token_exchange(SecurityToken::access_token(caller.as_str()));
    for kind in [TokenType::JWT, TokenType::ID_TOKEN, TokenType::REFRESH_TOKEN] {
        let request = exchange().requested_token_type(kind.clone());
        let issued = request.issue().await.expect("a token");
        assert_eq!(issued.issued_token_type, Some(kind));
        assert!(!issued.token.is_empty());
        assert_eq!(request.fetch().await.expect_err("no credential").kind(), ErrorKind::InvalidResponse);
    }
}

#[tokio::test(start_paused = true)]
async fn exchange_takes_the_tokens_of_trusted_issuers() {
    let (server, partner) = world();
    let now = server.unix_time().as_secs();
    let claims = json!({ "iss": PARTNER, "sub": "bob", "aud": server.issuer(), "exp": now + 60, "jti": "j1" });
    let tokens = orders(&server).token_exchange(SecurityToken::jwt(partner.sign(&claims))).scope("stock").fetch().await;
    let seen = seen_by_api(&server, &tokens.expect("a token").access_token).await;
    assert_eq!(seen["sub"], "bob");
}

#[tokio::test(start_paused = true)]
async fn jwt_bearer_assertions_of_our_own_are_accepted_each_time() {
    let (server, partner) = world();
    let key = SigningKey::from_pem(partner.private_key_pem()).expect("a key");
    let key = key.with_key_id(partner.key_id().expect("a name"));
    let assertion = |audience: &str| SignedAssertion::new(key.clone(), PARTNER, audience).subject("bob");
    let by_assertion = || client_of(&server, "nobody", ClientAuth::omitted());
    let request = by_assertion().jwt_bearer(assertion(server.issuer())).scope("orders");
    for _ in 0..3 {
        let tokens = request.fetch().await.expect("each assertion is another one");
        let seen = seen_by_api(&server, &tokens.access_token).await;
        assert_eq!((&seen["sub"], &seen["client_id"]), (&json!("bob"), &json!(PARTNER)));
    }
    // A server that stumbles after it took the assertion gets another one.
    server.token_faults().push(1, oauth_test_server::Fault::LoseAnswer);
    request.fetch().await.expect("an assertion that was not used");
    assert_eq!(server.counters().token_errors, 0);

    let error = by_assertion().jwt_bearer(assertion("https://elsewhere.test")).fetch().await.expect_err("not for here");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_grant"));
    advance(Duration::from_secs(86400)).await;
    request.fetch().await.expect("the clock goes along");
}

#[tokio::test(start_paused = true)]
async fn device_gets_tokens_when_the_user_says_yes() {
    let (server, _) = world();
    let mut device = tv(&server).device_authorization().scope("orders offline_access").begin().await.expect("a code");
    let codes = server.device_codes();
    assert_eq!((codes[0].user_code.as_str(), codes[0].state), (device.user_code(), DeviceState::Pending));
    assert_eq!(device.verification_uri(), server.verification_uri());

    let user = tokio::spawn({
        let (server, code) = (server.clone(), device.user_code().to_owned());
        async move {
            tokio::time::sleep(Duration::from_secs(33)).await;
            assert!(server.approve_device_as(&code, "ann"));
        }
    });
    let begun = Instant::now();
    let tokens = device.cached().await.expect("ann said yes");
    user.await.expect("no panic");
    assert_eq!(begun.elapsed(), Duration::from_secs(35), "at the first poll after that");
    let seen = seen_by_api(&server, &tokens.token().await.expect("a token")).await;
    assert_eq!((&seen["sub"], &seen["client_id"]), (&json!("ann"), &json!("tv")));
    let polls = server.counters().token_requests;
    assert_eq!(polls, 7, "one every five seconds, and none was too fast");

    advance(Duration::from_secs(3600)).await;
    let seen = seen_by_api(&server, &tokens.token().await.expect("a renewed token")).await;
    assert_eq!(seen["sub"], "ann");
    let last = &server.requests_to(Endpoint::Token)[7];
    assert_eq!(last.form_value("grant_type").as_deref(), Some("refresh_token"));
    // The code is spent.
    let error = device.wait().await.expect_err("used");
    assert_eq!(error.kind(), ErrorKind::DeviceCodeExpired);
}

#[tokio::test(start_paused = true)]
async fn device_ends_when_the_user_says_no_or_nothing() {
    let (server, _) = world();
    let mut device = tv(&server).device_authorization().begin().await.expect("a code");
    assert!(server.deny_device(device.user_code()));
    let error = device.wait().await.expect_err("no");
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    assert!(error.to_string().contains("said no"), "{error}");

    let mut device = tv(&server).device_authorization().begin().await.expect("a code");
    let begun = Instant::now();
    let error = device.wait().await.expect_err("nothing");
    assert_eq!((error.kind(), begun.elapsed()), (ErrorKind::DeviceCodeExpired, Duration::from_secs(600)));
    assert_eq!(server.device_codes()[1].state, DeviceState::Expired);
}

/// The server holds a client to its pace; one that keeps it is never told to slow down.
#[tokio::test(start_paused = true)]
async fn device_keeps_the_pace_that_the_server_asks_for() {
    for interval in [None, Some(1), Some(5), Some(17)] {
        let server = TestServer::builder()
            .client(Client::new("tv").auth_methods([ClientAuthMethod::None]))
            .device_interval(interval.map(Duration::from_secs))
            .build();
        let mut device = tv(&server).device_authorization().begin().await.expect("a code");
        let wait = tokio::time::timeout(Duration::from_secs(120), device.wait()).await;
        assert!(wait.is_err(), "still pending");
        let polls = server.requests_to(Endpoint::Token);
        let pause = Duration::from_secs(interval.unwrap_or(5));
        assert!(polls.windows(2).all(|two| two[1].when - two[0].when == pause), "{interval:?}");
        assert!(server.approve_device(device.user_code()));
        device.wait().await.expect("a token");
    }
}

#[tokio::test(start_paused = true)]
async fn revocation_and_introspection_agree() {
    let (server, _) = world();
    let client = orders(&server);
    let tokens = client.client_credentials().scope("stock").cached().expect("a request");
    let token = tokens.token().await.expect("a token");
    let known = client.introspect(token.secret()).hint(TokenHint::AccessToken).await.expect("an answer");
    assert!(known.is_active() && known.has_scope("stock") && !known.has_scope("audit"));
    assert_eq!(known.client_id(), Some("orders"));
    let expires = known.expires_at().expect("a time").duration_since(std::time::UNIX_EPOCH).expect("a time");
    assert!(expires.abs_diff(server.unix_time()) <= Duration::from_secs(3601));

    client.revoke_held_by(&tokens).await.expect("revoked");
    assert!(!client.introspect(token.secret()).await.expect("an answer").is_active());
    client.revoke(token.secret()).await.expect("once more is no error");
    client.revoke("never-heard-of").await.expect("no error either");
    assert_eq!(server.counters().token_requests, 1);

    let theirs = server.issue_access_token("frontend", "orders");
    let error = client.revoke(theirs).await.expect_err("somebody else's");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("unauthorized_client"));
    let error = tv(&server).introspect("t").await.expect_err("a public client");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_client"));
}

#[tokio::test(start_paused = true)]
async fn pushed_requests_arrive_as_they_were_made() {
    let (server, _) = world();
    let request = || Form::new().with("response_type", "code").with("state", "s t&1").with("scope", "orders");
    for auth in [ClientAuth::secret_basic("f"), ClientAuth::secret_post("f")] {
        let client = client_of(&server, "frontend", auth);
        let pushed = client.push_authorization_request(request()).await.expect("pushed");
        let mut arrived = server.pushed_request(pushed.request_uri()).expect("it is there");
        arrived.sort();
        let expected = [("client_id", "frontend"), ("response_type", "code"), ("scope", "orders"), ("state", "s t&1")];
        assert_eq!(arrived, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(pushed.expires_in(), Duration::from_secs(60));
    }
    let error = tv(&server).push_authorization_request(Form::new()).await.expect_err("no response_type");
    assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some("invalid_request"));
}

#[tokio::test(start_paused = true)]
async fn jwks_follow_the_servers_rotation() {
    let (server, _) = world();
    let ours = server_of(&server);
    let first = ours.jwks().await.expect("keys");
    let old = first.iter().next().and_then(|key| key.key_id()).expect("a key with a name").to_owned();
    server.rotate_keys();
    // A token by the new key comes in a minute later.
    advance(Duration::from_secs(60)).await;
    let new = ours.jwk("the new one's name is not known here").await.expect("keys");
    assert!(new.is_none());
    let second = ours.jwks().await.expect("keys");
    assert_eq!(second.len(), 2);
    server.drop_old_keys();
    advance(Duration::from_secs(300)).await;
    assert!(ours.jwk(&old).await.expect("keys").is_none());
    assert_eq!(server.counters().jwks_requests, 3);
}

#[tokio::test(start_paused = true)]
async fn details_are_granted_as_they_were_asked_for() {
    let (server, _) = world();
    let details = json!([{ "type": "payment", "actions": ["initiate"] }]);
    let tokens = orders(&server).client_credentials().authorization_details(details.clone()).fetch().await;
    let tokens = tokens.expect("a token");
    assert_eq!(tokens.authorization_details, Some(details.clone()));
    let known = orders(&server).introspect(tokens.access_token.secret()).await.expect("an answer");
    assert_eq!(known.get("authorization_details"), Some(&details));
}
