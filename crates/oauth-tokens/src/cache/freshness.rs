//! When a token is to be renewed, and when it is no longer used.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    AccessToken, TokenSet,
    clock::{after, jitter},
};

/// The longest refresh window: longer would only waste tokens.
const MAX_WINDOW: Duration = Duration::from_secs(600);
/// The longest skew between what the server and we call now, travel time included.
const MAX_SKEW: Duration = Duration::from_secs(10);
/// What is longer is as good as this, and leaves room to count in.
const MAX_LIFETIME: Duration = Duration::from_secs(365 * 24 * 3600);
/// A server or source that asks for renewals more often than this is not taken at its word.
const MIN_REFRESH_IN: Duration = Duration::from_secs(1);
/// How often a token without a lifetime is renewed while it is used.
pub(super) const UNKNOWN_LIFETIME: Duration = Duration::from_secs(3600);

/// A token, and the moments that matter.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) token: AccessToken,
    pub(super) refresh_at: Instant,
    /// A skew before it expires. None: until it is rejected.
    pub(super) usable_until: Option<Instant>,
    /// When it really expires.
    expires_at: Option<Instant>,
    /// What the server said it granted.
    pub(super) scope: Option<Box<str>>,
}

impl Entry {
    /// The moments of a token that was asked for at `since`.
    pub(super) fn new(tokens: &TokenSet, since: Instant) -> Self {
        let moments = Moments::of(tokens.expires_in, tokens.refresh_in);
        Self {
            token: tokens.access_token.clone(),
            refresh_at: after(since, moments.refresh_in + jitter(moments.spread)),
            usable_until: moments.usable_for.map(|usable| after(since, usable)),
            expires_at: tokens.expires_in.map(|lifetime| after(since, lifetime.min(MAX_LIFETIME))),
            scope: tokens.scope.as_deref().map(Into::into),
        }
    }

    /// A token that nothing ever renews.
    pub(super) fn fixed(token: AccessToken, now: Instant) -> Self {
        Self { token, refresh_at: after(now, Duration::MAX), usable_until: None, expires_at: None, scope: None }
    }

    pub(super) fn is_usable(&self, now: Instant) -> bool {
        self.usable_until.is_none_or(|until| now < until)
    }

    /// How long it takes to expire, past its use: it serves when nothing better can be had.
    pub(super) fn valid_for(&self, now: Instant) -> Option<Duration> {
        self.expires_at
            .map_or(Some(Duration::MAX), |expires_at| expires_at.checked_duration_since(now))
            .filter(|left| !left.is_zero())
    }
}

/// A `refresh_in` that can be gone by: neither so short that every call would renew, nor too long to count with.
pub(super) fn sane_refresh_in(refresh_in: Option<Duration>) -> Option<Duration> {
    refresh_in.filter(|refresh_in| *refresh_in >= MIN_REFRESH_IN).map(|refresh_in| refresh_in.min(MAX_LIFETIME))
}

/// The moments of a token, counted from when it was asked for.
#[derive(Debug, PartialEq)]
struct Moments {
    refresh_in: Duration,
    /// Uniform jitter over this span is added, so that a fleet that started together does not renew together.
    spread: Duration,
    usable_for: Option<Duration>,
}

impl Moments {
    fn of(expires_in: Option<Duration>, refresh_in: Option<Duration>) -> Self {
        let refresh_in = sane_refresh_in(refresh_in);
        let Some(lifetime) = expires_in else {
            let refresh_in = refresh_in.unwrap_or(UNKNOWN_LIFETIME);
            return Self { refresh_in, spread: refresh_in / 10, usable_for: None };
        };
        let lifetime = lifetime.min(MAX_LIFETIME);
        let skew = MAX_SKEW.min(lifetime / 20);
        let usable_for = lifetime - skew;
        let window = MAX_WINDOW.min(lifetime / 5);
        // A `refresh_in` that leaves no window is no help.
        let refresh_in = refresh_in.filter(|refresh_in| *refresh_in < usable_for).unwrap_or(lifetime - window);
        // Half of the window, but never so much that the token has had its use by then.
        let spread = ((lifetime - refresh_in) / 2).min(usable_for - refresh_in).min(refresh_in / 2);
        Self { refresh_in, spread, usable_for: Some(usable_for) }
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
            (Some(s(1)), None, ms(800), ms(100), Some(ms(950))),
            (Some(s(5)), None, s(4), ms(500), Some(ms(4750))),
            (Some(s(60)), None, s(48), s(6), Some(s(57))),
            (Some(s(3600)), None, s(3000), s(300), Some(s(3590))),
            (Some(s(86400)), None, s(85800), s(300), Some(s(86390))),
            (Some(s(3600)), Some(s(1800)), s(1800), s(900), Some(s(3590))),
            (Some(s(3600)), Some(s(60)), s(60), s(30), Some(s(3590))),
            (Some(s(3600)), Some(s(3600)), s(3000), s(300), Some(s(3590))),
            (Some(s(3600)), Some(s(7200)), s(3000), s(300), Some(s(3590))),
            (Some(s(3600)), Some(s(3585)), s(3585), s(5), Some(s(3590))),
            (Some(s(3600)), Some(s(0)), s(3000), s(300), Some(s(3590))),
            (Some(s(0)), None, s(0), s(0), Some(s(0))),
            (None, None, s(3600), s(360), None),
            (None, Some(s(60)), s(60), s(6), None),
        ];
        for (expires_in, refresh_in, from, spread, usable_for) in cases {
            let moments = Moments::of(expires_in, refresh_in);
            assert_eq!(moments, Moments { refresh_in: from, spread, usable_for }, "{expires_in:?} {refresh_in:?}");
        }
    }
}
