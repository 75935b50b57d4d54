//! Tokens of five seconds, in real time.

use std::time::{Duration, Instant};

use tower::ServiceExt;

use crate::{
    layer::{get, over_hyper},
    server::{self, RealServer},
};

/// Both at once: it is long enough as it is.
#[tokio::test]
async fn f12_tokens_of_five_seconds_over_thirty_calls() {
    tokio::join!(thirty_calls(server::oidc()), thirty_calls(server::django()));
}

async fn thirty_calls(server: &RealServer) {
    let first = server.sign_in("refresh_short").await;
    let before = server.issued("refresh_short").await;
    let refreshed = server.client("refresh_short").refresh_token(first).cached().expect("a usable request");
    let tokens = server.tokens("short");
    let apis = [over_hyper(server, tokens.clone()), over_hyper(server, refreshed.clone())];
    let mut clock = tokio::time::interval(Duration::from_millis(410));
    let began = Instant::now();
    for call in 1..=30 {
        clock.tick().await;
        for api in &apis {
            let response = api.clone().oneshot(get(&server.api("/things"))).await.expect("an answer");
            // At oidc-provider a token may end up to a second before its time: a 401, renewed, 200.
            assert_eq!(response.status(), 200, "{}, call {call}", server.issuer());
        }
    }
    let seconds = began.elapsed().as_secs();
    assert!(seconds >= 11, "two tokens must not last that long: {seconds} s");
    let issued = [server.issued("short").await, server.issued("refresh_short").await - before];
    for (issued, tokens) in issued.into_iter().zip([tokens, refreshed]) {
        // One for every two and a half seconds would still be sane, one for every call would not.
        assert!((3..=1 + seconds * 2 / 5).contains(&issued), "{issued} tokens in {seconds} s");
        assert_eq!(tokens.status().renewals, issued);
        assert!(tokens.status().last_error.is_none(), "{tokens:?}");
    }
}
