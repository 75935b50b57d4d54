//! Proofs of possession (RFC 9449).

mod nonce;
mod proof;

use http::header::{HeaderName, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

pub use nonce::NoncePolicy;
pub(crate) use nonce::Nonces;
pub(crate) use proof::{Proof, Refused, check};

use crate::body::ResponseBody;
use crate::builder::Dpop;
use crate::incoming::Incoming;
use crate::record::Endpoint;
use crate::respond::{OAuthError, header_value};
use crate::service::Side;
use crate::state::{Model, Shared};

pub(crate) const PROOF: HeaderName = HeaderName::from_static("dpop");
const NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

impl Shared {
    pub(crate) fn offers_dpop(&self) -> bool {
        self.settings.dpop != Dpop::Off
    }

    pub(crate) fn requires_dpop(&self) -> bool {
        self.settings.dpop == Dpop::Required
    }
}

impl Model {
    pub(crate) fn nonces(&mut self, side: Side) -> &mut Nonces {
        match side {
            Side::Authorization => &mut self.token_nonces,
            Side::Api => &mut self.api_nonces,
        }
    }
}

/// The proof of a token request: `None` if there is none, or nobody looks (RFC 9449 section 5).
pub(crate) fn at_token_endpoint(model: &mut Model, incoming: &Incoming<'_>) -> Result<Option<Proof>, OAuthError> {
    if !incoming.shared.offers_dpop() || !incoming.parts.headers.contains_key(PROOF) {
        return Ok(None);
    }
    match check(model, incoming, Side::Authorization, None) {
        Ok(proof) => Ok(Some(proof)),
        Err(Refused::Invalid(why)) => Err(OAuthError::new("invalid_dpop_proof", why)),
        Err(Refused::Nonce) => {
            model.counters.token_nonce_challenges += 1;
            Err(OAuthError::new("use_dpop_nonce", "the proof must have a nonce of this server"))
        }
    }
}

/// Sends a nonce along with any answer to a proof, if the one that it had is not good for the next
/// (RFC 9449 section 8.2).
pub(crate) fn offer_nonce(incoming: &Incoming<'_>, side: Side, response: &mut Response<ResponseBody>) {
    if !incoming.shared.offers_dpop() || !incoming.parts.headers.contains_key(PROOF) {
        return;
    }
    let sent = incoming.parts.headers.get(PROOF).and_then(|proof| proof.to_str().ok());
    let sent = sent.and_then(proof::nonce_of);
    if let Some(nonce) = incoming.shared.lock().nonces(side).offer(sent.as_deref()) {
        response.headers_mut().insert(NONCE, header_value(&nonce));
    }
}

/// A request for a nonce that nobody has looked for.
pub(crate) fn challenge(endpoint: Endpoint, nonce: &str) -> Response<ResponseBody> {
    let mut response = OAuthError::new("use_dpop_nonce", "fault: the proof must have another nonce").into_response();
    if endpoint == Endpoint::Api {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("DPoP error=\"use_dpop_nonce\""));
    }
    response.headers_mut().insert(NONCE, header_value(nonce));
    response
}
