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
    /// The earliest and the latest moment of the background renewal, of a token that replaces a good one.
    refresh: (Duration, Duration),
    usable_for: Option<Duration>,
}

impl Case {
    /// Of a token that replaces none: from a tenth of the usual time on, unless the server says when.
    fn refresh_of_first(&self) -> (Duration, Duration) {
        let (from, to) = self.refresh;
        let server_says = self.refresh_in.is_some_and(|refresh_in| self.lifetime.is_none_or(|all| refresh_in < all));
        if self.lifetime.is_none() || server_says { (from, to) } else { (to / 10, to) }
    }
}

/// The defaults, worked out: the window is min(a third, 1 h) or what the server says, the jitter is its first eighth, the skew
/// min(5 %, 10 s).
fn cases() -> Vec<Case> {
    let case =
        |lifetime, refresh_in, from, to, usable_for| Case { lifetime, refresh_in, refresh: (from, to), usable_for };
    vec![
        case(Some(ms(1200)), None, ms(800), ms(850), Some(ms(1140))),
        case(Some(s(6)), None, s(4), ms(4250), Some(ms(5700))),
        case(Some(s(60)), None, s(40), ms(42_500), Some(s(57))),
        // The skew's two rules meet at 200 s, the window's at three hours.
        case(Some(s(200)), Some(s(160)), s(160), s(165), Some(s(190))),
        case(Some(HOUR * 3), None, HOUR * 2, HOUR * 2 + s(450), Some(HOUR * 3 - s(10))),
        case(Some(HOUR), None, s(2400), s(2550), Some(s(3590))),
        case(Some(s(86400)), None, s(82800), s(83250), Some(s(86390))),
        // The server's `refresh_in`, if it leaves a window.
        case(Some(s(86400)), Some(s(43200)), s(43200), s(48600), Some(s(86390))),
        case(Some(HOUR), Some(s(3400)), s(3400), s(3425), Some(s(3590))),
        case(Some(HOUR), Some(HOUR), s(2400), s(2550), Some(s(3590))),
        case(Some(HOUR), Some(s(7200)), s(2400), s(2550), Some(s(3590))),
        // Without a lifetime: hourly, or when the server says.
        case(None, None, s(3600), s(3960), None),
        case(None, Some(s(60)), s(60), s(66), None),
    ]
}

/// Uniform over that range: that 200 of them miss a tenth of it has odds of one to a thousand million.
fn assert_uniform(seen: &[Duration], (from, to): (Duration, Duration), what: &str) {
    let (least, most) = (*seen.iter().min().expect("some"), *seen.iter().max().expect("some"));
    assert!(from <= least && most <= to, "{what}: {least:?} to {most:?}");
    let tenth = (to - from) / 10;
    assert!(least < from + tenth && most > to - tenth, "{what}: {least:?} to {most:?}");
}

#[tokio::test(start_paused = true)]
async fn f12_jitter_is_uniform_over_the_first_eighth_of_the_window() {
    for case in cases() {
        let Case { lifetime, refresh_in, refresh, .. } = case;
        let what = format!("{lifetime:?} {refresh_in:?}");
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let (source, cache) = holding(refreshed_in(lifetime, refresh_in)).await;
            first.push(cache.status().refresh_in.expect("a token"));
            advance(first[first.len() - 1]).await;
            assert!(cache.cached().is_some(), "{what}: in the window");
            let mut next = refreshed_in(lifetime, refresh_in);
            next.access_token = tests::source::token("next");
            source.next().await.answer(Ok(next));
            settle().await;
            second.push(cache.status().refresh_in.expect("a token"));
        }
        assert_uniform(&first, case.refresh_of_first(), &format!("{what}, the first"));
        assert_uniform(&second, refresh, &format!("{what}, the second"));
    }
}

/// A whole fleet may have asked for it at the same moment, and must not do so again.
#[tokio::test(start_paused = true)]
async fn f12_the_successor_of_a_rejected_or_expired_token_is_renewed_early_by_chance() {
    for rejected in [true, false] {
        let mut seen = Vec::new();
        for _ in 0..200 {
            let source = Source::issuing(Some(HOUR));
            let cache = source.cache();
            let first = cache.token().await.expect("a token");
            if rejected {
                cache.renew_for("https://api.example.com", &first).await.expect("another");
            } else {
                advance(HOUR).await;
                cache.token().await.expect("another");
            }
            assert_eq!(source.fetches(), 2);
            seen.push(cache.status().refresh_in.expect("a token"));
        }
        assert_uniform(&seen, (s(255), s(2550)), if rejected { "rejected" } else { "expired" });
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
            Some(lifetime) => (lifetime * 2 / 3, lifetime * 17 / 24),
            None => (HOUR, HOUR * 11 / 10),
        };
        // The first token, and the first that replaces it, come early.
        let most = during.div_duration_f64(earliest).ceil() as usize + 2;
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
