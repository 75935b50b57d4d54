//! T6: how long a token lives, as servers say it.

use std::time::Duration;

use oauth_test_server::TestServer;
use oauth_tokens::{ErrorKind, TokenSource};
use tests::{
    canned::{Canned, json},
    support::eventually,
};
use tokio::time::advance;

use super::{client_at, client_of};

const YEAR: f64 = 365.0 * 24.0 * 3600.0;

#[tokio::test(start_paused = true)]
async fn t6_expires_in_and_refresh_in_as_servers_write_them() {
    let vectors: [(&str, Option<f64>); 26] = [
        ("3600", Some(3600.0)),
        ("3600.5", Some(3600.5)),
        ("3.6e3", Some(3600.0)),
        ("\"3600\"", Some(3600.0)),
        ("\" 3600 \"", Some(3600.0)),
        ("\"3600.5\"", Some(3600.5)),
        ("0", Some(0.0)),
        ("\"0\"", Some(0.0)),
        ("-0.0", Some(0.0)),
        ("-1", Some(0.0)),
        ("\"-1\"", Some(0.0)),
        ("-9223372036854775808", Some(0.0)),
        ("-1e308", Some(0.0)),
        // Huge: no token is trusted for longer than a year.
        ("31536000", Some(YEAR)),
        ("31536001", Some(YEAR)),
        ("18446744073709551615", Some(YEAR)),
        ("18446744073709551616", Some(YEAR)),
        ("1e308", Some(YEAR)),
        ("\"inf\"", Some(YEAR)),
        // Nonsense: not said.
        ("null", None),
        ("true", None),
        ("\"\"", None),
        ("\"soon\"", None),
        ("\"NaN\"", None),
        ("[3600]", None),
        ("{}", None),
    ];
    for (text, seconds) in vectors {
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer","expires_in":{text},"refresh_in":{text}}}"#);
        let tokens = client_at(&Canned::always(json(200, body))).client_credentials().fetch().await;
        let tokens = tokens.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(tokens.expires_in, seconds.map(Duration::from_secs_f64), "{text}");
        assert_eq!(tokens.refresh_in, seconds.map(Duration::from_secs_f64), "{text}");
    }
    // A number that no float holds is no JSON number to every parser: a typed error, too.
    let body = r#"{"access_token":"t","token_type":"Bearer","expires_in":1e999}"#;
    if let Err(error) = client_at(&Canned::always(json(200, body))).client_credentials().fetch().await {
        assert_eq!(error.kind(), ErrorKind::InvalidResponse);
    }
}

#[tokio::test(start_paused = true)]
async fn t6_zero_and_negative_are_expired_and_never_served() {
    for expires_in in [0, -1] {
        let server = TestServer::builder().build();
        server.set_token_response("expires_in", expires_in);
        let tokens = client_of(&server).client_credentials().cached().expect("a request");
        let error = tokens.token().await.expect_err("it is expired");
        assert_eq!(error.kind(), ErrorKind::InvalidResponse);
        assert!(error.to_string().contains("expired"), "{error}");
        for _ in 0..100 {
            tokens.token().await.expect_err("remembered");
        }
        assert_eq!(server.counters().token_requests, 1, "no request for every call");
    }
}

#[tokio::test(start_paused = true)]
async fn t6_refresh_in_is_honoured() {
    let server = TestServer::builder().token_lifetime(Some(Duration::from_secs(3600))).build();
    server.set_token_response("refresh_in", 600);
    let tokens = client_of(&server).client_credentials().cached().expect("a request");
    let first = tokens.token().await.expect("a token");

    advance(Duration::from_millis(599_999)).await;
    assert_eq!(tokens.cached().as_ref(), Some(&first));
    assert!(!tokens.status().renewing, "before `refresh_in` nothing is renewed");

    // Jitter spreads renewals over half of `refresh_in` at most: far from the 48 minutes of the default.
    advance(Duration::from_millis(300_001)).await;
    assert_eq!(tokens.token().await.expect("the old one serves"), first);
    eventually("the token is renewed in the background", || tokens.status().renewals == 2).await;
    assert_ne!(tokens.token().await.expect("the new one"), first);
    assert_eq!(server.counters().token_requests, 2);
}
