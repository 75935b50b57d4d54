//! Token exchange (RFC 8693) and the JWT-bearer grant (RFC 7523).

use std::time::Duration;

use oauth_test_server::{Algorithm, Client, ClientAuthMethod, DecodedJwt, TestKey, TestServer, TrustedIssuer};
use serde_json::{Value, json};

use super::assertions::{with, without};
use super::*;

const EXCHANGE: &str = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&client_id=web&client_secret=secret";
const KIND: &str = "urn:ietf:params:oauth:token-type:";
const PARTNER: &str = "https://partner.test";

fn server(key: &TestKey) -> TestServer {
    TestServer::builder()
        .client(Client::new("web").secret("secret").scopes(["orders", "stock"]))
        .client(Client::new("public").scopes(["orders"]))
        .trusted_issuer(TrustedIssuer::new(PARTNER).key(key))
        .build()
}

fn partner_token(server: &TestServer) -> Value {
    let now = server.unix_time().as_secs();
    json!({ "iss": PARTNER, "sub": "bob", "aud": server.issuer(), "exp": now + 600 })
}

fn subject(token: &str, kind: &str) -> String {
    format!("{EXCHANGE}&subject_token={token}&subject_token_type={KIND}{kind}")
}

#[tokio::test(start_paused = true)]
async fn impersonation() {
    let server = server(&TestKey::generate(Algorithm::Es256));
    let users = server.issue_access_token_for("alice", "app", "orders profile");
    let request = format!("{}&resource=https://stock.test", subject(&users, "access_token"));
    let answer = token(&server, &request).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text("issued_token_type"), format!("{KIND}access_token"));
    assert_eq!(answer.text("token_type"), "Bearer");
    assert_eq!(answer.text("scope"), "orders", "what both the token and the client may have");
    assert_eq!(answer.json()["expires_in"], 3600);
    let told = api(&server, &answer.text("access_token")).await;
    assert_eq!((told.text("sub"), told.text("client_id")), ("alice".to_owned(), "web".to_owned()));
    assert_eq!(told.json()["aud"], json!(["https://stock.test"]));
    assert_eq!(told.json().get("act"), None);
}

#[tokio::test(start_paused = true)]
async fn delegation() {
    let server = server(&TestKey::generate(Algorithm::Es256));
    let users = server.issue_access_token_for("alice", "app", "orders");
    let exchange = async |subject_token: &str, actor: &str| {
        let actor = server.issue_access_token(actor, "");
        let request = format!(
            "{}&actor_token={actor}&actor_token_type={KIND}access_token",
            subject(subject_token, "access_token")
        );
        token(&server, &request).await.text("access_token")
    };
    let first = exchange(&users, "web").await;
    assert_eq!(api(&server, &first).await.json()["act"], json!({ "sub": "web" }));
    let second = exchange(&first, "stock").await;
    let told = api(&server, &second).await;
    assert_eq!(told.json()["act"], json!({ "sub": "stock", "act": { "sub": "web" } }));
    assert_eq!(told.text("sub"), "alice");
    // Who acted stays known when nobody new does.
    let third = token(&server, &subject(&second, "access_token")).await.text("access_token");
    assert_eq!(api(&server, &third).await.json()["act"]["sub"], "stock");
}

#[tokio::test(start_paused = true)]
async fn tokens_from_elsewhere() {
    let key = TestKey::generate(Algorithm::Es256);
    let server = server(&key);
    let good = || partner_token(&server);
    let now = server.unix_time().as_secs();
    for (claims, kind, taken) in [
        (good(), "jwt", true),
        (good(), "id_token", true),
        (with(good(), "aud", "web"), "jwt", true),
        (good(), "access_token", false),
        (good(), "saml2", false),
        (with(good(), "aud", "other"), "jwt", false),
        (with(good(), "iss", "https://evil.test"), "jwt", false),
        (with(good(), "exp", now), "jwt", false),
        (without(good(), "sub"), "jwt", false),
    ] {
        let answer = token(&server, &subject(&key.sign(&claims), kind)).await;
        if taken {
            assert_eq!(api(&server, &answer.text("access_token")).await.text("sub"), "bob", "{claims} {kind}");
            assert_eq!(answer.text("scope"), "orders stock");
        } else {
            answer.assert_error(400, "invalid_request");
        }
    }

    // Who may act is said by the subject.
    let may_act = key.sign(&with(good(), "may_act", json!({ "sub": "web" })));
    for (actor, status) in [("web", 200), ("other", 400)] {
        let actor = key.sign(&with(good(), "sub", actor));
        let request = format!("{}&actor_token={actor}&actor_token_type={KIND}jwt", subject(&may_act, "jwt"));
        let answer = token(&server, &request).await;
        assert_eq!(answer.status.as_u16(), status);
        if status == 200 {
            let told = api(&server, &answer.text("access_token")).await;
            assert_eq!(told.json()["act"], json!({ "sub": "web", "iss": PARTNER }));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_may_be_no_access_token() {
    let server = server(&TestKey::generate(Algorithm::Es256));
    let users = server.issue_access_token_for("alice", "app", "orders");
    for kind in ["jwt", "id_token"] {
        let request = format!("{}&requested_token_type={KIND}{kind}&audience=stock", subject(&users, "access_token"));
        let answer = token(&server, &request).await;
        assert_eq!((answer.status.as_u16(), answer.text("token_type").as_str()), (200, "N_A"));
        assert_eq!(answer.text("issued_token_type"), format!("{KIND}{kind}"));
        let jwt = DecodedJwt::decode(&answer.text("access_token")).unwrap();
        assert_eq!((&jwt.claims["sub"], &jwt.claims["aud"]), (&json!("alice"), &json!("stock")));
        assert_eq!(api(&server, &answer.text("access_token")).await.status, 401);
    }
    let request = format!("{}&requested_token_type={KIND}refresh_token", subject(&users, "access_token"));
    let answer = token(&server, &request).await;
    assert_eq!(answer.text("token_type"), "N_A");
    let refresh = answer.text("access_token");
    let request = format!("grant_type=refresh_token&refresh_token={refresh}&client_id=web&client_secret=secret");
    let answer = token(&server, &request).await;
    assert_eq!(api(&server, &answer.text("access_token")).await.text("sub"), "alice");
}

#[tokio::test(start_paused = true)]
async fn refused_exchanges() {
    let server = server(&TestKey::generate(Algorithm::Es256));
    server.set_client(Client::new("web").secret("secret").scopes(["orders"]).targets(["https://stock.test"]));
    let users = server.issue_access_token_for("alice", "app", "orders profile");
    let good = subject(&users, "access_token");
    let revoked = server.issue_access_token_for("alice", "app", "orders");
    server.revoke(&revoked);
    for (request, error) in [
        (EXCHANGE.to_owned(), "invalid_request"),
        (format!("{EXCHANGE}&subject_token={users}"), "invalid_request"),
        (format!("{EXCHANGE}&subject_token_type={KIND}access_token"), "invalid_request"),
        (subject(&users, "refresh_token"), "invalid_request"),
        (subject(&users, "nonsense"), "invalid_request"),
        (subject("unknown", "access_token"), "invalid_request"),
        (subject("unknown", "jwt"), "invalid_request"),
        (subject(&revoked, "access_token"), "invalid_request"),
        (format!("{good}&actor_token={users}"), "invalid_request"),
        (format!("{good}&actor_token_type={KIND}access_token"), "invalid_request"),
        (format!("{good}&actor_token=unknown&actor_token_type={KIND}access_token"), "invalid_request"),
        (format!("{good}&requested_token_type={KIND}saml2"), "invalid_request"),
        (format!("{good}&scope=profile"), "invalid_scope"),
        (format!("{good}&scope=stock"), "invalid_scope"),
        (format!("{good}&audience=other"), "invalid_target"),
        (format!("{good}&resource=https://stock.test&resource=https://other.test"), "invalid_target"),
        (format!("{good}&resource=stock"), "invalid_target"),
        (good.replace("web&client_secret=secret", "public"), "unauthorized_client"),
    ] {
        token(&server, &request).await.assert_error(400, error);
    }
    assert_eq!(token(&server, &format!("{good}&scope=orders&resource=https://stock.test")).await.status, 200);
    tokio::time::advance(Duration::from_secs(3600)).await;
    token(&server, &good).await.assert_error(400, "invalid_request");
}

const BEARER: &str = "grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer";

#[tokio::test(start_paused = true)]
async fn a_jwt_for_a_grant() {
    let key = TestKey::generate(Algorithm::Rs256);
    let server = server(&key);
    let good = || partner_token(&server);
    let auth = "client_id=web&client_secret=secret";
    let now = server.unix_time().as_secs();
    for (claims, taken) in [
        (good(), true),
        (with(good(), "aud", json!([server.issuer()])), true),
        (with(good(), "aud", "web"), false),
        (with(good(), "aud", server.token_endpoint()), false),
        (with(good(), "iss", "https://evil.test"), false),
        (without(good(), "iss"), false),
        (without(good(), "sub"), false),
        (without(good(), "exp"), false),
        (with(good(), "exp", now), false),
    ] {
        let answer = token(&server, &format!("{BEARER}&{auth}&scope=orders&assertion={}", key.sign(&claims))).await;
        if taken {
            let told = api(&server, &answer.text("access_token")).await;
            assert_eq!((told.text("sub"), told.text("client_id")), ("bob".to_owned(), "web".to_owned()));
            assert_eq!(answer.text("scope"), "orders");
            assert_eq!(answer.json().get("refresh_token"), None);
        } else {
            answer.assert_error(400, "invalid_grant");
        }
    }
    token(&server, &format!("{BEARER}&{auth}")).await.assert_error(400, "invalid_request");
    token(&server, &format!("{BEARER}&{auth}&assertion=x")).await.assert_error(400, "invalid_grant");
    let forged = TestKey::generate(Algorithm::Rs256).without_key_id().sign(&good());
    token(&server, &format!("{BEARER}&{auth}&assertion={forged}")).await.assert_error(400, "invalid_grant");
}

#[tokio::test(start_paused = true)]
async fn a_service_account_is_no_client_but_its_issuer() {
    let key = TestKey::generate(Algorithm::Rs256);
    let server = server(&key);
    let request = |server: &TestServer| format!("{BEARER}&assertion={}", key.sign(&partner_token(server)));
    token(&server, &request(&server)).await.assert_error(401, "invalid_client");

    server.trust_issuer(TrustedIssuer::new(PARTNER).key(&key).scopes(["orders"]));
    let answer = token(&server, &request(&server)).await;
    assert_eq!((answer.status.as_u16(), answer.text("scope").as_str()), (200, "orders"));
    let told = api(&server, &answer.text("access_token")).await;
    assert_eq!((told.text("sub"), told.text("client_id")), ("bob".to_owned(), PARTNER.to_owned()));
    assert_eq!(server.requests()[0].client_auth, None::<ClientAuthMethod>);
    token(&server, &format!("{}&scope=stock", request(&server))).await.assert_error(400, "invalid_scope");
    // Only this grant, and only without a wrong client.
    let other = request(&server).replace("jwt-bearer", "token-exchange");
    token(&server, &other).await.assert_error(401, "invalid_client");
    let named = format!("{}&client_id=nobody", request(&server));
    token(&server, &named).await.assert_error(401, "invalid_client");
}
