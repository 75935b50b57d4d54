//! What a token endpoint may answer, hostile ones that repeat what they got included (T5, T6, T7, S1).
//!
//! The first byte chooses a status, the second the grant and the content type; the rest is the body, in which `$S`, `$E`
//! and `$B` stand for the client's secret, its form encoding and its Basic credentials, `$R` for the refresh token.

#![no_main]

#[path = "../canned.rs"]
mod canned;

use canned::{Canned, block_on, shown};
use http::{Response, header};
use libfuzzer_sys::fuzz_target;
use oauth_tokens::{AuthorizationServer, ClientAuth, Error, ErrorKind, TokenSet, TokenSource};

const STATUSES: [u16; 16] = [200, 200, 200, 200, 201, 204, 302, 400, 400, 401, 403, 404, 429, 500, 503, 599];
const SECRET: &str = "Q7 secret/+";
const ENCODED: &str = "Q7%20secret%2F%2B";
/// Of `m2m:Q7%20secret%2F%2B`.
const BASIC: &str = "bTJtOlE3JTIwc2VjcmV0JTJGJTJC";
const REFRESH: &str = "Q7-refresh-token";
const FORBIDDEN: [&str; 4] = [SECRET, ENCODED, BASIC, REFRESH];
const PERMANENT: [&str; 7] = [
    "invalid_client",
    "invalid_grant",
    "invalid_scope",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_request",
    "invalid_target",
];

fuzz_target!(|data: &[u8]| {
    let [status, flags, body @ ..] = data else { return };
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    let refreshing = flags & 1 != 0;
    let body = echoing(body, refreshing);
    let mut response = Response::builder().status(status);
    if flags & 2 != 0 {
        response = response.header(header::CONTENT_TYPE, "application/json");
    }
    if flags & 4 != 0 {
        response = response.header(header::RETRY_AFTER, "7");
    }
    let response = response.body(body.clone().into()).expect("a response");
    let server =
        AuthorizationServer::via(Canned::http(response)).token_endpoint("https://id.test/token").expect("a URL");
    let client = server.client("m2m", ClientAuth::secret_basic(SECRET)).expect("a client");
    let result = block_on(async {
        if refreshing { client.refresh_token(REFRESH).fetch().await } else { client.client_credentials().fetch().await }
    });
    match result {
        Ok(tokens) => check_success(status, &body, &tokens),
        Err(error) => check_error(status, &error),
    }
});

/// The body, with what was sent in place of what stands for it.
fn echoing(body: &[u8], refreshing: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let [first, tail @ ..] = rest {
        let (echo, length) = match (first, tail.first()) {
            (b'$', Some(b'S')) => (Some(SECRET), 2),
            (b'$', Some(b'E')) => (Some(ENCODED), 2),
            (b'$', Some(b'B')) => (Some(BASIC), 2),
            // What was not sent is no secret of this exchange.
            (b'$', Some(b'R')) if refreshing => (Some(REFRESH), 2),
            _ => (None, 1),
        };
        out.extend_from_slice(echo.map_or(&rest[..1], str::as_bytes));
        rest = &rest[length..];
    }
    out
}

fn check_success(status: u16, body: &[u8], tokens: &TokenSet) {
    assert_eq!(status, 200);
    let json: serde_json::Value = serde_json::from_slice(body).expect("success is JSON");
    let token = tokens.access_token.secret();
    assert_eq!(json["access_token"].as_str(), Some(token));
    assert!(json["token_type"].as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")));
    assert!(!token.is_empty() && token.len() <= 16 * 1024 && token.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(tokens.access_token.authorization().is_sensitive());
    assert!(tokens.refresh_token.as_ref().is_none_or(|token| !token.is_empty()));
    let year = std::time::Duration::from_secs(365 * 24 * 3600);
    assert!(tokens.expires_in.is_none_or(|lifetime| lifetime <= year));
}

fn check_error(status: u16, error: &Error) {
    let kinds = [ErrorKind::OAuth, ErrorKind::UnexpectedResponse, ErrorKind::InvalidResponse];
    assert!(kinds.contains(&error.kind()), "{error:?}");
    assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
    assert_eq!(error.kind() == ErrorKind::OAuth, error.oauth().is_some());
    let permanent = error.oauth().is_some_and(|oauth| PERMANENT.contains(&oauth.code.as_str()));
    assert_eq!(error.is_transient(), !permanent || status == 429 || status >= 500, "{error:?}");
    assert_eq!(error.retry_after().is_some(), error.retry_after().is_some_and(|_| matches!(status, 429 | 503)));

    let text = shown(error);
    for secret in FORBIDDEN {
        assert!(!text.contains(secret), "{secret} shows in {text}");
    }
    let message = error.to_string();
    assert!(!message.chars().any(char::is_control), "{message:?}");
    assert!(message.len() < 16 * 1024, "{} bytes", message.len());
}
