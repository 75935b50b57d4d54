//! Signed JSON in its compact form (RFC 7515, section 3.1).

use aws_lc_rs::{hmac, rand};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, signer::AnySigner};

/// A JWS by this signer. `alg` goes into the header, and what the key is called unless the key itself is there as `jwk`.
pub(crate) async fn sign_jws(
    signer: &dyn AnySigner,
    mut header: Map<String, Value>,
    claims: &Value,
) -> Result<Zeroizing<String>, Error> {
    let algorithm = signer.algorithm();
    header.insert("alg".to_owned(), algorithm.name().into());
    if !header.contains_key("jwk") {
        let names = [("kid", signer.key_id()), ("x5t#S256", signer.certificate_thumbprint())];
        let known = names.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
        header.extend(known);
    }
    let input = signing_input(header, claims);
    let signature = signer.sign(input.as_bytes()).await.map_err(|cause| {
        let message = format!("the signer could not sign by {algorithm}; see the error's source");
        Error::new(ErrorKind::Credential, message).caused_by(cause)
    })?;
    if signature.is_empty() || algorithm.signature_length().is_some_and(|length| length != signature.len()) {
        let message = format!(
            "the signer gave {} bytes, which is no signature of {algorithm} in the form of JOSE; for DER, see \
             Algorithm::signature_from_der",
            signature.len()
        );
        return Err(Error::new(ErrorKind::Credential, message));
    }
    Ok(signed(input, &signature))
}

/// A JWS by a shared secret: HS256 (RFC 7518, section 3.2).
pub(crate) fn mac_jws(secret: &[u8], mut header: Map<String, Value>, claims: &Value) -> Zeroizing<String> {
    header.insert("alg".to_owned(), "HS256".into());
    let input = signing_input(header, claims);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    signed(input, mac.as_ref())
}

/// An identifier that nobody else has: 128 random bits (`jti`; RFC 7519, section 4.1.7).
pub(crate) fn unique_id() -> String {
    let mut bytes = [0; 16];
    if rand::fill(&mut bytes).is_err() {
        // It must be unique, not secret.
        bytes = fastrand::u128(..).to_be_bytes();
    }
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn signing_input(header: Map<String, Value>, claims: &Value) -> Zeroizing<String> {
    let encoded = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    Zeroizing::new(format!("{}.{}", encoded(&Value::Object(header)), encoded(claims)))
}

fn signed(input: Zeroizing<String>, signature: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(format!("{}.{}", *input, BASE64_URL_SAFE_NO_PAD.encode(signature)))
}
