//! The core, without I/O: which request gets which token, and what a response means.

use std::{fmt, sync::Arc};

use http::{HeaderMap, StatusCode, header::AUTHORIZATION};
use oauth_tokens::{AccessToken, TokenCache};

use crate::{
    Error, ErrorKind, NotReplayable, NotRetried, Origin, RequestHead,
    challenge::{Advice, advice},
    deadline::Deadline,
    grpc,
    message::sealed,
    target::{Coverage, Destination, HostError, Located},
};

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

/// What a response to the first attempt means.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is the caller's; the layer has nothing to say of it.
    Return,
    /// A 401 that is the caller's.
    Leave(NotRetried),
    /// A 401 that another token may cure.
    Renew,
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

    /// What the first response means.
    pub(crate) fn judge<R: sealed::Response>(&self, response: &R, token: &AccessToken) -> Verdict {
        let is_rejected = response.status() == StatusCode::UNAUTHORIZED
            || self.is_grpc && grpc::is_unauthenticated(response.headers());
        if !is_rejected {
            self.note_acceptance(response, token);
            return Verdict::Return;
        }
        if self.is_from_elsewhere(response) {
            return Verdict::Leave(NotRetried::Elsewhere);
        }
        match advice(response.headers(), self.policy.renew_on_other_schemes) {
            Advice::Renew => Verdict::Renew,
            Advice::Leave(reason) => Verdict::Leave(reason.into()),
        }
    }

    /// A call that succeeds ends the waiting of the storm guard (F10). A gRPC call that fails in its trailers counts as one that
    /// succeeded: its headers are all that is looked at, and the budget (F11) holds for whoever plays with that.
    pub(crate) fn note_acceptance<R: sealed::Response>(&self, response: &R, token: &AccessToken) {
        let status = response.status();
        let is_success =
            (status.is_success() || status.is_redirection()) && !(self.is_grpc && grpc::has_failed(response.headers()));
        if is_success && !self.is_from_elsewhere(response) {
            self.tokens.accepted(self.origin().as_str(), token);
        }
    }

    /// Another token than the one that was rejected.
    pub(crate) async fn renew(&self, rejected: &AccessToken) -> Result<AccessToken, oauth_tokens::Error> {
        self.tokens.renew_for(self.origin().as_str(), rejected).await
    }

    pub(crate) fn renew_in_background(&self, rejected: &AccessToken) {
        self.tokens.renew_in_background(self.origin().as_str(), rejected);
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

/// Puts a token on a request; its header value is made, checked and marked sensitive already.
pub(crate) fn authorize(headers: &mut HeaderMap, token: &AccessToken) -> Result<(), Error> {
    match headers.try_insert(AUTHORIZATION, token.authorization().clone()) {
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
