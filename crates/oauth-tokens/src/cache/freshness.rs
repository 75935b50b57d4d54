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
/// How often a token without a lifetime is renewed while it is used.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(3600);

/// A token, and the moments that matter.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) token: AccessToken,
    pub(super) refresh_at: Instant,
    /// A skew before it expires. None: until it is rejected.
    pub(super) usable_until: Option<Instant>,
    /// When it really expires.
    expires_at: Option<Instant>,
}

impl Entry {
    /// The moments of a token that was asked for at `since`.
    pub(super) fn new(tokens: &TokenSet, since: Instant) -> Self {
        let moments = Moments::of(tokens.expires_in, tokens.refresh_in);
        Self {
            token: tokens.access_token.clone(),
            refresh_at: after(since, moments.refresh_in + jitter(moments.spread)),
            usable_until: moments.usable_for.map(|usable| after(since, usable)),
            expires_at: tokens.expires_in.map(|lifetime| after(since, lifetime)),
        }
    }

    /// A token that nothing ever renews.
    pub(super) fn fixed(token: AccessToken, now: Instant) -> Self {
        Self { token, refresh_at: after(now, Duration::MAX), usable_until: None, expires_at: None }
    }

    pub(super) fn is_usable(&self, now: Instant) -> bool {
        self.usable_until.is_none_or(|until| now < until)
    }

    /// Past its use, and not expired yet: what there is when nothing better can be had.
    pub(super) fn is_valid(&self, now: Instant) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
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
        let Some(lifetime) = expires_in else {
            let refresh_in = refresh_in.unwrap_or(UNKNOWN_LIFETIME);
            return Self { refresh_in, spread: refresh_in / 10, usable_for: None };
        };
        let skew = MAX_SKEW.min(lifetime / 20);
        let window = MAX_WINDOW.min(lifetime / 5);
        // A `refresh_in` that leaves no window is no help.
        let refresh_in = refresh_in.filter(|refresh_in| *refresh_in + skew < lifetime).unwrap_or(lifetime - window);
        Self {
            refresh_in,
            spread: ((lifetime - refresh_in) / 2).min(refresh_in / 2),
            usable_for: Some(lifetime - skew),
        }
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
