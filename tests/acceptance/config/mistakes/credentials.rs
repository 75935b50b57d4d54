//! Mistakes in how a client proves who it is.

use serde_json::{Value, json};

use super::{
    super::{config, minimal, with},
    refused,
};

/// The client's settings but its id, the setting that the error names, and what it says.
fn check(cases: impl IntoIterator<Item = (Value, &'static str, &'static str)>) {
    for (client, setting, message) in cases {
        let settings = with(minimal(), "client", with(client.clone(), "id", json!("m2m")));
        let error = refused(&config(settings));
        assert_eq!(error.path(), format!("client.{setting}"), "{client}: {error}");
        assert!(error.message().contains(message), "{client}: {error}");
    }
}

#[test]
fn credentials_that_are_missing() {
    let (file, jwt) = (json!({ "file": "/run/x" }), "private_key_jwt");
    let tls = "tls_client_auth";
    check([
        (json!({ "authentication": "client_secret_jwt" }), "secret", "is missing: write where it is"),
        (json!({ "authentication": jwt }), "key", "is missing: write where the private key is"),
        (json!({ "authentication": "assertion_file" }), "assertion", "`{ file = \"/var/run/"),
        (json!({ "authentication": "spiffe_jwt" }), "assertion", "is missing"),
        (json!({ "authentication": tls, "certificate": file }), "key", "the certificate's private key"),
        (json!({ "authentication": "self_signed_tls_client_auth", "key": file }), "certificate", "is missing"),
        (json!({ "secret": file, "dpop": {} }), "dpop.key", "`dpop = true`"),
    ]);
}

/// What would change nothing is refused, and the error names what it goes with.
#[test]
fn credentials_that_do_not_go_with_the_authentication() {
    let all = [
        ("secret", json!({ "file": "/run/x" })),
        ("key", json!({ "file": "/run/x" })),
        ("key_id", json!("k")),
        ("algorithm", json!("ES256")),
        ("certificate", json!({ "file": "/run/x" })),
        ("assertion", json!({ "file": "/run/x" })),
        ("assertion_type", json!("urn:a")),
        ("assertion_audience", json!("a")),
        ("assertion_header_type", json!("JWT")),
    ];
    let secrets = &["secret"][..];
    let signed_by_key = &["key", "key_id", "algorithm", "assertion_audience", "assertion_header_type"][..];
    let methods = [
        (None, secrets),
        (Some("client_secret_basic"), secrets),
        (Some("client_secret_basic_raw"), secrets),
        (Some("client_secret_post"), secrets),
        (Some("client_secret_jwt"), &["secret", "assertion_audience", "assertion_header_type"]),
        (Some("private_key_jwt"), signed_by_key),
        (Some("assertion_file"), &["assertion", "assertion_type"]),
        (Some("spiffe_jwt"), &["assertion"]),
        (Some("tls_client_auth"), &["certificate", "key"]),
        (Some("self_signed_tls_client_auth"), &["certificate", "key"]),
        (Some("none"), &[]),
        (Some("omitted"), &[]),
    ];
    for (method, fits) in methods {
        let fitting: Vec<_> = all.iter().filter(|(name, _)| fits.contains(name)).collect();
        for (needless, value) in all.iter().filter(|(name, _)| !fits.contains(name)) {
            let mut client = json!({ "id": "m2m", "authentication": method, *needless: value });
            fitting.iter().for_each(|(name, value)| client[name] = value.clone());
            let error = refused(&config(with(minimal(), "client", client)));
            assert_eq!(error.path(), format!("client.{needless}"), "{method:?}: {error}");
            let chosen = format!("`authentication = \"{}\"`: remove it", method.unwrap_or("client_secret_basic"));
            assert!(error.message().contains(&chosen), "{error}");
        }
    }
}

#[test]
fn mistakes_in_credentials() {
    let file = json!({ "file": "/run/x" });
    let signed =
        |setting: &str, value: Value| with(json!({ "authentication": "private_key_jwt", "key": file }), setting, value);
    let asserted = |setting: &str, value: Value| {
        with(json!({ "authentication": "assertion_file", "assertion": file }), setting, value)
    };
    let tls = |setting: &str, value: Value| {
        with(json!({ "authentication": "tls_client_auth", "certificate": file, "key": file }), setting, value)
    };
    let bound = |value: Value| json!({ "secret": file, "dpop": value });
    check([
        (signed("key", json!("-----BEGIN PRIVATE KEY-----")), "key", "is not written into settings"),
        (signed("key", json!({ "file": "key.pem" })), "key.file", "begins with `/`"),
        (signed("key", json!({ "pem": "x" })), "key.pem", "known are `file`, `env`"),
        (signed("key_id", json!(7)), "key_id", "a string, in quotes"),
        (signed("key_id", json!("a\nb")), "key_id", "control character"),
        (signed("algorithm", json!("HS256")), "algorithm", "one of `ES256`, `ES384`"),
        (signed("algorithm", json!("none")), "algorithm", "one of"),
        (signed("assertion_audience", json!("a\tb")), "assertion_audience", "control character"),
        (signed("assertion_audience", json!(["a", "b"])), "assertion_audience", "a string, not a list"),
        (signed("assertion_header_type", json!("")), "assertion_header_type", "is empty"),
        (signed("audience", json!("a")), "audience", "belongs to `grant`"),
        (asserted("assertion", json!("eyJhbGciOi")), "assertion", "is not written into settings"),
        (asserted("assertion", json!({ "env": "PATH" })), "assertion.env", "must be a file"),
        (asserted("assertion_type", json!("jwt-bearer")), "assertion_type", "absolute URI"),
        (asserted("assertion_type", json!("urn:a b")), "assertion_type", "absolute URI"),
        (tls("certificate", json!("/run/tls.crt")), "certificate", "write where it is"),
        (tls("certificate", json!({ "env": "PATH" })), "certificate.env", "must be a file"),
        (tls("key", json!({ "env": "PATH" })), "key.env", "must be a file"),
        (bound(json!(7)), "dpop", "`true`, `false` or a table, not a number"),
        (bound(json!("yes")), "dpop", "neither `true` nor `false`"),
        (bound(json!({ "file": "/run/x" })), "dpop.file", "belongs to `client.secret`"),
        (bound(json!({ "key": "x" })), "dpop.key", "is not written into settings"),
        (bound(json!({ "key": { "file": "/a", "env": "A" } })), "dpop.key", "either `file` or `env`"),
    ]);
}
