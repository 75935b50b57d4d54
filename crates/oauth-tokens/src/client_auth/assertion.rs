//! An assertion that goes with the form (RFC 7521, section 4.2).

use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Form, Secret, text::Secrets};

pub(super) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
pub(super) const SPIFFE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";

const WHAT: &str = "client assertion";

pub(super) fn validate(source: &Secret, assertion_type: &str) -> Result<(), Error> {
    if !assertion_type.contains(':') || !assertion_type.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::config("the assertion's type is not an absolute URI (RFC 7521, section 4.2)"));
    }
    source.validate(WHAT)
}

pub(super) async fn read(source: &Secret) -> Result<Zeroizing<String>, Error> {
    let text = source.read(WHAT).await?;
    let assertion = text.trim();
    if assertion.is_empty() || !assertion.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message = "the client assertion holds something else than one word of visible ASCII: it is no token";
        return Err(Error::new(ErrorKind::Credential, message));
    }
    Ok(Zeroizing::new(assertion.to_owned()))
}

pub(super) fn push(client_id: &str, assertion_type: &str, assertion: &str, form: &mut Form, secrets: &mut Secrets) {
    secrets.add(assertion);
    form.push_once("client_id", client_id);
    form.push("client_assertion_type", assertion_type);
    form.push("client_assertion", assertion);
}
