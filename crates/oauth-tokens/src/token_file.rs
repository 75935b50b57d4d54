//! A token that somebody else keeps in a file.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{AccessToken, Error, ErrorKind, TokenCache, TokenSet, TokenSource, clock::Clock, json::Object, secret};

/// How long a token from a file is used before the file is read again.
const RELOAD: Duration = Duration::from_secs(60);

/// A [`TokenSource`] that reads a token from a file which somebody else renews: a projected Kubernetes service-account
/// token, a SPIFFE JWT-SVID.
///
/// The file is read again every minute while the token is used, when the token expires, and when an API rejects it. The
/// expiry is the JWT's `exp` when it is one; the token's signature is not looked at.
///
/// ```
/// use oauth_tokens::TokenFile;
///
/// let tokens = TokenFile::new("/var/run/secrets/tokens/api").cached();
/// # let _ = tokens;
/// ```
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    clock: Clock,
}

impl TokenFile {
    /// A source that reads this file.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), clock: Clock::new() }
    }

    /// The token in the file, kept in memory and read again when that is due.
    #[must_use]
    pub fn cached(self) -> TokenCache {
        TokenCache::new(self)
    }
}

impl TokenSource for TokenFile {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        let text = secret::read_file(self.path.clone(), "token").await?;
        let in_file = |error: Error| {
            Error::new(ErrorKind::Credential, format!("the token file {} cannot be used: {error}", self.path.display()))
        };
        let mut tokens = TokenSet::new(AccessToken::bearer(text.trim()).map_err(in_file)?);
        tokens.expires_in = jwt_lifetime(text.trim(), self.clock.wall());
        tokens.refresh_in = Some(RELOAD);
        Ok(tokens)
    }

    fn credential_fingerprint(&self) -> Option<u64> {
        secret::file_fingerprint(&self.path)
    }
}

/// How long a JWT is still valid by its `exp` (RFC 7519, section 4.1.4); none when it is no JWT, or has none.
fn jwt_lifetime(token: &str, now: SystemTime) -> Option<Duration> {
    let mut parts = token.split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let payload = GeneralPurpose::new(&base64::alphabet::URL_SAFE, config).decode(payload).ok()?;
    let expires = Object::parse(&payload).ok()?.get("exp")?.as_f64()?;
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64();
    Duration::try_from_secs_f64((expires - now).max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;

    use super::*;

    #[test]
    fn expiry_of_a_jwt_is_its_exp() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let jwt = |payload: &str| format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(payload));
        let cases = [
            (jwt(r#"{"exp":1600}"#), Some(600)),
            (jwt(r#"{"exp":1600.0,"sub":"a"}"#), Some(600)),
            (jwt(r#"{"exp":900}"#), Some(0)),
            (jwt(r#"{"exp":-1e300}"#), Some(0)),
            (jwt(r#"{"exp":1e300}"#), None),
            (jwt(r#"{"exp":"soon"}"#), None),
            (jwt(r#"{"exp":1600,"exp":1700}"#), None),
            (jwt("[]"), None),
            (jwt("{}"), None),
            ("opaque".to_owned(), None),
            ("a.b".to_owned(), None),
            ("a.b.c.d".to_owned(), None),
            ("..".to_owned(), None),
            (String::new(), None),
        ];
        for (token, seconds) in cases {
            assert_eq!(jwt_lifetime(&token, now), seconds.map(Duration::from_secs), "{token}");
        }
    }
}
