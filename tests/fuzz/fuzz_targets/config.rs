//! Settings of any shape: judging them never panics, and an error repeats no value, wherever a secret was put (S1).

#![no_main]

use std::error::Error;

use libfuzzer_sys::fuzz_target;
use tower_oauth::OAuthConfig;

/// Long enough not to stand in a message by chance.
const SECRET: &str = "Q7-hunter2/+ s3cr3t";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // `$S` stands for a secret in the wrong place.
    let Ok(config) = serde_json::from_str::<OAuthConfig>(&text.replace("$S", SECRET)) else { return };
    let mut shown = format!("{config:?}");
    if let Err(error) = config.validate() {
        assert!(!error.message().chars().any(char::is_control), "{error}");
        shown.push_str(&format!("{error}{error:?}"));
        let mut source = error.source();
        while let Some(cause) = source {
            shown.push_str(&format!("{cause}{cause:?}"));
            source = cause.source();
        }
    }
    assert!(!shown.contains(SECRET), "{shown}");
});
