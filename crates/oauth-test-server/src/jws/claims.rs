use std::time::Duration;

use serde_json::{Map, Value};

/// How far ahead of this server's clock a client's may be.
const SKEW: f64 = 60.0;

/// The claims of a JWT (RFC 7519 section 4), not yet looked at.
#[derive(Clone, Debug)]
pub(crate) struct Claims(pub(crate) Map<String, Value>);

impl Claims {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(crate) fn required_text(&self, name: &str, missing: &'static str) -> Result<&str, &'static str> {
        self.text(name).filter(|text| !text.is_empty()).ok_or(missing)
    }

    /// A NumericDate: seconds since the epoch, possibly with a fraction.
    fn date(&self, name: &str) -> Result<Option<f64>, &'static str> {
        match self.0.get(name) {
            None => Ok(None),
            Some(date) => date.as_f64().map(Some).ok_or("a date in the JWT is no number"),
        }
    }

    /// `exp` must be there and ahead, by no more than `longest`; `iat` and `nbf` must not be.
    /// Returns until when the JWT is good.
    pub(crate) fn check_dates(&self, now: Duration, longest: Option<Duration>) -> Result<Duration, &'static str> {
        let now = now.as_secs_f64();
        let expiry = self.date("exp")?.ok_or("the JWT has no exp")?;
        if expiry <= now {
            return Err("the JWT is expired");
        }
        if longest.is_some_and(|longest| expiry > now + longest.as_secs_f64()) {
            return Err("the JWT's exp is too far ahead");
        }
        if self.date("nbf")?.is_some_and(|date| date > now + SKEW) {
            return Err("the JWT is not yet valid");
        }
        if let Some(issued) = self.date("iat")? {
            if issued > now + SKEW {
                return Err("the JWT's iat is in the future");
            }
            if longest.is_some_and(|longest| issued < now - longest.as_secs_f64()) {
                return Err("the JWT's iat is too long ago");
            }
            if issued >= expiry {
                return Err("the JWT's exp is not after its iat");
            }
        }
        Duration::try_from_secs_f64(expiry).map_err(|_| "the JWT's exp is out of range")
    }

    /// `iat` must be there and within so much of now, either way.
    pub(crate) fn check_fresh(&self, now: Duration, window: Duration) -> Result<Duration, &'static str> {
        let issued = self.date("iat")?.ok_or("the JWT has no iat")?;
        if (issued - now.as_secs_f64()).abs() > window.as_secs_f64() {
            return Err("the JWT's iat is not now");
        }
        Duration::try_from_secs_f64(issued).map_err(|_| "the JWT's iat is out of range")
    }

    /// `aud` must be this very string, not an array.
    pub(crate) fn check_audience(&self, expected: &str) -> Result<(), &'static str> {
        match self.0.get("aud") {
            None => Err("the JWT has no aud"),
            Some(Value::String(audience)) if audience == expected => Ok(()),
            Some(Value::String(_)) => Err("the JWT's aud is another"),
            Some(_) => Err("the JWT's aud is not a single string"),
        }
    }

    /// `aud` must be one of these, alone; an array of one is as good.
    pub(crate) fn check_only_audience(&self, expected: &[&str]) -> Result<(), &'static str> {
        let audience = match self.0.get("aud") {
            None => return Err("the JWT has no aud"),
            Some(Value::Array(audiences)) => match audiences.as_slice() {
                [audience] => audience.as_str(),
                _ => return Err("the JWT must have one aud"),
            },
            Some(audience) => audience.as_str(),
        };
        if audience.is_some_and(|audience| expected.contains(&audience)) {
            Ok(())
        } else {
            Err("the JWT's aud is another")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn claims(value: Value) -> Claims {
        let Value::Object(claims) = value else { panic!("no object") };
        Claims(claims)
    }

    #[test]
    fn dates() {
        let five_minutes = Some(Duration::from_secs(300));
        for (value, result) in [
            (json!({ "exp": NOW + 1 }), Ok(())),
            (json!({ "exp": NOW as f64 + 0.5 }), Ok(())),
            (json!({ "exp": NOW }), Err("the JWT is expired")),
            (json!({ "exp": NOW - 1 }), Err("the JWT is expired")),
            (json!({ "exp": NOW + 300 }), Ok(())),
            (json!({ "exp": NOW + 301 }), Err("the JWT's exp is too far ahead")),
            (json!({}), Err("the JWT has no exp")),
            (json!({ "exp": NOW.to_string() }), Err("a date in the JWT is no number")),
            (json!({ "exp": null }), Err("a date in the JWT is no number")),
            (json!({ "exp": NOW + 60, "iat": NOW + 60 }), Err("the JWT's exp is not after its iat")),
            (json!({ "exp": NOW + 61, "iat": NOW + 60 }), Ok(())),
            (json!({ "exp": NOW + 100, "iat": NOW + 61 }), Err("the JWT's iat is in the future")),
            (json!({ "exp": NOW + 1, "iat": NOW - 300 }), Ok(())),
            (json!({ "exp": NOW + 1, "iat": NOW - 301 }), Err("the JWT's iat is too long ago")),
            (json!({ "exp": NOW + 1, "iat": "x" }), Err("a date in the JWT is no number")),
            (json!({ "exp": NOW + 100, "nbf": NOW + 60 }), Ok(())),
            (json!({ "exp": NOW + 100, "nbf": NOW + 61 }), Err("the JWT is not yet valid")),
        ] {
            let checked = claims(value.clone()).check_dates(Duration::from_secs(NOW), five_minutes);
            assert_eq!(checked.map(|_| ()), result, "{value}");
        }
        let long = claims(json!({ "exp": NOW + 86_400, "iat": NOW - 86_400 }));
        assert_eq!(long.check_dates(Duration::from_secs(NOW), None), Ok(Duration::from_secs(NOW + 86_400)));
        let endless = claims(json!({ "exp": 1e300 }));
        assert_eq!(endless.check_dates(Duration::from_secs(NOW), None), Err("the JWT's exp is out of range"));
    }

    #[test]
    fn audiences() {
        for (value, exact, only) in [
            (json!({ "aud": "https://id.test" }), true, true),
            (json!({ "aud": ["https://id.test"] }), false, true),
            (json!({ "aud": ["https://id.test", "https://id.test"] }), false, false),
            (json!({ "aud": ["https://id.test", "https://other.test"] }), false, false),
            (json!({ "aud": "https://id.test/" }), false, false),
            (json!({ "aud": "https://other.test" }), false, false),
            (json!({ "aud": [] }), false, false),
            (json!({ "aud": 1 }), false, false),
            (json!({}), false, false),
        ] {
            let claims = claims(value.clone());
            assert_eq!(claims.check_audience("https://id.test").is_ok(), exact, "{value}");
            assert_eq!(claims.check_only_audience(&["https://id.test", "x"]).is_ok(), only, "{value}");
        }
    }
}
