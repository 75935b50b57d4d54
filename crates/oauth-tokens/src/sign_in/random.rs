//! Values that nobody can guess.

use aws_lc_rs::{
    digest::{SHA256, digest},
    rand,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::{Error, ErrorKind};

/// 256 bits in base64url: as long as RFC 7636 (section 4.1) asks of a verifier, and more than enough for the rest.
pub(super) const LENGTH: usize = 43;

/// 256 random bits in base64url.
pub(crate) fn random() -> Result<Zeroizing<String>, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes)
        .map_err(|_| Error::new(ErrorKind::Credential, "the system gave no random bytes for a sign-in"))?;
    Ok(Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(bytes.as_slice())))
}

/// Whether it is one of ours, by its looks.
pub(super) fn is_random(text: &str) -> bool {
    text.len() == LENGTH && BASE64_URL_SAFE_NO_PAD.decode(text).is_ok()
}

/// `code_challenge` by S256 (RFC 7636, section 4.2).
pub(super) fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l2_the_challenge_is_that_of_rfc_7636_appendix_b() {
        let challenge = challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn l2_random_values_are_256_bits_and_differ() {
        let (one, other) = (random().expect("random"), random().expect("random"));
        assert!(is_random(&one) && is_random(&other) && one != other);
        assert!(!is_random(&one[1..]) && !is_random(&one.replace(&one[..1], "+")) && !is_random(""));
    }
}
