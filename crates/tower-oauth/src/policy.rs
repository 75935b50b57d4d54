//! The core, without I/O: which request gets which token, and what a response means.

mod lease;
mod protection;
mod refusal;
mod tokens;
mod verdict;

use std::sync::Arc;

use http::{
    Extensions, HeaderMap,
    header::{AUTHORIZATION, HOST},
};
use oauth_tokens::TokenCache;

pub(crate) use self::{
    lease::Hand,
    protection::{Protection, Sent, Tried, authorize, authorize_first},
    tokens::{GivenKey, KeyFn, KeyOf, Pooled, Selector, Tokens},
    verdict::Verdict,
};
use self::{
    lease::{AtHand, Lease},
    tokens::NotFound,
};
use crate::{
    Error, Origin, RequestHead, StepUp, TokenOptions,
    deadline::Deadline,
    message::sealed,
    target::{Coverage, Destination, Located, Scheme},
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
    pub(crate) step_up: Option<StepUp>,
}

/// An origin, and where its tokens come from.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) origin: Origin,
    pub(crate) tokens: Tokens,
    /// How nearly every request to the server is written; none if another route or a path prefix has to be thought of.
    pub(crate) usual_form: Option<(Scheme, Box<str>)>,
}

/// What is done with a request.
pub(crate) enum Admission {
    /// Sent on as it is.
    Pass,
    Refuse(Error),
    Protect(Protection),
}

/// What comes with a request besides itself.
#[derive(Clone, Copy, Default)]
pub(crate) struct Aside<'a> {
    /// The key that the service was given.
    pub(crate) key: Option<&'a GivenKey>,
    /// Extensions that are not the request's own, but stand for them.
    pub(crate) extensions: Option<&'a Extensions>,
}

impl Policy {
    pub(crate) fn admit<R: sealed::Request>(self: &Arc<Self>, request: &R, aside: Aside<'_>) -> Admission {
        let extensions = aside.extensions.or_else(|| request.extensions());
        let options = extensions.and_then(Extensions::get::<TokenOptions>);
        if options.is_some_and(|options| options.without_token) {
            return Admission::Pass;
        }
        let route = match self.plain_route(request) {
            Some(route) => route,
            None => match self.route_for(request) {
                Ok(route) => route,
                Err(admission) => return admission,
            },
        };
        let Route { origin, tokens, .. } = &self.routes[route];
        let scopes = options.map_or(&[][..], |options| &options.scopes);
        let tokens = match tokens {
            Tokens::Cache(cache) if scopes.is_empty() => cache.clone(),
            _ => match self.find_tokens(tokens, &request.head(origin, extensions), aside.key, scopes) {
                Ok(cache) => cache,
                Err(error) => return Admission::Refuse(error),
            },
        };
        let lease = Lease::own(Arc::clone(self), tokens, route, options.and_then(|options| options.valid_for));
        Admission::Protect(Protection { lease, deadline: Deadline::of(request) })
    }

    /// The route of a request that is written as nearly all are: without a `Host` or an `Authorization` of its own, to a server
    /// that one route has, and by that server's usual name. It is seen at a glance; others are looked at closely.
    #[inline]
    fn plain_route<R: sealed::Request>(&self, request: &R) -> Option<usize> {
        let route = self.routes.iter().position(|route| self.leads_plainly_to(route, request))?;
        is_plain(request.headers()).then_some(route)
    }

    #[inline]
    fn leads_plainly_to<R: sealed::Request>(&self, route: &Route, request: &R) -> bool {
        let Some((scheme, authority)) = &route.usual_form else { return false };
        match &self.for_connection {
            None => request.is_written(*scheme, authority),
            Some(on) => {
                on.is_same_server(&route.origin) && (request.is_nowhere() || request.is_written(*scheme, authority))
            }
        }
    }

    /// The route of any request that may have one of our tokens.
    fn route_for<R: sealed::Request>(&self, request: &R) -> Result<usize, Admission> {
        let destination = match request.located() {
            // Wherever such a request says that it goes, the connection leads to one place: tonic's channel puts its own name
            // over that of `with_origin`.
            Located::Here(destination)
                if self.for_connection.as_ref().is_some_and(|on| !on.is_server_of(&destination)) =>
            {
                return Err(Admission::Pass);
            }
            Located::Here(destination) => destination,
            Located::Unmatchable => return Err(Admission::Pass),
            Located::Tunnel => return Err(Admission::Refuse(refusal::no_authority())),
            Located::NoAuthority => match &self.for_connection {
                Some(origin) => origin.destination(request.path()),
                None => return Err(Admission::Refuse(refusal::no_authority())),
            },
        };
        let route = match self.find(&destination) {
            Found::Here(route) => route,
            Found::Nowhere => return Err(Admission::Pass),
            Found::MayLeave(route) => return Err(Admission::Refuse(refusal::may_leave(&self.routes[route].origin))),
        };
        let origin = &self.routes[route].origin;
        if let Err(problem) = destination.check_host(request.headers()) {
            return Err(Admission::Refuse(refusal::host_mismatch(origin, problem)));
        }
        if request.headers().contains_key(AUTHORIZATION) {
            return Err(if self.refuse_caller_authorization {
                Admission::Refuse(refusal::caller_authorization(origin))
            } else {
                Admission::Pass
            });
        }
        Ok(route)
    }

    /// Tokens that differ from request to request.
    fn find_tokens(
        &self,
        tokens: &Tokens,
        head: &RequestHead<'_>,
        key: Option<&GivenKey>,
        scopes: &[String],
    ) -> Result<TokenCache, Error> {
        match tokens {
            Tokens::Keyed(keyed) => keyed.find(head, key, scopes).map_err(|why| match why {
                NotFound::NoKey(missing) => refusal::missing_key(head.origin, missing),
                NotFound::NoTokens(cause) => Error::no_token(head.origin, cause),
            }),
            Tokens::Cache(_) | Tokens::Selected(_) if !scopes.is_empty() => Err(refusal::no_pool(head.origin)),
            Tokens::Selected(select) => select(head).ok_or_else(|| refusal::nothing_selected(head.origin)),
            Tokens::Cache(cache) => Ok(cache.clone()),
        }
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

    /// Whether a request is the same tenant's after a redirect as before, where a function tells whose it is: an API must not
    /// choose, by a URL, whose token it gets.
    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn keeps_key(
        &self,
        before: &::reqwest::Request,
        after: &::reqwest::Request,
        extensions: &Extensions,
    ) -> bool {
        let has_no_token = after.headers().contains_key(AUTHORIZATION)
            || extensions.get::<TokenOptions>().is_some_and(|options| options.without_token);
        match self.route_of(after.url()).map(|route| &self.routes[route]) {
            Some(Route { origin, tokens: Tokens::Keyed(keyed), .. }) if !has_no_token => {
                let head = |request| sealed::Request::head(request, origin, Some(extensions));
                keyed.is_same_key(&head(before), &head(after))
            }
            _ => true,
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

/// Whether headers say nothing of where a request goes, nor with what credentials. To look through a few takes a third of the
/// time of looking two of them up.
#[inline]
fn is_plain(headers: &HeaderMap) -> bool {
    headers.keys().all(|name| *name != HOST && *name != AUTHORIZATION)
}

/// Which origin a request goes to.
enum Found {
    Here(usize),
    Nowhere,
    MayLeave(usize),
}
