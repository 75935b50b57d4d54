use std::time::Duration;

use http::Uri;

use crate::dpop::PROOF;
use crate::incoming::Incoming;
use crate::jws::{Algorithm, DecodedJwt, Jws, PublicKey, has_private_part, sha256, thumbprint};
use crate::service::Side;
use crate::state::Model;

/// How far from now, either way, a proof's `iat` may be.
const WINDOW: Duration = Duration::from_secs(60);

/// A proof that was good.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    /// The thumbprint of the key.
    pub(crate) key: String,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    Invalid(&'static str),
    /// All is well but the nonce.
    Nonce,
}

/// RFC 9449 section 4.3, all of it. At the API the proof must be for the access token, too.
pub(crate) fn check(
    model: &mut Model,
    incoming: &Incoming<'_>,
    side: Side,
    access_token: Option<&str>,
) -> Result<Proof, Refused> {
    let shared = incoming.shared;
    let mut headers = incoming.parts.headers.get_all(PROOF).iter();
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return Err(Refused::Invalid("there must be one DPoP header"));
    };
    let proof = header.to_str().map_err(|_| "not a JWT").and_then(Jws::parse).map_err(Refused::Invalid)?;
    let origin = match side {
        Side::Authorization => &shared.settings.issuer,
        Side::Api => &shared.settings.api_origin,
    };
    let request = Request { method: incoming.parts.method.as_str(), url: incoming.url(origin), access_token };
    let (key, until) = verify(&proof, &request, shared.clock.now()).map_err(Refused::Invalid)?;
    let jti = proof.claims.required_text("jti", "the proof has no jti").map_err(Refused::Invalid)?;
    // Spent even if the nonce is missing: the next attempt needs a proof of its own.
    model.spend(shared, format!("proof {key} {jti}"), until).map_err(Refused::Invalid)?;
    if !model.nonces(side).accept(proof.claims.text("nonce")) {
        return Err(Refused::Nonce);
    }
    Ok(Proof { key })
}

/// What a proof is held against.
struct Request<'a> {
    method: &'a str,
    url: String,
    access_token: Option<&'a str>,
}

/// The thumbprint of the key, and until when the proof is good.
fn verify(proof: &Jws, request: &Request<'_>, now: Duration) -> Result<(String, Duration), &'static str> {
    if proof.media_type().as_deref() != Some("dpop+jwt") {
        return Err("the proof's typ is not dpop+jwt");
    }
    if !Algorithm::ASYMMETRIC.contains(&proof.algorithm) {
        return Err("the proof's alg is not asymmetric");
    }
    let jwk = proof.header.get("jwk").ok_or("the proof has no jwk")?;
    if has_private_part(jwk) {
        return Err("the proof's jwk is a private key");
    }
    proof.verify(&PublicKey::from_jwk(jwk)?)?;
    let claims = &proof.claims;
    if claims.text("htm") != Some(request.method) {
        return Err("the proof is for another method");
    }
    let url = claims.text("htu").and_then(normal).ok_or("the proof's htu is no URL")?;
    if Some(url) != normal(&request.url) {
        return Err("the proof is for another URL");
    }
    let issued = claims.check_fresh(now, WINDOW)?;
    if let Some(token) = request.access_token
        && claims.text("ath") != Some(&sha256(token.as_bytes()))
    {
        return Err("the proof is for another access token");
    }
    let key = thumbprint(jwk).ok_or("the proof's jwk is incomplete")?;
    // At the very end of its window a proof is still good.
    Ok((key, issued + WINDOW + Duration::from_secs(1)))
}

/// Scheme, host, port and path of a URL: what two must share to be the same for `htu`. Query and
/// fragment do not count.
fn normal(url: &str) -> Option<(String, String, u16, String)> {
    let url = url.split(['?', '#']).next()?;
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let authority = uri.authority()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let port = match (authority.port_u16(), scheme.as_str()) {
        (Some(port), _) => port,
        (None, "https") => 443,
        (None, "http") => 80,
        (None, _) => return None,
    };
    Some((scheme, authority.host().to_ascii_lowercase(), port, uri.path().to_owned()))
}

/// The nonce of a proof, whether it is good or not.
pub(super) fn nonce_of(proof: &str) -> Option<String> {
    Some(DecodedJwt::decode(proof)?.claims["nonce"].as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The proofs of RFC 9449 section 4.1 and section 7.1.
    #[test]
    fn the_proofs_of_the_rfc() {
        const HEADER: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0V\
            jNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1\
            JEQSIsImNydiI6IlAtMjU2In19";
        const TOKEN_REQUEST: &str = "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV\
            4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOS\
            sX0x7NVY-FNyJK70nfbV37xRZT3Lg";
        const API_REQUEST: &str = "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5l\
            eGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXW\
            G9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYo\
            MxhAJpLjA";
        const TOKEN: &str = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        let token_request =
            || Request { method: "POST", url: "https://server.example.com/token".to_owned(), access_token: None };
        let api_request = |access_token| Request {
            method: "GET",
            url: "https://resource.example.org/protectedresource?page=2".to_owned(),
            access_token,
        };
        let check = |claims: &str, request: &Request<'_>, now: u64| {
            let proof = Jws::parse(&format!("{HEADER}.{claims}")).expect("a proof");
            verify(&proof, request, Duration::from_secs(now)).map(|(key, _)| key)
        };
        let key = Ok("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".to_owned());
        let issued = 1_562_262_616;
        assert_eq!(check(TOKEN_REQUEST, &token_request(), issued), key);
        assert_eq!(check(API_REQUEST, &api_request(Some(TOKEN)), issued + 2), key);

        let another_token = api_request(Some("another"));
        assert_eq!(check(API_REQUEST, &another_token, issued + 2), Err("the proof is for another access token"));
        assert_eq!(check(TOKEN_REQUEST, &token_request(), issued + 60), key);
        assert_eq!(check(TOKEN_REQUEST, &token_request(), issued + 61), Err("the JWT's iat is not now"));
        assert_eq!(check(TOKEN_REQUEST, &token_request(), issued - 60), key);
        assert_eq!(check(TOKEN_REQUEST, &token_request(), issued - 61), Err("the JWT's iat is not now"));
        let get = Request { method: "GET", ..token_request() };
        assert_eq!(check(TOKEN_REQUEST, &get, issued), Err("the proof is for another method"));
        let elsewhere = Request { url: "https://server.example.com/revoke".to_owned(), ..token_request() };
        assert_eq!(check(TOKEN_REQUEST, &elsewhere, issued), Err("the proof is for another URL"));
        let forged = TOKEN_REQUEST.replace("2-GxA6", "3-GxA6");
        assert_eq!(check(&forged, &token_request(), issued), Err("the JWT's signature does not verify"));
    }

    #[test]
    fn urls_that_are_the_same_for_htu() {
        for (one, other, same) in [
            ("https://a.test/x", "https://a.test/x", true),
            ("https://A.test:443/x?q#f", "HTTPS://a.test/x", true),
            ("http://a.test", "http://a.test:80/", true),
            ("https://a.test/x", "http://a.test/x", false),
            ("https://a.test/x", "https://a.test/X", false),
            ("https://a.test/x", "https://a.test/x/", false),
            ("https://a.test/x", "https://a.test:444/x", false),
            ("https://a.test/x", "https://b.test/x", false),
        ] {
            let (one, other) = (normal(one), normal(other));
            assert!(one.is_some());
            assert_eq!(one == other, same, "{one:?} {other:?}");
        }
        for none in ["", "/x", "a.test/x", "https://user@a.test/x", "ftp://a.test/x", "https:///x", "https://a b/"] {
            assert_eq!(normal(none), None, "{none}");
        }
    }
}
