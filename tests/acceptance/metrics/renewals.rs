//! Renewals of cached tokens: what caused them, what they brought, and which were held.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use oauth_tokens::{Error, TokenCache, TokenSet};
use tests::{
    figures::Figures,
    source::{Answer, Source, settle, token, tokens},
};
use tokio::time::advance;

use super::s;

const RENEWALS: &str = "oauth.token.renewals";
const DURATION: &str = "oauth.token.renewal.duration";
const HELD: &str = "oauth.token.renewals.held";
const TIME_TO_EXPIRY: &str = "oauth.token.time_to_expiry";
const API: &str = "https://api.test";

async fn cached(lifetime: u64) -> (Source, TokenCache) {
    let source = Source::issuing(Some(s(lifetime)));
    let cache = source.cache();
    cache.ready().await.expect("a token");
    (source, cache)
}

/// One renewal, and what is said of it.
async fn renewed(cache: &TokenCache, how: impl AsyncFn(&TokenCache)) -> (String, Vec<f64>) {
    let figures = Figures::of(async {
        how(cache).await;
        settle().await;
    })
    .await;
    let counts = figures.counts(RENEWALS);
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [1], "{figures:?} {cache:?}");
    let labels = counts.keys().next().expect("one").to_string();
    assert_eq!(figures.measured(DURATION)[labels.as_str()].len(), 1);
    (labels, figures.measured(TIME_TO_EXPIRY).remove("").unwrap_or_default())
}

fn near(seconds: &[f64], expected: f64) -> bool {
    seconds.len() == 1 && (seconds[0] - expected).abs() < 0.01
}

#[tokio::test(start_paused = true)]
async fn renewals_are_counted_by_cause() {
    let cache = Source::issuing(Some(s(3600))).cache();
    let (labels, left) = renewed(&cache, async |cache| drop(cache.token().await)).await;
    assert_eq!((labels.as_str(), left.len()), ("cause=cold outcome=renewed", 0));

    let (_source, cache) = cached(3600).await;
    advance(s(3600)).await;
    let (labels, left) = renewed(&cache, async |cache| drop(cache.token().await)).await;
    assert!(labels == "cause=expired outcome=renewed" && near(&left, 0.0), "{labels} {left:?}");

    // Without the server's word, the first token may be due by then, by chance.
    let source = Source::scripted(|number| {
        let mut tokens = tokens(&format!("token-{number}"), Some(s(3600)));
        tokens.refresh_in = Some(s(2400));
        Answer::Now(Ok(tokens))
    });
    let cache = source.cache();
    cache.ready().await.expect("a token");
    advance(s(740)).await;
    let (labels, left) = renewed(&cache, async |cache| drop(cache.token_valid_for(s(3000)).await)).await;
    // Until it has had its use: 10 s before it expires.
    assert!(labels == "cause=short outcome=renewed" && near(&left, 2850.0), "{labels} {left:?}");

    let (_source, cache) = cached(3600).await;
    advance(s(3580)).await;
    let (labels, left) = renewed(&cache, async |cache| drop(cache.cached())).await;
    assert!(labels == "cause=window outcome=renewed" && near(&left, 10.0), "{labels} {left:?}");

    let (_source, cache) = cached(3600).await;
    let rejected = cache.cached().expect("a token");
    let renew = async |cache: &TokenCache| drop(cache.renew_for(API, &rejected).await);
    let (labels, left) = renewed(&cache, renew).await;
    assert!(labels == "cause=rejected outcome=renewed" && near(&left, 3590.0), "{labels} {left:?}");

    let (_source, cache) = cached(3600).await;
    let warm = async |cache: &TokenCache| {
        cache.keep_warm().expect("a runtime");
        settle().await;
        let before = cache.status().renewals;
        for _ in 0..60 {
            if cache.status().renewals == before {
                advance(s(60)).await;
                settle().await;
            }
        }
    };
    let (labels, _) = renewed(&cache, warm).await;
    assert_eq!(labels, "cause=warm outcome=renewed");
}

#[tokio::test(start_paused = true)]
async fn renewals_are_counted_by_what_they_brought() {
    type Brings = fn() -> Result<TokenSet, Error>;
    let answers: [(Brings, &str); 4] = [
        (|| Ok(tokens("another", Some(s(3600)))), "renewed"),
        (|| Ok(tokens("token-1", Some(s(3600)))), "unchanged"),
        (|| Err(Error::source_failed("down")), "source"),
        (|| Ok(tokens("expired", Some(s(0)))), "invalid_response"),
    ];
    for (answer, outcome) in answers {
        let (source, cache) = cached(3600).await;
        source.follow(move |_| Answer::Now(answer()));
        advance(s(3580)).await;
        let (labels, left) = renewed(&cache, async |cache| drop(cache.cached())).await;
        assert_eq!(labels, format!("cause=window outcome={outcome}"));
        assert_eq!(left.len(), usize::from(outcome == "renewed"), "only what was replaced is measured");
    }
}

/// F10, F11: what the storm guard holds, by why.
#[tokio::test(start_paused = true)]
async fn held_rejections_are_counted() {
    let (_source, cache) = cached(3600).await;
    let mut token = cache.cached().expect("a token");
    let figures = Figures::of(async {
        token = cache.renew_for(API, &token).await.expect("another");
        for _ in 0..3 {
            cache.renew_for(API, &token).await.expect_err("held");
        }
    })
    .await;
    assert_eq!(figures.counts(HELD), BTreeMap::from([("reason=uncured", 3)]));
    let figures = Figures::of(async {
        for _ in 0..30 {
            cache.accepted(API, &cache.cached().expect("a token"));
            let token = cache.cached().expect("a token");
            let _ = cache.renew_for(API, &token).await;
        }
    })
    .await;
    assert!(figures.counts(HELD)["reason=budget"] >= 10, "{figures:?}");
}

/// What a token of no lifetime had left, is no figure; and the fresh path says nothing at all.
#[tokio::test(start_paused = true)]
async fn nothing_is_told_of_what_did_not_happen() {
    let source = Source::issuing(None);
    let cache = source.cache();
    cache.ready().await.expect("a token");
    let (labels, left) = renewed(&cache, async |cache| drop(cache.renew_for(API, &token("token-1")).await)).await;
    assert_eq!((labels.as_str(), left.len()), ("cause=rejected outcome=renewed", 0));
    let figures = Figures::of(async {
        for _ in 0..1000 {
            let token = cache.token().now_or_never().expect("at once").expect("a token");
            cache.accepted("https://other.test", &token);
        }
    })
    .await;
    assert_eq!(figures.iter().count(), 0);
}
