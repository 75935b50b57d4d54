//! What an ID token must say (OpenID Connect Core 1.0, sections 2, 3.1.3.7 and 12.2). No I/O here.

use std::time::{Duration, SystemTime};

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    digest::{SHA256, SHA384, SHA512, digest},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::jwt::{audiences, date, required, string};
use crate::{Algorithm, json::Object};

/// How far the server's clock and ours may be apart.
pub(crate) const TOLERANCE: Duration = Duration::from_secs(30);
/// Of a `sub` (section 2): what is longer may be cut somewhere, and then be somebody else.
const MAX_SUBJECT_BYTES: usize = 255;

/// The claims of an ID token: what each of them must have is there, and of the right kind.
pub(super) struct Claims {
    pub(super) object: Object,
    pub(super) audiences: Vec<String>,
    pub(super) issued_at: SystemTime,
    pub(super) expires_at: SystemTime,
    pub(super) auth_time: Option<SystemTime>,
}

impl Claims {
    pub(super) fn read(object: Object) -> Result<Self, String> {
        required(&object, "iss")?;
        subject(&object)?;
        for name in ["azp", "nonce", "at_hash", "acr", "sid"] {
            string(&object, name)?;
        }
        Ok(Self {
            audiences: audiences(&object)?,
            issued_at: date(&object, "iat")?.ok_or("it has no `iat`")?,
            expires_at: date(&object, "exp")?.ok_or("it has no `exp`")?,
            auth_time: date(&object, "auth_time")?,
            object,
        })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.object.text(name)
    }
}

pub(crate) fn subject(object: &Object) -> Result<&str, String> {
    let subject = required(object, "sub")?;
    if subject.len() > MAX_SUBJECT_BYTES {
        return Err("its `sub` is longer than 255 bytes".to_owned());
    }
    Ok(subject)
}

/// Who must have issued a token, for whom, and when it is looked at.
pub(crate) struct Expected<'a> {
    /// One of these.
    pub(crate) issuers: Vec<String>,
    pub(crate) client_id: &'a str,
    /// Whom a token may be for besides.
    pub(crate) trusted_audiences: &'a [String],
    pub(crate) now: SystemTime,
}

impl Expected<'_> {
    pub(crate) fn check_issuer(&self, claims: &Object) -> Result<(), String> {
        let issuer = required(claims, "iss")?;
        match self.issuers.iter().any(|expected| expected == issuer) {
            true => Ok(()),
            false => Err("its `iss` is not the server's issuer".to_owned()),
        }
    }

    /// Section 3.1.3.7, points 3 to 5: it is for this client, and for nobody else who is not trusted. A token for several must
    /// say which of them it was issued to.
    pub(crate) fn check_audience(&self, audiences: &[String], authorized: Option<&str>) -> Result<(), String> {
        if !audiences.iter().any(|audience| audience == self.client_id) {
            return Err("its `aud` is not this client".to_owned());
        }
        let is_known = |audience: &String| audience == self.client_id || self.trusted_audiences.contains(audience);
        if !audiences.iter().all(is_known) {
            return Err("its `aud` names others besides this client: if they are to be trusted, name them by \
                        TokenClient::trust_audience"
                .to_owned());
        }
        match authorized {
            None if audiences.len() > 1 => Err("it is for several, and has no `azp`".to_owned()),
            Some(authorized) if authorized != self.client_id => Err("its `azp` is not this client".to_owned()),
            _ => Ok(()),
        }
    }

    /// Whether this is a token of now: `exp`, `iat` and `nbf`, each with the tolerance.
    ///
    /// How long ago it was issued is no matter of its own: `exp` says how long it is good, and a sign-in has its nonce.
    pub(crate) fn check_times(&self, expires_at: Option<SystemTime>, claims: &Object) -> Result<(), String> {
        if expires_at.is_some_and(|at| elapsed(at, self.now) >= TOLERANCE) {
            return Err("it has expired".to_owned());
        }
        let is_ahead = |at: Option<SystemTime>| at.is_some_and(|at| elapsed(self.now, at) > TOLERANCE);
        if is_ahead(date(claims, "iat")?) {
            return Err("its `iat` is in the future: check the clocks".to_owned());
        }
        if is_ahead(date(claims, "nbf")?) {
            return Err("its `nbf` is in the future: check the clocks".to_owned());
        }
        Ok(())
    }
}

/// From one moment to another; nothing if that is not later.
fn elapsed(from: SystemTime, to: SystemTime) -> Duration {
    to.duration_since(from).unwrap_or_default()
}

/// The nonce that was sent is there, and no other one.
pub(super) fn check_nonce(claims: &Claims, sent: Option<&str>) -> Result<(), String> {
    let found = string(&claims.object, "nonce")?;
    match (sent, found) {
        (None, None) => Ok(()),
        (Some(sent), Some(found)) if verify_slices_are_equal(sent.as_bytes(), found.as_bytes()).is_ok() => Ok(()),
        (Some(_), Some(_)) => Err("its `nonce` is that of another sign-in".to_owned()),
        (Some(_), None) => Err("it has no `nonce`, and one was sent".to_owned()),
        (None, Some(_)) => Err("it has a `nonce`, and none is expected".to_owned()),
    }
}

/// The user signed in no longer ago than this, seen from then.
pub(super) fn check_max_age(claims: &Claims, max_age: Duration, then: SystemTime) -> Result<(), String> {
    let auth_time = claims.auth_time.ok_or("it has no `auth_time`, though a `max_age` was asked for")?;
    if elapsed(auth_time, then) > max_age.saturating_add(TOLERANCE) {
        return Err("the user signed in longer ago than `max_age` allows".to_owned());
    }
    Ok(())
}

pub(super) fn check_auth_time(claims: &Claims, now: SystemTime) -> Result<(), String> {
    match claims.auth_time {
        Some(at) if elapsed(now, at) > TOLERANCE => {
            Err("its `auth_time` is in the future: check the clocks".to_owned())
        }
        _ => Ok(()),
    }
}

/// Section 3.1.3.6: the left half of the access token's hash.
pub(super) fn check_access_token(claims: &Claims, algorithm: Algorithm, token: &str) -> Result<(), String> {
    let Some(found) = string(&claims.object, "at_hash")? else { return Ok(()) };
    let hash = match algorithm {
        Algorithm::Es256 | Algorithm::Rs256 | Algorithm::Ps256 => &SHA256,
        Algorithm::Es384 | Algorithm::Rs384 | Algorithm::Ps384 => &SHA384,
        // Ed25519 has SHA-512 within.
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::EdDsa | Algorithm::Ed25519 => &SHA512,
    };
    let hash = digest(hash, token.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    match BASE64_URL_SAFE_NO_PAD.encode(left) == found {
        true => Ok(()),
        false => Err("its `at_hash` is that of another access token".to_owned()),
    }
}

/// Section 12.2: it is of the same sign-in as the one before.
pub(super) fn check_renewal(claims: &Claims, previous: &Claims) -> Result<(), String> {
    for name in ["iss", "sub", "azp"] {
        if string(&claims.object, name)? != string(&previous.object, name)? {
            return Err(format!("its `{name}` is not that of the ID token before it"));
        }
    }
    let sorted = |claims: &Claims| {
        let mut all = claims.audiences.clone();
        all.sort_unstable();
        all
    };
    if sorted(claims) != sorted(previous) {
        return Err("its `aud` is not that of the ID token before it".to_owned());
    }
    if elapsed(claims.issued_at, previous.issued_at) > TOLERANCE {
        return Err("it was issued before the ID token that it is to renew".to_owned());
    }
    let is_other_sign_in = match (claims.auth_time, previous.auth_time) {
        (Some(now), Some(before)) => now != before,
        (Some(now), None) => elapsed(previous.issued_at, now) > TOLERANCE,
        (None, _) => false,
    };
    if is_other_sign_in {
        return Err("its `auth_time` is not that of the sign-in".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn object(json: &str) -> Object {
        Object::parse(json.as_bytes()).expect("an object")
    }

    fn claims(members: &str) -> Claims {
        let json = format!(r#"{{"iss":"i","sub":"s","aud":"c","exp":{NOW},"iat":{NOW}{members}}}"#);
        Claims::read(object(&json)).expect("claims")
    }

    fn at(millis: i64) -> SystemTime {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let by = Duration::from_millis(millis.unsigned_abs());
        if millis < 0 { moment - by } else { moment + by }
    }

    /// At the limit, and a second and a tick either side of it.
    #[test]
    fn l4_thirty_seconds_to_the_tick() {
        let times = |now: SystemTime, json: &str| {
            let expected = Expected { issuers: Vec::new(), client_id: "c", trusted_audiences: &[], now };
            let object = object(json);
            expected.check_times(date(&object, "exp").expect("a date"), &object).is_ok()
        };
        for (millis, has_expired) in
            [(-1, false), (0, false), (29_000, false), (29_999, false), (30_000, true), (30_001, true), (31_000, true)]
        {
            assert_eq!(!times(at(millis), &format!(r#"{{"exp":{NOW}}}"#)), has_expired, "exp {millis}");
        }
        for (millis, is_ahead) in
            [(1, false), (0, false), (-29_000, false), (-30_000, false), (-30_001, true), (-31_000, true)]
        {
            for name in ["iat", "nbf"] {
                assert_eq!(!times(at(millis), &format!(r#"{{"{name}":{NOW}}}"#)), is_ahead, "{name} {millis}");
            }
            let claims = claims(&format!(r#","auth_time":{NOW}"#));
            assert_eq!(check_auth_time(&claims, at(millis)).is_err(), is_ahead, "auth_time {millis}");
        }
    }

    #[test]
    fn l4_max_age_to_the_tick() {
        let claims = claims(&format!(r#","auth_time":{NOW}"#));
        for (millis, is_old) in [(0, false), (89_000, false), (90_000, false), (90_001, true), (91_000, true)] {
            assert_eq!(check_max_age(&claims, Duration::from_secs(60), at(millis)).is_err(), is_old, "{millis}");
        }
        // Whoever signs in after the request was made did as was asked, by `max_age=0` too.
        assert!(check_max_age(&claims, Duration::ZERO, at(-600_000)).is_ok());
        assert!(check_max_age(&self::claims(""), Duration::MAX, at(0)).is_err());
    }

    #[test]
    fn l4_a_renewal_to_the_tick() {
        let previous = claims("");
        for (millis, is_earlier) in [(1_000, false), (0, false), (-30_000, false), (-30_001, true), (-31_000, true)] {
            let renewed = Claims { issued_at: at(millis), ..claims("") };
            assert_eq!(check_renewal(&renewed, &previous).is_err(), is_earlier, "iat {millis}");
        }
        for (millis, is_later) in [(-600_000, false), (30_000, false), (30_001, true)] {
            let renewed = Claims { auth_time: Some(at(millis)), ..claims("") };
            assert_eq!(check_renewal(&renewed, &previous).is_err(), is_later, "auth_time {millis}");
        }
    }

    #[test]
    fn dates_of_all_kinds() {
        let found = |json: &str| date(&object(&format!(r#"{{"at":{json}}}"#)), "at");
        let read = |json: &str| found(json).map(|at| at.expect("it is there"));
        let since = |seconds| Ok(SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds));
        for (json, expected) in [("0", 0.0), ("1.5", 1.5), ("1e3", 1000.0), ("4102444800", 4_102_444_800.0)] {
            assert_eq!(read(json), since(expected), "{json}");
        }
        for json in ["-1", "-0.5", "1e300", "18446744073709551615", "\"1\"", "true", "[]", "{}"] {
            assert!(read(json).is_err(), "{json}");
        }
        assert_eq!(found("null"), Ok(None));
    }
}
