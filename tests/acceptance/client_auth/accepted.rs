//! Every method, against a server that verifies.

use oauth_test_server::{
    Algorithm as TestAlgorithm, Client, ClientAuthMethod, Endpoint, TestKey, TestServer, TrustedIssuer,
};
use oauth_tokens::{Algorithm, ClientAssertion, ClientAuth, Secret, SigningKey};
use serde_json::json;
use tests::support::TempFolder;

use super::{SECRET, client_of, fetch};

/// The client gets a token, shown to be who it is in this way.
async fn accepted(server: &TestServer, auth: impl Into<ClientAuth>, method: ClientAuthMethod) {
    let client = client_of(server, auth);
    fetch(&client).await.unwrap_or_else(|error| panic!("{method:?}: {error}"));
    let request = server.requests_to(Endpoint::Token).pop().expect("a request");
    assert_eq!((request.client_auth, request.client_id.as_deref()), (Some(method), Some("m2m")));
}

#[tokio::test]
async fn t9_private_key_jwt_by_every_algorithm() {
    let all = [
        (TestAlgorithm::Es256, Algorithm::Es256),
        (TestAlgorithm::Es384, Algorithm::Es384),
        (TestAlgorithm::Rs256, Algorithm::Rs256),
        (TestAlgorithm::Ps256, Algorithm::Ps256),
        (TestAlgorithm::EdDsa, Algorithm::EdDsa),
    ];
    for (theirs, ours) in all {
        let key = TestKey::generate(theirs).with_key_id("k1");
        let server = TestServer::builder().client(Client::new("m2m").key(&key).assertion_algorithm(theirs)).build();
        let from_jwk = SigningKey::from_jwk(&key.private_jwk().to_string()).expect("a JWK");
        let from_pem = SigningKey::from_pem(key.private_key_pem()).expect("PEM");
        let from_pem = from_pem.with_key_id("k1").with_algorithm(ours).expect("its algorithm");
        for key in [from_jwk, from_pem] {
            accepted(&server, ClientAuth::private_key_jwt(key), ClientAuthMethod::PrivateKeyJwt).await;
        }
    }
}

#[tokio::test]
async fn t9_a_key_of_ours_is_known_by_its_public_jwk() {
    use oauth_tokens::Signer as _;
    let key = SigningKey::generate(Algorithm::Es384).expect("a key");
    let jwks = json!({ "keys": [key.public_jwk().expect("a public key").to_json()] });
    let server = TestServer::builder().client(Client::new("m2m").jwks(&jwks)).build();
    accepted(&server, ClientAuth::private_key_jwt(key), ClientAuthMethod::PrivateKeyJwt).await;
}

#[tokio::test]
async fn t9_client_secret_jwt() {
    let methods = [ClientAuthMethod::ClientSecretJwt];
    let server = TestServer::builder().client(Client::new("m2m").secret(SECRET).auth_methods(methods)).build();
    accepted(&server, ClientAuth::client_secret_jwt(SECRET), methods[0]).await;
    let later = Secret::from_fn(|| async { Ok(SECRET.to_owned()) });
    accepted(&server, ClientAuth::client_secret_jwt(later), methods[0]).await;
}

#[tokio::test]
async fn t9_a_server_that_wants_its_token_endpoint_as_audience() {
    let key = TestKey::generate(TestAlgorithm::Es256);
    let server = TestServer::builder().client(Client::new("m2m").key(&key)).build();
    server.set_assertion_audience(server.token_endpoint());
    let key = SigningKey::from_jwk(&key.private_jwk().to_string()).expect("a JWK");
    let auth = ClientAssertion::private_key(key).audience(server.token_endpoint()).header_type("JWT");
    accepted(&server, auth, ClientAuthMethod::PrivateKeyJwt).await;
}

#[tokio::test]
async fn t15_an_assertion_of_the_platforms_own() {
    let folder = TempFolder::new();
    let key = TestKey::generate(TestAlgorithm::Rs256);
    let server = TestServer::builder()
        .trusted_issuer(TrustedIssuer::new("https://cluster.test").key(&key))
        .trusted_issuer(TrustedIssuer::new("spiffe://bank.test").key(&key))
        .client(
            Client::new("m2m")
                .federated("https://cluster.test", "system:serviceaccount:ns:m2m")
                .spiffe_id("spiffe://bank.test/m2m")
                .auth_methods([ClientAuthMethod::FederatedJwt, ClientAuthMethod::SpiffeJwt]),
        )
        .build();
    let expires = 4_000_000_000_u64;
    let token = json!({
        "iss": "https://cluster.test",
        "sub": "system:serviceaccount:ns:m2m",
        "aud": [server.issuer()],
        "exp": expires,
    });
    let file = folder.write("token", format!("{}\n", key.sign(&token)));
    let client = client_of(&server, ClientAuth::assertion_file(&file));
    fetch(&client).await.expect("a token");
    fetch(&client).await.expect("another one: the platform's token is good until it expires");

    let svid = json!({ "sub": "spiffe://bank.test/m2m", "aud": [server.issuer()], "exp": expires });
    let file = folder.write("svid", key.sign(&svid));
    fetch(&client_of(&server, ClientAuth::spiffe_svid_file(file))).await.expect("a token");
    let requests = server.requests_to(Endpoint::Token);
    assert!(requests.iter().all(|request| request.client_id.as_deref() == Some("m2m")), "{requests:?}");
}

#[tokio::test]
async fn t9_every_endpoint_knows_the_client_the_same_way() {
    let key = TestKey::generate(TestAlgorithm::EdDsa);
    let server = TestServer::builder().client(Client::new("m2m").key(&key)).build();
    let key = SigningKey::from_jwk(&key.private_jwk().to_string()).expect("a JWK");
    let client = client_of(&server, ClientAuth::private_key_jwt(key));
    let token = fetch(&client).await.expect("a token").access_token;
    assert!(client.introspect(token.secret()).await.expect("an answer").is_active());
    client.revoke(token.secret()).await.expect("an answer");
    assert!(!client.introspect(token.secret()).await.expect("an answer").is_active());
    let mut audiences = Vec::new();
    for request in server.requests() {
        if let Some(assertion) = request.client_assertion() {
            assert_eq!(request.client_auth, Some(ClientAuthMethod::PrivateKeyJwt), "{:?}", request.endpoint);
            audiences.push(assertion.claims["aud"].clone());
        }
    }
    // The issuer, wherever it goes, and each time another one.
    assert_eq!(audiences, vec![json!(server.issuer()); 4]);
    assert_eq!(server.counters().replays_refused, 0);
}
