//! What a request carries along from one state to the next.

use std::{
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http::HeaderValue;
use oauth_tokens::{AccessToken, Proof, Rejection};
use tokio::time::Sleep;

use crate::{
    NotRetried,
    message::{ProtectedRequest, sealed},
    policy::{Protection, Sent, Tried},
    timer::{sleep, within},
};

/// How a service is cloned: a pointer, so that the future itself asks nothing of the service, and rustc has one thing to say of one that
/// is not `Clone`.
pub(super) type CloneOf<S> = fn(&S) -> S;

/// A request that is all but sent.
pub(super) struct Unsent<S, R> {
    pub(super) inner: S,
    pub(super) request: R,
    pub(super) protection: Protection,
    pub(super) sent: Sent,
    pub(super) tried: Tried,
}

/// What the first attempt of a request that had its token at once leaves behind.
pub(super) struct Parting<S, R: ProtectedRequest> {
    pub(super) protection: Protection,
    /// None: it is the one that came with the lease.
    pub(super) token: Option<AccessToken>,
    pub(super) again: Option<Box<Again<S, R>>>,
}

/// What it takes to send a request again, all in one place.
pub(crate) struct Again<S, R: ProtectedRequest> {
    pub(super) inner: S,
    kept: R::Kept,
    head: R::KeptHead,
}

impl<S, R: ProtectedRequest> Again<S, R> {
    /// The head is copied into the box.
    #[inline]
    pub(crate) fn new(request: &R, kept: R::Kept, inner: S) -> Box<Self> {
        let mut again = Box::new(Self { inner, kept, head: R::KeptHead::default() });
        request.keep_head(&mut again.head);
        again
    }

    /// Where it goes.
    pub(super) fn target(&self) -> impl sealed::Target {
        R::target(&self.kept, &self.head)
    }
}

impl<S, R: ProtectedRequest> Parting<S, R> {
    pub(super) fn token(&self) -> Option<&AccessToken> {
        self.token.as_ref().or_else(|| self.protection.lent_token())
    }
}

/// What an attempt that is under way leaves behind.
pub(super) struct Attempt<S, R: ProtectedRequest> {
    pub(super) again: Option<Box<Again<S, R>>>,
    pub(super) protection: Protection,
    pub(super) sent: Sent,
    pub(super) tried: Tried,
}

/// What it takes to send a request again, and what has been tried.
pub(super) struct Kept<S, R: ProtectedRequest> {
    pub(super) again: Box<Again<S, R>>,
    pub(super) tried: Tried,
}

/// A request that is to be sent again, with what the attempt before had not: another token, or another nonce.
pub(super) struct Retry<S, R: ProtectedRequest> {
    pub(super) kept: Kept<S, R>,
    pub(super) protection: Protection,
    pub(super) sent: Sent,
}

impl<S, R: ProtectedRequest> Retry<S, R> {
    /// The request as it was, but for its token.
    pub(super) fn restore(self, is_ready: bool) -> Result<Unsent<S, R>, NotRetried> {
        let Self { kept: Kept { again, tried }, protection, sent } = self;
        if protection.deadline().has_passed() {
            return Err(NotRetried::DeadlineExceeded);
        }
        if !is_ready {
            return Err(NotRetried::NotReady);
        }
        let Again { inner, kept, head } = *again;
        let request = R::restore(kept, &head).map_err(NotRetried::Body)?;
        Ok(Unsent { inner, request, protection, sent, tried })
    }
}

/// None: the request's own deadline passed meanwhile.
pub(super) type Granted = Option<Result<AccessToken, oauth_tokens::Error>>;
/// The future that waits for a token gives back what it needed meanwhile.
// `Sync` too, as `ServiceBuilder::boxed_clone_sync` wants it.
pub(super) type Waiting = Pin<Box<dyn Future<Output = (Granted, Protection)> + Send + Sync>>;

/// Which token is waited for.
pub(super) enum Wanted {
    Any,
    /// Another one than one that an API rejected.
    Instead(Rejection),
    /// A stronger one than one that did not suffice.
    Stronger(AccessToken),
}

pub(super) fn wait(protection: Protection, wanted: Wanted) -> Waiting {
    Box::pin(async move {
        let left = protection.deadline().left();
        let granted = match wanted {
            Wanted::Any => within(left, protection.token()).await,
            Wanted::Instead(rejection) => within(left, protection.renew(&rejection)).await,
            Wanted::Stronger(weak) => within(left, protection.stronger_than(&weak)).await,
        };
        (granted, protection)
    })
}

/// A proof that is being signed, within what the request has left of its own time.
pub(super) struct Signing {
    /// In a lock that nobody takes, as a signer's future need not be `Sync`.
    proof: Mutex<Proof>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Signing {
    pub(super) fn new(proof: Proof, left: Option<Duration>) -> Self {
        Self { proof: Mutex::new(proof), timer: left.and_then(sleep) }
    }

    /// None: that time has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<HeaderValue, oauth_tokens::Error>>> {
        let proof = self.proof.get_mut().unwrap_or_else(PoisonError::into_inner);
        match (Pin::new(proof).poll(cx), &mut self.timer) {
            (Poll::Ready(signed), _) => Poll::Ready(Some(signed)),
            (Poll::Pending, Some(timer)) => timer.as_mut().poll(cx).map(|()| None),
            (Poll::Pending, None) => Poll::Pending,
        }
    }
}
