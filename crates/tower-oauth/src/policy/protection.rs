//! A request to a protected origin: its tokens, and the proofs that go with them.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use oauth_tokens::{AccessToken, Proof, Rejection, TokenCache};

use super::{AtHand, Lease, Policy, Route, Verdict};
use crate::{
    Error, ErrorKind, NotReplayable, NotRetried, Origin,
    deadline::Deadline,
    message::sealed,
    target::{Destination, Located},
};

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// A request to a protected origin: which origin, which tokens.
pub(crate) struct Protection {
    pub(super) lease: Lease,
    pub(super) deadline: Deadline,
}

/// What has been tried for a request; each is tried once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    pub(crate) renewal: bool,
    /// Another proof, with the nonce that the API asked for (RFC 9449, section 9).
    pub(crate) nonce: bool,
    pub(crate) step_up: bool,
    resends: u8,
}

impl Tried {
    pub(crate) fn anything(self) -> bool {
        self.resends > 0
    }

    /// How often the request was sent again.
    pub(crate) fn resends(self) -> u8 {
        self.resends
    }

    /// What a verdict has tried next.
    pub(crate) fn note(&mut self, verdict: &Verdict) {
        self.resends += 1;
        match verdict {
            Verdict::Renew(_) => self.renewal = true,
            Verdict::ProveAgain(_) => self.nonce = true,
            // The stronger token may be bound to another key, which knows no nonce yet.
            Verdict::StepUp(_) => (self.step_up, self.nonce) = (true, false),
            Verdict::Return | Verdict::Refused | Verdict::Leave(_) => {}
        }
    }
}

/// The token of an attempt.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) token: AccessToken,
    pub(crate) proven: Option<Proven>,
}

/// What the proof of possession of an attempt was made for.
#[derive(Debug)]
pub(crate) struct Proven {
    url: String,
    /// That the proof held.
    nonce: Option<String>,
}

impl Protection {
    /// The token is [at hand](AtHand::token).
    pub(crate) fn lent(at_hand: Arc<AtHand>, deadline: Deadline) -> Self {
        Self { lease: Lease::Lent(at_hand), deadline }
    }

    /// The token that came with the lease, if one did.
    pub(crate) fn lent_token(&self) -> Option<&AccessToken> {
        match &self.lease {
            Lease::Lent(at_hand) => Some(at_hand.token()),
            Lease::Own { .. } => None,
        }
    }

    pub(super) fn policy(&self) -> &Arc<Policy> {
        self.lease.policy()
    }

    pub(super) fn tokens(&self) -> &TokenCache {
        self.lease.tokens()
    }

    /// The token in memory, if it will do for the request.
    pub(crate) fn cached(&self) -> Option<AccessToken> {
        if self.lease.valid_for().is_none() { self.tokens().cached() } else { None }
    }

    /// A token that will do for the request.
    pub(crate) async fn token(&self) -> Result<AccessToken, oauth_tokens::Error> {
        match self.lease.valid_for() {
            None => self.tokens().token().await,
            Some(min) => self.tokens().token_valid_for(min).await,
        }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.route().origin
    }

    pub(super) fn route(&self) -> &Route {
        &self.policy().routes[self.lease.route()]
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }

    pub(crate) fn may_retry(&self) -> bool {
        !self.policy().never_retry
    }

    /// Why there is nothing to send again.
    pub(crate) fn why_not_kept(&self) -> NotRetried {
        if self.may_retry() { NotRetried::Body(NotReplayable::Opaque) } else { NotRetried::Never }
    }

    /// Whether a request is worth keeping: something may follow.
    pub(crate) fn may_follow(&self, tried: Tried, token: &AccessToken) -> bool {
        let step_up = self.policy().step_up.is_some() && !tried.step_up;
        !self.policy().never_retry && (!tried.renewal || step_up || !tried.nonce && token.is_bound())
    }

    /// What is sent, and the proof that goes with it if the token is bound to a key.
    pub(crate) fn prove<T: sealed::Target>(
        &self,
        target: &T,
        token: AccessToken,
        nonce: Option<&str>,
    ) -> (Sent, Option<Proof>) {
        if !token.is_bound() {
            return (Sent { token, proven: None }, None);
        }
        let url = match (target.located(), &self.policy().for_connection) {
            (Located::Here(destination), _) => destination.url(),
            (_, Some(origin)) => origin.destination(target.path()).url(),
            // Such a request was not admitted.
            (_, None) => String::new(),
        };
        let proof = token.proof(target.method(), &url, nonce);
        let nonce = proof.as_ref().and_then(Proof::nonce).map(str::to_owned);
        (Sent { token, proven: Some(Proven { url, nonce }) }, proof)
    }

    /// Another token than the one that was rejected.
    pub(crate) async fn renew(&self, rejection: &Rejection) -> Result<AccessToken, oauth_tokens::Error> {
        let renewed = self.tokens().renew_after(rejection).await?;
        if self.lease.valid_for().is_none() {
            return Ok(renewed);
        }
        // Somebody else may have renewed it long ago.
        Ok(self.token().await.ok().filter(|token| *token != rejection.token).unwrap_or(renewed))
    }

    /// A token of tokens that are stronger, if it is another one than this.
    pub(crate) async fn stronger_than(&self, weak: &AccessToken) -> Result<AccessToken, oauth_tokens::Error> {
        let token = self.token().await?;
        if token == *weak { Err(oauth_tokens::Error::same_token()) } else { Ok(token) }
    }

    /// The same request, with tokens of these from now on.
    pub(crate) fn with_tokens(self, tokens: TokenCache) -> Self {
        let lease = Lease::own(Arc::clone(self.policy()), tokens, self.lease.route(), self.lease.valid_for());
        Self { lease, ..self }
    }

    pub(crate) fn renew_in_background(&self, rejection: &Rejection) {
        self.tokens().renew_in_background_after(rejection);
    }

    /// A redirect that was followed below the layer led out of the origin or its prefix (R13).
    pub(super) fn is_from_elsewhere<R: sealed::Response>(&self, response: &R) -> bool {
        match response.came_from() {
            None => false,
            Some(Located::Here(destination)) => !self.is_of_route(&destination),
            Some(Located::NoAuthority | Located::Tunnel | Located::Unmatchable) => true,
        }
    }

    fn is_of_route(&self, destination: &Destination<'_>) -> bool {
        self.policy().route(destination) == Some(self.lease.route())
    }
}

impl Proven {
    /// The nonce that the response brings (RFC 9449, section 9), if it is not the one that was sent.
    pub(super) fn learn_nonce<R: sealed::Response>(
        &self,
        token: &AccessToken,
        response: &R,
        protection: &Protection,
    ) -> Option<String> {
        if protection.is_from_elsewhere(response) {
            return None;
        }
        let nonce = token.learn_nonce(&self.url, response.headers());
        nonce.filter(|nonce| self.nonce.as_ref() != Some(nonce))
    }
}

/// Puts a token on a request that was admitted, and so has none. That is one search less than to replace one.
#[inline]
pub(crate) fn authorize_first(headers: &mut HeaderMap, token: &AccessToken) -> Result<(), Error> {
    headers.try_append(AUTHORIZATION, token.authorization().clone()).map(drop).map_err(|_| too_many())
}

/// Puts a token on a request, and its proof if it needs one; their values are made, checked and marked sensitive already.
pub(crate) fn authorize(headers: &mut HeaderMap, token: &AccessToken, proof: Option<HeaderValue>) -> Result<(), Error> {
    let proven = proof.map_or(Ok(()), |proof| headers.try_insert(DPOP, proof).map(drop));
    proven
        .and_then(|()| headers.try_insert(AUTHORIZATION, token.authorization().clone()))
        .map(drop)
        .map_err(|_| too_many())
}

#[cold]
fn too_many() -> Error {
    let message = "a request was not sent: it has more headers than a header map can hold one more of";
    Error::new(ErrorKind::TooManyHeaders, message)
}
