//! As much DER as it takes to find the numbers of an RSA key.

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match *first {
            short @ ..0x80 => (usize::from(short), rest),
            long => {
                let (length, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
                (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        (*found == tag).then_some(content)
    }

    /// An unsigned number, without the zero that keeps DER from reading it as negative.
    fn number(&mut self) -> Option<&'a [u8]> {
        let content = self.element(INTEGER)?;
        Some(content.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(content))
    }
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1).
pub(super) fn rsa_public(der: &[u8]) -> Option<[&[u8]; 2]> {
    let mut key = Reader(Reader(der).element(SEQUENCE)?);
    Some([key.number()?, key.number()?])
}

/// The numbers `d`, `p`, `q`, `dp`, `dq`, `qi` of an RSA key in PKCS #8 (RFC 5958, RFC 8017 appendix
/// A.1.2).
pub(super) fn rsa_private(pkcs8: &[u8]) -> Option<[&[u8]; 6]> {
    let mut info = Reader(Reader(pkcs8).element(SEQUENCE)?);
    info.element(INTEGER)?;
    info.element(SEQUENCE)?;
    let mut key = Reader(Reader(info.element(OCTET_STRING)?).element(SEQUENCE)?);
    let (_version, _modulus, _exponent) = (key.number()?, key.number()?, key.number()?);
    Some([key.number()?, key.number()?, key.number()?, key.number()?, key.number()?, key.number()?])
}
