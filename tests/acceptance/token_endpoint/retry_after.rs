//! T11: `Retry-After` is honoured, capped, and never slept on a caller's request.

use std::time::Duration;

use http::StatusCode;
use oauth_test_server::{Fault, TestServer};
use tokio::time::{Instant, advance};

use super::client_of;

/// The header's text for a date this many seconds from now.
fn date(seconds: u64) -> String {
    // The crate under test reads the wall clock when it is built; the tests' clock moves on from there.
    let then = std::time::SystemTime::now() + Duration::from_secs(seconds);
    imf_fixdate(then.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs())
}

/// RFC 9110, section 5.6.7.
fn imf_fixdate(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years that begin in March make leap days the last of their year.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    let (weekday, name) = (DAYS[(days % 7) as usize], MONTHS[month as usize]);
    format!("{weekday}, {day:02} {name} {year} {:02}:{:02}:{:02} GMT", rest / 3600, rest / 60 % 60, rest % 60)
}

#[test]
fn t11_the_dates_of_these_tests_are_right() {
    assert_eq!(imf_fixdate(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_eq!(imf_fixdate(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_eq!(imf_fixdate(0), "Thu, 01 Jan 1970 00:00:00 GMT");
}

#[tokio::test(start_paused = true)]
async fn t11_retry_after_holds_requests_back_and_no_caller() {
    let cases = [
        (429, "30".to_owned(), 30),
        (503, "30".to_owned(), 30),
        (429, "299".to_owned(), 299),
        (503, "301".to_owned(), 300),
        (429, "86400".to_owned(), 300),
        (429, "99999999999999999999999999".to_owned(), 300),
        (503, date(86_400), 300),
    ];
    for (status, value, seconds) in cases {
        let status = StatusCode::from_u16(status).expect("a status");
        let server = TestServer::builder().build();
        server.token_faults().push(1, Fault::StatusWithRetryAfter(status, value.clone()));
        let tokens = client_of(&server).client_credentials().cached().expect("a request");

        let began = Instant::now();
        let error = tokens.token().await.expect_err("told to wait");
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody sleeps it out: {status} {value}");
        assert!(error.is_transient());
        assert_eq!(error.retry_after(), Some(Duration::from_secs(seconds)), "{status} {value}");
        assert_eq!(server.counters().token_requests, 1, "and nobody tries at once again");

        advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
        assert_eq!(tokens.token().await.expect_err("remembered").retry_after(), error.retry_after());
        assert_eq!(server.counters().token_requests, 1, "{status} {value}");
        advance(Duration::from_millis(2)).await;
        tokens.token().await.unwrap_or_else(|error| panic!("{status} {value}: {error}"));
        assert_eq!(server.counters().token_requests, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn t11_a_date_counts_from_the_caches_own_clock() {
    let server = TestServer::builder().build();
    let tokens = client_of(&server).client_credentials().cached().expect("a request");
    let in_two_minutes = date(120);
    server.token_faults().push(1, Fault::StatusWithRetryAfter(StatusCode::SERVICE_UNAVAILABLE, in_two_minutes));
    let wait = tokens.token().await.expect_err("told to wait").retry_after().expect("a wait");
    assert!(wait > Duration::from_secs(110) && wait <= Duration::from_secs(120), "{wait:?}");
}

#[tokio::test(start_paused = true)]
async fn t11_past_and_unreadable_values_and_other_statuses_ask_for_nothing() {
    let past = imf_fixdate(784_111_777);
    for (status, value, expected) in [
        (429, past.as_str(), Some(Duration::ZERO)),
        (503, "0", Some(Duration::ZERO)),
        (429, "soon", None),
        (429, "-1", None),
        (503, "1.5", None),
        (400, "30", None),
        (403, "30", None),
        (500, "30", None),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        let server = TestServer::builder().build();
        server.token_faults().push_forever(Fault::StatusWithRetryAfter(status, value.to_owned()));
        let tokens = client_of(&server).client_credentials().cached().expect("a request");
        let error = tokens.token().await.expect_err("it fails");
        assert_eq!(error.retry_after(), expected, "{status} {value}");
        let after_one = server.counters().token_requests;
        for _ in 0..50 {
            tokens.token().await.expect_err("remembered");
        }
        assert_eq!(server.counters().token_requests, after_one, "a server in trouble is left alone: {status} {value}");
    }
}

#[tokio::test(start_paused = true)]
async fn t11_a_usable_token_serves_while_the_server_asks_to_wait() {
    let server = TestServer::builder().token_lifetime(Some(Duration::from_secs(100))).build();
    let tokens = client_of(&server).client_credentials().cached().expect("a request");
    let first = tokens.token().await.expect("a token");
    server.token_faults().push_forever(Fault::StatusWithRetryAfter(StatusCode::TOO_MANY_REQUESTS, "300".into()));
    advance(Duration::from_secs(92)).await;
    for _ in 0..20 {
        assert_eq!(tokens.token().await.expect("still valid"), first);
        tokio::task::yield_now().await;
    }
    assert_eq!(server.counters().token_requests, 2, "one background renewal, then patience");
}
