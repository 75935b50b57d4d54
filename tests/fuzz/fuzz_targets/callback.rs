//! What may come to the redirect URI of a sign-in, and what may stand where a pending one was kept: a code is redeemed only for the
//! callback that was asked for, and no secret shows.
//!
//! The first byte chooses what is read; in texts `$S`, `$N`, `$V` and `$C` stand for state, nonce, verifier and code, `$I` for the
//! issuer.

#![no_main]

#[path = "../canned.rs"]
mod canned;

use std::time::{SystemTime, UNIX_EPOCH};

use canned::{Canned, block_on, shown};
use http::Response;
use libfuzzer_sys::fuzz_target;
use oauth_tokens::{AuthorizationServer, Callback, ClientAuth, ErrorKind, PendingSignIn, SignInRequest, TokenClient};
use serde_json::json;

const STATE: &str = "SSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSSA";
const NONCE: &str = "NNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNNA";
const VERIFIER: &str = "VVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVA";
const CODE: &str = "Q7s3cr3tQ7s3cr3t";
const ISSUER: &str = "https://id.test";

fuzz_target!(|data: &[u8]| {
    let [what, data @ ..] = data else { return };
    let mut text = String::from_utf8_lossy(data).into_owned();
    for (name, value) in [("$S", STATE), ("$N", NONCE), ("$V", VERIFIER), ("$C", CODE), ("$I", ISSUER)] {
        text = text.replace(name, value);
    }
    match what % 4 {
        0 => kept(&text),
        // Bytes that are no text, too.
        1 => drop(Callback::from_form(data)),
        promised => callback(&text, promised == 2),
    }
});

fn callback(query: &str, expects_iss: bool) {
    let callback = match Callback::from_query(query) {
        Ok(callback) => callback,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidCallback);
            return assert_shows_nothing(&shown(&error));
        }
    };
    assert!(Callback::from_form(query.as_bytes()).is_ok(), "the same in a form");
    assert_shows_nothing(&format!("{callback:?}"));
    let parameters = decoded(query);
    let get = |name: &str| parameters.iter().find(|(known, value)| known == name && !value.is_empty());
    let value = |name: &str| get(name).map(|(_, value)| value.as_str());
    assert_eq!(callback.state(), value("state"));
    for (at, (name, _)) in parameters.iter().enumerate() {
        assert!(!parameters[..at].iter().any(|(earlier, _)| earlier == name), "{name} twice");
    }
    match block_on(client().finish_sign_in(pending(expects_iss), &callback)) {
        Ok(_) => {
            assert_eq!(value("state"), Some(STATE));
            assert!(value("code").is_some() && value("error").is_none());
            assert!(value("access_token").is_none() && value("id_token").is_none());
            assert_eq!(value("iss").unwrap_or(if expects_iss { "" } else { ISSUER }), ISSUER);
        }
        Err(error) => {
            if error.kind() != ErrorKind::InvalidCallback {
                assert_eq!(value("state"), Some(STATE), "{error}");
                assert!(value("error").is_some(), "{error}");
            }
            let message = error.to_string();
            assert!(!message.chars().any(char::is_control) && message.len() < 16 * 1024, "{message:?}");
            assert_shows_nothing(&shown(&error));
        }
    }
}

fn kept(text: &str) {
    match serde_json::from_str::<PendingSignIn>(text) {
        Ok(pending) => {
            assert!(SignInRequest::is_return_path(pending.return_to()));
            let again = serde_json::to_string(&pending).expect("serialised");
            let again: PendingSignIn = serde_json::from_str(&again).expect("what was kept comes back");
            assert_eq!(again.state(), pending.state());
        }
        Err(error) => assert_shows_nothing(&error.to_string()),
    }
}

/// By another decoder than the crate's.
fn decoded(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        let (mut bytes, mut rest) = (Vec::new(), text.bytes());
        while let Some(byte) = rest.next() {
            let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).expect("a digit");
            bytes.push(match byte {
                b'%' => (digit(rest.next()) * 16 + digit(rest.next())) as u8,
                b'+' => b' ',
                other => other,
            });
        }
        String::from_utf8(bytes).expect("UTF-8")
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn assert_shows_nothing(text: &str) {
    for secret in [STATE, NONCE, VERIFIER] {
        assert!(!text.contains(secret), "{text}");
    }
}

fn client() -> TokenClient {
    let answer = json!({
        "issuer": ISSUER, "token_endpoint": "https://id.test/token", "access_token": "t", "token_type": "Bearer",
    });
    AuthorizationServer::via(Canned::http(Response::new(answer.to_string().into())))
        .issuer(ISSUER)
        .and_then(|server| server.client("app", ClientAuth::none()))
        .expect("a client")
}

fn pending(expects_iss: bool) -> PendingSignIn {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    let kept = json!([
        1,
        STATE,
        NONCE,
        VERIFIER,
        "https://app.test/callback",
        "/",
        ISSUER,
        "app",
        "orders",
        [],
        null,
        null,
        expects_iss,
        now,
    ]);
    serde_json::from_value(kept).expect("a pending sign-in")
}
