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

impl Protection {
    /// What a response means, after what has been tried already.
    pub(crate) fn judge<R: sealed::Response>(&self, response: &R, sent: &Sent, tried: Tried) -> Verdict {
        let token = &sent.token;
        let is_rejected = response.status() == StatusCode::UNAUTHORIZED
            || self.is_grpc && grpc::is_unauthenticated(response.headers());
        // Whatever the response means: the next proof needs it (RFC 9449, section 8.2).
        let asked_nonce = sent.learn_nonce(response, self);
        if let Some(tokens) = self.stronger_tokens(response, is_rejected, tried) {
            return Verdict::StepUp(tokens);
        }
        if !is_rejected {
            self.note_acceptance(response, token);
            return self.unmet_demand(response).map_or(Verdict::Return, Verdict::Leave);
        }
        if self.is_from_elsewhere(response) {
            return Verdict::Leave(NotRetried::Elsewhere);
        }
        match advice(response.headers(), self.policy.renew_on_other_schemes) {
            Advice::ProveAgain => match asked_nonce.filter(|_| !tried.nonce) {
                Some(nonce) => Verdict::ProveAgain(nonce),
                None => Verdict::Leave(NotRetried::UnknownError),
            },
            Advice::Renew if tried.renewal => Verdict::Refused,
            Advice::Renew => Verdict::Renew(self.rejection(response, token)),
            Advice::Leave(Reason::InsufficientClaims) if !tried.renewal && self.tokens.accepts_claims() => {
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
        if self.tokens.accepts_claims()
            && let Some(claims) = ours().find_map(|challenge| challenge.param("claims"))
        {
            rejection.set_claims(claims);
        }
        let metadata = ours().find_map(|challenge| challenge.param("resource_metadata"));
        rejection.resource_metadata = metadata.filter(|url| url.len() <= MAX_URL_BYTES).map(str::to_owned);
        rejection
    }

    /// Tokens that meet what a response asks for, if it asks for any, and they may be had.
    fn stronger_tokens<R: sealed::Response>(
        &self,
        response: &R,
        is_rejected: bool,
        tried: Tried,
    ) -> Option<TokenCache> {
        let step_up = self.policy.step_up.as_ref().filter(|_| !tried.step_up && self.may_retry())?;
        // Tokens that are selected for each request are somebody's: one's stronger token is not another's.
        if !matches!(self.route().tokens, Tokens::Cache(_)) {
            return None;
        }
        if !(is_rejected || self.is_forbidden(response)) || self.is_from_elsewhere(response) {
            return None;
        }
        step_up.tokens(self.origin(), response.headers())
    }

    /// What a 403 asks for in vain, of a layer that might have met it.
    fn unmet_demand<R: sealed::Response>(&self, response: &R) -> Option<NotRetried> {
        if self.policy.step_up.is_none() || !self.is_forbidden(response) || self.is_from_elsewhere(response) {
            return None;
        }
        match advice(response.headers(), false) {
            Advice::Leave(reason @ (Reason::InsufficientScope | Reason::InsufficientUserAuthentication)) => {
                Some(reason.into())
            }
            _ => None,
        }
    }

    fn is_forbidden<R: sealed::Response>(&self, response: &R) -> bool {
        response.status() == StatusCode::FORBIDDEN || self.is_grpc && grpc::is_permission_denied(response.headers())
    }

    /// A call that succeeds ends the waiting of the storm guard (F10). A gRPC call that fails in its trailers counts as one that
    /// succeeded: its headers are all that is looked at, and the budget (F11) holds for whoever plays with that.
    fn note_acceptance<R: sealed::Response>(&self, response: &R, token: &AccessToken) {
        let status = response.status();
        let is_success =
            (status.is_success() || status.is_redirection()) && !(self.is_grpc && grpc::has_failed(response.headers()));
        if is_success && !self.is_from_elsewhere(response) {
            self.tokens.accepted(self.origin().as_str(), token);
        }
    }
}
