//! RFC 8628: the pace of the polls, and what ends them. Time is driven by hand.

use std::{
    future::{pending, ready},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use oauth_tokens::{ClientAuth, DeviceAuthorization, Error, ErrorKind, HttpClient, TokenClient, TokenSet};
use tests::canned::{Canned, json, status, token};
use tokio::time::{Instant, advance, timeout};

use super::{DEVICE, TOKEN, assert_is_example, client, m2m, value};

/// RFC 8628, section 3.2.
const STARTED: &str = r#"{
    "device_code": "GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://example.com/device",
    "verification_uri_complete": "https://example.com/device?user_code=WDJB-MJHT",
    "expires_in": 1800,
    "interval": 5
}"#;

pub(super) fn started(interval: &str, expires_in: &str) -> Response<Bytes> {
    let interval = if interval.is_empty() { String::new() } else { format!(r#","interval":{interval}"#) };
    let uri = r#""verification_uri":"https://example.com/device""#;
    json(200, format!(r#"{{"device_code":"d","user_code":"u",{uri},"expires_in":{expires_in}{interval}}}"#))
}

pub(super) fn refused(code: &str) -> Response<Bytes> {
    json(400, format!(r#"{{"error":"{code}"}}"#))
}

type Times = Arc<Mutex<Vec<Instant>>>;

/// A server that begins at once, and answers polls one after another, the last one for ever. It knows when they came.
#[derive(Clone)]
struct Polled {
    canned: Canned,
    times: Times,
}

impl Polled {
    fn new(begin: Response<Bytes>, polls: impl IntoIterator<Item = Response<Bytes>>) -> Self {
        let times = Times::default();
        let polls: Vec<_> = polls.into_iter().collect();
        let canned = Canned::new({
            let times = times.clone();
            move |request: &Request<Bytes>| {
                if request.uri() != TOKEN {
                    return begin.clone();
                }
                let mut times = times.lock().expect("times");
                times.push(Instant::now());
                polls[(times.len() - 1).min(polls.len() - 1)].clone()
            }
        });
        Self { canned, times }
    }

    async fn begin(&self) -> DeviceAuthorization {
        m2m(&self.canned).device_authorization().begin().await.expect("a code")
    }

    /// When the polls came, in milliseconds since then.
    fn polls_since(&self, begun: Instant) -> Vec<u128> {
        self.times.lock().expect("times").iter().map(|at| at.duration_since(begun).as_millis()).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn device_flow_is_the_example_of_rfc_8628() {
    let canned = Canned::always(json(200, STARTED));
    let public = client(&canned, "1406020730", ClientAuth::none());
    let mut device = public.device_authorization().scope("example_scope").begin().await.expect("a code");
    assert_is_example(&canned, DEVICE, None, "client_id=1406020730&scope=example_scope");
    assert_eq!(device.user_code(), "WDJB-MJHT");
    assert_eq!(device.verification_uri(), "https://example.com/device");
    assert_eq!(device.verification_uri_complete(), Some("https://example.com/device?user_code=WDJB-MJHT"));
    assert_eq!(device.expires_in(), Duration::from_secs(1800));

    // The poll: the answer is no token here, only the form counts.
    device.wait().await.expect_err("no token");
    let poll = &canned.requests()[1];
    assert_eq!(poll.uri(), TOKEN);
    let mut sent = super::form(&String::from_utf8_lossy(poll.body()));
    let example = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code\
                   &device_code=GmRhmhcxhwAzkoEqiMEg_DnyEysNkuNhszIySk9eS&client_id=1406020730";
    sent.sort();
    assert_eq!(sent, super::form(example));
}

#[tokio::test(start_paused = true)]
async fn device_polls_at_the_servers_interval() {
    // interval, milliseconds between polls
    let cases = [
        ("", 5000),
        ("5", 5000),
        ("1", 1000),
        ("7", 7000),
        ("\"2\"", 2000),
        ("2.5", 2500),
        // What nobody can mean.
        ("0", 1000),
        ("-3", 1000),
        ("null", 5000),
        ("\"soon\"", 5000),
    ];
    for (interval, pause) in cases {
        let pending = refused("authorization_pending");
        let server = Polled::new(started(interval, "600"), [pending.clone(), pending.clone(), pending, token("t")]);
        let begun = Instant::now();
        let tokens = server.begin().await.wait().await.expect("a token");
        assert_eq!(tokens.access_token.secret(), "t");
        assert_eq!(server.polls_since(begun), [1, 2, 3, 4].map(|poll| poll * pause), "{interval:?}");
    }
}

/// Section 3.5: five seconds more, for this and all polls that follow.
#[tokio::test(start_paused = true)]
async fn device_slows_down_when_told_so() {
    let [pending, slower] = ["authorization_pending", "slow_down"].map(refused);
    let polls = [pending.clone(), slower.clone(), pending.clone(), slower, pending, token("t")];
    let server = Polled::new(started("5", "600"), polls);
    let begun = Instant::now();
    server.begin().await.wait().await.expect("a token");
    let expected = [5, 10, 10 + 10, 20 + 10, 30 + 15, 45 + 15].map(|seconds| seconds * 1000);
    assert_eq!(server.polls_since(begun), expected);
}

#[tokio::test(start_paused = true)]
async fn device_polls_until_the_code_expires_and_not_after() {
    // expires_in, milliseconds of the polls, when it ends
    let cases: [(&str, &[u128], u128); 6] = [
        ("14.999", &[5000, 10000], 14_999),
        ("15", &[5000, 10000], 15_000),
        ("15.001", &[5000, 10000, 15000], 15_001),
        ("17", &[5000, 10000, 15000], 17_000),
        ("3", &[], 3000),
        ("0", &[], 0),
    ];
    for (expires_in, polls, end) in cases {
        let server = Polled::new(started("5", expires_in), [refused("authorization_pending")]);
        let begun = Instant::now();
        let error = server.begin().await.wait().await.expect_err("expired");
        assert_eq!(error.kind(), ErrorKind::DeviceCodeExpired, "{expires_in}");
        assert!(!error.is_transient() && error.oauth().is_none(), "nobody but our clock said so");
        assert_eq!(server.polls_since(begun), polls, "{expires_in}");
        assert_eq!(begun.elapsed().as_millis(), end, "{expires_in}");
    }
}

#[tokio::test(start_paused = true)]
async fn device_time_counts_from_the_request() {
    let server = Polled::new(started("5", "20"), [refused("authorization_pending")]);
    let mut device = server.begin().await;
    advance(Duration::from_secs(19)).await;
    assert_eq!(device.expires_in(), Duration::from_secs(1));
    let waited = Instant::now();
    assert_eq!(device.wait().await.expect_err("expired").kind(), ErrorKind::DeviceCodeExpired);
    assert_eq!(server.polls_since(waited), [0], "the pause is over long since");
    assert_eq!(waited.elapsed(), Duration::from_secs(1));
    assert_eq!(device.expires_in(), Duration::ZERO);
    assert_eq!(device.wait().await.expect_err("expired").kind(), ErrorKind::DeviceCodeExpired);
    assert_eq!(waited.elapsed(), Duration::from_secs(1), "and at once from now on");
}

#[tokio::test(start_paused = true)]
async fn device_ends_at_any_other_word_of_the_servers() {
    // code, kind
    let cases = [
        ("access_denied", ErrorKind::AccessDenied),
        ("expired_token", ErrorKind::DeviceCodeExpired),
        ("invalid_grant", ErrorKind::OAuth),
        ("invalid_client", ErrorKind::OAuth),
        ("invalid_request", ErrorKind::OAuth),
        ("unauthorized_client", ErrorKind::OAuth),
        ("something_new", ErrorKind::OAuth),
    ];
    for (code, kind) in cases {
        let server = Polled::new(started("5", "600"), [refused("authorization_pending"), refused(code)]);
        let begun = Instant::now();
        let error = server.begin().await.wait().await.expect_err(code);
        assert_eq!(error.kind(), kind, "{code}");
        assert_eq!(error.oauth().map(|oauth| oauth.code.as_str()), Some(code));
        assert_eq!(server.polls_since(begun), [5000, 10000], "{code}");
    }
    // An answer that is neither has used up the code.
    let server = Polled::new(started("5", "600"), [json(200, r#"{"token_type":"Bearer"}"#)]);
    let error = server.begin().await.wait().await.expect_err("no token");
    assert_eq!((error.kind(), server.canned.requests().len()), (ErrorKind::InvalidResponse, 2));
}

/// Section 3.5: a server that cannot be reached is asked more and more rarely; one that speaks again, at its own pace.
#[tokio::test(start_paused = true)]
async fn device_backs_off_while_the_server_cannot_be_reached() {
    let page = json(502, "<html>");
    let stumbles = [page.clone(), status(StatusCode::INTERNAL_SERVER_ERROR), json(503, r#"{"error":"server_error"}"#)];
    let pending = refused("authorization_pending");
    let polls = stumbles.into_iter().chain([page.clone(), page, pending.clone(), pending, token("t")]);
    let server = Polled::new(started("5", "1800"), polls);
    let begun = Instant::now();
    server.begin().await.wait().await.expect("a token");
    let pauses = [5, 10, 20, 40, 60, 60, 5, 5];
    let mut at = 0;
    let expected: Vec<u128> = pauses
        .iter()
        .map(|pause| {
            at += pause * 1000;
            at
        })
        .collect();
    assert_eq!(server.polls_since(begun), expected);
}

#[tokio::test(start_paused = true)]
async fn device_backs_off_no_faster_than_the_interval() {
    let server = Polled::new(started("90", "600"), [json(502, ""), json(502, ""), token("t")]);
    let begun = Instant::now();
    server.begin().await.wait().await.expect("a token");
    assert_eq!(server.polls_since(begun), [90_000, 180_000, 270_000]);
}

#[tokio::test(start_paused = true)]
async fn t11_device_waits_as_long_as_the_server_asks_for() {
    let mut busy = status(StatusCode::TOO_MANY_REQUESTS);
    busy.headers_mut().insert("retry-after", http::HeaderValue::from_static("30"));
    let server = Polled::new(started("5", "600"), [busy, refused("authorization_pending"), token("t")]);
    let begun = Instant::now();
    server.begin().await.wait().await.expect("a token");
    assert_eq!(server.polls_since(begun), [5000, 35000, 40000]);
}

#[tokio::test(start_paused = true)]
async fn device_says_why_when_it_could_not_ask_to_the_end() {
    let server = Polled::new(started("5", "60"), [json(502, "<html>")]);
    let error = server.begin().await.wait().await.expect_err("expired");
    assert_eq!(error.kind(), ErrorKind::DeviceCodeExpired);
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<Error>()).expect("a cause");
    assert_eq!(cause.status(), Some(StatusCode::BAD_GATEWAY));
}

#[tokio::test(start_paused = true)]
async fn device_can_be_given_up_before_the_code_expires() {
    // The limit, milliseconds of the polls, kind
    let cases: [(u64, &[u128], ErrorKind); 4] = [
        (9999, &[5000], ErrorKind::Timeout),
        (10_000, &[5000], ErrorKind::Timeout),
        (10_001, &[5000, 10000], ErrorKind::Timeout),
        (60_000, &[5000, 10000, 15000], ErrorKind::DeviceCodeExpired),
    ];
    for (limit, polls, kind) in cases {
        let server = Polled::new(started("5", "20"), [refused("authorization_pending")]);
        let begun = Instant::now();
        let mut device = server.begin().await.give_up_after(Duration::from_millis(limit));
        let error = device.wait().await.expect_err("given up");
        assert_eq!((error.kind(), server.polls_since(begun)), (kind, polls.to_vec()), "{limit}");
        assert_eq!(begun.elapsed().as_millis(), u128::from(limit.min(20_000)));
    }
}

/// Dropping the wait stops it; called again, it keeps the pace that the server asked for.
#[tokio::test(start_paused = true)]
async fn device_stops_when_it_is_dropped_and_goes_on_when_called_again() {
    let [pending, slower] = ["authorization_pending", "slow_down"].map(refused);
    let server = Polled::new(started("5", "600"), [slower, pending, token("t")]);
    let begun = Instant::now();
    let mut device = server.begin().await;
    for _ in 0..6 {
        let slice = timeout(Duration::from_secs(2), device.wait()).await;
        assert!(slice.is_err(), "still waiting");
    }
    assert_eq!(server.polls_since(begun), [5000]);
    advance(Duration::from_secs(30)).await;
    assert_eq!(server.polls_since(begun), [5000], "nobody polls while nobody waits");
    device.wait().await.expect("a token");
    assert_eq!(server.polls_since(begun), [5000, 42_000, 52_000]);
}

/// A server that hangs at the first poll, breaks the connection at the second, and answers the third.
fn unreliable() -> (TokenClient, Times) {
    type Answer = std::pin::Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, String>> + Send>>;
    let times = Times::default();
    let seen = times.clone();
    let service = tower::service_fn(move |request: Request<Full<Bytes>>| -> Answer {
        if request.uri() != TOKEN {
            return Box::pin(ready(Ok(started("5", "600").map(Full::new))));
        }
        let mut seen = seen.lock().expect("times");
        seen.push(Instant::now());
        match seen.len() {
            1 => Box::pin(pending()),
            2 => Box::pin(ready(Err("connection reset".to_owned()))),
            _ => Box::pin(ready(Ok(token("t").map(Full::new)))),
        }
    });
    let server = super::server_over(HttpClient::new(service));
    (server.client("m2m", ClientAuth::none()).expect("a client"), times)
}

fn seconds(times: &Times, begun: Instant) -> Vec<u64> {
    times.lock().expect("times").iter().map(|at| at.duration_since(begun).as_secs()).collect()
}

/// A poll that gets no answer ends by its own deadline, and the next one waits.
#[tokio::test(start_paused = true)]
async fn t3_device_polls_have_a_deadline() {
    let (client, times) = unreliable();
    let begun = Instant::now();
    let mut device = client.device_authorization().begin().await.expect("a code");
    let tokens: TokenSet = device.wait().await.expect("a token");
    assert_eq!(tokens.access_token.secret(), "t");
    // At 5 s, unanswered until 15 s; after 10 s again, in vain; after 20 s once more.
    assert_eq!(seconds(&times, begun), [5, 25, 45]);
}

#[tokio::test(start_paused = true)]
async fn device_that_is_dropped_during_a_poll_keeps_its_pace() {
    let (client, times) = unreliable();
    let begun = Instant::now();
    let mut device = client.device_authorization().begin().await.expect("a code");
    assert!(timeout(Duration::from_secs(7), device.wait()).await.is_err(), "it hangs");
    device.wait().await.expect("a token");
    assert_eq!(seconds(&times, begun), [5, 10, 20]);
}

/// Not even a 503 is repeated before its time.
#[tokio::test(start_paused = true)]
async fn device_polls_are_never_repeated_by_themselves() {
    let server = Polled::new(started("5", "600"), [status(StatusCode::SERVICE_UNAVAILABLE), token("t")]);
    let begun = Instant::now();
    server.begin().await.wait().await.expect("a token");
    assert_eq!(server.polls_since(begun), [5000, 15000]);
}

#[tokio::test(start_paused = true)]
async fn device_requests_carry_what_was_asked_for() {
    let server = Polled::new(started("5", "600"), [token("t")]);
    let request =
        m2m(&server.canned).device_authorization().scope("a b").audience("aud").resource("urn:r").param("x", "y");
    let mut device = request.begin().await.expect("a code");
    device.wait().await.expect("a token");
    let requests = server.canned.requests();
    for (name, first, poll) in [
        ("scope", Some("a b"), None),
        ("audience", Some("aud"), None),
        ("x", Some("y"), None),
        // RFC 8707, section 2.2: also where the token is issued.
        ("resource", Some("urn:r"), Some("urn:r")),
        ("grant_type", None, Some("urn:ietf:params:oauth:grant-type:device_code")),
        ("device_code", None, Some("d")),
    ] {
        assert_eq!(value(&requests[0], name).as_deref(), first, "{name}");
        assert_eq!(value(&requests[1], name).as_deref(), poll, "{name}");
    }
    assert!(requests.iter().all(|request| request.headers().contains_key("authorization")));
}
