//! Configured origins: what is accepted is canonical, and means the same to `http` (R4).

#![no_main]

use http::Uri;
use libfuzzer_sys::fuzz_target;
use tower_oauth::Origin;

fuzz_target!(|text: &str| {
    let Ok(origin) = Origin::parse_allowing_plain_http(text) else {
        assert!(Origin::parse(text).is_err());
        return;
    };
    let canonical = origin.as_str();
    assert_eq!(Origin::parse_allowing_plain_http(canonical), Ok(origin.clone()));
    assert!(canonical.bytes().all(|byte| byte.is_ascii_graphic()));

    let https = canonical.starts_with("https://");
    match Origin::parse(text) {
        Ok(same) => assert_eq!(same, origin),
        Err(_) => assert!(!https),
    }

    // `http` has a limit of 64 KiB.
    if text.len() < 60_000 {
        let uri: Uri = canonical.parse().expect("a canonical origin is a URL");
        let path = uri.path().trim_end_matches('/');
        let authority = uri.authority().expect("it has a host").as_str();
        assert_eq!(uri.host().map(str::len), Some(authority.len() - port_length(&uri)));
        assert_eq!(canonical, format!("{}://{authority}{path}", if https { "https" } else { "http" }));
        assert!(uri.query().is_none());
    }
});

fn port_length(uri: &Uri) -> usize {
    uri.port().map_or(0, |port| port.as_str().len() + 1)
}
