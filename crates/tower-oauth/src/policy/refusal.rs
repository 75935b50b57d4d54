//! Why a request is refused before anything is sent, in words.

use super::tokens::MissingKey;
use crate::{Error, ErrorKind, Origin, target::HostError};

pub(super) fn no_authority() -> Error {
    let message = "a request whose URL has no scheme and host was not sent: nobody knows whether its token would go to \
                   the right place; give it an absolute URL, or build the layer by OAuthLayer::for_connection";
    Error::new(ErrorKind::NoAuthority, message)
}

pub(super) fn may_leave(origin: &Origin) -> Error {
    let message = format!(
        "a request was not sent: its path begins below {origin}, but some server might read it as leaving it (encoded \
         slashes, backslashes, dots or controls, or dot segments); write the path plainly, or give the origin without a \
         path prefix"
    );
    Error::new(ErrorKind::AmbiguousPath, message)
}

pub(super) fn host_mismatch(origin: &Origin, problem: HostError) -> Error {
    let problem = match problem {
        HostError::Several => "it has several Host headers",
        HostError::Unreadable => "its Host header cannot be read",
        HostError::Different => "its Host header differs from its URL",
    };
    Error::new(ErrorKind::HostMismatch, format!("a request to {origin} was not sent: {problem}"))
}

pub(super) fn caller_authorization(origin: &Origin) -> Error {
    let message = format!("a request to {origin} was not sent: it has an Authorization header of its own");
    Error::new(ErrorKind::CallerAuthorization, message)
}

pub(super) fn nothing_selected(origin: &Origin) -> Error {
    let message = format!("a request to {origin} was not sent: the selector had no tokens for it");
    Error::new(ErrorKind::NoToken, message)
}

pub(super) fn missing_key(origin: &Origin, missing: MissingKey) -> Error {
    let why = match missing {
        MissingKey::NotGiven => "its service has no key of the pool's kind; give it one by `key`",
        MissingKey::NotAmongExtensions => "its extensions hold no key of the pool's kind; insert one",
        MissingKey::NoExtensions => {
            "its key was to be among its extensions, and requests of reqwest's have none; take the key from the URL or a \
             header by OAuthLayer::keyed_by, or put the layer into reqwest-middleware, which has extensions"
        }
        MissingKey::NotInRequest => "the function that tells the key of a request had none for it",
    };
    Error::new(ErrorKind::MissingKey, format!("a request to {origin} was not sent: {why}"))
}

pub(super) fn no_pool(origin: &Origin) -> Error {
    let message = format!(
        "a request to {origin} was not sent: it asks for more scopes (TokenOptions), but the tokens of this origin are not of a \
         pool; give the layer a TokenPool by OAuthLayer::keyed or keyed_by"
    );
    Error::new(ErrorKind::NoPool, message)
}
