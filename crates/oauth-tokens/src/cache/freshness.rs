//! When a token is to be renewed, and when it is no longer used.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::{
    AccessToken, TokenSet,
    clock::{Tick, after, jitter},
};

/// The longest refresh window: longer would only waste tokens. The window is a third of a token's life, so that an outage of ten
/// minutes costs nobody a token that lives for an hour, and leaves ten more to come back in.
const MAX_WINDOW: Duration = Duration::from_secs(3600);
/// The longest skew between what the server and we call now, travel time included.
const MAX_SKEW: Duration = Duration::from_secs(10);
/// What is longer is as good as this, and leaves room to count in.
const MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// A server or source that asks for renewals more often than this is not taken at its word.
const MIN_REFRESH_IN: Duration = Duration::from_secs(1);
/// How often a token without a lifetime is renewed while it is used.
pub(super) const UNKNOWN_LIFETIME: Duration = Duration::from_secs(3600);

/// A token, and the moments that matter. There are as many as tokens, so most are kept as spans.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) token: AccessToken,
    pub(super) refresh_at: Instant,
    /// The same moment, by the clock that every call looks at.
    pub(super) fresh_until: Tick,
    /// How long after `refresh_at` it is used, in nanoseconds. None: until it is rejected.
    usable_ns: Option<NonZeroU64>,
    /// How long after that it really expires.
    skew_us: u32,
    /// How long all in all it is used; more than 49 days are as good as that.
    lifetime_ms: u32,
    /// What the server said it granted.
    scope: Option<Box<Box<str>>>,
}

impl Entry {
    /// The moments of a token that was asked for at `since`.
    ///
    /// In a hurry, as there was none that could be used, or none could be had for a while: perhaps a whole fleet asked at that
    /// moment, after a deployment, an outage or a revocation. So that it does not ask all at once the next time too, such a token
    /// is renewed early, by chance.
    pub(super) fn new(tokens: &TokenSet, since: Instant, in_a_hurry: bool) -> Self {
        let age = tokens.age;
        let (lifetime, mut moments) = Moments::of_set(tokens);
        if in_a_hurry && age.is_zero() {
            moments = moments.spread_out();
        }
        let renewed_after = (moments.refresh_in + jitter(moments.spread)).saturating_sub(age);
        let usable_for = moments.usable_for.map(|usable| usable.saturating_sub(age));
        let skew = lifetime.zip(moments.usable_for).map(|(lifetime, usable)| lifetime.min(MAX_LIFETIME) - usable);
        // Never after its use: what is left of a token from elsewhere may be less than its window.
        let refresh_at = after(since, usable_for.map_or(renewed_after, |usable| renewed_after.min(usable)));
        Self {
            token: tokens.access_token.clone(),
            refresh_at,
            fresh_until: Tick::at(refresh_at),
            usable_ns: usable_for.map(|usable| nanoseconds(usable.saturating_sub(renewed_after))),
            skew_us: skew.map_or(0, |skew| u32::try_from(skew.as_micros()).unwrap_or(u32::MAX)),
            lifetime_ms: moments
                .usable_for
                .map_or(u32::MAX, |usable| u32::try_from(usable.as_millis()).unwrap_or(u32::MAX)),
            scope: tokens.scope.as_deref().map(|scope| Box::new(scope.into())),
        }
    }

    /// A token that nothing ever renews.
    pub(super) fn fixed(token: AccessToken, now: Instant) -> Self {
        let refresh_at = after(now, Duration::MAX);
        let fresh_until = Tick::at(refresh_at);
        Self { token, refresh_at, fresh_until, usable_ns: None, skew_us: 0, lifetime_ms: u32::MAX, scope: None }
    }

    /// A skew before it expires. None: it is used until it is rejected.
    pub(super) fn usable_until(&self) -> Option<Instant> {
        self.usable_ns.map(|usable| after(self.refresh_at, Duration::from_nanos(usable.get() - 1)))
    }

    pub(super) fn is_usable(&self, now: Instant) -> bool {
        self.usable_until().is_none_or(|until| now < until)
    }

    /// Whether it can be used for so long; or for most of what tokens of this kind live, if that is less.
    pub(super) fn lasts(&self, wanted: Duration, now: Instant) -> bool {
        let most = Duration::from_millis(self.lifetime_ms.into()).mul_f64(0.8);
        self.usable_until().is_none_or(|until| until.saturating_duration_since(now) >= wanted.min(most))
    }

    /// How long it takes to expire, past its use: it serves when nothing better can be had.
    pub(super) fn valid_for(&self, now: Instant) -> Option<Duration> {
        let skew = Duration::from_micros(self.skew_us.into());
        self.usable_until()
            .map_or(Some(Duration::MAX), |until| after(until, skew).checked_duration_since(now))
            .filter(|left| !left.is_zero())
    }

    pub(super) fn scope(&self) -> Option<&str> {
        self.scope.as_deref().map(|scope| &**scope)
    }
}

/// For a token that a store keeps: after how long it is due, and for how long it is used, counted from its issue.
#[cfg(feature = "store")]
pub(crate) fn due_and_used(expires_in: Option<Duration>, refresh_in: Option<Duration>) -> (Duration, Option<Duration>) {
    let moments = Moments::of(expires_in, refresh_in);
    (moments.refresh_in, moments.usable_for)
}

/// One more than the span has: a span of none is one, too.
fn nanoseconds(span: Duration) -> NonZeroU64 {
    NonZeroU64::MIN.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

/// A `refresh_in` that can be gone by: neither so short that every call would renew, nor too long to count with.
pub(super) fn sane_refresh_in(refresh_in: Option<Duration>) -> Option<Duration> {
    refresh_in.filter(|refresh_in| *refresh_in >= MIN_REFRESH_IN).map(|refresh_in| refresh_in.min(MAX_LIFETIME))
}

/// The moments of a token, counted from when it was asked for.
#[derive(Debug, PartialEq)]
struct Moments {
    refresh_in: Duration,
    /// Whether it follows from the lifetime; else the server said so, or nobody knows.
    is_worked_out: bool,
    /// Uniform jitter over this span is added, so that a fleet that started together does not renew together.
    spread: Duration,
    usable_for: Option<Duration>,
}

impl Moments {
    /// With the lifetime from which they follow: that from its issue, not what is left of it.
    fn of_set(tokens: &TokenSet) -> (Option<Duration>, Self) {
        let from_issue = |left: Duration| left.saturating_add(tokens.age);
        let lifetime = tokens.expires_in.map(from_issue);
        (lifetime, Self::of(lifetime, tokens.refresh_in.map(from_issue)))
    }

    fn of(expires_in: Option<Duration>, refresh_in: Option<Duration>) -> Self {
        let refresh_in = sane_refresh_in(refresh_in);
        let Some(lifetime) = expires_in else {
            let refresh_in = refresh_in.unwrap_or(UNKNOWN_LIFETIME);
            return Self { refresh_in, is_worked_out: false, spread: refresh_in / 10, usable_for: None };
        };
        let lifetime = lifetime.min(MAX_LIFETIME);
        let skew = MAX_SKEW.min(lifetime / 20);
        let usable_for = lifetime - skew;
        let window = MAX_WINDOW.min(lifetime / 3);
        // A `refresh_in` that leaves no window is no help.
        let asked = refresh_in.filter(|refresh_in| *refresh_in < usable_for);
        let refresh_in = asked.unwrap_or(lifetime - window);
        // An eighth of the window: enough for a fleet that is not in step, and most of the window is left for a second try. But
        // never so much that the token has had its use by then.
        let spread = ((lifetime - refresh_in) / 8).min(usable_for - refresh_in).min(refresh_in / 2);
        Self { refresh_in, is_worked_out: asked.is_none(), spread, usable_for: Some(usable_for) }
    }

    /// The same, renewed at any moment from a tenth of the usual time on, if nobody asked for a certain one: that is nearly a whole
    /// period, so a fleet that began all at once is as even as one that did not.
    fn spread_out(self) -> Self {
        if !self.is_worked_out {
            return self;
        }
        let latest = self.refresh_in + self.spread;
        let refresh_in = latest / 10;
        Self { refresh_in, spread: latest - refresh_in, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F12: each lifetime renews at a sane point, and none on every call.
    #[test]
    fn f12_moments_of_short_long_and_unknown_lifetimes() {
        let ms = Duration::from_millis;
        let s = Duration::from_secs;
        let cases = [
            // expires_in, refresh_in, renewed from, spread, usable for
            (Some(ms(1500)), None, s(1), ms(500) / 8, Some(ms(1425))),
            (Some(s(6)), None, s(4), ms(250), Some(ms(5700))),
            (Some(s(60)), None, s(40), ms(2500), Some(s(57))),
            (Some(s(3600)), None, s(2400), s(150), Some(s(3590))),
            (Some(s(86400)), None, s(82800), s(450), Some(s(86390))),
            (Some(s(3600)), Some(s(1800)), s(1800), s(225), Some(s(3590))),
            (Some(s(3600)), Some(s(60)), s(60), s(30), Some(s(3590))),
            (Some(s(3600)), Some(s(3600)), s(2400), s(150), Some(s(3590))),
            (Some(s(3600)), Some(s(7200)), s(2400), s(150), Some(s(3590))),
            (Some(s(3600)), Some(s(3588)), s(3588), ms(1500), Some(s(3590))),
            (Some(s(3600)), Some(s(0)), s(2400), s(150), Some(s(3590))),
            (Some(s(0)), None, s(0), s(0), Some(s(0))),
            (None, None, s(3600), s(360), None),
            (None, Some(s(60)), s(60), s(6), None),
        ];
        for (expires_in, refresh_in, from, spread, usable_for) in cases {
            let moments = Moments::of(expires_in, refresh_in);
            let found = (moments.refresh_in, moments.spread, moments.usable_for);
            assert_eq!(found, (from, spread, usable_for), "{expires_in:?} {refresh_in:?}");
        }
    }
}
