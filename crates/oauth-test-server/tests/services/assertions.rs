//! `client_secret_jwt` and `private_key_jwt`: what is taken, and what is not.

use oauth_test_server::{Algorithm, Client, ClientAuthMethod, DecodedJwt, Endpoint, TestKey, TestServer};
use serde_json::{Value, json};

use super::*;

pub(crate) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const GRANT: &str = "grant_type=client_credentials";

/// The claims of an assertion that is good now.
pub(crate) fn claims(server: &TestServer, id: &str) -> Value {
    let now = server.unix_time().as_secs();
    json!({
        "iss": id, "sub": id, "aud": server.issuer(),
        "iat": now, "exp": now + 60, "jti": fastrand::u64(..).to_string(),
    })
}

pub(crate) fn with(mut claims: Value, name: &str, value: impl Into<Value>) -> Value {
    claims[name] = value.into();
    claims
}

pub(crate) fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().unwrap().remove(name);
    claims
}

pub(crate) fn asserting(assertion: &str) -> String {
    format!("{GRANT}&client_assertion_type={TYPE}&client_assertion={assertion}")
}

async fn assert_with(server: &TestServer, assertion: &str) -> Answer {
    token(server, &asserting(assertion)).await
}

fn refused(answer: &Answer, why: &str) {
    answer.assert_error(401, "invalid_client");
    assert_eq!(answer.text("error_description"), why);
}

#[tokio::test(start_paused = true)]
async fn every_algorithm() {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa] {
        let key = TestKey::generate(algorithm);
        let server = TestServer::builder().client(Client::new("m2m").key(&key).scopes(["api"])).build();
        let assertion = key.sign(&claims(&server, "m2m"));
        let answer = assert_with(&server, &assertion).await;
        assert_eq!(answer.status, 200, "{algorithm:?}");
        assert_eq!(api(&server, &answer.text("access_token")).await.status, 200);

        let recorded = &server.requests_to(Endpoint::Token)[0];
        assert_eq!(recorded.client_auth, Some(ClientAuthMethod::PrivateKeyJwt));
        assert_eq!(recorded.client_id.as_deref(), Some("m2m"));
        assert_eq!(recorded.client_assertion(), DecodedJwt::decode(&assertion));

        let other = TestKey::generate(algorithm).without_key_id();
        let answer = assert_with(&server, &other.sign(&claims(&server, "m2m"))).await;
        refused(&answer, "the JWT's signature does not verify");
        let recorded = &server.requests_to(Endpoint::Token)[1];
        assert_eq!((recorded.client_auth, &recorded.client_id), (None, &None));
        assert_eq!(recorded.client_assertion().unwrap().claims["sub"], "m2m");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_signs_too() {
    let client = m2m().auth_methods([ClientAuthMethod::ClientSecretJwt]);
    let server = TestServer::builder().client(client).build();
    let answer = assert_with(&server, &TestKey::hmac("secret").sign(&claims(&server, "m2m"))).await;
    assert_eq!(answer.status, 200);
    assert_eq!(server.requests()[0].client_auth, Some(ClientAuthMethod::ClientSecretJwt));

    let wrong = TestKey::hmac("another").sign(&claims(&server, "m2m"));
    refused(&assert_with(&server, &wrong).await, "the JWT's signature does not verify");
    token(&server, CLIENT_CREDENTIALS).await.assert_error(401, "invalid_client");

    // A client with a secret does not sign with it unless it is registered so.
    let server = TestServer::builder().client(m2m()).build();
    let answer = assert_with(&server, &TestKey::hmac("secret").sign(&claims(&server, "m2m"))).await;
    refused(&answer, "the client is not registered for this authentication method");
}

#[tokio::test(start_paused = true)]
async fn every_claim_is_looked_at() {
    let key = TestKey::generate(Algorithm::Es256);
    let server =
        TestServer::builder().client(Client::new("m2m").key(&key)).client(Client::new("other").key(&key)).build();
    let good = || claims(&server, "m2m");
    let now = server.unix_time().as_secs();
    for (claims, why) in [
        (good(), ""),
        (without(good(), "iat"), ""),
        (with(good(), "exp", now + 300), ""),
        (with(good(), "nbf", now), ""),
        (with(good(), "iss", "other"), "the assertion's sub is not the client"),
        (with(good(), "iss", "nobody"), "unknown client"),
        (without(good(), "iss"), "the assertion has no iss"),
        (with(good(), "sub", "other"), "the assertion's sub is not the client"),
        (without(good(), "sub"), "the assertion's sub is not the client"),
        (with(good(), "aud", server.token_endpoint()), "the JWT's aud is another"),
        (with(good(), "aud", "https://id.test/"), "the JWT's aud is another"),
        (with(good(), "aud", json!([server.issuer()])), "the JWT's aud is not a single string"),
        (without(good(), "aud"), "the JWT has no aud"),
        (with(good(), "exp", now), "the JWT is expired"),
        (with(good(), "exp", now + 301), "the JWT's exp is too far ahead"),
        (with(good(), "exp", (now + 60).to_string()), "a date in the JWT is no number"),
        (without(good(), "exp"), "the JWT has no exp"),
        (with(with(good(), "iat", now + 61), "exp", now + 100), "the JWT's iat is in the future"),
        (with(good(), "iat", now - 301), "the JWT's iat is too long ago"),
        (with(good(), "nbf", now + 61), "the JWT is not yet valid"),
        (without(good(), "jti"), "the assertion has no jti"),
        (with(good(), "jti", ""), "the assertion has no jti"),
        (with(good(), "jti", 7), "the assertion has no jti"),
    ] {
        let answer = assert_with(&server, &key.sign(&claims)).await;
        if why.is_empty() {
            assert_eq!(answer.status, 200, "{claims}");
        } else {
            refused(&answer, why);
        }
    }
    assert_eq!(server.counters().replays_refused, 0);
}

#[tokio::test(start_paused = true)]
async fn the_header_is_looked_at() {
    let key = TestKey::generate(Algorithm::Es256).with_key_id("1");
    let server = TestServer::builder().client(
        Client::new("m2m")
            .secret("secret")
            .key(&key)
            .auth_methods([ClientAuthMethod::PrivateKeyJwt, ClientAuthMethod::ClientSecretJwt]),
    );
    let server = server.build();
    for (header, why) in [
        (json!({ "alg": "ES256" }), ""),
        (json!({ "alg": "ES256", "kid": "1", "typ": "JWT" }), ""),
        (json!({ "alg": "ES256", "typ": "client-authentication+jwt" }), ""),
        (json!({ "alg": "ES256", "typ": "application/client-authentication+jwt" }), ""),
        (json!({ "alg": "ES256", "typ": "at+jwt" }), "the assertion's typ is another"),
        (json!({ "alg": "ES256", "typ": "dpop+jwt" }), "the assertion's typ is another"),
        (json!({ "alg": "ES256", "typ": 1 }), "the assertion's typ is another"),
        (json!({ "alg": "ES256", "kid": "2" }), "no registered key fits the JWT's kid and alg"),
        (json!({ "alg": "RS256", "kid": "1" }), "no registered key fits the JWT's kid and alg"),
        (json!({ "alg": "HS256" }), "the JWT's signature does not verify"),
        (json!({ "alg": "none" }), "the JWT's alg is unknown"),
    ] {
        let answer = assert_with(&server, &key.sign_with(&header, &claims(&server, "m2m"))).await;
        if why.is_empty() {
            assert_eq!(answer.status, 200, "{header}");
        } else {
            refused(&answer, why);
        }
    }
    // A public key is no shared secret.
    let public = key.public_jwk().to_string();
    let confused = TestKey::hmac(public).sign(&claims(&server, "m2m"));
    refused(&assert_with(&server, &confused).await, "the JWT's signature does not verify");
    refused(&assert_with(&server, "a.b.c").await, "not a JWT");
}

#[tokio::test(start_paused = true)]
async fn an_assertion_is_good_once() {
    let key = TestKey::generate(Algorithm::EdDsa);
    let server =
        TestServer::builder().client(Client::new("m2m").key(&key)).client(Client::new("other").key(&key)).build();
    let assertion = key.sign(&with(claims(&server, "m2m"), "jti", "1"));
    assert_eq!(assert_with(&server, &assertion).await.status, 200);
    refused(&assert_with(&server, &assertion).await, "the JWT's jti was used before");
    let again = key.sign(&with(claims(&server, "m2m"), "jti", "1"));
    refused(&assert_with(&server, &again).await, "the JWT's jti was used before");
    assert_eq!(server.counters().replays_refused, 2);

    // Each client has its own, and what is expired is forgotten.
    let others = key.sign(&with(claims(&server, "other"), "jti", "1"));
    assert_eq!(assert_with(&server, &others).await.status, 200);
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    refused(&assert_with(&server, &assertion).await, "the JWT is expired");
    let later = key.sign(&with(claims(&server, "m2m"), "jti", "1"));
    assert_eq!(assert_with(&server, &later).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_refused_assertion_does_not_spend_its_jti() {
    let key = TestKey::generate(Algorithm::EdDsa);
    let server = TestServer::builder().client(Client::new("m2m").key(&key)).build();
    let claims = with(claims(&server, "m2m"), "jti", "1");
    let forged = TestKey::generate(Algorithm::EdDsa).without_key_id().sign(&claims);
    assert_eq!(assert_with(&server, &forged).await.status, 401);
    assert_eq!(assert_with(&server, &key.sign(&claims)).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn the_audience_can_be_one_other_string() {
    let key = TestKey::generate(Algorithm::EdDsa);
    let server =
        TestServer::builder().assertion_audience("https://other.test").client(Client::new("m2m").key(&key)).build();
    let for_audience = |audience: &str| key.sign(&with(claims(&server, "m2m"), "aud", audience));
    assert_eq!(assert_with(&server, &for_audience("https://other.test")).await.status, 200);
    refused(&assert_with(&server, &for_audience(server.issuer())).await, "the JWT's aud is another");
    server.set_assertion_audience(server.token_endpoint());
    assert_eq!(assert_with(&server, &for_audience(&server.token_endpoint())).await.status, 200);
    refused(&assert_with(&server, &for_audience("https://other.test")).await, "the JWT's aud is another");
}

#[tokio::test(start_paused = true)]
async fn one_authentication_of_the_right_type() {
    let key = TestKey::generate(Algorithm::EdDsa);
    let server = TestServer::builder().client(Client::new("m2m").key(&key).secret("secret")).build();
    let assertion = || key.sign(&claims(&server, "m2m"));
    for (parameters, status) in [
        (format!("{}&client_id=m2m", asserting(&assertion())), 200),
        (format!("{}&client_id=other", asserting(&assertion())), 401),
        (format!("{}&client_secret=secret", asserting(&assertion())), 400),
        (format!("{GRANT}&client_assertion={}", assertion()), 401),
        (format!("{GRANT}&client_assertion_type={TYPE}&client_id=m2m"), 401),
        (format!("{GRANT}&client_assertion_type={TYPE}x&client_assertion={}", assertion()), 401),
        (format!("{GRANT}&client_assertion_type=JWT&client_assertion={}", assertion()), 401),
        (format!("{}&client_assertion={}", asserting(&assertion()), assertion()), 400),
    ] {
        let answer = token(&server, &parameters).await;
        assert_eq!(answer.status.as_u16(), status, "{parameters}");
    }
    let mut both = form(server.token_endpoint(), &asserting(&assertion()));
    both.headers_mut().insert("authorization", "Basic bTJtOnNlY3JldA==".parse().unwrap());
    authorize(&server, both).await.unwrap().assert_error(400, "invalid_request");
}

#[tokio::test(start_paused = true)]
async fn keys_rotate() {
    let [old, new] = ["old", "new"].map(|id| TestKey::generate(Algorithm::Es256).with_key_id(id));
    let server = TestServer::builder().client(Client::new("m2m").key(&old)).build();
    let by = |key: &TestKey| key.sign(&claims(&server, "m2m"));
    assert_eq!(assert_with(&server, &by(&old)).await.status, 200);
    assert_eq!(assert_with(&server, &by(&new)).await.status, 401);
    let both = json!({ "keys": [old.public_jwk(), new.public_jwk()] });
    server.set_client(Client::new("m2m").jwks(&both));
    assert_eq!(assert_with(&server, &by(&old)).await.status, 200);
    assert_eq!(assert_with(&server, &by(&new)).await.status, 200);
    server.set_client(Client::new("m2m").key(&new));
    assert_eq!(assert_with(&server, &by(&old)).await.status, 401);

    server.set_client(Client::new("m2m").key(&new).assertion_algorithm(Algorithm::Es384));
    refused(&assert_with(&server, &by(&new)).await, "the client is registered for another alg");
}

#[tokio::test(start_paused = true)]
async fn at_the_other_endpoints_too() {
    let key = TestKey::generate(Algorithm::EdDsa);
    let server = TestServer::builder().client(Client::new("m2m").key(&key)).build();
    let access = server.issue_access_token("m2m", "api");
    let endpoints = [
        (server.introspection_endpoint(), format!("token={access}"), 200),
        (server.revocation_endpoint(), format!("token={access}"), 200),
        (server.pushed_authorization_endpoint(), "client_id=m2m&response_type=code".to_owned(), 201),
        (server.device_authorization_endpoint(), String::new(), 200),
    ];
    for (url, parameters, status) in endpoints {
        let assertion = key.sign(&claims(&server, "m2m"));
        let parameters = format!("{parameters}&client_assertion_type={TYPE}&client_assertion={assertion}");
        for status in [status, 401] {
            let answer = authorize(&server, form(url.clone(), &parameters)).await.unwrap();
            assert_eq!(answer.status.as_u16(), status, "{url}");
        }
    }
}
