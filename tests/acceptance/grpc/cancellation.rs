//! R12, F5: calls that are dropped, and calls in great number.

use std::sync::Arc;

use http::{Request, header::AUTHORIZATION};
use tests::{
    grpc::{GREET, greeter::greeter_client::GreeterClient, greeting, name, raw, trailers_only},
    numbered::Numbered,
    probe::ProbeBody,
    script::{Answer, Script, outcome},
    states::{STATES, State},
    steps::{assert_waits, guarded, settle},
};
use tokio::{runtime::Handle, sync::Semaphore};
use tonic::{Status, body::Body};
use tower::{ServiceExt, limit::ConcurrencyLimit};

use super::{greeted, layer, refused};

/// What a test needs to know of each state.
trait Stage {
    /// The tokens that come at once.
    fn tokens(self) -> usize;
    fn answers(self) -> Vec<Answer>;
    /// The attempts that were made by then.
    fn attempts(self) -> usize;
    /// The tokens that were asked for when all is over, the next call included.
    fn fetches(self) -> u64;
}

impl Stage for State {
    fn tokens(self) -> usize {
        match self {
            Self::Token | Self::Turn => 0,
            Self::NeverPolled | Self::First | Self::Renew | Self::Ready => 1,
            Self::Drain | Self::Second => 2,
        }
    }

    fn answers(self) -> Vec<Answer> {
        match self {
            Self::NeverPolled | Self::Token | Self::Turn => vec![],
            Self::First => vec![Answer::never()],
            Self::Renew | Self::Ready => vec![trailers_only("16")],
            Self::Drain => vec![Answer::unauthorized(ProbeBody::stuck(&["x"]))],
            Self::Second => vec![trailers_only("16"), Answer::never()],
        }
    }

    fn attempts(self) -> usize {
        match self {
            Self::NeverPolled | Self::Token | Self::Turn => 0,
            Self::First | Self::Renew | Self::Ready | Self::Drain => 1,
            Self::Second => 2,
        }
    }

    fn fetches(self) -> u64 {
        match self {
            Self::NeverPolled | Self::Token | Self::Turn | Self::First => 1,
            Self::Renew | Self::Ready | Self::Drain | Self::Second => 2,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r12_a_call_that_is_dropped_leaves_nothing_behind_and_its_renewal_goes_on() {
    for state in STATES {
        let (tokens, api) = (Numbered::gated(state.tokens()), Script::new(state.answers()));
        let permits = Arc::new(Semaphore::new(1));
        let channel = layer(&tokens).grpc(ConcurrencyLimit::with_semaphore(api.clone(), permits.clone()));
        let body = ProbeBody::of(&["one", "two"]);
        let probe = body.probe();
        let request = raw(GREET, &[]).map(|_| Body::new(body));

        let mut call = Box::pin(channel.clone().oneshot(request));
        let mut held = None;
        if state != State::NeverPolled {
            // Each token is a step of its own.
            for _ in 0..3 {
                assert_waits(&mut call);
                settle().await;
            }
        }
        if matches!(state, State::Turn | State::Ready) {
            held = Some(permits.clone().try_acquire_owned().expect("the call waits without a permit"));
            tokens.open(1);
            settle().await;
            assert_waits(&mut call);
        }
        assert_eq!(api.seen().len(), state.attempts(), "{state:?}");
        drop(call);
        drop(held);
        settle().await;
        assert!(probe.is_dropped(), "{state:?}: the request's body");
        assert_eq!(permits.available_permits(), 1, "{state:?}");

        // The renewal belongs to nobody: what was asked for comes, and is the next call's.
        tokens.open(1);
        settle().await;
        assert_eq!(Handle::current().metrics().num_alive_tasks(), 0, "{state:?}");
        api.answer_next(greeting("Hello!"));
        GreeterClient::new(channel).greet(name("Ada")).await.expect("an answer");
        assert_eq!(tokens.fetches(), state.fetches(), "{state:?}");
        let last = api.authorizations().pop();
        assert_eq!(last, Some(format!("Bearer t{}", state.fetches())), "{state:?}");
    }
}

/// One of two is dropped while both wait for the same token.
#[tokio::test]
async fn f5_dropping_one_call_changes_nothing_for_the_other() {
    for answers in [vec![greeting("Hello!")], vec![trailers_only("16"), trailers_only("16"), greeting("Hello!")]] {
        let is_renewal = answers.len() > 1;
        let (tokens, api) = (Numbered::gated(usize::from(is_renewal)), Script::new(answers));
        let client = GreeterClient::new(layer(&tokens).grpc(api.clone()));
        let call = || {
            let mut client = client.clone();
            Box::pin(async move { client.greet(name("Ada")).await })
        };
        if is_renewal {
            tokens.cache.ready().await.expect("a token");
        }
        let (mut first, mut second) = (call(), call());
        assert_waits(&mut first);
        assert_waits(&mut second);
        drop(first);
        settle().await;
        assert_waits(&mut second);
        tokens.open(1);
        guarded(second).await.expect("an answer");
        assert_eq!(tokens.fetches(), if is_renewal { 2 } else { 1 });
    }
}

/// Takes every token but the first.
fn but_the_first(
    request: &Request<Body>,
) -> impl Future<Output = Result<http::Response<Body>, Status>> + Send + 'static + use<> {
    let is_dead = request.headers()[AUTHORIZATION] == "Bearer t1";
    async move {
        // All of them are under way before the first is answered.
        settle().await;
        Ok(if is_dead { refused() } else { greeted("Hello!") })
    }
}

#[tokio::test]
async fn f2_a_hundred_calls_with_one_dead_token_make_one_token_request() {
    for has_token in [true, false] {
        let tokens = Numbered::new();
        if has_token {
            tokens.cache.ready().await.expect("a token");
        }
        let channel = tower::service_fn(|request: Request<Body>| but_the_first(&request));
        let client = GreeterClient::new(layer(&tokens).grpc(channel));
        let calls = (0..100).map(|number| {
            let mut client = client.clone();
            async move { client.greet(name(format!("{number}"))).await }
        });
        let answers = guarded(futures_util::future::join_all(calls)).await;
        for answer in answers {
            assert_eq!(outcome(answer.expect("an answer").extensions()), "Retried");
        }
        assert_eq!(tokens.fetches(), 2, "the dead one, and one for all");
    }
}

/// Late refusals of a token that has been replaced take the new one.
#[tokio::test]
async fn f4_late_refusals_one_after_another_renew_nothing_more() {
    let tokens = Numbered::new();
    let (late, _) = tokio::sync::broadcast::channel::<()>(1);
    let channel = {
        let late = late.clone();
        tower::service_fn(move |request: Request<Body>| {
            let mut late = late.subscribe();
            async move {
                let is_late = request.headers().contains_key("x-late");
                if is_late && request.headers()[AUTHORIZATION] == "Bearer t1" {
                    late.recv().await.ok();
                }
                but_the_first(&request).await
            }
        })
    };
    let channel = layer(&tokens).grpc(channel);
    let mut slow: Vec<_> =
        (0..10).map(|_| Box::pin(channel.clone().oneshot(raw(GREET, &[("x-late", "yes")])))).collect();
    tokens.cache.ready().await.expect("a token");
    slow.iter_mut().for_each(assert_waits);
    let quick = guarded(channel.clone().oneshot(raw(GREET, &[]))).await.expect("a response");
    assert_eq!((outcome(quick.extensions()).as_str(), tokens.fetches()), ("Retried", 2));
    late.send(()).expect("they listen");
    for call in slow {
        let response = guarded(call).await.expect("a response");
        assert_eq!((outcome(response.extensions()).as_str(), tokens.fetches()), ("Retried", 2));
    }
}
