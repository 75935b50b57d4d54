//! What there is without us: the inner service alone, a static header, and `tower::retry` above it.

use std::{convert::Infallible, future::Ready};

use http::{Request, Response};
use tower::retry::{Policy, Retry};
use tower_http::auth::AddAuthorization;

use super::{Calling, Entry, Family};
use crate::{inner::Inner, request::Body};

pub(super) const BARE: &str = "bare";
pub(crate) const BASELINE: &str = "b";

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        name: BASELINE,
        family: Family::Plain,
        retries: false,
        setup: "tower-http's `AddAuthorization::bearer`: a static token, which never changes.",
        make: |setting| Calling::boxed(AddAuthorization::bearer(Inner, &setting.token), setting),
    },
    Entry {
        name: BARE,
        family: Family::Plain,
        retries: false,
        setup: "The inner service alone; no token.",
        make: |setting| Calling::boxed(Inner, setting),
    },
    Entry {
        name: "tower-retry",
        family: Family::Plain,
        retries: true,
        setup: "`tower::retry` above b, with a policy that clones every request and never retries; nothing renews the token.",
        make: |setting| {
            Calling::boxed(Retry::new(CloneEvery, AddAuthorization::bearer(Inner, &setting.token)), setting)
        },
    },
];

/// Ready to send any request again, and never does.
#[derive(Clone, Copy, Debug)]
struct CloneEvery;

impl Policy<Request<Body>, Response<Body>, Infallible> for CloneEvery {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<Body>, _: &mut Result<Response<Body>, Infallible>) -> Option<Ready<()>> {
        None
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        Some(request.clone())
    }
}
