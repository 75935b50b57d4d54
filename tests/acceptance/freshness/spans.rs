//! A renewal belongs to nobody, so its span is nobody's child: whoever waits for it says so in its own.

use futures_util::{FutureExt, future::join_all};
use oauth_tokens::{Error, TokenCache};
use tests::{
    capture::Capture,
    source::{Answer, Source, settle, token, tokens},
};
use tokio::{runtime::Builder, time::advance};
use tracing::{
    Instrument, Subscriber,
    span::{Attributes, Id},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

use super::s;

#[tokio::test(start_paused = true)]
async fn waiting_requests_follow_the_one_renewal_that_they_wait_for() {
    let capture = Capture::start();
    let source = Source::by_hand();
    let cache = source.cache();
    let waiting = (0..3).map(|_| {
        let cache = cache.clone();
        tokio::spawn(async move { cache.token().await }.instrument(tracing::info_span!("request")))
    });
    let waiting: Vec<_> = waiting.collect();
    settle().await;
    source.next().await.answer(Ok(tokens("t", Some(s(60)))));
    join_all(waiting).await;
    let lines = capture.lines();
    let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert_eq!(count("span oauth.renewal"), 1, "{lines:#?}");
    assert_eq!(count("request follows oauth.renewal"), 3, "{lines:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_says_what_caused_it() {
    let capture = Capture::start();
    let mut number = 0;
    let source = Source::scripted(move |_| {
        number += 1;
        let mut tokens = tokens(&format!("t{number}"), Some(s(60)));
        tokens.refresh_in = Some(s(50));
        Answer::Now(Ok(tokens))
    });
    let cache = source.cache();
    let causes = || -> Vec<String> {
        let lines = capture.lines();
        let causes = lines.iter().filter_map(|line| line.split_once("span oauth.renewal cause="));
        causes.map(|(_, cause)| cause.to_owned()).collect()
    };
    cache.token().await.expect("a token");
    assert_eq!(causes(), ["cold"]);
    advance(s(55)).await;
    cache.token().await.expect("a token");
    settle().await;
    assert_eq!(causes()[1..], ["window"]);
    advance(s(60)).await;
    cache.token().await.expect("a token");
    assert_eq!(causes()[2..], ["expired"]);
    cache.renew(&token("t3")).await.expect("another");
    assert_eq!(causes()[3..], ["rejected"]);
    advance(s(20)).await;
    cache.token_valid_for(s(40)).await.expect("another");
    assert_eq!(causes()[4..], ["short"]);
    cache.keep_warm().expect("a runtime");
    advance(s(55)).await;
    settle().await;
    assert_eq!(causes()[5..], ["warm"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_warning() {
    let capture = Capture::start();
    let source = Source::scripted(|_| Answer::Now(Err(Error::source_failed("down"))));
    let cache = source.cache();
    for _ in 0..100 {
        cache.token().await.expect_err("down");
        advance(s(5)).await;
    }
    assert!(source.fetches() > 10);
    let warnings = capture.lines().into_iter().filter(|line| line.starts_with("WARN"));
    assert_eq!(warnings.count(), 1);
}

/// A subscriber that looks at the cache whenever a span begins or ends: a renewal's span does so under no lock.
struct Looks(TokenCache);

impl<S: Subscriber> Layer<S> for Looks {
    fn on_new_span(&self, _: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        let _ = self.0.status();
    }

    fn on_close(&self, _: Id, _: Context<'_, S>) {
        let _ = self.0.status();
    }
}

#[test]
fn a_subscriber_may_look_at_the_cache() {
    let source = Source::issuing(Some(s(60)));
    let cache = source.cache();
    let subscriber = tracing_subscriber::registry().with(Looks(cache.clone()));
    tracing::subscriber::with_default(subscriber, || {
        let paused = || Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        paused().block_on(async { cache.token().await.expect("a token") });
        // A renewal that ends with its runtime is found, and forgotten, by the next caller.
        source.follow(|_| Answer::Never);
        paused().block_on(async {
            advance(s(120)).await;
            assert!(cache.token().now_or_never().is_none());
            settle().await;
        });
        source.follow(|_| Answer::Now(Ok(tokens("new", Some(s(60))))));
        let renewed = paused().block_on(async {
            advance(s(120)).await;
            cache.token().await
        });
        assert_eq!(renewed.expect("a token").secret(), "new");
    });
}
