//! Access tokens that are bound to a key: demonstrating proof of possession (RFC 9449).

mod nonces;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Map, Value};

use self::nonces::Nonces;
#[cfg(feature = "store")]
use crate::AccessToken;
use crate::{
    Error, ErrorKind, Signer,
    clock::Clock,
    jws::{sign_jws, unique_id},
    signer::SharedSigner,
    timer,
    token::{Possession, Proof},
};

/// How long a signer may take for a proof.
const SIGN_WITHIN: Duration = Duration::from_secs(5);

/// A key that access tokens are bound to (DPoP, RFC 9449): who finds such a token cannot use it without the key. Cheap to
/// clone; clones share the key, and the nonces that servers ask for.
///
/// ```
/// # #[cfg(all(feature = "reqwest", feature = "dpop"))] {
/// use oauth_tokens::{Algorithm, AuthorizationServer, ClientAuth, DpopKey, Secret, SigningKey};
///
/// let key = DpopKey::new(SigningKey::generate(Algorithm::Es256)?)?;
/// let tokens = AuthorizationServer::issuer("https://id.example.com")?
///     .client("m2m", ClientAuth::secret_basic(Secret::file("/run/secrets/m2m")))?
///     .dpop(key)
///     .client_credentials()
///     .cached()?;
/// # let _ = tokens;
/// # }
/// # Ok::<(), oauth_tokens::Error>(())
/// ```
#[derive(Clone)]
pub struct DpopKey(Arc<Shared>);

struct Shared {
    current: ArcSwap<BoundKey>,
    nonces: Arc<Nonces>,
}

impl DpopKey {
    /// A key of this signer's, in memory or elsewhere.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the signer does not tell its public key.
    pub fn new(signer: impl Signer) -> Result<Self, Error> {
        let nonces = Arc::new(Nonces::default());
        let current = ArcSwap::from_pointee(BoundKey::new(signer, Arc::clone(&nonces))?);
        Ok(Self(Arc::new(Shared { current, nonces })))
    }

    /// Uses another key from the next exchange on. Tokens that were issued before keep theirs. A public client's refresh
    /// tokens are bound to the key, too (RFC 9449, section 5): a server refuses them with another one.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn replace(&self, signer: impl Signer) -> Result<(), Error> {
        self.0.current.store(Arc::new(BoundKey::new(signer, Arc::clone(&self.0.nonces))?));
        Ok(())
    }

    /// The public key's thumbprint (RFC 7638), as authorization servers know it (`jkt`).
    #[must_use]
    pub fn thumbprint(&self) -> String {
        self.0.current.load().thumbprint.clone()
    }

    /// The key of one exchange and the token that it brings.
    pub(crate) fn current(&self) -> Arc<BoundKey> {
        self.0.current.load_full()
    }
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DpopKey").field(&self.thumbprint()).finish()
    }
}

/// One key, for the tokens that were issued with it.
pub(crate) struct BoundKey {
    signer: SharedSigner,
    jwk: Value,
    thumbprint: String,
    nonces: Arc<Nonces>,
    clock: Clock,
}

impl BoundKey {
    fn new(signer: impl Signer, nonces: Arc<Nonces>) -> Result<Self, Error> {
        let jwk = signer.public_jwk().ok_or_else(|| {
            Error::config("the signer of a DPoP key does not tell its public key (Signer::public_jwk)")
        })?;
        let (signer, thumbprint) = (Arc::new(signer), jwk.thumbprint());
        Ok(Self { signer, jwk: jwk.to_json(), thumbprint, nonces, clock: Clock::new() })
    }

    /// A proof for a request to the authorization server, which carries no token yet, or one with this token.
    pub(crate) fn proof(&self, method: &Method, url: &str, token: Option<&str>, nonce: Option<&str>) -> Proof {
        let mut claims = Map::new();
        let mut claim = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        let target = target(url);
        claim("jti", unique_id().into());
        claim("htm", method.as_str().into());
        claim("htu", target.clone().into());
        let seconds = self.clock.wall().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        claim("iat", seconds.into());
        if let Some(token) = token {
            claim("ath", BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())).into());
        }
        let nonce = nonce.map(str::to_owned).or_else(|| self.nonces.get(origin(&target)));
        if let Some(nonce) = &nonce {
            claim("nonce", nonce.as_str().into());
        }
        let header =
            Map::from_iter([("typ".to_owned(), Value::from("dpop+jwt")), ("jwk".to_owned(), self.jwk.clone())]);
        let signer = Arc::clone(&self.signer);
        let signing = Box::pin(async move {
            let claims = Value::Object(claims);
            let signing = sign_jws(&*signer, header, &claims);
            let signed = match timer::timeout(SIGN_WITHIN, signing).await? {
                Some(signed) => signed?,
                None => {
                    let message = format!("the signer of a DPoP proof took more than {} s", SIGN_WITHIN.as_secs());
                    return Err(Error::new(ErrorKind::Credential, message));
                }
            };
            let mut value = HeaderValue::try_from(signed.as_str())
                .map_err(|_| Error::new(ErrorKind::Credential, "a DPoP proof does not fit into a header"))?;
            value.set_sensitive(true);
            Ok(value)
        });
        Proof::new(nonce, signing)
    }
}

impl Possession for BoundKey {
    fn prove(&self, method: &Method, url: &str, token: &str, nonce: Option<&str>) -> Proof {
        self.proof(method, url, Some(token), nonce)
    }

    fn learn_nonce(&self, url: &str, headers: &HeaderMap) -> Option<String> {
        self.nonces.learn(origin(&target(url)), headers)
    }

    #[cfg(any(feature = "sign-in", feature = "store"))]
    fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}

/// A token that is bound to this key, and was kept elsewhere.
#[cfg(feature = "store")]
pub(crate) fn bind(token: &str, key: &Arc<BoundKey>) -> Result<AccessToken, Error> {
    AccessToken::dpop(token, Arc::clone(key) as _)
}

/// `htu`: the URL without query and fragment (RFC 9449, section 4.2), scheme and host in lower case, without a default port:
/// as a server that compares texts would write it.
fn target(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    // A user name and a password are no part of it; a proof is signed, not encrypted.
    let authority = authority.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    let default_port = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
    let path = if path.is_empty() { "/" } else { path };
    format!("{scheme}://{authority}{path}")
}

fn origin(target: &str) -> &str {
    let authority = target.find("://").map_or(0, |at| at + 3);
    target[authority..].find('/').map_or(target, |at| &target[..authority + at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_a_proof_is_the_url_without_query_as_servers_write_it() {
        for (url, expected, from) in [
            ("https://api.test/a/b?c=d#e", "https://api.test/a/b", "https://api.test"),
            ("HTTPS://API.test:443", "https://api.test/", "https://api.test"),
            ("https://api.test:8443/A", "https://api.test:8443/A", "https://api.test:8443"),
            ("http://127.0.0.1:80/?x", "http://127.0.0.1/", "http://127.0.0.1"),
            ("http://[::1]:443/a", "http://[::1]:443/a", "http://[::1]:443"),
            ("https://api.test?q", "https://api.test/", "https://api.test"),
            ("https://me:pw@api.test/a", "https://api.test/a", "https://api.test"),
        ] {
            let target = target(url);
            assert_eq!((target.as_str(), origin(&target)), (expected, from), "{url}");
        }
    }
}
