//! A JSON object from a server, parsed strictly: one object, no key twice.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde_core::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

/// A top-level JSON object. A key that stands twice is an error: which of the two counts is anybody's guess (T5).
pub(crate) struct Object(BTreeMap<String, Value>);

impl Object {
    /// The reason for a failure is told without the input, which may hold a token (S1).
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| {
            let problem = match error.classify() {
                serde_json::error::Category::Data => "is JSON, but not one object with each key once",
                serde_json::error::Category::Eof => "is JSON that ends too early",
                _ => "is not JSON",
            };
            format!("{problem} (line {}, column {})", error.line(), error.column())
        })
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// A string that is there and not empty.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Seconds as servers write them: a number, a float or a numeric string. Negative is nothing left; what is no number
    /// at all counts as not said (T6).
    pub(crate) fn seconds(&self, key: &str) -> Option<Duration> {
        /// What is longer is as good as this: no token is trusted for more than a year without being renewed.
        const YEAR: f64 = 365.0 * 24.0 * 3600.0;
        let seconds = match self.get(key)? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.trim().parse::<f64>().ok()?,
            _ => return None,
        };
        // A number too large for a float parses as infinity; it is clamped like any other huge one.
        (!seconds.is_nan()).then(|| Duration::from_secs_f64(seconds.clamp(0.0, YEAR)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UniqueKeys;

        impl<'de> Visitor<'de> for UniqueKeys {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    if fields.insert(key, value).is_some() {
                        return Err(A::Error::custom("duplicate key"));
                    }
                }
                Ok(Object(fields))
            }
        }

        deserializer.deserialize_map(UniqueKeys)
    }
}
