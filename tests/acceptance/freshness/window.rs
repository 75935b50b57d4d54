//! When a token is renewed, and when it is no longer used: each rule at its moment and a tick either side.

use std::time::Duration;

use oauth_tokens::{TokenCache, TokenSet};
use tests::source::{Answer, Source, settle, tokens};
use tokio::time::{Instant, advance};

use super::{HOUR, TICK, ms, s};

/// A cache whose first token is this one, and whose later fetches wait for the test.
async fn holding(first: TokenSet) -> (Source, TokenCache) {
    let mut first = Some(first);
    let source = Source::scripted(move |_| first.take().map_or(Answer::ByHand, |tokens| Answer::Now(Ok(tokens))));
    let cache = source.cache();
    cache.ready().await.expect("a first token");
    (source, cache)
}

fn refreshed_in(lifetime: Option<Duration>, refresh_in: Option<Duration>) -> TokenSet {
    let mut tokens = tokens("t", lifetime);
    tokens.refresh_in = refresh_in;
    tokens
}

struct Case {
    lifetime: Option<Duration>,
    refresh_in: Option<Duration>,
    /// The earliest and the latest moment of the background renewal.
    refresh: (Duration, Duration),
    usable_for: Option<Duration>,
}

/// The defaults table, worked out: the window is min(20 %, 10 min) or what the server says, the jitter is its first half,
/// the skew min(5 %, 10 s).
fn cases() -> Vec<Case> {
    let case =
        |lifetime, refresh_in, from, to, usable_for| Case { lifetime, refresh_in, refresh: (from, to), usable_for };
    vec![
        case(Some(s(1)), None, ms(800), ms(900), Some(ms(950))),
        case(Some(s(5)), None, s(4), ms(4500), Some(ms(4750))),
        case(Some(s(60)), None, s(48), s(54), Some(s(57))),
        // The skew's two rules meet at 200 s, the window's at 3000 s.
        case(Some(s(200)), None, s(160), s(180), Some(s(190))),
        case(Some(s(3000)), None, s(2400), s(2700), Some(s(2990))),
        case(Some(HOUR), None, s(3000), s(3300), Some(s(3590))),
        case(Some(s(86400)), None, s(85800), s(86100), Some(s(86390))),
        // The server's `refresh_in`, if it leaves a window.
        case(Some(s(86400)), Some(s(43200)), s(43200), s(64800), Some(s(86390))),
        case(Some(HOUR), Some(s(3400)), s(3400), s(3500), Some(s(3590))),
        case(Some(HOUR), Some(HOUR), s(3000), s(3300), Some(s(3590))),
        case(Some(HOUR), Some(s(7200)), s(3000), s(3300), Some(s(3590))),
        // Without a lifetime: hourly, or when the server says.
        case(None, None, s(3600), s(3960), None),
        case(None, Some(s(60)), s(60), s(66), None),
    ]
}

#[tokio::test(start_paused = true)]
async fn f12_jitter_is_uniform_over_the_first_half_of_the_window() {
    for Case { lifetime, refresh_in, refresh: (from, to), .. } in cases() {
        let mut seen = Vec::new();
        for _ in 0..200 {
            let (_, cache) = holding(refreshed_in(lifetime, refresh_in)).await;
            seen.push(cache.status().refresh_in.expect("a token"));
        }
        let (least, most) = (*seen.iter().min().expect("some"), *seen.iter().max().expect("some"));
        assert!(from <= least && most <= to, "{lifetime:?} {refresh_in:?}: {least:?} to {most:?}");
        // Uniform: that 200 of them miss a tenth of the range has odds of one to a thousand million.
        let tenth = (to - from) / 10;
        assert!(least < from + tenth && most > to - tenth, "{lifetime:?} {refresh_in:?}: {least:?} to {most:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn f12_the_background_renewal_begins_at_its_moment_and_not_a_tick_before() {
    for Case { lifetime, refresh_in, .. } in cases() {
        let what = format!("{lifetime:?} {refresh_in:?}");
        let (source, cache) = holding(refreshed_in(lifetime, refresh_in)).await;
        advance(cache.status().refresh_in.expect("a token") - TICK).await;
        assert!(cache.cached().is_some(), "{what}");
        settle().await;
        assert_eq!(source.fetches(), 1, "{what}: a tick before");

        advance(TICK).await;
        assert!(cache.cached().is_some(), "{what}: still used");
        settle().await;
        assert_eq!(source.fetches(), 2, "{what}: at the moment");

        advance(TICK).await;
        assert!(cache.cached().is_some(), "{what}: still used");
        settle().await;
        assert_eq!(source.fetches(), 2, "{what}: one renewal, not one for each call");
        source.next().await.answer(Ok(tokens("new", Some(HOUR))));
        settle().await;
        assert_eq!(cache.cached().expect("a token").secret(), "new", "{what}");
        assert_eq!(cache.status().renewals, 2, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn f8_a_token_is_used_to_the_last_tick_and_not_at_its_expiry() {
    for Case { lifetime, refresh_in, usable_for, .. } in cases() {
        let what = format!("{lifetime:?} {refresh_in:?}");
        let (source, cache) = holding(refreshed_in(lifetime, refresh_in)).await;
        assert_eq!(cache.status().expires_in, usable_for, "{what}");
        let Some(usable_for) = usable_for else {
            // Served until it is rejected.
            advance(s(365 * 86400)).await;
            assert!(cache.cached().is_some(), "{what}: a year later");
            continue;
        };
        advance(usable_for - TICK).await;
        assert!(cache.cached().is_some(), "{what}: a tick before");
        assert!(cache.status().usable, "{what}: a tick before");
        advance(TICK).await;
        assert!(cache.cached().is_none(), "{what}: at expiry");
        assert!(!cache.status().usable, "{what}: at expiry");

        let waiter = tokio::spawn({
            let cache = cache.clone();
            async move { cache.token().await }
        });
        settle().await;
        assert!(!waiter.is_finished(), "{what}: it waits for a new one");
        source.next().await.answer(Ok(tokens("new", Some(HOUR))));
        assert_eq!(waiter.await.expect("no panic").expect("a token").secret(), "new", "{what}");
        assert_eq!(source.fetches(), 2, "{what}: it joined the renewal that the last call began");
    }
}

/// The lifetime counts from when the token was asked for: how long the answer travelled is not added.
#[tokio::test(start_paused = true)]
async fn f12_the_lifetime_counts_from_the_request() {
    let source = Source::by_hand();
    let cache = source.cache();
    let waiter = tokio::spawn({
        let cache = cache.clone();
        async move { cache.token().await }
    });
    let fetch = source.next().await;
    advance(s(7)).await;
    fetch.answer(Ok(tokens("t", Some(s(60)))));
    waiter.await.expect("no panic").expect("a token");
    assert_eq!(cache.status().expires_in, Some(s(57 - 7)));
}

#[tokio::test(start_paused = true)]
async fn f12_a_token_in_use_is_renewed_once_for_each_lifetime() {
    // (lifetime, a call every, for how long, at least and at most so many renewals)
    let cases = [
        (Some(s(1)), ms(10), s(60)),
        (Some(s(5)), ms(50), s(300)),
        (Some(s(60)), ms(500), HOUR),
        (Some(HOUR), s(20), s(86400)),
        (None, s(20), s(86400)),
    ];
    for (lifetime, every, during) in cases {
        let source = Source::issuing(lifetime);
        let cache = source.cache();
        let began = Instant::now();
        while began.elapsed() < during {
            cache.token().await.expect("a token at all times");
            advance(every).await;
        }
        let (earliest, latest) = match lifetime {
            Some(lifetime) if lifetime == HOUR => (s(3000), s(3300)),
            Some(lifetime) => (lifetime * 8 / 10, lifetime * 9 / 10),
            None => (HOUR, HOUR * 11 / 10),
        };
        let most = during.div_duration_f64(earliest).ceil() as usize + 1;
        let least = during.div_duration_f64(latest + every * 2).floor() as usize;
        let fetches = source.fetches();
        assert!((least..=most).contains(&fetches), "{lifetime:?}: {least} <= {fetches} <= {most}");
    }
}

/// A caller never waits for a renewal in the window: it waits only when there is nothing left to use.
#[tokio::test(start_paused = true)]
async fn f8_in_the_window_nobody_waits_for_the_renewal() {
    use futures_util::FutureExt;

    let (source, cache) = holding(tokens("t", Some(s(60)))).await;
    advance(s(55)).await;
    for _ in 0..1000 {
        let at_once = cache.token().now_or_never().expect("ready at once");
        assert_eq!(at_once.expect("a token").secret(), "t");
    }
    settle().await;
    assert_eq!(source.fetches(), 2);
}
