//! What an API may ask of the next token: one challenge per line (R14).

#![no_main]

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
use libfuzzer_sys::fuzz_target;
use oauth_tokens::{AccessToken, Rejection};
use tower_oauth::{Demand, challenge};

const MAX_BYTES: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let fields = data.split(|&byte| byte == b'\n').take(64).filter_map(|field| HeaderValue::from_bytes(field).ok());
    let headers: HeaderMap = fields.map(|field| (WWW_AUTHENTICATE, field)).collect();
    if let Some(demand) = Demand::of(&headers) {
        assert_ne!(demand, Demand::default(), "nothing is no demand");
        for words in [&demand.scopes, &demand.acr_values] {
            assert!(words.iter().map(|word| word.len() + 1).sum::<usize>() <= MAX_BYTES + 1);
            assert!(words.iter().all(|word| !word.is_empty() && !word.contains(' ')));
        }
        assert!(demand.scopes.is_sorted());
    }
    for challenge in challenge::parse(&headers) {
        let token = AccessToken::bearer("t0k3n").expect("a token");
        let mut rejection = Rejection::new("https://api.test", token);
        let Some(claims) = challenge.param("claims") else { continue };
        assert_eq!(rejection.set_claims(claims), rejection.claims.is_some());
        if let Some(claims) = rejection.claims {
            assert!(claims.len() <= MAX_BYTES);
            let json: serde_json::Value = serde_json::from_str(&claims).expect("claims are JSON");
            assert!(json.is_object());
        }
    }
});
