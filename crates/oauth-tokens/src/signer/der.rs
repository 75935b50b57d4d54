//! The little of DER (ITU-T X.690) that keys and signatures need.

use zeroize::Zeroizing;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// A sequence of two positive integers, without leading zeros: an ECDSA signature, or an RSA public key.
pub(super) fn two_integers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = element(SEQUENCE, der)?;
    let (first, others) = integer(content)?;
    let (second, others) = integer(others)?;
    (rest.is_empty() && others.is_empty()).then_some((first, second))
}

/// What kind of key it is, and the key (RFC 5280, section 4.1).
pub(super) fn subject_public_key_info(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = element(SEQUENCE, der)?;
    let (algorithm, others) = element(SEQUENCE, content)?;
    let (bits, others) = element(BIT_STRING, others)?;
    let (unused, key) = bits.split_first()?;
    (rest.is_empty() && others.is_empty() && *unused == 0).then_some((algorithm, key))
}

/// Two integers in DER, each as so many bytes.
pub(super) fn fixed_length(der: &[u8], length: usize) -> Option<Vec<u8>> {
    let (r, s) = two_integers(der)?;
    let mut out = Vec::with_capacity(length * 2);
    for number in [r, s] {
        out.resize(out.len() + length.checked_sub(number.len())?, 0);
        out.extend_from_slice(number);
    }
    Some(out)
}

/// A sequence of positive integers, given in big-endian order; the first of them is the version 0 (RFC 8017, appendix
/// A.1.2).
pub(super) fn rsa_private_key(numbers: &[Zeroizing<Vec<u8>>; 8]) -> Zeroizing<Vec<u8>> {
    let mut content = Zeroizing::new(vec![INTEGER, 1, 0]);
    // Never grown, so that no copy of the key stays behind.
    content.reserve_exact(numbers.iter().map(|number| number.len() + 6).sum());
    for number in numbers {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let sign = number.get(zeros).is_none_or(|first| *first >= 0x80);
        header(&mut content, INTEGER, number.len() - zeros + usize::from(sign));
        content.extend_from_slice(if sign { &[0] } else { &[] });
        content.extend_from_slice(&number[zeros..]);
    }
    let mut out = Zeroizing::new(Vec::with_capacity(content.len() + 6));
    header(&mut out, SEQUENCE, content.len());
    out.extend_from_slice(&content);
    out
}

fn header(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    let bytes = length.to_be_bytes();
    let significant = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    match significant {
        [] => out.push(0),
        [short] if *short < 0x80 => out.push(*short),
        long => {
            out.push(0x80 | u8::try_from(long.len()).unwrap_or_default());
            out.extend_from_slice(long);
        }
    }
}

fn integer(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = element(INTEGER, der)?;
    let number = match content {
        [] => return None,
        [0, number @ ..] if number.first().is_some_and(|first| *first >= 0x80) => number,
        // Negative, zero, or longer than it must be.
        [0 | 0x80.., ..] => return None,
        number => number,
    };
    Some((number, rest))
}

fn element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if *found == tag { rest.split_at_checked(length) } else { None }
}
