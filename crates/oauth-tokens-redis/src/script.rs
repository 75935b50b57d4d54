//! What has to be one step on the server, in Lua.
//!
//! A record is kept as text: its version, a colon, and what [`StoreKeys`](oauth_tokens::StoreKeys) made of it. The version
//! stands there so that the server can compare it; the sealed record says it again, and nobody can change it there. Each
//! script may run twice with the same effect as once. They are sent whole: a store is asked once a renewal, and a script cache
//! that is flushed is one thing less to think of.

use std::time::Duration;

use redis::{Cmd, cmd};

/// More than a record is never read: as much as [`StoreKeys`](oauth_tokens::StoreKeys) seals, and a version.
const LIMIT: usize = 1024 * 1024 + 32;

/// What is there is taken for nothing if it is of another type than ours, and replaced if it is exactly `ARGV[4]`.
const REPLACE: &str = r"
local there = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[5])
if type(there) ~= 'string' then there = '' end
if there == ARGV[2] then return 1 end
local is_expected
if ARGV[1] == '' then
  is_expected = there == '' or there == ARGV[4]
else
  is_expected = string.match(there, '^(%d+):') == ARGV[1]
end
if not is_expected then return there end
if ARGV[3] == '' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return 1
";

const DELETE: &str = r"
local version = redis.pcall('GETRANGE', KEYS[1], 0, 31)
if type(version) ~= 'string' or string.match(version, '^(%d+):') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
";

const LEASE: &str = r"
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end
return 0
";

const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
";

/// What is at a key, and one byte more than a record may have.
pub(crate) fn load(key: &str) -> Cmd {
    let mut command = cmd("GETRANGE");
    command.arg(key).arg(0).arg(LIMIT);
    command
}

/// Answers 1, or what is there instead of what was expected.
pub(crate) fn replace(key: &str, expected: Option<u64>, text: &[u8], ttl: Option<Duration>, garbage: &[u8]) -> Cmd {
    let expected = expected.map(|version| version.to_string()).unwrap_or_default();
    let ttl = ttl.map(|ttl| millis(ttl).to_string()).unwrap_or_default();
    let mut command = on(REPLACE, key);
    command.arg(expected).arg(text).arg(ttl).arg(garbage).arg(LIMIT);
    command
}

pub(crate) fn delete(key: &str, expected: u64) -> Cmd {
    let mut command = on(DELETE, key);
    command.arg(expected);
    command
}

pub(crate) fn lease(key: &str, holder: &str, time: Duration) -> Cmd {
    let mut command = on(LEASE, key);
    command.arg(holder).arg(millis(time));
    command
}

pub(crate) fn release(key: &str, holder: &str) -> Cmd {
    let mut command = on(RELEASE, key);
    command.arg(holder);
    command
}

fn on(script: &str, key: &str) -> Cmd {
    let mut command = cmd("EVAL");
    command.arg(script.trim()).arg(1).arg(key);
    command
}

/// As Redis takes it: at least one, and far from where its own sum with the time of day overflows.
fn millis(time: Duration) -> u64 {
    const CENTURY: u128 = 100 * 365 * 24 * 3600 * 1000;
    u64::try_from(time.as_millis().clamp(1, CENTURY)).unwrap_or(1)
}

/// A record as it is kept.
pub(crate) fn text(version: u64, sealed: &[u8]) -> Vec<u8> {
    [format!("{version}:").as_bytes(), sealed].concat()
}

/// The version and the sealed record in what is kept, unless it is garbage.
pub(crate) fn parse(text: &[u8]) -> Option<(u64, &[u8])> {
    let colon = text.iter().take(21).position(|byte| *byte == b':')?;
    let digits = std::str::from_utf8(&text[..colon]).ok()?;
    let version: u64 = digits.parse().ok()?;
    // The server compares text, so a number has one form.
    (text.len() <= LIMIT && version.to_string() == digits).then(|| (version, &text[colon + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_one_form() {
        for version in [0, 1, u64::MAX] {
            assert_eq!(parse(&text(version, b"a:b")), Some((version, &b"a:b"[..])));
        }
        for garbage in ["", ":", "1", "+1:x", "01:x", "-1:x", " 1:x", "18446744073709551616:x", "1\u{661}:x"] {
            assert_eq!(parse(garbage.as_bytes()), None, "{garbage}");
        }
        assert_eq!(parse(&[b'1'; 100]), None);
        assert_eq!(parse(&text(1, &vec![0; LIMIT])), None);
    }

    #[test]
    fn a_time_is_one_that_redis_takes() {
        assert_eq!(millis(Duration::ZERO), 1);
        assert_eq!(millis(Duration::from_secs(60)), 60_000);
        assert_eq!(millis(Duration::MAX), 3_153_600_000_000);
    }
}
