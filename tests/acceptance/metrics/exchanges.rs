//! Exchanges: by grant and outcome, how long they took, and which were not made.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use http::{Response, StatusCode};
use oauth_test_server::{Fault, TestServer};
use oauth_tokens::{
    AuthorizationServer, ClientAuth, Error, Exchange, Form, Grant, HttpClient, SecurityToken, TokenSet, TokenSource,
};
use tests::{
    canned::{Canned, json, status, token},
    figures::Figures,
};
use tokio::time::{sleep, timeout};

use super::{client_at, refusal, s};

const EXCHANGES: &str = "oauth.token.exchanges";
const DURATION: &str = "oauth.token.exchange.duration";
const REFUSED: &str = "oauth.token.exchanges.refused";

fn one(labels: &str) -> BTreeMap<&str, u64> {
    BTreeMap::from([(labels, 1)])
}

#[tokio::test(start_paused = true)]
async fn exchanges_are_counted_by_outcome_from_a_closed_set() {
    let cases: [(Response<bytes::Bytes>, &str); 14] = [
        (token("t"), "issued"),
        (refusal(400, "invalid_client"), "invalid_client"),
        (refusal(400, "invalid_grant"), "invalid_grant"),
        (refusal(400, "invalid_scope"), "invalid_scope"),
        (refusal(400, "unauthorized_client"), "unauthorized_client"),
        (refusal(400, "temporarily_unavailable"), "temporarily_unavailable"),
        (refusal(500, "server_error"), "server_error"),
        (refusal(400, "alice@example.com"), "oauth_error"),
        (refusal(400, ""), "unexpected_response"),
        (status(StatusCode::FORBIDDEN), "unexpected_response"),
        (status(StatusCode::BAD_GATEWAY), "unexpected_response"),
        (json(200, "{}"), "invalid_response"),
        (json(200, "nonsense"), "invalid_response"),
        (json(200, "x".repeat(2 << 20)), "unexpected_response"),
    ];
    for (answer, outcome) in cases {
        let client = client_at(&Canned::always(answer.clone()));
        let figures = Figures::of(async {
            let _ = client.client_credentials().fetch().await;
        })
        .await;
        let labels = format!("grant=client_credentials outcome={outcome}");
        // All attempts of one are one.
        assert_eq!(figures.counts(EXCHANGES), one(&labels), "{answer:?}");
        assert_eq!(figures.measured(DURATION)[labels.as_str()].len(), 1, "{answer:?}");
    }
}

/// Each grant by a name of its own; somebody's own is `other`, whatever it calls itself.
#[tokio::test(start_paused = true)]
async fn exchanges_are_counted_by_grant() {
    struct Own;
    impl Grant for Own {
        fn grant_type(&self) -> &str {
            "urn:example:alice@example.com"
        }

        async fn redeem(&self, exchange: &Exchange<'_>) -> Result<TokenSet, Error> {
            exchange.send(Form::new()).await
        }
    }
    let client = client_at(&Canned::always(token("t")));
    let figures = Figures::of(async {
        client.client_credentials().fetch().await.expect("a token");
        client.refresh_token("r").fetch().await.expect("a token");
        client.token_exchange(SecurityToken::access_token("subject")).fetch().await.expect("a token");
        client.token_exchange(SecurityToken::access_token("subject")).issue().await.expect("a token");
        client.jwt_bearer("assertion").fetch().await.expect("a token");
        client.grant(Own).fetch().await.expect("a token");
        // What a grant has already is no exchange.
        let held = client.client_credentials().fetch().await.expect("a token");
        client.refresh_token(held).fetch().await.expect("a token");
    })
    .await;
    let expected = BTreeMap::from([
        ("grant=client_credentials outcome=issued", 2),
        ("grant=jwt_bearer outcome=issued", 1),
        ("grant=other outcome=issued", 1),
        ("grant=refresh_token outcome=issued", 1),
        ("grant=token_exchange outcome=issued", 2),
    ]);
    assert_eq!(figures.counts(EXCHANGES), expected);
}

/// Each poll of the device grant is one: the user's time is nobody's latency.
#[tokio::test(start_paused = true)]
async fn a_devices_polls_are_exchanges() {
    let server = TestServer::builder().device_interval(Some(s(5))).build();
    let client = AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .issuer(server.issuer())
        .and_then(|server| server.client("m2m", ClientAuth::secret_basic("secret")))
        .expect("a client");
    let figures = Figures::of(async {
        let mut device = client.device_authorization().begin().await.expect("a code").give_up_after(s(12));
        device.wait().await.expect_err("nobody says yes");
    })
    .await;
    let pending = "grant=device_code outcome=authorization_pending";
    assert_eq!(figures.counts(EXCHANGES), BTreeMap::from([(pending, 2)]));
    assert!(figures.measured(DURATION)[pending].iter().all(|seconds| *seconds < 1.0));
}

#[tokio::test(start_paused = true)]
async fn exchanges_are_measured_in_seconds_up_to_their_deadline() {
    let server = TestServer::builder().build();
    let client = AuthorizationServer::via(HttpClient::new(server.authorization_service()))
        .token_endpoint(&server.token_endpoint())
        .and_then(|server| server.client("m2m", ClientAuth::secret_basic("secret")))
        .expect("a client");
    server.token_faults().push(1, Fault::Delay(s(3)));
    let figures = Figures::of(async {
        client.client_credentials().fetch().await.expect("a token");
        server.token_faults().push_forever(Fault::Hang);
        client.client_credentials().fetch().await.expect_err("it hangs");
        // Whoever goes away knows nothing of how it ended.
        assert!(timeout(s(1), client.client_credentials().fetch()).await.is_err());
    })
    .await;
    let seconds = figures.measured(DURATION);
    assert_eq!(seconds.len(), 2, "{seconds:?}");
    let near = |labels: &str, expected: f64| {
        assert!((seconds[labels][0] - expected).abs() < 0.01 && seconds[labels].len() == 1, "{labels}: {seconds:?}");
    };
    near("grant=client_credentials outcome=issued", 3.0);
    near("grant=client_credentials outcome=timeout", 10.0);
}

/// F15: what was not sent is no exchange, and is counted by why.
#[tokio::test(start_paused = true)]
async fn exchanges_that_were_not_made_are_counted_apart() {
    let client = client_at(&Canned::always(status(StatusCode::REQUEST_TIMEOUT)));
    let figures = Figures::of(async {
        for _ in 0..8 {
            let _ = client.client_credentials().fetch().await;
        }
    })
    .await;
    assert_eq!(figures.counts(REFUSED), BTreeMap::from([("reason=down", 3)]));
    assert_eq!(figures.counts(EXCHANGES).values().sum::<u64>(), 5);

    let slow = tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
        sleep(s(5)).await;
        Ok::<_, std::convert::Infallible>(token("t").map(http_body_util::Full::new))
    });
    let server =
        AuthorizationServer::via(HttpClient::new(slow)).max_in_flight(1).token_endpoint("https://id.test/token");
    let client = server.and_then(|server| server.client("m2m", ClientAuth::secret_basic("s"))).expect("a client");
    let figures = Figures::of(async {
        let request = client.client_credentials();
        let three = join_all((0..3).map(|_| request.fetch())).await;
        assert_eq!(three.iter().filter(|end| end.is_err()).count(), 1, "after 8 s");
    })
    .await;
    assert_eq!(figures.counts(REFUSED), one("reason=full"));
}
