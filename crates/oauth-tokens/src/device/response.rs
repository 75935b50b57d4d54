//! The answer to a device authorization request (RFC 8628, section 3.2).

use std::time::Duration;

use http::StatusCode;
use zeroize::Zeroizing;

use crate::{
    Error, ErrorKind,
    endpoint_url::{EndpointUrl, PlainHttp},
    response::{Answer, secret},
    text::{Secrets, clean},
};

/// How often may be asked where the server does not say.
const INTERVAL: Duration = Duration::from_secs(5);
/// A server that allows more than that is not taken at its word.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

pub(super) struct Response {
    pub(super) device_code: Zeroizing<String>,
    pub(super) user_code: Zeroizing<String>,
    pub(super) verification_uri: String,
    pub(super) verification_uri_complete: Option<Zeroizing<String>>,
    pub(super) expires_in: Duration,
    pub(super) interval: Duration,
}

impl Response {
    pub(super) fn read(answer: &Answer<'_>) -> Result<Self, Error> {
        let object = answer.object(&[StatusCode::OK])?;
        let missing = |name: &str| answer.invalid(&format!("it holds no `{name}` that can be used"));
        let user_code = secret(&object, "user_code").ok_or_else(|| missing("user_code"))?;
        if !can_be_shown(&user_code) {
            return Err(missing("user_code"));
        }
        // Google's name for it is older than the RFC.
        let uri = object.text("verification_uri").or_else(|| object.text("verification_url"));
        Ok(Self {
            device_code: secret(&object, "device_code").ok_or_else(|| missing("device_code"))?,
            user_code,
            verification_uri: uri.ok_or_else(|| missing("verification_uri"))?.to_owned(),
            verification_uri_complete: secret(&object, "verification_uri_complete"),
            expires_in: object.seconds("expires_in").ok_or_else(|| missing("expires_in"))?,
            interval: object.seconds("interval").unwrap_or(INTERVAL).max(MIN_INTERVAL),
        })
    }

    /// What people are told to open must not lead them over an open wire, and hold nothing that deceives.
    pub(super) fn check_urls(&self, plain_http: PlainHttp) -> Result<(), Error> {
        let complete = self.verification_uri_complete.as_deref().map(|url| ("verification_uri_complete", url.as_str()));
        let all = [("verification_uri", self.verification_uri.as_str())].into_iter().chain(complete);
        for (name, url) in all {
            let without_fragment = url.split('#').next().unwrap_or_default();
            let parsed = EndpointUrl::parse(without_fragment, plain_http).map(drop);
            // Behind the `#`, too: it is shown whole.
            let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic());
            parsed.and(if is_plain { Ok(()) } else { Err("it holds characters that no URL has") }).map_err(|why| {
                let message = format!("the server gave a `{name}` that nobody should open: {why}");
                Error::new(ErrorKind::InvalidResponse, message)
            })?;
        }
        Ok(())
    }
}

/// Nothing in it that a terminal would obey, or that hides a part of it.
fn can_be_shown(code: &str) -> bool {
    clean(code, &Secrets::default()) == code
}
