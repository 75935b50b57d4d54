//! Figures for the `metrics` facade: how exchanges, renewals and stores fare.
//!
//! Everything here does nothing without the feature `metrics`, and nothing here is called on the fresh path. Labels are from
//! closed sets: never a key, a server, or a text that came from one (S1).

use std::time::Duration;

use crate::{Error, ErrorKind};

const EXCHANGES: &str = "oauth.token.exchanges";
const EXCHANGE_DURATION: &str = "oauth.token.exchange.duration";
const EXCHANGES_REFUSED: &str = "oauth.token.exchanges.refused";
const RENEWALS: &str = "oauth.token.renewals";
const RENEWAL_DURATION: &str = "oauth.token.renewal.duration";
const RENEWALS_HELD: &str = "oauth.token.renewals.held";
const TIME_TO_EXPIRY: &str = "oauth.token.time_to_expiry";
#[cfg(any(feature = "store", feature = "metrics"))]
const STORE_ERRORS: &str = "oauth.store.errors";

/// Tells the recorder that is installed what the figures of this crate mean, and in which units they are. Call it once, after
/// the recorder was installed.
///
/// | metric | what | labels |
/// |---|---|---|
/// | `oauth.token.exchanges` | counter: token requests that ended, all attempts of one as one | `grant`, `outcome` |
/// | `oauth.token.exchange.duration` | histogram, seconds | `grant`, `outcome` |
/// | `oauth.token.exchanges.refused` | counter: token requests that were not sent, to spare the server | `reason`: `down`, `full` |
/// | `oauth.token.renewals` | counter: renewals of cached tokens that ended | `cause`, `outcome` |
/// | `oauth.token.renewal.duration` | histogram, seconds | `cause`, `outcome` |
/// | `oauth.token.renewals.held` | counter: rejected tokens that the storm guard did not renew | `reason`: `uncured`, `budget` |
/// | `oauth.token.time_to_expiry` | histogram, seconds: what was left of a token when another took its place; 0 when it had expired | |
/// | `oauth.store.errors` | counter: calls of a token store that failed, or took too long | `operation`: `load`, `replace`, `delete`, `lease`, `release` |
///
/// - `grant`: `client_credentials`, `refresh_token`, `token_exchange`, `jwt_bearer`, `device_code`, `other`.
/// - `cause`: `cold` (there was no token), `expired`, `short` (it lived too short for one request), `window`, `rejected`,
///   `warm`.
/// - `outcome`: `issued` for an exchange; `renewed`, or `unchanged` for the same token again, for a renewal; else the known
///   OAuth error, `oauth_error` for an unknown one, or the [`ErrorKind`] in snake case.
///
/// ```
/// oauth_tokens::describe_metrics();
/// ```
#[cfg(feature = "metrics")]
pub fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_histogram};

    describe_counter!(EXCHANGES, "Token requests that ended, all attempts of one as one");
    describe_histogram!(EXCHANGE_DURATION, Unit::Seconds, "How long token requests took, all attempts included");
    describe_counter!(EXCHANGES_REFUSED, "Token requests that were not sent, to spare the server");
    describe_counter!(RENEWALS, "Renewals of cached tokens that ended");
    describe_histogram!(RENEWAL_DURATION, Unit::Seconds, "How long renewals took");
    describe_counter!(RENEWALS_HELD, "Rejected tokens that the storm guard did not renew");
    describe_histogram!(TIME_TO_EXPIRY, Unit::Seconds, "What was left of a token when another took its place");
    describe_counter!(STORE_ERRORS, "Calls of a token store that failed, or took too long");
}

/// What caused a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// There was no token at all.
    Cold,
    /// The one that there was has had its use.
    Expired,
    /// It lives too short for one request.
    Short,
    /// It is in its refresh window.
    Window,
    /// An API rejected it.
    Rejected,
    /// It is kept warm.
    Warm,
}

impl Cause {
    /// Its name in figures and spans.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Expired => "expired",
            Self::Short => "short",
            Self::Window => "window",
            Self::Rejected => "rejected",
            Self::Warm => "warm",
        }
    }
}

/// What a renewal brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewed {
    New,
    /// The same token again (F9).
    Unchanged,
}

/// Why an exchange was not sent (F15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The server has not answered for a while.
    Down,
    /// Too many wait for their turn.
    Full,
}

/// Why a rejected token was not renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeldBy {
    /// Renewing did not end the rejections before (F10).
    Uncured,
    /// The budget of renewals is spent (F11).
    Budget,
}

/// What a store was asked to do.
#[cfg(feature = "store")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreOperation {
    Load,
    Replace,
    Delete,
    Lease,
    Release,
}

/// An exchange ended.
pub(crate) fn exchanged(grant_type: &str, failure: Option<&Error>, duration: Duration) {
    let labels = [("grant", grant(grant_type)), ("outcome", failure.map_or("issued", outcome))];
    count(EXCHANGES, &labels);
    measure(EXCHANGE_DURATION, &labels, duration);
}

/// An exchange was not sent, to spare the server.
pub(crate) fn refused(by: Refusal) {
    let reason = match by {
        Refusal::Down => "down",
        Refusal::Full => "full",
    };
    count(EXCHANGES_REFUSED, &[("reason", reason)]);
}

/// A renewal ended.
pub(crate) fn renewal_ended(cause: Cause, result: Result<Renewed, &Error>, duration: Duration) {
    let cause = cause.as_str();
    let outcome = match result {
        Ok(Renewed::New) => "renewed",
        Ok(Renewed::Unchanged) => "unchanged",
        Err(error) => outcome(error),
    };
    let labels = [("cause", cause), ("outcome", outcome)];
    count(RENEWALS, &labels);
    measure(RENEWAL_DURATION, &labels, duration);
}

/// The storm guard held a rejection.
pub(crate) fn held(by: HeldBy) {
    let reason = match by {
        HeldBy::Uncured => "uncured",
        HeldBy::Budget => "budget",
    };
    count(RENEWALS_HELD, &[("reason", reason)]);
}

/// A token took the place of one that could still have been used for so long. None: for ever, which is no figure.
pub(crate) fn replaced(left: Option<Duration>) {
    if let Some(left) = left {
        measure(TIME_TO_EXPIRY, &[], left);
    }
}

/// A call of a store failed, or took too long.
#[cfg(feature = "store")]
pub(crate) fn store_failed(operation: StoreOperation) {
    let operation = match operation {
        StoreOperation::Load => "load",
        StoreOperation::Replace => "replace",
        StoreOperation::Delete => "delete",
        StoreOperation::Lease => "lease",
        StoreOperation::Release => "release",
    };
    count(STORE_ERRORS, &[("operation", operation)]);
}

/// A grant may be of somebody's own, with anything in its name.
fn grant(grant_type: &str) -> &'static str {
    match grant_type {
        "client_credentials" => "client_credentials",
        "refresh_token" => "refresh_token",
        "urn:ietf:params:oauth:grant-type:token-exchange" => "token_exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => "jwt_bearer",
        "urn:ietf:params:oauth:grant-type:device_code" => "device_code",
        _ => "other",
    }
}

/// An error's name: the code of a known OAuth error, else its kind. A server may answer with any code.
fn outcome(error: &Error) -> &'static str {
    const KNOWN: [&str; 16] = [
        "access_denied",
        "authorization_pending",
        "expired_token",
        "invalid_client",
        "invalid_dpop_proof",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "server_error",
        "slow_down",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_token_type",
        "use_dpop_nonce",
    ];
    if let Some(oauth) = error.oauth() {
        return KNOWN.into_iter().find(|known| *known == oauth.code).unwrap_or("oauth_error");
    }
    match error.kind() {
        ErrorKind::Config => "config",
        ErrorKind::Credential => "credential",
        ErrorKind::Transport => "transport",
        ErrorKind::Timeout => "timeout",
        ErrorKind::ServerUnavailable => "server_unavailable",
        ErrorKind::MissingEndpoint => "missing_endpoint",
        ErrorKind::InvalidEndpoint => "invalid_endpoint",
        ErrorKind::IssuerMismatch => "issuer_mismatch",
        ErrorKind::OAuth => "oauth_error",
        ErrorKind::UnexpectedResponse => "unexpected_response",
        ErrorKind::InvalidResponse => "invalid_response",
        ErrorKind::SameToken => "same_token",
        ErrorKind::Held => "held",
        ErrorKind::PoolFull => "pool_full",
        ErrorKind::ResourceMismatch => "resource_mismatch",
        ErrorKind::ServerNotAllowed => "server_not_allowed",
        ErrorKind::AccessDenied => "access_denied",
        ErrorKind::DeviceCodeExpired => "device_code_expired",
        ErrorKind::Store => "store",
        ErrorKind::SignInRequired => "sign_in_required",
        ErrorKind::InteractionRequired => "interaction_required",
        ErrorKind::InvalidCallback => "invalid_callback",
        ErrorKind::InvalidIdToken => "invalid_id_token",
        ErrorKind::SignInCancelled => "sign_in_cancelled",
        ErrorKind::Source => "source",
        ErrorKind::NoRuntime => "no_runtime",
    }
}

type Label = (&'static str, &'static str);

#[cfg(feature = "metrics")]
fn count(name: &'static str, labels: &[Label]) {
    metrics::counter!(name, labels).increment(1);
}

#[cfg(not(feature = "metrics"))]
fn count(_: &'static str, _: &[Label]) {}

#[cfg(feature = "metrics")]
fn measure(name: &'static str, labels: &[Label], duration: Duration) {
    metrics::histogram!(name, labels).record(duration);
}

#[cfg(not(feature = "metrics"))]
fn measure(_: &'static str, _: &[Label], _: Duration) {}
