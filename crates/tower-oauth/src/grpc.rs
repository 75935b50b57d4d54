//! What gRPC says in headers: how a call ended, and how long it may take.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// A number that the wire has no more room for.
const TOO_LONG: u128 = 100_000_000;

/// Whether a response that has no more than headers says `UNAUTHENTICATED`.
pub(crate) fn is_unauthenticated(headers: &HeaderMap) -> bool {
    headers.get(STATUS).is_some_and(|status| status == "16")
}

/// Whether a response that has no more than headers says `PERMISSION_DENIED`.
pub(crate) fn is_permission_denied(headers: &HeaderMap) -> bool {
    headers.get(STATUS).is_some_and(|status| status == "7")
}

/// Whether a response that has no more than headers says that the call failed, in whatever way.
pub(crate) fn has_failed(headers: &HeaderMap) -> bool {
    headers.get(STATUS).is_some_and(|status| status != "0")
}

/// How long a call may take, by its own account: a number of at most eight digits, and a unit.
pub(crate) fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.is_empty() || number.len() > 8 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = number.parse::<u64>().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Says how long a call may take, in the smallest unit that has room for it; never longer than it is.
pub(crate) fn set_timeout(headers: &mut HeaderMap, timeout: Duration) {
    let units = [
        (timeout.as_nanos(), 'n'),
        (timeout.as_micros(), 'u'),
        (timeout.as_millis(), 'm'),
        (timeout.as_secs().into(), 'S'),
        (u128::from(timeout.as_secs()) / 60, 'M'),
        (u128::from(timeout.as_secs()) / 3600, 'H'),
    ];
    let Some((number, unit)) = units.into_iter().find(|(number, _)| *number < TOO_LONG) else { return };
    if let Ok(value) = HeaderValue::try_from(format!("{number}{unit}")) {
        // Removed first: `insert` panics where there is no room for one more, even if it is there already.
        headers.remove(TIMEOUT);
        let _ = headers.try_insert(TIMEOUT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: HeaderValue = HeaderValue::from_static("there");

    fn headers(timeout: &str) -> HeaderMap {
        HeaderMap::from_iter([(TIMEOUT, HeaderValue::try_from(timeout).expect("a header"))])
    }

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them_and_nothing_else_is() {
        for (text, expected) in [
            ("0n", Some(Duration::ZERO)),
            ("5n", Some(Duration::from_nanos(5))),
            ("5u", Some(Duration::from_micros(5))),
            ("5m", Some(Duration::from_millis(5))),
            ("5S", Some(Duration::from_secs(5))),
            ("5M", Some(Duration::from_secs(300))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("100000000S", None),
            ("S", None),
            ("", None),
            ("5", None),
            ("5s", None),
            ("5h", None),
            ("-5S", None),
            ("+5S", None),
            (" 5S", None),
            ("5 S", None),
            ("5.5S", None),
        ] {
            assert_eq!(timeout(&headers(text)), expected, "{text}");
        }
        let bytes = HeaderValue::from_bytes(b"5\xc3\xa9").expect("a header");
        assert_eq!(timeout(&HeaderMap::from_iter([(TIMEOUT, bytes)])), None);
        assert_eq!(timeout(&HeaderMap::new()), None);
    }

    #[test]
    fn a_header_map_without_room_for_more_has_its_timeout_written_all_the_same() {
        let mut headers = headers("1S");
        let mut number = 0;
        while headers.try_insert(HeaderName::try_from(format!("x-{number}")).expect("a name"), STILL).is_ok() {
            number += 1;
        }
        set_timeout(&mut headers, Duration::from_millis(5));
        assert_eq!(headers[TIMEOUT], "5000000n");
    }

    #[test]
    fn timeouts_are_written_with_eight_digits_at_most_and_never_longer_than_they_are() {
        for (left, expected) in [
            (Duration::ZERO, "0n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_999), "100000u"),
            (Duration::from_secs(99), "99000000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_millis(100_000_500), "100000S"),
            (Duration::from_secs(100_000_059), "1666667M"),
            (Duration::from_secs(99_999_999 * 3600), "99999999H"),
        ] {
            let mut headers = headers("1S");
            set_timeout(&mut headers, left);
            assert_eq!(headers[TIMEOUT], expected);
            assert!(timeout(&headers).is_some_and(|written| written <= left), "{expected}");
        }
    }
}
