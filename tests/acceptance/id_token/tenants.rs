//! A server with an issuer for each tenant, as Entra ID is: whose users are let in is never left open.

use oauth_test_server::{Algorithm, TestKey};
use oauth_tokens::{AuthorizationServer, ClientAuth, ErrorKind, TokenClient};
use serde_json::{Value, json};

use super::{CLIENT, KEY, Provider, assert_refused, claims, now, verify, with};

const PLACEHOLDER: &str = "https://id.test/{tenantid}/v2.0";
const OURS: &str = "https://id.test/72f988bf/v2.0";

fn provider() -> Provider {
    let provider = Provider::new();
    provider.set_metadata("issuer", PLACEHOLDER);
    provider
}

fn client(provider: &Provider) -> TokenClient {
    AuthorizationServer::via(provider.canned.http())
        .accept_metadata_issuer(PLACEHOLDER)
        .issuer("https://id.test")
        .and_then(|server| server.client(CLIENT, ClientAuth::none()))
        .expect("a client")
}

async fn of(issuer: &str) -> Value {
    with(&claims(now().await), json!({ "iss": issuer, "tid": "72f988bf" }))
}

#[tokio::test(start_paused = true)]
async fn l4_no_tenant_is_trusted_unless_it_is_named() {
    let client = client(&provider());
    for issuer in [OURS, PLACEHOLDER] {
        let raw = KEY.sign(&of(issuer).await);
        let error = verify(&client, &raw).await.expect_err("nobody is trusted");
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("trust_tenant"), "{error}");
    }
    let client = client.trust_tenant("72f988bf").trust_tenant("9188040d");
    let token = verify(&client, &KEY.sign(&of(OURS).await)).await.expect("a tenant of ours");
    assert_eq!(token.issuer(), OURS);
    verify(&client, &KEY.sign(&of("https://id.test/9188040d/v2.0").await)).await.expect("the other one");
    for issuer in [
        PLACEHOLDER,
        "https://id.test",
        "https://id.test/72f988bf",
        "https://id.test/72f988bf/v2.0/",
        "https://id.test/72F988BF/v2.0",
        "https://id.test/other/v2.0",
        "https://id.test/72f988bf/../other/v2.0",
    ] {
        let raw = KEY.sign(&of(issuer).await);
        assert_refused(verify(&client, &raw).await, &raw, "`iss` is not the server's");
    }
}

#[tokio::test(start_paused = true)]
async fn l4_a_tenants_own_key_signs_for_no_other() {
    let provider = provider();
    let key = TestKey::generate(Algorithm::Es256);
    let raw = key.sign(&of(OURS).await);
    let client = client(&provider).trust_tenant("72f988bf");
    for (issuer, is_good) in [
        (json!(PLACEHOLDER), true),
        (json!(OURS), true),
        (json!("https://id.test/9188040d/v2.0"), false),
        (json!(7), false),
    ] {
        provider.set_keys([with(&key.public_jwk(), json!({ "issuer": issuer }))]);
        let client = AuthorizationServer::via(provider.canned.http())
            .accept_metadata_issuer(PLACEHOLDER)
            .issuer("https://id.test")
            .and_then(|server| server.client(client.id(), ClientAuth::none()))
            .expect("a client")
            .trust_tenant("72f988bf");
        match (verify(&client, &raw).await, is_good) {
            (Ok(_), true) => (),
            (refused, false) => assert_refused(refused, &raw, "no key"),
            (Err(error), true) => panic!("{issuer}: {error}"),
        }
    }
}

/// Both are trusted; but whoever signed in at one of them did not sign in at the other.
#[tokio::test(start_paused = true)]
async fn l4_a_renewal_stays_with_its_tenant() {
    let client = client(&provider()).trust_tenant("72f988bf").trust_tenant("9188040d");
    let previous = verify(&client, &KEY.sign(&of(OURS).await)).await.expect("a good token");
    let raw = KEY.sign(&of(OURS).await);
    client.verify_id_token(&raw).renews(&previous).verify().await.expect("the same tenant");
    let raw = KEY.sign(&of("https://id.test/9188040d/v2.0").await);
    let renewed = client.verify_id_token(&raw).renews(&previous).verify().await;
    assert_refused(renewed, &raw, "`iss` is not that of the ID token before it");
}

/// Any other server's issuer is one, and a trusted tenant means nothing there.
#[tokio::test(start_paused = true)]
async fn l4_without_a_placeholder_there_are_no_tenants() {
    let client = Provider::new().client().trust_tenant("72f988bf");
    let raw = KEY.sign(&of(OURS).await);
    assert_refused(verify(&client, &raw).await, &raw, "`iss` is not the server's");
    verify(&client, &KEY.sign(&claims(now().await))).await.expect("the one issuer");
}
