//! The servers' other endpoints: introspection (RFC 7662), revocation (RFC 7009), pushed authorization requests (RFC
//! 9126), keys (RFC 7517).

use std::time::{Duration, SystemTime};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, Form, SigningKey, TokenHint, TokenSource};
use serde_json::Value;
use tower::ServiceExt;
use tower_oauth::RetryOutcome;

use crate::{
    against_both,
    api::plain,
    client::of_machine,
    layer::{get, over_hyper},
    server::{RealServer, oidc},
    token_errors::assert_refused,
};

against_both!(
    introspection_says_what_a_token_is_good_for,
    introspection_is_for_those_who_may_ask,
    a_revoked_token_is_dead,
    a_revoked_refresh_token_ends_the_session,
    at_the_end_of_a_program,
    d3_an_endpoint_that_the_metadata_leave_out,
);

async fn introspection_says_what_a_token_is_good_for(server: &RealServer) {
    let api = server.client_by_issuer("api");
    let token = server.request("basic").fetch().await.expect("a token").access_token;
    for known in [
        api.introspect(token.secret()).await.expect("an answer"),
        api.introspect(token.secret()).hint(TokenHint::AccessToken).await.expect("an answer"),
        // A hint is a hint.
        api.introspect(token.secret()).hint(TokenHint::RefreshToken).await.expect("an answer"),
    ] {
        assert!(known.is_active());
        assert_eq!(known.client_id(), Some(server.registered("basic").id));
        assert!(known.has_scope("api") && known.has_scope("api:read") && !known.has_scope("api:write"));
        let lives = known.expires_at().expect("a time").duration_since(SystemTime::now()).expect("in the future");
        assert!(lives > Duration::from_secs(560) && lives <= Duration::from_secs(601), "{lives:?}");
        assert!(!format!("{known:?}").contains(token.secret()), "{known:?}");
    }
    let unknown = api.introspect("n0b0dys.t0k3n").await.expect("an answer");
    assert!(!unknown.is_active());
    assert_eq!((unknown.scope(), unknown.expires_at()), (None, None));
}

async fn introspection_is_for_those_who_may_ask(server: &RealServer) {
    let wrong = server.client_by("api", ClientAuth::secret_basic("not-the-secret"));
    let error = wrong.introspect("n0b0dys.t0k3n").await.expect_err("a wrong secret");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(if server.is_oidc() { 401 } else { 403 }), "{error}");
    if server.is_oidc() {
        assert_refused(&error, "invalid_client", 401);
    }
    assert!(!format!("{error} {error:?}").contains("n0b0dys"), "{error:?}");
}

async fn a_revoked_token_is_dead(server: &RealServer) {
    let client = server.client_by_issuer("basic");
    for hint in [None, Some(TokenHint::AccessToken), Some(TokenHint::RefreshToken)] {
        let tokens = server.tokens("basic");
        let token = tokens.token().await.expect("a token");
        let revocation = client.revoke(token.secret());
        match hint {
            Some(hint) => revocation.hint(hint).await,
            None => revocation.await,
        }
        .expect("revoked");
        assert!(!server.client_by_issuer("api").introspect(token.secret()).await.expect("an answer").is_active());
        let response = over_hyper(server, tokens).oneshot(get(&server.api("/things"))).await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert!(matches!(response.extensions().get(), Some(RetryOutcome::Retried)), "it was dead: {hint:?}");
    }
    client.revoke("n0b0dys.t0k3n").await.expect("as good as revoked");
    let wrong = server.client_by("basic", ClientAuth::secret_basic("not-the-secret"));
    let error = wrong.revoke("n0b0dys.t0k3n").await.expect_err("a wrong secret");
    assert_refused(&error, "invalid_client", 401);
    assert!(!format!("{error} {error:?}").contains("n0b0dys"), "{error:?}");
}

async fn a_revoked_refresh_token_ends_the_session(server: &RealServer) {
    let first = server.sign_in("refresh").await;
    let client = server.client_by_issuer("refresh");
    client.revoke(&first).hint(TokenHint::RefreshToken).await.expect("revoked");
    let error = client.refresh_token(&*first).fetch().await.expect_err("revoked");
    assert_refused(&error, "invalid_grant", 400);
}

async fn at_the_end_of_a_program(server: &RealServer) {
    let client = server.client_by_issuer("basic");
    let tokens = client.client_credentials().scope("api").cached().expect("a usable request");
    client.revoke_held_by(&tokens).await.expect("there is none yet");
    assert_eq!(tokens.status().renewals, 0, "and none is fetched for it");
    let token = tokens.token().await.expect("a token");
    client.revoke_held_by(&tokens).await.expect("revoked");
    assert_eq!(server.call(&token).await.0, 401);
}

async fn d3_an_endpoint_that_the_metadata_leave_out(server: &RealServer) {
    if server.is_oidc() {
        return; // They name all that there are.
    }
    let known = server.registered("basic");
    let found = AuthorizationServer::issuer(server.issuer()).expect("loopback may be http");
    let client = found.client(known.id, ClientAuth::secret_basic(known.secret)).expect("a usable client");
    let error = client.revoke("n0b0dys.t0k3n").await.expect_err("nobody knows where");
    assert_eq!(error.kind(), ErrorKind::MissingEndpoint, "{error}");
    assert!(error.to_string().contains("override it"), "what to do: {error}");
}

#[tokio::test]
async fn any_authentication_serves_at_any_endpoint() {
    let server = oidc();
    let jwk = SigningKey::from_jwk(&server.file_of("es256", "key_jwk")).expect("a key");
    let clients = [
        server.client_by("es256", ClientAuth::private_key_jwt(jwk)),
        server.client_by("secret_jwt", ClientAuth::client_secret_jwt(server.registered("secret_jwt").secret)),
        server.client_by("post", ClientAuth::secret_post(server.registered("post").secret)),
    ];
    for client in clients {
        let token = of_machine(&client).fetch().await.expect("a token").access_token;
        let known = client.introspect(token.secret()).await.unwrap_or_else(|error| panic!("{}: {error}", client.id()));
        assert_eq!(known.client_id(), Some(client.id()));
        client.revoke(token.secret()).await.unwrap_or_else(|error| panic!("{}: {error}", client.id()));
        assert!(!client.introspect(token.secret()).await.expect("an answer").is_active());
    }
}

#[tokio::test]
async fn a_jwt_is_neither_revoked_nor_introspected_here() {
    let server = oidc();
    let client = server.client_by_issuer("basic");
    let jwt = of_machine(&client).resource(server.text("/resources/jwt")).fetch().await.expect("a JWT").access_token;
    let error = client.revoke(jwt.secret()).await.expect_err("the server keeps no list of them");
    assert_eq!(error.oauth().expect("an OAuth error").code, "unsupported_token_type", "{error}");
    assert!(!format!("{error} {error:?}").contains(jwt.secret()), "{error:?}");
}

#[tokio::test]
async fn the_key_of_a_jwt_is_among_the_servers() {
    let server = oidc();
    let client = server.client_by_issuer("basic");
    let jwt = of_machine(&client).resource(server.text("/resources/jwt")).fetch().await.expect("a JWT").access_token;
    let header = BASE64_URL_SAFE_NO_PAD.decode(jwt.secret().split('.').next().expect("a header")).expect("base64url");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    let kid = header["kid"].as_str().expect("a name");
    let key = client.server().jwk(kid).await.expect("keys").expect("this one");
    assert_eq!((key.key_type(), key.algorithm()), (Some("EC"), header["alg"].as_str()));
    assert!(client.server().jwk("n0b0dys").await.expect("keys").is_none());
    let all = client.server().jwks().await.expect("keys");
    assert_eq!((all.len(), all.get(kid)), (1, Some(&key)));
    assert!(key.get("d").is_none(), "the public half");
}

#[tokio::test]
async fn a_pushed_authorization_request() {
    let server = oidc();
    let client = server.client_by_issuer("par");
    let form = || {
        Form::new()
            .with("response_type", "code")
            .with("redirect_uri", "https://client.test/callback")
            .with("scope", "api")
            .with("state", "st4te")
            .with("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
            .with("code_challenge_method", "S256")
    };
    let pushed = client.push_authorization_request(form()).await.expect("a reference");
    assert!(pushed.expires_in() > Duration::from_secs(5), "{:?}", pushed.expires_in());
    assert!(!format!("{pushed:?}").contains(pushed.request_uri()), "{pushed:?}");

    // What the browser would be sent to: the server has all the rest, and goes on to its own pages.
    let place = client.server().metadata().await.expect("metadata").endpoint("authorization_endpoint").expect("named");
    let query = [("client_id", client.id()), ("request_uri", pushed.request_uri())];
    let url = reqwest::Url::parse_with_params(&place, query).expect("a URL");
    let response = plain().get(url).send().await.expect("an answer");
    assert_eq!(response.status(), 303);
    let next = response.headers()["location"].to_str().expect("text");
    assert!(next.contains("/interaction/"), "{next}");

    let error = client.push_authorization_request(form().with("nonce", "n").with("prompt", "consent none")).await;
    let error = error.expect_err("two that exclude each other");
    assert_refused(&error, "invalid_request", 400);
    assert!(!format!("{error} {error:?}").contains("st4te"), "{error:?}");
    let foreign = form().with("request_uri", pushed.request_uri());
    assert_eq!(client.push_authorization_request(foreign).await.expect_err("never").kind(), ErrorKind::Config);
    let wrong = server.client_by("par", ClientAuth::secret_basic("not-the-secret"));
    let error = wrong.push_authorization_request(form()).await.expect_err("a wrong secret");
    assert_refused(&error, "invalid_client", 401);
}
