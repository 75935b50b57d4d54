//! A token file as anybody may have written it: a JWT, or not.

#![no_main]

#[path = "../canned.rs"]
#[allow(dead_code)]
mod canned;

use std::{fs, path::PathBuf, sync::LazyLock};

use canned::{block_on, shown};
use libfuzzer_sys::fuzz_target;
use oauth_tokens::{ErrorKind, TokenFile, TokenSource};

static PATH: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("tower-oauth-fuzz-{}", std::process::id())));

fuzz_target!(|data: &[u8]| {
    fs::write(&*PATH, data).expect("a file");
    let read = block_on(TokenFile::new(&*PATH).fetch());
    fs::remove_file(&*PATH).expect("it is there");
    match read {
        Ok(tokens) => {
            let token = tokens.access_token.secret();
            assert_eq!(std::str::from_utf8(data).map(str::trim), Ok(token));
            assert!(!token.is_empty() && token.len() <= 16 * 1024 && token.bytes().all(|byte| byte.is_ascii_graphic()));
            // Only a JWT says how long it lives.
            assert!(tokens.expires_in.is_none() || token.split('.').count() == 3);
            assert!(tokens.refresh_in.is_some());
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Credential);
            let text = String::from_utf8_lossy(data);
            let text = text.trim();
            assert!(text.len() < 24 || !shown(&error).contains(text), "the content shows: {error}");
        }
    }
});
