//! What a server signs, or whoever says that they are one: ID tokens, logout tokens and signed answers about a user (L4, S1).
//!
//! The first byte chooses: a text as it is, or a header and claims that the server's own key signs, or one that it did not.
//! Header and claims stand on two lines; in them `$N` stands for now, in seconds since 1970, and `$E` for the logout event.

#![no_main]

#[allow(dead_code, reason = "one answer to everything is not enough here")]
#[path = "../canned.rs"]
mod canned;

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::LazyLock,
    task::{Context, Poll},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use canned::{block_on, shown};
use http::{Request, Response};
use http_body_util::Full;
use libfuzzer_sys::fuzz_target;
use oauth_tokens::{
    AccessToken, Algorithm, AuthorizationServer, ClientAuth, ErrorKind, HttpClient, IdToken, Signer, SigningKey,
};
use serde_json::{Value, json};
use tower_service::Service;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
static KEY: LazyLock<SigningKey> = LazyLock::new(|| generate(Algorithm::EdDsa));
static FORGER: LazyLock<SigningKey> = LazyLock::new(|| generate(Algorithm::EdDsa));
static TOKEN: LazyLock<AccessToken> =
    LazyLock::new(|| AccessToken::bearer("t0k3n").unwrap_or_else(|error| unreachable!("{error}")));

fn generate(algorithm: Algorithm) -> SigningKey {
    SigningKey::generate(algorithm).unwrap_or_else(|error| unreachable!("{error}"))
}

fuzz_target!(|data: &[u8]| {
    let [what, data @ ..] = data else { return };
    let text = String::from_utf8_lossy(data);
    match what % 3 {
        0 => drop(block_on(read(&text, false))),
        1 => drop(block_on(async { read(&signed(&text, &KEY).await, true).await })),
        _ => drop(block_on(async { read(&signed(&text, &FORGER).await, false).await })),
    }
});

async fn signed(text: &str, key: &SigningKey) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs().to_string();
    let text = text.replace("$N", &now).replace("$E", EVENT);
    let (header, claims) = text.split_once('\n').unwrap_or((r#"{"alg":"EdDSA"}"#, &text));
    let signed = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(signed.as_bytes()).await.unwrap_or_else(|error| unreachable!("{error}"));
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

async fn read(raw: &str, is_genuine: bool) {
    let client = AuthorizationServer::via(HttpClient::new(Provider(raw.to_owned())))
        .issuer("https://id.test")
        .and_then(|server| server.client("shop", ClientAuth::none()))
        .unwrap_or_else(|error| unreachable!("{error}"));
    for check in [
        client.verify_id_token(raw),
        client.verify_id_token(raw).nonce("n-0S6").access_token(&TOKEN).max_age(std::time::Duration::from_secs(60)),
    ] {
        if let Some(token) = judge(raw, is_genuine, check.verify().await) {
            believed(raw, &token);
            let again = client.verify_id_token(raw).renews(&token).verify().await;
            assert!(judge(raw, true, again).is_some(), "a token renews itself");
        }
    }
    if let Some(logout) = judge(raw, is_genuine, client.verify_logout_token(raw).await) {
        assert!(logout.issuer() == "https://id.test" && logout.claim("nonce").is_none());
        assert!(logout.session_id().is_some() || logout.subject().is_some());
        assert!(client.verify_logout_token(raw).await.is_err(), "it is taken twice");
    }
    if let Some(user) = judge(raw, is_genuine, client.userinfo(&TOKEN, "alice").await) {
        assert_eq!(user.subject(), "alice");
    }
}

/// What a token that is believed must say.
fn believed(raw: &str, token: &IdToken) {
    assert_eq!((token.issuer(), token.as_str()), ("https://id.test", raw));
    assert!(!token.subject().is_empty() && token.subject().len() <= 255);
    assert!(token.audiences().all(|audience| audience == "shop") && token.audiences().next().is_some());
    assert!(token.claim("azp").is_none_or(|azp| azp == "shop"));
    assert!(token.expires_at() > UNIX_EPOCH);
}

fn judge<T>(raw: &str, is_genuine: bool, result: Result<T, oauth_tokens::Error>) -> Option<T> {
    match result {
        Ok(believed) => {
            assert!(is_genuine, "what nobody signed is believed");
            Some(believed)
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidIdToken, "{error}");
            let text = shown(&error);
            let mut parts = raw.split('.').filter(|part| part.len() > 40);
            assert!(parts.all(|part| !text.contains(part)), "the token shows: {text}");
            assert!(!text.contains("alice") && !text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
            None
        }
    }
}

/// A server with one key, whose answer about a user is this JWT.
#[derive(Clone)]
struct Provider(String);

impl Service<Request<Full<Bytes>>> for Provider {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let all = json!(["EdDSA", "ES256", "RS256"]);
        let (content_type, body) = match request.uri().path() {
            "/me" => ("application/jwt", self.0.clone()),
            "/keys" => {
                let key = KEY.public_jwk().map_or(Value::Null, |key| key.to_json());
                ("application/json", json!({ "keys": [key] }).to_string())
            }
            _ => ("application/json", json!({
                "issuer": "https://id.test",
                "jwks_uri": "https://id.test/keys",
                "userinfo_endpoint": "https://id.test/me",
                "id_token_signing_alg_values_supported": all,
                "userinfo_signing_alg_values_supported": all,
            })
            .to_string()),
        };
        let response = Response::builder().header("content-type", content_type).body(Full::from(body));
        ready(Ok(response.unwrap_or_else(|error| unreachable!("{error}"))))
    }
}
