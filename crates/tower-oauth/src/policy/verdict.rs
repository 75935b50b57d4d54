//! What a response means.

use http::StatusCode;
use oauth_tokens::{AccessToken, Rejection, TokenCache};

use super::{Protection, Sent, Tokens, Tried};
use crate::{
    NotRetried,
    challenge::{self, Advice, Reason, advice},
    grpc,
    message::sealed,
    outcome::End,
};

/// The most that is taken of a URL in a challenge (R14).
const MAX_URL_BYTES: usize = 4096;

/// What a response means.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is the caller's; the layer has nothing to say of it.
    Return,
    /// A 401, as to the attempt before.
    Refused,
    /// A 401 that is the caller's.
    Leave(NotRetried),
    /// A 401 that another token may cure.
    Renew(Rejection),
    /// A 401 or 403 that a token of these may cure.
    StepUp(TokenCache),
    /// A 401 that the same token may cure, with a proof that holds this nonce, which came with it.
    ProveAgain(String),
}

impl Verdict {
    /// How the request ends, unless something is to follow.
    pub(crate) fn into_end(self) -> Result<End, Self> {
        match self {
            Self::Return => Ok(End::Accepted),
            Self::Refused => Ok(End::Refused),
            Self::Leave(why) => Ok(End::Left(why)),
            next => Err(next),
        }
    }
}

/// Whether a response is a 401, or gRPC's.
#[inline]
fn is_rejected<Q: sealed::Request, R: sealed::Response>(response: &R) -> bool {
    response.status() == StatusCode::UNAUTHORIZED || Q::GRPC && grpc::is_unauthenticated(response.headers())
}

/// Whether a response is a 403, or gRPC's.
#[inline]
fn is_forbidden<Q: sealed::Request, R: sealed::Response>(response: &R) -> bool {
    response.status() == StatusCode::FORBIDDEN || Q::GRPC && grpc::is_permission_denied(response.headers())
}

impl Protection {
    /// Whether a response is the caller's, as nearly all are: it neither rejects the token nor asks for a stronger one.
    #[inline]
    pub(crate) fn is_answer<Q: sealed::Request, R: sealed::Response>(&self, response: &R, token: &AccessToken) -> bool {
        if is_rejected::<Q, R>(response) || is_forbidden::<Q, R>(response) {
            return false;
        }
        let status = response.status();
        let has_failed = Q::GRPC && grpc::has_failed(response.headers());
        if (status.is_success() || status.is_redirection()) && !has_failed && self.tokens().awaits_acceptance() {
            self.note_acceptance(response, token);
        }
        true
    }

    /// What a response means, after what has been tried already.
    pub(crate) fn judge<Q: sealed::Request, R: sealed::Response>(
        &self,
        response: &R,
        sent: &Sent,
        tried: Tried,
    ) -> Verdict {
        let Sent { token, proven } = sent;
        // Whatever the response means: the next proof needs it (RFC 9449, section 8.2).
        let asked_nonce = proven.as_ref().and_then(|proven| proven.learn_nonce(token, response, self));
        if self.is_answer::<Q, R>(response, token) {
            return Verdict::Return;
        }
        if let Some(tokens) = self.stronger_tokens(response, tried) {
            return Verdict::StepUp(tokens);
        }
        if !is_rejected::<Q, R>(response) {
            return self.unmet_demand(response).map_or(Verdict::Return, Verdict::Leave);
        }
        if self.is_from_elsewhere(response) {
            return Verdict::Leave(NotRetried::Elsewhere);
        }
        match advice(response.headers(), self.policy().renew_on_other_schemes) {
            Advice::ProveAgain => match asked_nonce.filter(|_| !tried.nonce) {
                Some(nonce) => Verdict::ProveAgain(nonce),
                None => Verdict::Leave(NotRetried::UnknownError),
            },
            Advice::Renew if tried.renewal => Verdict::Refused,
            Advice::Renew => Verdict::Renew(self.rejection(response, token)),
            Advice::Leave(Reason::InsufficientClaims) if !tried.renewal && self.tokens().accepts_claims() => {
                let rejection = self.rejection(response, token);
                match rejection.claims {
                    Some(_) => Verdict::Renew(rejection),
                    None => Verdict::Leave(NotRetried::InsufficientClaims),
                }
            }
            Advice::Leave(reason) => Verdict::Leave(reason.into()),
        }
    }

    /// The rejection of a token, with what the challenge says of the next one.
    fn rejection<R: sealed::Response>(&self, response: &R, token: &AccessToken) -> Rejection {
        let mut rejection = Rejection::new(self.origin().as_str(), token.clone());
        let challenges = challenge::parse(response.headers());
        let ours = || challenges.iter().filter(|challenge| challenge.is("Bearer") || challenge.is("DPoP"));
        if self.tokens().accepts_claims()
            && let Some(claims) = ours().find_map(|challenge| challenge.param("claims"))
        {
            rejection.set_claims(claims);
        }
        let metadata = ours().find_map(|challenge| challenge.param("resource_metadata"));
        rejection.resource_metadata = metadata.filter(|url| url.len() <= MAX_URL_BYTES).map(str::to_owned);
        rejection
    }

    /// Tokens that meet what a response asks for, if it asks for any, and they may be had.
    fn stronger_tokens<R: sealed::Response>(&self, response: &R, tried: Tried) -> Option<TokenCache> {
        let step_up = self.policy().step_up.as_ref().filter(|_| !tried.step_up && self.may_retry())?;
        // Tokens that are selected for each request are somebody's: one's stronger token is not another's.
        if !matches!(self.route().tokens, Tokens::Cache(_)) {
            return None;
        }
        if self.is_from_elsewhere(response) {
            return None;
        }
        step_up.tokens(self.origin(), response.headers())
    }

    /// What a 403 asks for in vain, of a layer that might have met it.
    fn unmet_demand<R: sealed::Response>(&self, response: &R) -> Option<NotRetried> {
        if self.policy().step_up.is_none() || self.is_from_elsewhere(response) {
            return None;
        }
        match advice(response.headers(), false) {
            Advice::Leave(reason @ (Reason::InsufficientScope | Reason::InsufficientUserAuthentication)) => {
                Some(reason.into())
            }
            _ => None,
        }
    }

    /// A call that succeeds ends the waiting of the storm guard (F10). A gRPC call that fails in its trailers counts as one that
    /// succeeded: its headers are all that is looked at, and the budget (F11) holds for whoever plays with that.
    fn note_acceptance<R: sealed::Response>(&self, response: &R, token: &AccessToken) {
        if !self.is_from_elsewhere(response) {
            self.tokens().accepted(self.origin().as_str(), token);
        }
    }
}
