//! `grpc-timeout`: bounds the wait for a token (F5) and the renewal (R8), and the retry carries what is left of it (R2).

use std::{io, time::Duration};

use http::{Request, Response};
use tests::{
    grpc::{GREET, greeter::greeter_client::GreeterClient, greeting, name, raw, trailers_only},
    numbered::Numbered,
    probe::ProbeBody,
    script::{Script, outcome},
    steps::{assert_waits, guarded, settle, step},
};
use tokio::time::{Instant, advance, sleep};
use tonic::{Code, body::Body};
use tower::{Service, ServiceExt};
use tower_oauth::ErrorKind;
use tower_test::mock;

use super::{Call, client, greeted, layer, ours, refused};

const TICK: Duration = Duration::from_millis(1);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `grpc-timeout` of each attempt; `-` where there was none.
fn timeouts(api: &Script) -> Vec<String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let seen = api.seen();
    seen.iter().map(|seen| seen.head.headers.get("grpc-timeout").map_or("-".into(), text)).collect()
}

/// A token so much later.
fn token_after(tokens: &Numbered, delay: Duration) {
    let tokens = tokens.clone();
    tokio::spawn(async move {
        sleep(delay).await;
        tokens.open(1);
    });
}

/// Ends now, not at some later timer.
#[track_caller]
fn at_once<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let (began, caller) = (Instant::now(), std::panic::Location::caller());
    async move {
        let output = guarded(future).await;
        assert!(began.elapsed() <= TICK, "{caller}: it ended {:?} later", began.elapsed());
        output
    }
}

/// The API, with so much time for each answer.
fn slow(
    api: &Script,
    delay: Duration,
) -> impl Service<Request<Body>, Response = Response<ProbeBody>, Error = io::Error, Future: Send> + Clone + use<> {
    let api = api.clone();
    tower::service_fn(move |request| {
        let api = api.clone();
        async move {
            sleep(delay).await;
            api.oneshot(request).await
        }
    })
}

fn timed(timeout: Duration) -> tonic::Request<tests::grpc::greeter::Name> {
    let mut request = tonic::Request::new(name("Ada"));
    request.set_timeout(timeout);
    request
}

#[tokio::test(start_paused = true)]
async fn f5_the_deadline_bounds_the_wait_for_a_first_token() {
    let vectors = [
        ("0n", Duration::ZERO),
        ("1n", TICK),
        ("99999999n", Duration::from_millis(100)),
        ("3000000u", s(3)),
        ("3000m", s(3)),
        ("00003000m", s(3)),
        ("3S", s(3)),
    ];
    for (text, limit) in vectors {
        let (tokens, api) = (Numbered::gated(0), Script::new([]));
        let request = raw(GREET, &[("grpc-timeout", text)]);
        let mut call = Box::pin(layer(&tokens).grpc(api.clone()).oneshot(request));
        if limit > Duration::ZERO {
            assert_waits(&mut call);
            advance(limit - TICK).await;
            assert_waits(&mut call);
            advance(TICK).await;
        }
        let status = at_once(call).await.expect_err("no token in time");
        assert_eq!(status.code(), Code::DeadlineExceeded, "{text}");
        assert_eq!(ours(&status).kind(), ErrorKind::DeadlineExceeded);
        // The renewal belongs to nobody.
        tokens.open(1);
        settle().await;
        assert!(tokens.cache.cached().is_some(), "{text}: the token came for whoever is next");
        assert_eq!((api.seen().len(), tokens.fetches()), (0, 1), "{text}: nothing was sent");
    }
}

/// An answer that never ends does not take the time that the retry needs.
#[tokio::test(start_paused = true)]
async fn r9_draining_leaves_the_retry_half_of_what_is_left() {
    let tokens = Numbered::new();
    let sent = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = std::sync::Arc::clone(&sent);
    let api = tower::service_fn(move |request: http::Request<tonic::body::Body>| {
        let mut log = log.lock().expect("a log");
        log.push(request.headers()["grpc-timeout"].clone());
        let status = if log.len() == 1 { "16" } else { "0" };
        let endless = http_body_util::StreamBody::new(futures_util::stream::pending::<Result<_, tonic::Status>>());
        let body = if log.len() == 1 { tonic::body::Body::new(endless) } else { tonic::body::Body::empty() };
        std::future::ready(http::Response::builder().header("grpc-status", status).body(body))
    });
    let request = raw(GREET, &[("grpc-timeout", "50m")]);
    let mut call = Box::pin(layer(&tokens).grpc(api).oneshot(request));
    // A token, another token, and the answer that is drained.
    for _ in 0..3 {
        assert_waits(&mut call);
        settle().await;
    }
    advance(Duration::from_millis(25)).await;
    let response = at_once(call).await.expect("the retry's answer");
    assert_eq!(response.headers()["grpc-status"], "0");
    assert_eq!(*sent.lock().expect("a log"), ["50000000n", "25000000n"]);
}

#[tokio::test(start_paused = true)]
async fn f5_each_caller_has_its_own_deadline() {
    let (tokens, api) = (Numbered::gated(0), Script::new([greeting("Hello!"), greeting("Hello!")]));
    let call = |request| {
        let mut client = client(&tokens, &api);
        async move { (client.greet(request).await.map_err(|status| status.code()).is_ok(), Instant::now()) }
    };
    let began = Instant::now();
    token_after(&tokens, s(2));
    let calls = [timed(s(1)), timed(s(3)), tonic::Request::new(name("Ada"))].map(call);
    let ended = guarded(futures_util::future::join_all(calls)).await;
    let ended: Vec<_> = ended.into_iter().map(|(is_ok, at)| (is_ok, (at - began).as_millis())).collect();
    assert_eq!(ended, [(false, 1000), (true, 2000), (true, 2000)]);
    assert_eq!(tokens.fetches(), 1);
}

/// A token that comes with the deadline comes too late: nothing is sent that has no time left.
#[tokio::test(start_paused = true)]
async fn f5_a_token_at_the_deadline_is_too_late_and_a_tick_before_it_is_not() {
    for (before, is_sent) in [(TICK, true), (Duration::ZERO, false)] {
        let (tokens, api) = (Numbered::gated(0), Script::new([]));
        let request = raw(GREET, &[("grpc-timeout", "5S")]);
        let mut call = Box::pin(layer(&tokens).grpc(api.clone()).oneshot(request));
        assert_waits(&mut call);
        settle().await;
        advance(s(5) - before).await;
        tokens.open(1);
        settle().await;
        assert!(tokens.cache.cached().is_some());
        let ended = at_once(call).await.map(|_| timeouts(&api)).map_err(|status| status.code());
        assert_eq!(ended, if is_sent { Ok(vec!["1000000n".to_owned()]) } else { Err(Code::DeadlineExceeded) });
        assert_eq!(api.seen().len(), usize::from(is_sent));
    }
}

/// The same of a token that is renewed.
#[tokio::test(start_paused = true)]
async fn r8_a_renewal_at_the_deadline_is_too_late_and_a_tick_before_it_is_not() {
    for (before, expected) in [(TICK, "Retried"), (Duration::ZERO, "DeadlineExceeded")] {
        let (tokens, api) = (Numbered::gated(1), Script::new([trailers_only("16"), greeting("Hello!")]));
        tokens.cache.ready().await.expect("a token");
        let request = raw(GREET, &[("grpc-timeout", "5S")]);
        let mut call = Box::pin(layer(&tokens).grpc(api.clone()).oneshot(request));
        assert_waits(&mut call);
        settle().await;
        advance(s(5) - before).await;
        tokens.open(1);
        settle().await;
        let response = at_once(call).await.expect("a response");
        assert_eq!(outcome(response.extensions()), expected);
        assert_eq!(timeouts(&api)[1..], if expected == "Retried" { vec!["1000000n"] } else { vec![] });
    }
}

/// What waited for a token tells the peer what is left, in at most eight digits.
#[tokio::test(start_paused = true)]
async fn r2_the_first_attempt_carries_what_the_wait_has_left() {
    let vectors = [
        ("3S", s(2), "1000000u"),
        ("2050m", s(2), "50000000n"),
        ("99999999u", s(2), "97999999u"),
        ("2M", s(2), "118000m"),
        ("1M", s(2), "58000000u"),
        ("1H", s(2), "3598000m"),
        // More than eight digits of milliseconds: the next unit, rounded down.
        ("28H", s(2), "100798S"),
        ("27H", s(2), "97198000m"),
        ("99999999S", s(2), "99999997S"),
        ("99999999M", s(2), "99999998M"),
        ("99999999H", s(2), "99999998H"),
    ];
    for (text, wait, expected) in vectors {
        let (tokens, api) = (Numbered::gated(0), Script::new([]));
        token_after(&tokens, wait);
        let call = layer(&tokens).grpc(api.clone()).oneshot(raw(GREET, &[("grpc-timeout", text)]));
        guarded(call).await.expect("a response");
        assert_eq!(timeouts(&api), [expected], "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn r2_with_a_token_at_hand_the_deadline_is_as_the_caller_wrote_it() {
    for text in ["10S", "1H", "00000010S", "99999999H"] {
        let (tokens, api) = (Numbered::new(), Script::new([]));
        tokens.cache.ready().await.expect("a token");
        let call = layer(&tokens).grpc(api.clone()).oneshot(raw(GREET, &[("grpc-timeout", text)]));
        guarded(call).await.expect("a response");
        assert_eq!(timeouts(&api), [text]);
    }
}

/// What is no timeout bounds nothing, and is passed on for the peer to judge.
#[tokio::test(start_paused = true)]
async fn f5_what_is_no_timeout_is_ignored() {
    let malformed = [
        "",
        "S",
        "5",
        "5s",
        "5 S",
        " 5S",
        "5S ",
        "-5S",
        "+5S",
        "5.5S",
        "0x5S",
        "1e1S",
        "100000000n",
        "000000005S",
        "5h",
        "5SS",
        "5\u{b5}",
        "\u{665}S",
    ];
    for text in malformed {
        let (tokens, api) = (Numbered::gated(0), Script::new([trailers_only("16")]));
        let mut call = Box::pin(layer(&tokens).grpc(api.clone()).oneshot(raw(GREET, &[("grpc-timeout", text)])));
        assert_waits(&mut call);
        advance(s(7)).await;
        assert_waits(&mut call);
        tokens.open(2);
        let response = guarded(call).await.expect("a response");
        assert_eq!(outcome(response.extensions()), "Retried", "{text:?}");
        assert_eq!(timeouts(&api), [text, text]);
    }
}

#[tokio::test(start_paused = true)]
async fn r2_without_a_deadline_none_is_made_up() {
    let (tokens, api) = (Numbered::gated(0), Script::new([trailers_only("16"), greeting("Hello!")]));
    token_after(&tokens, s(7));
    let mut client = client(&tokens, &api);
    tokens.open(1);
    guarded(client.greet(name("Ada"))).await.expect("an answer");
    assert_eq!(timeouts(&api), ["-", "-"]);
}

#[tokio::test(start_paused = true)]
async fn r8_the_deadline_bounds_the_renewal_and_then_the_first_answer_is_the_answer() {
    for (text, limit) in [("5S", s(5)), ("3000m", s(3)), ("99999999n", Duration::from_millis(100))] {
        let (tokens, api) = (Numbered::gated(1), Script::new([trailers_only("16"), greeting("never")]));
        tokens.cache.ready().await.expect("a token");
        let request = raw(GREET, &[("grpc-timeout", text)]);
        let mut call = Box::pin(layer(&tokens).grpc(api.clone()).oneshot(request));
        assert_waits(&mut call);
        advance(limit - TICK).await;
        assert_waits(&mut call);
        advance(TICK).await;
        let response = at_once(call).await.expect("the first answer");
        assert_eq!(outcome(response.extensions()), "DeadlineExceeded", "{text}");
        assert_eq!(response.headers()["grpc-status"], "16");
        assert_eq!((api.seen().len(), tokens.fetches()), (1, 2));
        tokens.open(1);
        settle().await;
        let token = tokens.cache.cached().expect("a token");
        assert_eq!(token.authorization(), "Bearer t2", "{text}: the renewal went on without the caller");
    }
}

/// A peer that answers after the deadline gets no second attempt; the token is renewed for others.
#[tokio::test(start_paused = true)]
async fn r8_no_retry_when_no_time_is_left() {
    let (tokens, api) = (Numbered::new(), Script::new([trailers_only("16"), greeting("never")]));
    let channel = layer(&tokens).grpc(slow(&api, s(6)));
    tokens.cache.ready().await.expect("a token");
    let response = guarded(channel.oneshot(raw(GREET, &[("grpc-timeout", "5S")]))).await.expect("a response");
    settle().await;
    assert_eq!(outcome(response.extensions()), "DeadlineExceeded");
    assert_eq!((api.seen().len(), tokens.fetches()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn r2_the_retry_carries_what_is_left() {
    // The call's own, the peer's time for each answer, the token's time, and what the retry carries.
    let vectors = [
        ("10S", s(3), s(1), "6000000u"),
        ("10000m", Duration::ZERO, Duration::ZERO, "10000000u"),
        ("5S", s(2), Duration::from_millis(2950), "50000000n"),
        ("1H", s(60), s(4), "3536000m"),
        ("99999999H", s(1), s(1), "99999998H"),
    ];
    for (text, answer, renewal, expected) in vectors {
        let (tokens, api) = (Numbered::gated(1), Script::new([trailers_only("16"), greeting("Hello!")]));
        tokens.cache.ready().await.expect("a token");
        token_after(&tokens, answer + renewal);
        let began = Instant::now();
        let call = layer(&tokens).grpc(slow(&api, answer)).oneshot(raw(GREET, &[("grpc-timeout", text)]));
        let response = guarded_for_hours(call).await.expect("a response");
        assert_eq!(outcome(response.extensions()), "Retried", "{text}");
        assert_eq!(timeouts(&api), [text, expected]);
        assert_eq!(began.elapsed(), answer * 2 + renewal, "{text}");
    }
}

async fn guarded_for_hours<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(s(3 * 3600), future).await.expect("it hangs")
}

/// The token has come, but not the channel's turn.
#[tokio::test(start_paused = true)]
async fn f5_the_deadline_bounds_the_wait_for_the_channels_turn() {
    for turn in [None, Some(s(4))] {
        let tokens = Numbered::gated(0);
        let (channel, mut peer) = mock::pair::<Request<Body>, Response<Body>>();
        peer.allow(1);
        let mut client = GreeterClient::new(layer(&tokens).grpc(channel));
        let mut call: Call<_> = Box::pin(async move { client.greet(timed(s(5))).await });
        assert_waits(&mut call);
        // What was reserved is given back while the call waits for its token, and somebody else takes it.
        peer.allow(0);
        advance(s(2)).await;
        tokens.open(1);
        settle().await;
        assert_waits(&mut call);
        assert!(tokens.cache.cached().is_some());
        let Some(turn) = turn else {
            advance(s(3) - TICK).await;
            assert_waits(&mut call);
            advance(TICK).await;
            let status = at_once(call).await.expect_err("no turn in time");
            assert_eq!((status.code(), ours(&status).kind()), (Code::DeadlineExceeded, ErrorKind::DeadlineExceeded));
            continue;
        };
        advance(turn - s(2)).await;
        peer.allow(1);
        assert!(step(&mut call).is_pending(), "sent now");
        let (request, answer) = guarded(peer.next_request()).await.expect("it was sent");
        assert_eq!(request.headers()["grpc-timeout"], "1000000u");
        answer.send_response(greeted("Hello!"));
        guarded(call).await.expect("an answer");
    }
}

/// Another token is in hand, but not the channel's turn: five seconds at most, and no longer than the deadline.
#[tokio::test(start_paused = true)]
async fn r8_the_deadline_bounds_the_wait_for_the_retrys_turn() {
    for (timeout, limit) in [(s(3), s(3)), (s(60), s(5))] {
        let tokens = Numbered::new();
        let make = |mut client: GreeterClient<_>| async move { client.greet(timed(timeout)).await };
        let (mut call, _peer, _body, answer) = super::under_way(&tokens, make).await;
        answer.send_response(refused());
        assert_waits(&mut call);
        settle().await;
        assert_waits(&mut call);
        assert_eq!(tokens.fetches(), 2);
        advance(limit - TICK).await;
        assert_waits(&mut call);
        advance(TICK).await;
        let status = at_once(call).await.expect_err("the first answer");
        assert_eq!(status.code(), Code::Unauthenticated);
    }
}
