//! R12: a call that is dropped, in whatever state, leaves nothing behind.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tests::{
    numbered::Numbered,
    probe::ProbeBody,
    script::{Answer, Script, outcome},
    states::{STATES, State},
    steps::{API, assert_waits, guarded, settle},
};
use tokio::{runtime::Handle, sync::Semaphore};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit};
use tower_oauth::{BoxError, OAuthLayer, Replay, ReplayLayer};

const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

/// What there is to leak.
struct Stage {
    tokens: Numbered,
    api: Script,
    permits: Arc<Semaphore>,
    oauth: OAuthLayer,
}

impl Stage {
    /// Set so that a call stops in that state.
    fn new(state: State) -> Self {
        let tokens = Numbered::gated(match state {
            State::Token => 0,
            State::NeverPolled | State::Turn | State::First | State::Renew => 1,
            State::Ready | State::Drain | State::Second => 2,
        });
        let api = Script::new(match state {
            State::NeverPolled | State::Token | State::Turn => vec![],
            State::First => vec![Answer::never()],
            State::Renew | State::Ready => vec![Answer::status(401)],
            State::Drain => vec![Answer::unauthorized(ProbeBody::stuck(&["x"]))],
            State::Second => vec![Answer::status(401), Answer::never()],
        });
        let oauth = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin");
        Self { tokens, api, permits: Arc::new(Semaphore::new(1)), oauth }
    }

    fn client<B>(
        &self,
    ) -> impl Service<Request<B>, Response = Response<ProbeBody>, Error = BoxError, Future: Send + Unpin + 'static> + Clone
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + tower_oauth::ReplayBody<Kept: Send> + Send + 'static,
    {
        let limited = ConcurrencyLimit::with_semaphore(self.api.clone(), self.permits.clone());
        let client = self.oauth.layer(limited);
        tower::service_fn(move |request| Box::pin(client.clone().oneshot(request)))
    }
}

#[tokio::test(start_paused = true)]
async fn r12_dropping_a_call_in_any_state_leaves_nothing_behind() {
    for state in STATES {
        let stage = Stage::new(state);
        let tasks = Handle::current().metrics().num_alive_tasks();
        let body = ProbeBody::of(&["the ", "body"]);
        let probe = body.probe();
        let request = Request::post("https://api.test/x").body(Replay::new(body)).expect("a request");
        if !matches!(state, State::Token | State::Turn) {
            stage.tokens.cache.ready().await.expect("a token");
        }
        let mut call = stage.client().call(request);
        let mut taken = None;
        if state != State::NeverPolled {
            assert_waits(&mut call);
            if matches!(state, State::Turn | State::Ready) {
                // Somebody else has the only permit just when the request, or the retry, wants it.
                taken = stage.permits.clone().try_acquire_owned().ok();
                assert!(taken.is_some(), "{state:?}: who waits for a token holds no permit");
            }
            settle().await;
            assert_waits(&mut call);
        }
        drop(call);
        drop(taken);
        assert_eq!(stage.permits.available_permits(), 1, "{state:?}: a permit");
        assert!(probe.is_dropped(), "{state:?}: the body");

        // A renewal that is under way is nobody's, and ends by itself.
        stage.tokens.open(9);
        settle().await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks, "{state:?}: a task");

        // All goes on as if nothing had been.
        let next = Request::post("https://api.test/x").body(Full::<Bytes>::from("next")).expect("a request");
        let call = tokio::time::timeout(MINUTE, stage.client().oneshot(next)).await;
        let response = call.unwrap_or_else(|_| panic!("{state:?}: the next call hangs")).expect("a response");
        assert_eq!(response.status(), 200, "{state:?}");
        assert_eq!(stage.permits.available_permits(), 1, "{state:?}");
        let expected = match state {
            State::NeverPolled | State::Token | State::Turn | State::First => 1,
            _ => 2,
        };
        assert_eq!(stage.tokens.fetches(), expected, "{state:?}: the renewal of the dropped call serves the next");
    }
}

/// The first response, too, is let go of with the call.
#[tokio::test(start_paused = true)]
async fn r12_a_dropped_call_lets_go_of_the_first_response() {
    for drain in [false, true] {
        let tokens = Numbered::gated(if drain { 2 } else { 1 });
        let body = ProbeBody::stuck(&["x"]);
        let probe = body.probe();
        let client = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin");
        let client = client.layer(Script::new([Answer::unauthorized(body)]));
        let mut call = Box::pin(client.oneshot(tests::steps::get("https://api.test/x")));
        assert_waits(&mut call);
        settle().await;
        assert_waits(&mut call);
        settle().await;
        assert_waits(&mut call);
        assert_eq!((probe.polls() > 0, probe.is_dropped()), (drain, false));
        drop(call);
        assert!(probe.is_dropped());
    }
}

/// The renewal that a dropped caller began is the others', too.
#[tokio::test(start_paused = true)]
async fn r12_dropping_one_waiter_does_not_disturb_another() {
    let tokens = Numbered::gated(0);
    let api = Script::new([]);
    let client = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").layer(api.clone());
    let mut calls: Vec<_> =
        (0..10).map(|_| Box::pin(client.clone().oneshot(tests::steps::get("https://api.test/x")))).collect();
    calls.iter_mut().for_each(assert_waits);
    settle().await;
    let kept = calls.pop().expect("one of ten");
    drop(calls);
    tokens.open(1);
    assert_eq!(guarded(kept).await.expect("a response").status(), 200);
    assert_eq!((tokens.fetches(), api.seen().len()), (1, 1));
}

/// The service is called when it is ready and only then, also with a mock that has to be allowed each request.
#[tokio::test(start_paused = true)]
async fn r12_each_of_the_two_calls_waits_for_readiness() {
    let (mock, mut handle) = tower_test::mock::pair::<Request<Replay<Full<Bytes>>>, Response<String>>();
    let tokens = Numbered::new();
    let oauth = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin");
    let client = tower::ServiceBuilder::new().layer(ReplayLayer::new()).layer(oauth).service(mock);
    handle.allow(0);
    let mut call = Box::pin(client.oneshot(tests::steps::post("https://api.test/x", "body")));
    assert_waits(&mut call);
    handle.allow(1);
    let ready_for_the_retry = async {
        let (request, answer) = handle.next_request().await.expect("the first");
        assert_eq!(request.into_body().collect().await.expect("a body").to_bytes(), "body");
        answer.send_response(Response::builder().status(401).body(String::new()).expect("a response"));
        settle().await;
        assert!(tests::steps::step(&mut Box::pin(handle.next_request())).is_pending(), "not allowed yet");
        tokio::time::advance(std::time::Duration::from_millis(4_990)).await;
        settle().await;
        handle.allow(1);
        let (request, answer) = handle.next_request().await.expect("the second");
        assert_eq!(request.into_body().collect().await.expect("a body").to_bytes(), "body");
        answer.send_response(Response::new(String::new()));
    };
    let (response, ()) = guarded(async { tokio::join!(call, ready_for_the_retry) }).await;
    assert_eq!(outcome(response.expect("a response").extensions()), "Retried");
}

/// Once its token has come, a request waits for its turn like any other, and has the inner service's own error.
#[tokio::test(start_paused = true)]
async fn r12_after_the_wait_for_a_token_readiness_is_asked_for_again() {
    let (mock, mut handle) = tower_test::mock::pair::<Request<Full<Bytes>>, Response<String>>();
    let tokens = Numbered::gated(0);
    let client = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").layer(mock);
    handle.allow(1);
    let mut call = Box::pin(client.oneshot(tests::steps::post("https://api.test/x", "body")));
    assert_waits(&mut call);
    handle.allow(0);
    tokens.open(1);
    settle().await;
    assert_waits(&mut call);
    handle.send_error(std::io::Error::from(std::io::ErrorKind::NotConnected));
    let error = guarded(call).await.expect_err("the inner service failed");
    let error = error.downcast_ref::<std::io::Error>().expect("unchanged");
    assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
}

/// The wait for its turn may be long: what is sent is the token of then.
#[tokio::test(start_paused = true)]
async fn r12_a_token_that_was_replaced_while_a_request_waited_for_its_turn_is_not_sent() {
    let (mock, mut handle) = tower_test::mock::pair::<Request<Full<Bytes>>, Response<String>>();
    let tokens = Numbered::gated(0);
    let client = OAuthLayer::new(API, tokens.cache.clone()).expect("an origin").layer(mock);
    handle.allow(1);
    let mut call = Box::pin(client.oneshot(tests::steps::post("https://api.test/x", "body")));
    assert_waits(&mut call);
    handle.allow(0);
    tokens.open(2);
    settle().await;
    assert_waits(&mut call);
    let first = tokens.cache.token().await.expect("a token");
    tokens.cache.renew(&first).await.expect("another token");
    handle.allow(1);
    assert_waits(&mut call);
    let (request, answer) = guarded(handle.next_request()).await.expect("it has its turn");
    assert_eq!(tests::script::authorization(request.headers()), "Bearer t2");
    answer.send_response(Response::new(String::new()));
    assert_eq!(guarded(call).await.expect("a response").status(), 200);
}

/// Not ready for the retry, or failing: the original response, whole.
#[tokio::test(start_paused = true)]
async fn r8_not_ready_or_failing_for_the_retry_is_the_original_response() {
    for failing in [false, true] {
        let body = ProbeBody::of(&["why"]);
        let probe = body.probe();
        let api = Script::new([Answer::unauthorized(body)]);
        let once = ReadyOnce { inner: api.clone(), used: Arc::default(), failing };
        let client = OAuthLayer::new(API, Numbered::new().cache).expect("an origin").layer(once);
        let response = guarded(client.oneshot(tests::steps::get("https://api.test/x"))).await.expect("a response");
        assert_eq!(
            (response.status().as_u16(), outcome(response.extensions()).as_str()),
            (401, "NotReady"),
            "{failing}"
        );
        assert_eq!((probe.polls(), api.seen().len()), (0, 1), "{failing}");
        assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "why");
    }
}

#[derive(Clone)]
struct ReadyOnce {
    inner: Script,
    used: Arc<std::sync::atomic::AtomicBool>,
    failing: bool,
}

impl<B> Service<Request<B>> for ReadyOnce
where
    Script: Service<Request<B>, Error = std::io::Error>,
{
    type Response = <Script as Service<Request<B>>>::Response;
    type Error = std::io::Error;
    type Future = <Script as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        match (self.used.load(std::sync::atomic::Ordering::SeqCst), self.failing) {
            (false, _) => self.inner.poll_ready(cx),
            (true, false) => Poll::Pending,
            (true, true) => Poll::Ready(Err(std::io::ErrorKind::NotConnected.into())),
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.used.store(true, std::sync::atomic::Ordering::SeqCst);
        self.inner.call(request)
    }
}
