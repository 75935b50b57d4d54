//! A secret that is sent (RFC 6749, section 2.3.1).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind, Form, Secret, form::encode, text::Secrets};

pub(super) async fn basic(
    id: &str,
    secret: &Secret,
    headers: &mut HeaderMap,
    secrets: &mut Secrets,
) -> Result<(), Error> {
    let secret = read(secret, secrets).await?;
    header(&encode(id), &Zeroizing::new(encode(&secret)), headers, secrets)
}

/// As it is, for servers that do not know about the form-encoding (T8).
pub(super) async fn raw_basic(
    id: &str,
    secret: &Secret,
    headers: &mut HeaderMap,
    secrets: &mut Secrets,
) -> Result<(), Error> {
    let secret = read(secret, secrets).await?;
    header(id, &secret, headers, secrets)
}

pub(super) async fn post(id: &str, secret: &Secret, form: &mut Form, secrets: &mut Secrets) -> Result<(), Error> {
    let secret = read(secret, secrets).await?;
    form.push_once("client_id", id);
    form.push("client_secret", secret.as_str());
    Ok(())
}

async fn read(secret: &Secret, secrets: &mut Secrets) -> Result<Zeroizing<String>, Error> {
    let secret = secret.read("client secret").await?;
    secrets.add(&secret);
    Ok(secret)
}

fn header(id: &str, secret: &str, headers: &mut HeaderMap, secrets: &mut Secrets) -> Result<(), Error> {
    let credentials = Zeroizing::new(BASE64_STANDARD.encode(Zeroizing::new(format!("{id}:{secret}"))));
    secrets.add(&credentials);
    let mut value = HeaderValue::try_from(format!("Basic {}", *credentials))
        .map_err(|_| Error::new(ErrorKind::Credential, "the client's credentials do not fit into a header"))?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}
