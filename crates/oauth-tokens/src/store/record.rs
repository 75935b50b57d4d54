//! A record as bytes, bound to its key.
//!
//! Both forms begin alike: a byte for the form, the version, the expiry (milliseconds since 1970; all ones: never). What is
//! sealed goes on with the key's id, the nonce and the ciphertext; what is plain goes on with a checksum and the content.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{Context, SHA256, SHA256_OUTPUT_LEN},
};
use zeroize::Zeroizing;

use super::{Record, StoreKey};

/// More than any record of ours: an access token is at most 16 KiB.
pub(super) const MAX_BYTES: usize = 1024 * 1024;
pub(super) const HEADER_BYTES: usize = 17;
const PLAIN: u8 = 1;
pub(super) const SEALED: u8 = 2;

pub(super) type Header = [u8; HEADER_BYTES];

/// What both forms tell openly.
pub(super) fn header(form: u8, record: &Record) -> Header {
    let mut header = [0; HEADER_BYTES];
    header[0] = form;
    header[1..9].copy_from_slice(&record.version.to_be_bytes());
    header[9..].copy_from_slice(&millis(record.expires_at).to_be_bytes());
    header
}

/// The header of a record in this form, and what follows it.
pub(super) fn split(form: u8, bytes: &[u8]) -> Option<(&Header, &[u8])> {
    let (header, rest) = bytes.split_first_chunk()?;
    (header[0] == form && bytes.len() <= MAX_BYTES).then_some((header, rest))
}

/// When a record expires, in whichever form: as it says, which nobody has vouched for.
#[cfg(unix)]
pub(super) fn expiry(bytes: &[u8]) -> Option<SystemTime> {
    let (header, _) = [PLAIN, SEALED].into_iter().find_map(|form| split(form, bytes))?;
    with_content(header, Zeroizing::default())?.expires_at
}

/// The record with this header.
pub(super) fn with_content(header: &Header, content: Zeroizing<Vec<u8>>) -> Option<Record> {
    let version = u64::from_be_bytes(*header[1..].first_chunk()?);
    let expires_at = match u64::from_be_bytes(*header[9..].first_chunk()?) {
        u64::MAX => None,
        millis => Some(UNIX_EPOCH.checked_add(Duration::from_millis(millis))?),
    };
    Some(Record { version, expires_at, content })
}

fn millis(expires_at: Option<SystemTime>) -> u64 {
    let Some(expires_at) = expires_at else { return u64::MAX };
    let since = expires_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A record in the open, for a place that only its owner reads.
pub(super) fn plain(key: &StoreKey, record: &Record) -> Zeroizing<Vec<u8>> {
    let header = header(PLAIN, record);
    Zeroizing::new([&header, checksum(key, &header, &record.content).as_slice(), &record.content].concat())
}

/// The record that [`plain`] made of one of this key.
pub(super) fn read_plain(key: &StoreKey, bytes: &[u8]) -> Option<Record> {
    let (header, rest) = split(PLAIN, bytes)?;
    let (sum, content) = rest.split_first_chunk::<SHA256_OUTPUT_LEN>()?;
    verify_slices_are_equal(&checksum(key, header, content), sum).ok()?;
    with_content(header, Zeroizing::new(content.to_vec()))
}

/// Finds what a disk did, and a file that was renamed; an owner who forges a record has the tokens anyway.
fn checksum(key: &StoreKey, header: &Header, content: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let mut context = Context::new(&SHA256);
    for part in [key.as_str().as_bytes(), header, content] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut sum = [0; SHA256_OUTPUT_LEN];
    sum.copy_from_slice(context.finish().as_ref());
    sum
}
