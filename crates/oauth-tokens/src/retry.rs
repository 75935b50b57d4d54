//! When an exchange may be tried again.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};

use crate::{
    Error, ErrorKind,
    clock::{doubled, jitter},
    timer,
};

/// At most so many attempts for one exchange: what a stumble needs, and no more (T3).
pub(crate) const MAX_ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The longest wait that a server may ask for (T11).
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// `Retry-After` (RFC 9110, section 10.2.3), in seconds or as a date, on 429 and 503.
pub(crate) fn retry_after(status: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a long wait, too.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        httpdate::parse_http_date(value).ok()?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// When an exchange may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    Freely,
    /// Only if nothing was sent, or taken in.
    IfUnsent,
    /// Not even then: whoever asks has a rhythm of its own.
    Never,
}

/// Counts the attempts of one exchange, and pauses between them with full jitter.
#[derive(Default)]
pub(crate) struct Attempts {
    made: u32,
}

impl Attempts {
    /// Returns after a pause when another attempt may help, else with the error.
    pub(crate) async fn another(&mut self, error: Error, repeat: Repeat) -> Result<(), Error> {
        self.made += 1;
        // A server that is not in service has taken nothing in.
        let untaken = error.is_unsent() || error.status() == Some(StatusCode::SERVICE_UNAVAILABLE);
        let allowed = match repeat {
            Repeat::Freely => true,
            Repeat::IfUnsent => untaken,
            Repeat::Never => false,
        };
        if self.made == MAX_ATTEMPTS || !allowed || !is_worth_another(&error) {
            return Err(error);
        }
        timer::sleep(jitter(doubled(FIRST_PAUSE, self.made - 1, LONGEST_PAUSE)))?.await;
        Ok(())
    }
}

/// A broken connection or a server's stumble. Not what the server asked to wait for: nobody sleeps that out here (T11).
fn is_worth_another(error: &Error) -> bool {
    let stumbled = error.status().is_some_and(|status| status.is_server_error());
    let unreached = matches!(error.kind(), ErrorKind::Transport | ErrorKind::Timeout);
    error.is_transient() && error.retry_after().is_none() && (stumbled || unreached)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t11_retry_after_in_seconds_and_as_a_date_capped() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        let cases = [
            (429, "7", Some(7)),
            (503, " 120 ", Some(120)),
            (503, "0", Some(0)),
            (503, "86400", Some(300)),
            (503, "99999999999999999999999999", Some(300)),
            (429, "Sun, 06 Nov 1994 08:49:57 GMT", Some(20)),
            (429, "Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
            (429, "Sat, 06 Nov 2094 08:40:00 GMT", Some(300)),
            (429, "soon", None),
            (429, "-1", None),
            (429, "1.5", None),
            (429, "", None),
            (500, "7", None),
            (400, "7", None),
        ];
        for (status, value, seconds) in cases {
            let status = StatusCode::from_u16(status).expect("a status");
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().expect("a value"))]);
            assert_eq!(retry_after(status, &headers, now), seconds.map(Duration::from_secs), "{status} {value}");
        }
    }
}
