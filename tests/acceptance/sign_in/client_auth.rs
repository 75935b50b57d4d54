//! T9: every way to prove who the client is, at the pushed request and at the redemption; never two in one request.

use bytes::Bytes;
use http::Request;
use oauth_tokens::{Algorithm, ClientAuth, SigningKey};
use serde_json::json;
use tests::canned;

use super::{REDIRECT, approved, begin, client_at, finish, metadata_with, pairs, server, value};

/// How a request proves who the client is.
fn proofs(request: &Request<Bytes>) -> Vec<String> {
    let form = pairs(std::str::from_utf8(request.body()).expect("text"));
    let scheme = request.headers().get("authorization").and_then(|value| value.to_str().ok());
    let mut proofs: Vec<String> =
        scheme.into_iter().map(|value| value[..value.find(' ').unwrap_or(0)].to_owned()).collect();
    let named =
        form.iter().map(|(name, _)| name.clone()).filter(|name| name == "client_secret" || name == "client_assertion");
    proofs.extend(named);
    proofs
}

#[tokio::test]
async fn t9_every_authentication_works_for_both_requests() {
    let key = SigningKey::generate(Algorithm::Es256).expect("a key");
    let assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let cases = [
        (ClientAuth::none(), None),
        (ClientAuth::secret_basic("s3cr3t"), Some("Basic")),
        (ClientAuth::secret_basic_raw("s3cr3t"), Some("Basic")),
        (ClientAuth::secret_post("s3cr3t"), Some("client_secret")),
        (ClientAuth::client_secret_jwt("0123456789abcdef0123456789abcdef"), Some("client_assertion")),
        (ClientAuth::private_key_jwt(key), Some("client_assertion")),
        (ClientAuth::assertion(assertion_type, "a.b.c"), Some("client_assertion")),
        (ClientAuth::tls_client_auth(), None),
        (ClientAuth::self_signed_tls_client_auth(), None),
    ];
    for (auth, expected) in cases {
        let canned = server(metadata_with(&json!({})), |_| canned::token("t1"));
        let client = client_at(&canned, auth.clone());
        let begun = begin(&client.sign_in(REDIRECT).pushed()).await.expect("begun");
        let query = approved(&begun.pending);
        finish(&client, begun.pending, &query).await.unwrap_or_else(|error| panic!("{auth:?}: {error}"));
        for path in ["/par", "/token"] {
            let requests = canned.requests();
            let request = requests.iter().find(|request| request.uri().path() == path).expect(path);
            assert_eq!(proofs(request), expected.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{path} {auth:?}");
            let form = pairs(std::str::from_utf8(request.body()).expect("text"));
            let ids = form.iter().filter(|(name, _)| name == "client_id").count();
            let in_header = expected == Some("Basic") && path == "/token";
            assert_eq!(ids, usize::from(!in_header), "{path} {auth:?}: {form:?}");
            assert!(in_header || value(&form, "client_id") == Some("app"));
        }
    }
}

/// D6: mTLS is for what the client calls; a browser has no certificate of the client's.
#[tokio::test]
async fn d6_a_browser_is_not_sent_to_an_endpoint_for_certificates() {
    let aliases = json!({
        "authorization_endpoint": "https://mtls.id.test/authorize",
        "token_endpoint": "https://mtls.id.test/token",
        "pushed_authorization_request_endpoint": "https://mtls.id.test/par",
    });
    let canned = server(metadata_with(&json!({ "mtls_endpoint_aliases": aliases })), |_| canned::token("t1"));
    let client = client_at(&canned, ClientAuth::tls_client_auth());
    let begun = begin(&client.sign_in(REDIRECT).pushed()).await.expect("begun");
    assert_eq!(begun.page, "https://id.test/authorize");
    let query = approved(&begun.pending);
    finish(&client, begun.pending, &query).await.expect("tokens");
    assert_eq!(canned.urls()[1..], ["https://mtls.id.test/par", "https://mtls.id.test/token"]);
}
