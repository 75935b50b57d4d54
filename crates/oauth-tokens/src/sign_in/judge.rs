//! What a callback means: decided from it and from what was kept, without I/O.

use std::time::SystemTime;

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, digest},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::StatusCode;

use super::{Callback, PendingSignIn};
use crate::{
    Error, ErrorKind, OAuthError, TokenClient,
    text::{Secrets, clean},
    token::Possession as _,
};

/// Whether this client began it, at this server, with this key: else a code of one server would be sent to another (RFC 9700,
/// section 4.4).
pub(super) fn is_of(pending: &PendingSignIn, client: &TokenClient, what: &str) -> Result<(), Error> {
    if pending.asked.server != identity(client) || pending.asked.client_id != client.id() {
        return Err(invalid(what, "was begun at another server, or by another client"));
    }
    let key = client.bound_key();
    if pending.asked.dpop_jkt.as_deref() != key.as_deref().map(|key| key.thumbprint()) {
        return Err(invalid(what, "was begun with another DPoP key, which its code is bound to"));
    }
    Ok(())
}

/// What tells a server from others: where its codes go, to the last byte. A query may be a secret, so it is a digest.
pub(super) fn identity(client: &TokenClient) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, client.server().identity().as_bytes()))
}

/// The code, if it is the answer to what was asked.
pub(super) fn code<'a>(
    pending: &PendingSignIn,
    callback: &'a Callback,
    issuers: &[String],
    now: SystemTime,
    what: &str,
) -> Result<&'a str, Error> {
    if pending.lifetime_at(now).is_zero() {
        return Err(invalid(what, "took longer than 10 minutes"));
    }
    let state = callback.state().unwrap_or_default();
    if verify_slices_are_equal(state.as_bytes(), pending.state.as_bytes()).is_err() {
        return Err(invalid(what, "ended in a callback with another `state`, or with none: it may be somebody else's"));
    }
    check_issuer(pending, callback, issuers, what)?;
    if let Some(code) = callback.get("error") {
        return Err(refused(pending, callback, code, what));
    }
    let code =
        callback.get("code").ok_or_else(|| invalid(what, "ended in a callback with neither a code nor an error"))?;
    // RFC 6749, appendix A.11.
    if !code.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(invalid(what, "ended in a callback whose code holds characters that no code may hold"));
    }
    Ok(code)
}

/// RFC 9207, section 2.4. A server that was given without an issuer has none that could be compared.
fn check_issuer(pending: &PendingSignIn, callback: &Callback, issuers: &[String], what: &str) -> Result<(), Error> {
    match callback.get("iss") {
        Some(found) if issuers.iter().any(|issuer| issuer == found) => Ok(()),
        Some(_) => Err(invalid(
            what,
            "ended in a callback of another issuer (`iss`): an attack, or a server that should be given by its issuer",
        )),
        None if pending.expects_iss => {
            Err(invalid(what, "ended in a callback without `iss`, which the server's metadata promise"))
        }
        None => Ok(()),
    }
}

/// RFC 6749, section 4.1.2.1; OpenID Connect Core, section 3.1.2.6.
fn refused(pending: &PendingSignIn, callback: &Callback, code: &str, what: &str) -> Error {
    let mut secrets = Secrets::default();
    for secret in [&pending.state, &pending.nonce, &pending.verifier] {
        secrets.add(secret);
    }
    let text = |name: &str| callback.get(name).map(|text| clean(text, &secrets));
    let oauth = OAuthError {
        code: clean(code, &secrets),
        description: text("error_description"),
        uri: text("error_uri"),
        status: StatusCode::BAD_REQUEST,
        fields: Vec::new(),
    };
    let mut message = format!("{what} was refused with {}", oauth.code);
    if let Some(description) = &oauth.description {
        message.push_str(&format!(": {description:?}"));
    }
    if let Some(hint) = hint(code) {
        message.push_str(&format!("; {hint}"));
    }
    let kind = match code {
        "access_denied" => ErrorKind::AccessDenied,
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
            ErrorKind::InteractionRequired
        }
        _ => ErrorKind::OAuth,
    };
    Error::new(kind, message).with_oauth(oauth)
}

fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "access_denied" => "the user, or a rule of the server's, said no",
        "login_required" | "interaction_required" | "consent_required" | "account_selection_required" => {
            "begin anew without `prompt=none`"
        }
        "unauthorized_client" => "allow the authorization code grant for the client at the server",
        "unsupported_response_type" => "the server does not offer the authorization code flow: check its configuration",
        "invalid_scope" => "check that the server knows the scopes and that the client may ask for them",
        "invalid_target" => "the server does not know the resource, or the client may not ask for it",
        "invalid_request" => "the server misses or dislikes a parameter: check scope, resource and the extra ones",
        "server_error" | "temporarily_unavailable" => "begin anew later",
        _ => return None,
    })
}

fn invalid(what: &str, why: &str) -> Error {
    Error::new(ErrorKind::InvalidCallback, format!("{what} {why}; nothing was redeemed, begin anew"))
}
