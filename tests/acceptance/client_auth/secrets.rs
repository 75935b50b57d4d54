//! S1: keys, certificates and assertions show nowhere, whatever a server echoes.

use http::Request;
use oauth_test_server::{Algorithm as TestAlgorithm, TestKey};
use oauth_tokens::{ClientAuth, Secret, SigningKey};
use tests::{
    canned::{Canned, json, metadata},
    capture::Capture,
    support::{TempFolder, shown},
};

use super::{ISSUER, SECRET, TOKEN_ENDPOINT, client_at, fetch, forms, value};

/// A server that says everything that it got, in every field, as it came and decoded.
fn echo(request: &Request<bytes::Bytes>, shared: &str) -> http::Response<bytes::Bytes> {
    let body = String::from_utf8_lossy(request.body()).into_owned();
    let part = |name: &str| body.split('&').find_map(|pair| pair.strip_prefix(name)).unwrap_or_default().to_owned();
    let assertion = part("client_assertion=");
    let text = serde_json::json!({
        "error": "invalid_client",
        "error_description": format!("{assertion} is not good: {body}"),
        "error_uri": format!("https://id.test/errors?assertion={assertion}"),
        "trace": assertion,
        "list": [assertion, shared],
    });
    json(401, text.to_string())
}

#[tokio::test(start_paused = true)]
async fn s1_keys_and_assertions_show_nowhere() {
    let folder = TempFolder::new();
    let key = TestKey::generate(TestAlgorithm::Es256);
    let d = key.private_jwk()["d"].as_str().expect("a private member").to_owned();
    let pem_line = key.private_key_pem().lines().nth(1).expect("base64").to_owned();
    let jwk = SigningKey::from_jwk(&key.private_jwk().to_string()).expect("a JWK");
    let pem = folder.write("key.pem", key.private_key_pem());
    let assertion = folder.write("assertion", "eyJwbGFudGVk.eyJhc3NlcnRpb24.c2lnbmF0dXJl");
    let all = [
        // What a server knows besides the assertion.
        (ClientAuth::private_key_jwt(jwk), ""),
        (ClientAuth::private_key_jwt(SigningKey::file(pem)), ""),
        (ClientAuth::client_secret_jwt(SECRET), SECRET),
        (ClientAuth::client_secret_jwt(Secret::from_fn(|| async { Ok(SECRET.to_owned()) })), SECRET),
        (ClientAuth::assertion_file(&assertion), ""),
        (ClientAuth::spiffe_svid_file(&assertion), ""),
    ];
    for (auth, shared) in all {
        let capture = Capture::start();
        let canned = Canned::new(move |request| match request.uri().path().contains("/.well-known/") {
            true => metadata(ISSUER, TOKEN_ENDPOINT),
            false => echo(request, shared),
        });
        let client = client_at(&canned, auth.clone());
        let error = fetch(&client).await.expect_err("an echo");
        let said =
            [shown(&error), format!("{:?} {:?} {client:?} {auth:?}", error.oauth(), error.to_string()), capture.text()]
                .join("\n");
        let sent = forms(&canned);
        assert_eq!(sent.len(), 1);
        let assertion = value(&sent[0], "client_assertion");
        let (_, signature) = assertion.rsplit_once('.').expect("three parts");
        for secret in [assertion, signature, SECRET, &d, &pem_line] {
            assert!(!said.contains(secret), "{auth:?} shows {secret}: {said}");
        }
        assert!(said.contains("[redacted]") && said.contains("invalid_client"), "{said}");
    }
}
