//! A request that can be sent again.
//!
//! Nearly all requests are answered and what was kept of them is thrown away, so keeping is what counts, not restoring. URL
//! and headers are written one after another into a few hundred bytes that lie beside the rest. A `HeaderMap` that is cloned
//! allocates two or three times, counts a reference for each value, and allocates once more for each value that was never
//! shared before; a `Uri` counts two references, which is 6 % of the time that a request takes to be made, sent and answered by
//! a service that does nothing.

use std::fmt;

use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Uri, Version,
    header::AUTHORIZATION,
    uri::{self, Scheme},
};

/// Room for the URL and the headers of most requests. Where it does not suffice, they have an allocation of their own.
const ROOM: usize = 448;

/// What is kept of a request besides its head.
#[derive(Debug)]
pub struct Kept<K> {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) extensions: Extensions,
    pub(super) body: K,
}

/// A URL, and headers in their order, several of one name included; as bytes. `Authorization` is not among them: it is ours.
pub struct KeptHead {
    scheme: Option<Scheme>,
    room: [u8; ROOM],
    used: usize,
    /// In place of the room.
    spilled: Vec<u8>,
}

impl Default for KeptHead {
    #[inline]
    fn default() -> Self {
        Self { scheme: None, room: [0; ROOM], used: 0, spilled: Vec::new() }
    }
}

impl KeptHead {
    #[inline]
    pub(super) fn keep(&mut self, uri: &Uri, headers: &HeaderMap) {
        self.scheme = uri.scheme().cloned();
        match fill(&mut self.room, uri, headers) {
            Some(used) => self.used = used,
            None => self.spill(uri, headers),
        }
    }

    #[cold]
    fn spill(&mut self, uri: &Uri, headers: &HeaderMap) {
        let length = |(name, value): (&HeaderName, &HeaderValue)| PREFIX + name.as_str().len() + value.len();
        let (authority, path) = authority_and_path(uri);
        let most = PREFIX + authority.len() + path.len() + headers.iter().map(length).sum::<usize>();
        self.spilled = vec![0; most];
        let used = fill(&mut self.spilled, uri, headers);
        self.spilled.truncate(used.unwrap_or(most));
    }

    fn bytes(&self) -> &[u8] {
        if self.spilled.is_empty() { &self.room[..self.used] } else { &self.spilled }
    }

    /// The URL again.
    pub(super) fn uri(&self) -> Option<Uri> {
        let (record, _) = read(self.bytes())?;
        let mut parts = uri::Parts::default();
        parts.scheme = self.scheme.clone();
        if !record.name.is_empty() {
            parts.authority = Some(record.name.try_into().ok()?);
        }
        if !record.value.is_empty() {
            parts.path_and_query = Some(record.value.try_into().ok()?);
        }
        Uri::from_parts(parts).ok()
    }

    /// The headers again. None: they are more than a map can hold.
    pub(super) fn headers(&self) -> Option<HeaderMap> {
        let (_, mut left) = read(self.bytes())?;
        let mut headers = HeaderMap::new();
        while !left.is_empty() {
            let (record, rest) = read(left)?;
            let mut value = HeaderValue::from_bytes(record.value).ok()?;
            value.set_sensitive(record.is_sensitive);
            // All that a name can be: `from_bytes` knows fewer characters.
            headers.try_append(HeaderName::from_lowercase(record.name).ok()?, value).ok()?;
            left = rest;
        }
        Some(headers)
    }
}

#[inline]
fn authority_and_path(uri: &Uri) -> (&str, &str) {
    let path = uri.path_and_query().map_or("", uri::PathAndQuery::as_str);
    (uri.authority().map_or("", uri::Authority::as_str), path)
}

/// How many bytes it took. None: there are not so many.
#[inline]
fn fill(room: &mut [u8], uri: &Uri, headers: &HeaderMap) -> Option<usize> {
    let room_for_all = room.len();
    let (authority, path) = authority_and_path(uri);
    let mut left = write(room, Record { name: authority.as_bytes(), value: path.as_bytes(), is_sensitive: false })?;
    for (name, value) in headers {
        if *name != AUTHORIZATION {
            let (name, is_sensitive) = (name.as_str().as_bytes(), value.is_sensitive());
            left = write(left, Record { name, value: value.as_bytes(), is_sensitive })?;
        }
    }
    Some(room_for_all - left.len())
}

/// A header; or, before all headers, an authority, and path and query.
struct Record<'a> {
    /// Less than 64 KiB.
    name: &'a [u8],
    value: &'a [u8],
    is_sensitive: bool,
}

/// Before each record stand both lengths, and whether it is sensitive, in one number.
const PREFIX: usize = size_of::<u64>();
const NAME_BITS: u32 = 16;
const SENSITIVE: u64 = 1 << 63;

/// What is left of the place; none if that does not suffice.
#[inline]
fn write<'a>(place: &'a mut [u8], record: Record<'_>) -> Option<&'a mut [u8]> {
    let Record { name, value, is_sensitive } = record;
    let sensitive = if is_sensitive { SENSITIVE } else { 0 };
    let prefix = sensitive | (value.len() as u64) << NAME_BITS | name.len() as u64;
    let (place, rest) = place.split_at_mut_checked(PREFIX + name.len() + value.len())?;
    let (prefix_place, place) = place.split_at_mut(PREFIX);
    let (name_place, value_place) = place.split_at_mut(name.len());
    prefix_place.copy_from_slice(&prefix.to_ne_bytes());
    name_place.copy_from_slice(name);
    value_place.copy_from_slice(value);
    Some(rest)
}

fn read(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (prefix, bytes) = bytes.split_first_chunk()?;
    let prefix = u64::from_ne_bytes(*prefix);
    let (name, bytes) = bytes.split_at_checked(usize::try_from(prefix & ((1 << NAME_BITS) - 1)).ok()?)?;
    let (value, bytes) = bytes.split_at_checked(usize::try_from((prefix & !SENSITIVE) >> NAME_BITS).ok()?)?;
    Some((Record { name, value, is_sensitive: prefix & SENSITIVE != 0 }, bytes))
}

// Never what is in it: a cookie, an API key.
impl fmt::Debug for KeptHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptHead").finish_non_exhaustive()
    }
}
