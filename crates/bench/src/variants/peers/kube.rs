//! kube-client 5.0.0: its `AuthLayer` with a token from a file, as every service in a cluster has it.
//!
//! On the path: a boxed future, a clone of a shared pointer, an async read lock, the wall clock, and the token formatted into a
//! new header value.
//!
//! Like ours: a tower layer, and a token that is replaced while requests go on. Unlike ours: what it knows is a file, read
//! again every 50 seconds by the request that comes next; a rejected token is sent until then, and nothing is sent again.
//!
//! In its favour: of its ways that can renew, this is the one with the cheapest lock; a program's or an identity provider's
//! token is behind a mutex. A token that never changes is `AddAuthorization` there, which is b.

use std::{convert::Infallible, io::Write as _};

use http::Request;
use kube_client::{Config, client::ConfigExt as _};
use tower::{Layer as _, ServiceExt};

use super::{Entry, Family};
use crate::{
    BoxError,
    inner::Inner,
    request::{Body, ORIGIN},
    variants::Calling,
};

pub(super) const ENTRY: Entry = Entry {
    name: "kube-client",
    family: Family::Peer,
    retries: false,
    setup: "kube-client 5.0.0: `AuthLayer` with a token file, as in a cluster.",
    make: |setting| {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(setting.token.as_bytes())?;
        let mut config = Config::new(ORIGIN.parse()?);
        config.auth_info.token_file = Some(file.path().to_str().ok_or("a path that is no text")?.to_owned());
        // The file is gone after this, which the layer takes for a file that has not changed.
        let layer = config.auth_layer()?.ok_or("no layer for a token file")?;
        // Its two ways have to fail in the same way.
        let below = ServiceExt::<Request<Body>>::map_err(Inner, |never: Infallible| -> BoxError { match never {} });
        Calling::boxed(layer.layer(below), setting)
    },
};
