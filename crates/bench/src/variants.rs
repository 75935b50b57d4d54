//! What is measured: ways to put a token on a request, all above the same inner service, called in the same way.
//!
//! | file | idea |
//! |---|---|
//! | `plain.rs` | the inner service alone, tower-http's static header (called *b*), and `tower::retry` above it |
//! | `ours.rs` | this project's layer |
//! | `limits.rs` | how little it could cost to keep a token that changes |
//! | `peers.rs` | other people's crates, behind the feature `peers` |
//!
//! A peer is a [`Caller`] of its own, or a tower service in a [`Calling`], and an [`Entry`] that says how it is set up.

mod limits;
mod ours;
#[cfg(feature = "peers")]
mod peers;
mod plain;

use std::{fmt, hint::black_box};

use http::{Request, header::AUTHORIZATION};
use tower::{Service, ServiceExt as _};

#[cfg(feature = "peers")]
pub(crate) use self::peers::section as peers_section;
pub(crate) use self::{
    ours::{OURS, OURS_NEVER_RETRY},
    peers::NOT_COMPARED,
    plain::BASELINE,
};
use crate::{
    BoxError, inner, poll,
    request::{Body, Requests, Shape, token},
};

#[cfg(not(feature = "peers"))]
mod peers {
    pub(super) const ENTRIES: &[super::Entry] = &[];
    pub(crate) const NOT_COMPARED: &[(&str, &str)] = &[];
}

/// At the end of the name of a peer's variant with a header that never changes.
const STATIC: &str = "-static";

/// Where a variant comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// The least that there is to compare with: the inner service alone, a static header, `tower::retry`.
    Plain,
    /// How little it could cost.
    Limit,
    Ours,
    Peer,
}

/// One variant, and how to make it.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// In tables, and on the command line.
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    /// Whether it can send a request again after a 401: what that costs cannot be compared with those that cannot.
    pub(crate) retries: bool,
    /// How it is set up, and what cannot be compared: a sentence or two for `RESULTS.md`.
    pub(crate) setup: &'static str,
    /// Not to be called from within a runtime; it may use [`poll::runtime`].
    pub(crate) make: fn(&Setting) -> Result<Box<dyn Variant>, BoxError>,
}

/// What a variant is made for.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) shape: Shape,
    pub(crate) token: String,
}

/// A variant, made and warm: it has its token.
pub(crate) trait Variant: Send {
    /// So many calls, one after the other. All that the measure adds to them is one call of this.
    fn batch(&mut self, calls: u64);

    /// For another thread.
    fn fork(&self) -> Result<Box<dyn Variant>, BoxError>;
}

/// How a variant makes one call.
pub(crate) trait Caller: Send + Sized + 'static {
    /// Builds a request, sends it, and waits for the response; for what is no tower service, [`poll::to_end`] helps.
    fn call(&mut self);

    /// With a clone of the service, and with [requests](Requests::new) of its own.
    ///
    /// # Errors
    ///
    /// When that cannot be made.
    fn fork(&self) -> Result<Self, BoxError>;
}

impl<C: Caller> Variant for C {
    #[inline(never)]
    fn batch(&mut self, calls: u64) {
        for _ in 0..calls {
            self.call();
        }
    }

    fn fork(&self) -> Result<Box<dyn Variant>, BoxError> {
        Ok(Box::new(Caller::fork(self)?))
    }
}

/// Calls a tower service: made ready, called, and its future polled on the stack.
#[derive(Debug)]
pub(crate) struct Calling<S> {
    service: S,
    requests: Requests,
}

impl<S> Calling<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
{
    /// Boxed, as an [`Entry`] makes it.
    ///
    /// # Errors
    ///
    /// When there are no such requests.
    pub(crate) fn boxed(service: S, setting: &Setting) -> Result<Box<dyn Variant>, BoxError> {
        Ok(Box::new(Self { service, requests: Requests::new(setting.shape)? }))
    }
}

impl<S> Caller for Calling<S>
where
    S: Service<Request<Body>> + Clone + Send + 'static,
{
    #[inline]
    fn call(&mut self) {
        let request = self.requests.make();
        let is_ready = poll::to_end!(self.service.ready()).is_ok();
        // Only its outcome is looked at, and by nobody: `Entry::prove` has seen what it does.
        if is_ready {
            let _ = black_box(poll::to_end!(self.service.call(request)));
        }
    }

    fn fork(&self) -> Result<Self, BoxError> {
        Ok(Self { service: self.service.clone(), requests: Requests::new(self.requests.shape())? })
    }
}

impl Entry {
    /// All variants of this build, b first.
    pub(crate) fn all() -> Vec<Self> {
        [plain::ENTRIES, limits::ENTRIES, ours::ENTRIES, peers::ENTRIES].concat()
    }

    pub(crate) fn named(name: &str) -> Result<Self, BoxError> {
        let known = Self::all().into_iter().find(|entry| entry.name == name);
        known.ok_or_else(|| format!("there is no variant {name} in this build").into())
    }

    /// Its name in a table.
    pub(crate) fn title(&self) -> String {
        if self.family == Family::Ours { format!("**{}**", self.name) } else { self.name.to_owned() }
    }

    /// What it is compared with: b, or the same chain of calls with a static header, where a crate has a request type of its own.
    pub(crate) fn baseline(&self) -> &'static str {
        let own = peers::ENTRIES.iter().filter_map(|peer| Some((peer.name, peer.name.strip_suffix(STATIC)?)));
        let mut own = own.filter(|(_, stem)| self.name.starts_with(stem));
        own.next().map_or(BASELINE, |(name, _)| name)
    }

    /// Whether it does more than to send requests with what never changes.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.name != self.baseline() && self.name != plain::BARE
    }

    /// Makes it for requests of this shape with a token of this length, and makes sure that it does what it is measured for.
    ///
    /// # Errors
    ///
    /// When it cannot be made, or does not send the token.
    pub(crate) fn warm(&self, shape: Shape, token_length: usize) -> Result<Box<dyn Variant>, BoxError> {
        let setting = Setting { shape, token: token(token_length) };
        let mut variant = (self.make)(&setting)?;
        self.prove(&setting, variant.as_mut())?;
        variant.batch(64);
        Ok(variant)
    }

    /// That what arrives below is the request with the token, from the first call on.
    fn prove(&self, setting: &Setting, variant: &mut dyn Variant) -> Result<(), BoxError> {
        let failed = |what: &str| Err(format!("{}: {what}", self.name).into());
        let Some(mut sent) = inner::sent_by(|| variant.batch(1)) else {
            return failed("nothing arrives at the inner service");
        };
        let authorization = sent.remove(AUTHORIZATION);
        let expected = (self.name != plain::BARE).then(|| format!("Bearer {}", setting.token));
        if authorization.as_ref().map(|value| value.as_bytes()) != expected.as_ref().map(|value| value.as_bytes()) {
            return failed("the token does not arrive");
        }
        let headers = Requests::new(setting.shape)?.make().into_parts().0.headers;
        if headers.iter().any(|(name, value)| sent.get(name) != Some(value)) {
            return failed("the headers of the request do not arrive");
        }
        Ok(())
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use crate::request::TOKEN_LENGTHS;

    use super::*;

    #[test]
    fn every_variant_sends_the_request_with_the_token() {
        for entry in Entry::all() {
            for shape in Shape::ALL {
                for length in TOKEN_LENGTHS {
                    let variant = entry.warm(shape, length).unwrap_or_else(|error| panic!("{error}"));
                    let mut fork = variant.fork().expect("a fork");
                    entry.prove(&Setting { shape, token: token(length) }, fork.as_mut()).expect("a fork that works");
                }
            }
        }
    }

    #[test]
    fn names_are_names_of_one() {
        let mut names: Vec<_> = Entry::all().into_iter().map(|entry| entry.name).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn a_baseline_is_a_variant_and_its_own() {
        for entry in Entry::all() {
            let baseline = Entry::named(entry.baseline()).expect("a variant");
            assert_eq!(baseline.baseline(), baseline.name, "{entry:?}");
            assert!(entry.family == Family::Peer || baseline.name == BASELINE, "{entry:?}");
        }
    }

    #[cfg(feature = "peers")]
    #[test]
    fn a_request_type_of_its_own_has_a_baseline_of_its_own() {
        for (name, baseline) in [
            ("azure-core", "azure-core-static"),
            ("reqwest-middleware-retry", "reqwest-middleware-static"),
            ("aws-smithy", "aws-smithy-static"),
            ("huskarl-clone", "b"),
        ] {
            assert_eq!(Entry::named(name).expect("known").baseline(), baseline);
        }
    }

    #[test]
    fn a_variant_that_sends_no_token_is_not_measured() {
        let entry = Entry { name: "forgetful", ..Entry::named(plain::BARE).expect("known") };
        assert!(entry.warm(Shape::Get4, 40).is_err());
    }
}
