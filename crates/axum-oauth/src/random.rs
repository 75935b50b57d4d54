//! What nobody can guess.

use aws_lc_rs::rand;
use oauth_tokens::Error;
use zeroize::Zeroizing;

/// 256 bits, good for a cookie's value.
pub(crate) fn random_text() -> Result<Zeroizing<String>, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes).map_err(|_| Error::source_failed("the system gives no random numbers"))?;
    Ok(Zeroizing::new(hex(&*bytes)))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}
