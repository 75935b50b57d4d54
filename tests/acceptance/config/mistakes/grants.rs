//! Mistakes in what is handed in for a token, and in what is asked for.

use serde_json::{Value, json};

use super::{
    super::{config, minimal, with},
    refused,
};

fn check(cases: impl IntoIterator<Item = (Value, &'static str, &'static str)>) {
    for (grant, setting, message) in cases {
        let error = refused(&config(with(minimal(), "grant", grant.clone())));
        assert_eq!(error.path(), format!("grant.{setting}"), "{grant}: {error}");
        assert!(error.message().contains(message), "{grant}: {error}");
    }
}

#[test]
fn mistakes_in_what_is_handed_in() {
    let file = json!({ "file": "/run/x" });
    let exchange =
        |setting: &str, value: Value| with(json!({ "type": "token_exchange", "subject_token": file }), setting, value);
    check([
        (json!({ "type": "refresh_token" }), "token", "is missing"),
        (json!({ "type": "refresh_token", "token": "t" }), "token", "is not written into settings"),
        (
            json!({ "token": file }),
            "token",
            "`type = \"client_credentials\"`: remove it, or set that to one of `refresh_token`",
        ),
        (json!({ "type": "jwt_bearer", "token": file }), "token", "`type = \"jwt_bearer\"`"),
        (json!({ "type": "token_exchange" }), "subject_token", "is missing: write where the token to be exchanged is"),
        (json!({ "subject_token": file }), "subject_token", "`token_exchange`"),
        (json!({ "subject_token_type": "jwt" }), "subject_token_type", "`token_exchange`"),
        (json!({ "actor_token": file }), "actor_token", "`token_exchange`"),
        (json!({ "requested_token_type": "jwt" }), "requested_token_type", "`token_exchange`"),
        (exchange("subject_token", json!("t")), "subject_token", "is not written into settings"),
        (exchange("subject_token", json!({ "file": "t" })), "subject_token.file", "begins with `/`"),
        (exchange("subject_token_type", json!("JWT")), "subject_token_type", "one of `access_token`, `refresh_token`"),
        (exchange("subject_token_type", json!("urn:a b")), "subject_token_type", "or the URI of another type"),
        (exchange("requested_token_type", json!(["jwt"])), "requested_token_type", "a string, not a list"),
        (exchange("actor_token_type", json!("jwt")), "actor_token_type", "there is no `actor_token`"),
        (exchange("actor_token", json!({ "env": "a b" })), "actor_token.env", "letters, digits and `_`"),
        (exchange("assertion", file.clone()), "assertion", "`jwt_bearer`"),
        (json!({ "type": "jwt_bearer" }), "assertion", "is missing"),
        (json!({ "type": "jwt_bearer", "assertion": "x" }), "assertion", "is not written into settings"),
    ]);
}

#[test]
fn mistakes_in_authorization_details() {
    let cases = [
        (json!({ "type": "a" }), "", "a list, not a table"),
        (json!(7), "", "a list, not a number"),
        (json!("payment"), "", "is no JSON"),
        (json!("{\"type\":\"a\"}"), "", "a list, not a table"),
        (json!("[{\"type\":\"a\"},1]"), "[1]", "a table, not a number"),
        (json!(["payment"]), "[0]", "a table, not a string"),
        (json!([{ "type": "a" }, { "types": "a" }]), "[1].type", "is missing"),
        (json!([{ "type": "" }]), "[0].type", "no string"),
        (json!([{ "type": 7 }]), "[0].type", "no string"),
        (json!("[{\"type\":\"a\",\"type\":\"b\"}]"), "[0].type", "twice"),
        (json!("[{\"type\":\"a\",\"b\":[{\"c\":1,\"c\":2}]}]"), "[0].b[0].c", "twice"),
    ];
    for (details, place, message) in cases {
        let error = refused(&config(with(minimal(), "grant", json!({ "authorization_details": details }))));
        assert_eq!(error.path(), format!("grant.authorization_details{place}"), "{details}: {error}");
        assert!(error.message().contains(message), "{details}: {error}");
    }
    let toml = "
        origins = 'https://api.test'
        server.issuer = 'https://id.test'
        client = { id = 'm2m', secret = { env = 'PATH' } }
        grant.authorization_details = [{ type = 'a', on = 1979-05-27 }]
    ";
    let error = refused(&super::super::toml(toml));
    assert_eq!(error.path(), "grant.authorization_details[0].on");
    assert!(error.message().contains("a date or time"), "{error}");
    check([(json!({ "parameters": { "authorization_details": "[]" } }), "parameters.authorization_details", "own")]);
}

/// Without a grant that says who asks, it would be nobody.
#[test]
fn omitted_goes_with_grants_that_say_who_asks() {
    let omitted = with(minimal(), "client", json!({ "id": "m2m", "authentication": "omitted" }));
    let refresh = json!({ "type": "refresh_token", "token": { "env": "PATH" } });
    for grant in [json!({}), json!({ "type": "client_credentials" }), refresh] {
        let error = refused(&config(with(omitted.clone(), "grant", grant)));
        assert_eq!(error.path(), "client.authentication");
        assert!(error.message().contains("`token_exchange` or `jwt_bearer`"), "{error}");
    }
}
