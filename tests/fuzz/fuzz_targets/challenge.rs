//! `WWW-Authenticate` as a hostile server may send it: one field per line (R11).

#![no_main]

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
use libfuzzer_sys::fuzz_target;
use tower_oauth::challenge::{self, Challenge};

fuzz_target!(|data: &[u8]| {
    let fields = data.split(|&byte| byte == b'\n').take(64);
    let headers = fields.filter_map(|field| HeaderValue::from_bytes(field).ok());
    let headers = collect(headers);
    let challenges = challenge::parse(&headers);

    let bytes: usize = headers.values().map(HeaderValue::len).sum();
    assert!(challenges.len() <= 32);
    assert!(bytes <= 16 * 1024 || challenges.is_empty());
    for challenge in &challenges {
        assert!(challenge.is(&challenge.scheme().to_ascii_uppercase()));
        assert!(challenge.token68().is_none() || challenge.params().next().is_none());
        for (name, value) in challenge.params() {
            assert_eq!(challenge.param(&name.to_ascii_uppercase()), Some(value));
        }
    }

    // What was read is the same when it is written and read again, unless U+FFFD made it too long.
    let written = challenges.iter().map(write);
    let written = collect(written.map(|field| HeaderValue::try_from(field).expect("no controls")));
    if written.values().map(HeaderValue::len).sum::<usize>() <= 16 * 1024 {
        assert_eq!(challenge::parse(&written), challenges);
    }
});

fn collect(fields: impl Iterator<Item = HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(WWW_AUTHENTICATE, field);
    }
    headers
}

fn write(challenge: &Challenge) -> String {
    let token68 = challenge.token68().unwrap_or_default();
    let mut field = format!("{} {token68}", challenge.scheme());
    for (name, value) in challenge.params() {
        let value = value.replace('\\', r"\\").replace('"', r#"\""#);
        field.push_str(&format!("{name}=\"{value}\","));
    }
    field
}
