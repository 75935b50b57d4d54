//! The core, without I/O: which request gets which token, and what a response means.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::AUTHORIZATION};
use oauth_tokens::{AccessToken, Proof, Rejection, TokenCache};

use crate::{
    Error, ErrorKind, NotReplayable, NotRetried, Origin, RequestHead, StepUp,
    challenge::{self, Advice, Reason, advice},
    deadline::Deadline,
    grpc,
    message::sealed,
    target::{Coverage, Destination, HostError, Located},
};

/// The most that is taken of a URL in a challenge (R14).
const MAX_URL_BYTES: usize = 4096;
const DPOP: HeaderName = HeaderName::from_static("dpop");

/// What a layer was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    /// The longest path prefix first, so that the closest one wins.
    pub(crate) routes: Vec<Route>,
    /// Where requests without authority go.
    pub(crate) for_connection: Option<Origin>,
    pub(crate) refuse_caller_authorization: bool,
    pub(crate) renew_on_other_schemes: bool,
    pub(crate) never_retry: bool,
    pub(crate) step_up: Option<StepUp>,
}

/// An origin, and where its tokens come from.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) origin: Origin,
    pub(crate) tokens: Tokens,
}

#[derive(Clone)]
pub(crate) enum Tokens {
    Cache(TokenCache),
    Selected(Selector),
}

pub(crate) type Selector = Arc<dyn Fn(&RequestHead<'_>) -> Option<TokenCache> + Send + Sync>;

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cache(cache) => cache.fmt(f),
            Self::Selected(_) => f.write_str("selected for each request"),
        }
    }
}

/// What is done with a request.
pub(crate) enum Admission {
    /// Sent on as it is.
    Pass,
    Refuse(Error),
    Protect(Protection),
}

/// A request to a protected origin: which origin, which tokens.
pub(crate) struct Protection {
    policy: Arc<Policy>,
    route: usize,
    tokens: TokenCache,
    deadline: Deadline,
    is_grpc: bool,
}

/// What has been tried for a request; each is tried once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tried {
    pub(crate) renewal: bool,
    /// Another proof, with the nonce that the API asked for (RFC 9449, section 9).
    pub(crate) nonce: bool,
    pub(crate) step_up: bool,
}

impl Tried {
    pub(crate) fn anything(self) -> bool {
        self.renewal || self.nonce || self.step_up
    }
}

/// A token and a request's target, as proofs of possession and nonces need them. Empty for a bearer token.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) token: AccessToken,
    url: String,
    /// That the proof held.
    nonce: Option<String>,
}

/// What a response means.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is the caller's; the layer has nothing to say of it.
    Return,
    /// A 401 that is the caller's.
    Leave(NotRetried),
    /// A 401 that another token may cure.
    Renew(Rejection),
    /// A 401 or 403 that a token of these may cure.
    StepUp(TokenCache),
    /// A 401 that the same token may cure, with a proof that holds this nonce, which came with it.
    ProveAgain(String),
}

impl Policy {
    pub(crate) fn admit<R: sealed::Request>(self: &Arc<Self>, request: &R) -> Admission {
        let destination = match request.located() {
            // Wherever such a request says that it goes, the connection leads to one place: tonic's channel puts its own name
            // over that of `with_origin`.
            Located::Here(destination)
                if self.for_connection.as_ref().is_some_and(|on| !on.is_server_of(&destination)) =>
            {
                return Admission::Pass;
            }
            Located::Here(destination) => destination,
            Located::Unmatchable => return Admission::Pass,
            Located::Tunnel => return Admission::Refuse(no_authority()),
            Located::NoAuthority => match &self.for_connection {
                Some(origin) => origin.destination(request.path()),
                None => return Admission::Refuse(no_authority()),
            },
        };
        let route = match self.find(&destination) {
            Found::Here(route) => route,
            Found::Nowhere => return Admission::Pass,
            Found::MayLeave(route) => return Admission::Refuse(may_leave(&self.routes[route].origin)),
        };
        let Route { origin, tokens } = &self.routes[route];
        if let Err(problem) = destination.check_host(request.headers()) {
            return Admission::Refuse(host_mismatch(origin, problem));
        }
        if request.headers().contains_key(AUTHORIZATION) {
            return if self.refuse_caller_authorization {
                Admission::Refuse(caller_authorization(origin))
            } else {
                Admission::Pass
            };
        }
        let tokens = match tokens {
            Tokens::Cache(cache) => cache.clone(),
            Tokens::Selected(select) => match select(&request.head(origin)) {
                Some(cache) => cache,
                None => return Admission::Refuse(nothing_selected(origin)),
            },
        };
        let (policy, deadline) = (Arc::clone(self), Deadline::of(request));
        Admission::Protect(Protection { policy, route, tokens, deadline, is_grpc: R::GRPC })
    }

    /// The closest origin. A path that may leave a prefix gets no token of any origin: who reads it as what, nobody knows.
    fn find(&self, destination: &Destination<'_>) -> Found {
        for (index, route) in self.routes.iter().enumerate() {
            match route.origin.coverage(destination) {
                Coverage::No => {}
                Coverage::Yes => return Found::Here(index),
                Coverage::MayLeave => return Found::MayLeave(index),
            }
        }
        Found::Nowhere
    }

    fn route(&self, destination: &Destination<'_>) -> Option<usize> {
        match self.find(destination) {
            Found::Here(route) => Some(route),
            Found::Nowhere | Found::MayLeave(_) => None,
        }
    }

    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn route_of(&self, url: &::reqwest::Url) -> Option<usize> {
        match Destination::of_url(url) {
            Located::Here(destination) => self.route(&destination),
            _ => None,
        }
    }
}

/// Which origin a request goes to.
enum Found {
    Here(usize),
    Nowhere,
    MayLeave(usize),
}

impl Protection {
    pub(crate) fn tokens(&self) -> &TokenCache {
        &self.tokens
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.policy.routes[self.route].origin
    }

    pub(crate) fn deadline(&self) -> Deadline {
        self.deadline
    }

    pub(crate) fn may_retry(&self) -> bool {
        !self.policy.never_retry
    }

    /// Why there is nothing to send again.
    pub(crate) fn why_not_kept(&self) -> NotRetried {
        if self.may_retry() { NotRetried::Body(NotReplayable::Opaque) } else { NotRetried::Never }
    }

    /// Whether a request is worth keeping: something may follow.
    pub(crate) fn may_follow(&self, tried: Tried, token: &AccessToken) -> bool {
        let step_up = self.policy.step_up.is_some() && !tried.step_up;
        !self.policy.never_retry && (!tried.renewal || step_up || !tried.nonce && token.is_bound())
    }

    /// What is sent, and the proof that goes with it if the token is bound to a key.
    pub(crate) fn prove<R: sealed::Request>(
        &self,
        request: &R,
        token: AccessToken,
        nonce: Option<&str>,
    ) -> (Sent, Option<Proof>) {
        if !token.is_bound() {
            return (Sent { token, url: String::new(), nonce: None }, None);
        }
        let url = match (request.located(), &self.policy.for_connection) {
            (Located::Here(destination), _) => destination.url(),
            (_, Some(origin)) => origin.destination(request.path()).url(),
            // Such a request was not admitted.
            (_, None) => String::new(),
        };
        let proof = token.proof(request.method(), &url, nonce);
        let nonce = proof.as_ref().and_then(Proof::nonce).map(str::to_owned);
        (Sent { token, url, nonce }, proof)
    }

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
            Advice::Renew if tried.renewal => Verdict::Return,
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
        if matches!(self.policy.routes[self.route].tokens, Tokens::Selected(_)) {
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

    /// Another token than the one that was rejected.
    pub(crate) async fn renew(&self, rejection: &Rejection) -> Result<AccessToken, oauth_tokens::Error> {
        self.tokens.renew_after(rejection).await
    }

    /// The same request, with tokens of these from now on.
    pub(crate) fn with_tokens(self, tokens: TokenCache) -> Self {
        Self { tokens, ..self }
    }

    pub(crate) fn renew_in_background(&self, rejection: &Rejection) {
        self.tokens.renew_in_background_after(rejection);
    }

    /// A redirect that was followed below the layer led out of the origin or its prefix (R13).
    fn is_from_elsewhere<R: sealed::Response>(&self, response: &R) -> bool {
        match response.came_from() {
            None => false,
            Some(Located::Here(destination)) => self.policy.route(&destination) != Some(self.route),
            Some(Located::NoAuthority | Located::Tunnel | Located::Unmatchable) => true,
        }
    }
}

impl Sent {
    /// The nonce that the response brings (RFC 9449, section 9), if it is not the one that was sent.
    fn learn_nonce<R: sealed::Response>(&self, response: &R, protection: &Protection) -> Option<String> {
        if !self.token.is_bound() || protection.is_from_elsewhere(response) {
            return None;
        }
        let nonce = self.token.learn_nonce(&self.url, response.headers());
        nonce.filter(|nonce| self.nonce.as_ref() != Some(nonce))
    }
}

/// Puts a token on a request, and its proof if it needs one; their values are made, checked and marked sensitive already.
pub(crate) fn authorize(headers: &mut HeaderMap, token: &AccessToken, proof: Option<HeaderValue>) -> Result<(), Error> {
    let proven = proof.map_or(Ok(()), |proof| headers.try_insert(DPOP, proof).map(drop));
    match proven.and_then(|()| headers.try_insert(AUTHORIZATION, token.authorization().clone())) {
        Ok(_) => Ok(()),
        Err(_) => {
            let message = "a request was not sent: it has more headers than a header map can hold one more of";
            Err(Error::new(ErrorKind::TooManyHeaders, message))
        }
    }
}

fn no_authority() -> Error {
    let message = "a request whose URL has no scheme and host was not sent: nobody knows whether its token would go to \
                   the right place; give it an absolute URL, or build the layer by OAuthLayer::for_connection";
    Error::new(ErrorKind::NoAuthority, message)
}

fn may_leave(origin: &Origin) -> Error {
    let message = format!(
        "a request was not sent: its path begins below {origin}, but some server might read it as leaving it (encoded \
         slashes, backslashes, dots or controls, or dot segments); write the path plainly, or give the origin without a \
         path prefix"
    );
    Error::new(ErrorKind::AmbiguousPath, message)
}

fn host_mismatch(origin: &Origin, problem: HostError) -> Error {
    let problem = match problem {
        HostError::Several => "it has several Host headers",
        HostError::Unreadable => "its Host header cannot be read",
        HostError::Different => "its Host header differs from its URL",
    };
    Error::new(ErrorKind::HostMismatch, format!("a request to {origin} was not sent: {problem}"))
}

fn caller_authorization(origin: &Origin) -> Error {
    let message = format!("a request to {origin} was not sent: it has an Authorization header of its own");
    Error::new(ErrorKind::CallerAuthorization, message)
}

fn nothing_selected(origin: &Origin) -> Error {
    let message = format!("a request to {origin} was not sent: the selector had no tokens for it");
    Error::new(ErrorKind::NoToken, message)
}
