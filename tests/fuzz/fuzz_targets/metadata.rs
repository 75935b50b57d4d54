//! An issuer's metadata as a hostile server may write them (D2, D3, D5). The first byte chooses the issuer, the second the
//! endpoint that is asked for; the rest is the body, in which `$I` stands for the issuer.

#![no_main]

#[path = "../canned.rs"]
mod canned;

use std::net::IpAddr;

use canned::{Canned, block_on, shown};
use http::{Response, Uri};
use libfuzzer_sys::fuzz_target;
use oauth_tokens::{AuthorizationServer, ErrorKind};

const ISSUERS: [&str; 4] = ["https://id.test", "https://id.test/tenant", "https://127.0.0.1:8443", "http://[::1]:5001"];
const ENDPOINTS: [&str; 4] = ["token_endpoint", "jwks_uri", "issuer", ""];

fuzz_target!(|data: &[u8]| {
    let [issuer, endpoint, body @ ..] = data else { return };
    let issuer = ISSUERS[usize::from(*issuer) % ISSUERS.len()];
    let name = ENDPOINTS[usize::from(*endpoint) % ENDPOINTS.len()];
    let body = String::from_utf8_lossy(body).replace("$I", issuer);
    let http = Canned::http(Response::new(body.clone().into()));
    let server = AuthorizationServer::via(http).issuer(issuer).expect("an issuer");
    let metadata = match block_on(server.metadata()) {
        Ok(metadata) => metadata,
        Err(error) => {
            let kinds = [ErrorKind::UnexpectedResponse, ErrorKind::IssuerMismatch];
            assert!(kinds.contains(&error.kind()) && error.is_transient(), "{error:?}");
            check_text(&error);
            return;
        }
    };
    assert_eq!(metadata.issuer(), issuer);
    let json: serde_json::Value = serde_json::from_str(&body).expect("metadata are JSON");
    match metadata.endpoint(name) {
        Ok(url) => {
            assert_eq!(json[name].as_str(), Some(url.as_str()));
            check_endpoint(issuer, &url);
        }
        Err(error) => {
            let missing = json.get(name).is_none();
            assert_eq!(error.kind() == ErrorKind::MissingEndpoint, missing, "{error:?}");
            assert!(missing || error.kind() == ErrorKind::InvalidEndpoint, "{error:?}");
            check_text(&error);
        }
    }
});

/// What is used means the same to `http`, and does not lead from https to http or to this machine.
fn check_endpoint(issuer: &str, url: &str) {
    assert!(url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains(['#', '\\']), "{url}");
    let uri: Uri = url.parse().expect("an endpoint is a URL");
    let authority = uri.authority().expect("it has a host");
    assert!(!authority.as_str().contains('@') && !authority.host().is_empty(), "{url}");
    let https = uri.scheme_str() == Some("https");
    if issuer.starts_with("https://id.test") {
        assert!(https && !may_be_local(authority.host()), "{url}");
    } else {
        assert!(https || (issuer.starts_with("http:") && may_be_local(authority.host())), "{url}");
    }
}

/// This machine, in one of the spellings that some resolver knows.
fn may_be_local(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let is_number = |label: &str| label.starts_with("0x") || label.bytes().all(|byte| byte.is_ascii_digit());
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(address) => address.is_loopback() || address.is_unspecified(),
        Err(_) => host == "localhost" || host.ends_with(".localhost") || host.rsplit('.').next().is_some_and(is_number),
    }
}

fn check_text(error: &oauth_tokens::Error) {
    let message = error.to_string();
    assert!(!message.chars().any(char::is_control) && message.len() < 16 * 1024, "{message:?}");
    assert!(!shown(error).contains("pa55word@"), "userinfo shows: {message}");
}
