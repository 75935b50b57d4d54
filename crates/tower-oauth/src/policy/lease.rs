//! What a request under way holds of its layer: borrowed, where a service has it at hand, or its own.
//!
//! A service keeps at hand what its last request needed: the token in a copy of its own ([`TokenCopy`]), policy and route with
//! it. The next request to the same place takes a reference to that, and leaves alone whatever other threads write to. So a
//! second thread doubles the throughput; where clones of a service share what the first one has, it brings half as much again.

use std::{mem, sync::Arc, time::Duration};

use oauth_tokens::{AccessToken, TokenCache, TokenCopy};

use super::{Policy, Protection, Route, Tokens, is_plain};
use crate::{TokenOptions, message::sealed};

/// What a request holds of its layer.
pub(crate) enum Lease {
    Lent(Arc<AtHand>),
    Own {
        policy: Arc<Policy>,
        tokens: TokenCache,
        route: u32,
        /// In milliseconds, so long the token is to live at least.
        valid_for: u32,
    },
}

impl Lease {
    /// What is longer than 49 days is as good as that.
    pub(super) fn own(policy: Arc<Policy>, tokens: TokenCache, route: usize, valid_for: Option<Duration>) -> Self {
        let valid_for = valid_for.map_or(0, |span| u32::try_from(span.as_millis()).unwrap_or(u32::MAX).max(1));
        Self::Own { policy, tokens, route: u32::try_from(route).unwrap_or(u32::MAX), valid_for }
    }

    pub(super) fn policy(&self) -> &Arc<Policy> {
        match self {
            Self::Lent(at_hand) => &at_hand.policy,
            Self::Own { policy, .. } => policy,
        }
    }

    pub(super) fn tokens(&self) -> &TokenCache {
        match self {
            Self::Lent(at_hand) => at_hand.copy.cache(),
            Self::Own { tokens, .. } => tokens,
        }
    }

    pub(super) fn route(&self) -> usize {
        match self {
            Self::Lent(at_hand) => at_hand.route,
            Self::Own { route, .. } => *route as usize,
        }
    }

    /// How long the token is to live at least.
    pub(super) fn valid_for(&self) -> Option<Duration> {
        match self {
            Self::Lent(_) | Self::Own { valid_for: 0, .. } => None,
            Self::Own { valid_for, .. } => Some(Duration::from_millis((*valid_for).into())),
        }
    }
}

/// A token, and where it may go: what is needed to send the next request to the same place.
pub(crate) struct AtHand {
    copy: TokenCopy,
    policy: Arc<Policy>,
    route: usize,
}

impl AtHand {
    /// Only tokens that every request to the route has are kept, where requests can be seen to be for it at a glance. A pool's
    /// are not: it could not let go of them.
    fn of(protection: &Protection) -> Option<Self> {
        let (policy, route) = (protection.policy(), protection.lease.route());
        let Route { tokens: Tokens::Cache(tokens), usual_form: Some(_), .. } = &policy.routes[route] else {
            return None;
        };
        if !protection.tokens().is_clone_of(tokens) {
            return None;
        }
        Some(Self { copy: tokens.copy()?, policy: Arc::clone(policy), route })
    }

    #[inline]
    pub(crate) fn token(&self) -> &AccessToken {
        self.copy.last_token()
    }

    /// Whether [`Policy::admit`] would come to this token, without a word of the caller's own to heed: a request that is written
    /// as nearly all are.
    #[inline]
    fn serves<R: sealed::Request>(&self, request: &R) -> bool {
        self.policy.leads_plainly_to(&self.policy.routes[self.route], request)
            && is_plain(request.headers())
            && request.extensions().and_then(|extensions| extensions.get::<TokenOptions>()).is_none()
            && self.copy.token().is_some()
    }
}

/// What a service has at hand for its next request. Clones of a service begin with what the first one has; a service that is
/// used once, as clones often are, makes no copy for that.
#[derive(Default)]
pub(crate) enum Hand {
    #[default]
    New,
    /// It has been used; the next time is worth a copy.
    Used,
    Borrowed(Arc<AtHand>),
    Own(Arc<AtHand>),
}

impl Hand {
    /// What a request needs, if that is at hand.
    #[inline]
    pub(crate) fn lend<R: sealed::Request>(&mut self, request: &R) -> Option<Arc<AtHand>> {
        match self {
            Self::Own(at_hand) if at_hand.serves(request) => Some(Arc::clone(at_hand)),
            Self::Borrowed(at_hand) if at_hand.serves(request) => match mem::replace(self, Self::Used) {
                Self::Borrowed(at_hand) => Some(at_hand),
                _ => None,
            },
            _ => None,
        }
    }

    /// Takes note of a request that was not served from here. What another route's requests are served from stays.
    pub(crate) fn note(&mut self, protection: &Protection) {
        match self {
            Self::New | Self::Borrowed(_) => *self = Self::Used,
            Self::Own(at_hand) if at_hand.copy.token().is_some() => {}
            Self::Used | Self::Own(_) => {
                *self = AtHand::of(protection).map_or(Self::Used, |at_hand| Self::Own(Arc::new(at_hand)));
            }
        }
    }
}

impl Clone for Hand {
    fn clone(&self) -> Self {
        match self {
            Self::Borrowed(at_hand) | Self::Own(at_hand) if at_hand.copy.token().is_some() => {
                Self::Borrowed(Arc::clone(at_hand))
            }
            Self::New | Self::Used | Self::Borrowed(_) | Self::Own(_) => Self::New,
        }
    }
}
