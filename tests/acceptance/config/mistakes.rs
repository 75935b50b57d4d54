//! One row for each mistake: the setting that the error names, and what it says.

mod credentials;
mod grants;

use serde_json::{Value, json};
use tower_oauth::{ConfigError, OAuthConfig};

use super::{config, minimal, nobody, toml, with};

/// What building and judging say; both say the same.
fn refused(config: &OAuthConfig) -> ConfigError {
    let error = config.build_via(nobody()).expect_err("refused");
    assert_eq!(config.validate().expect_err("refused, too").to_string(), error.to_string());
    assert_eq!(error.variable(), None);
    let shown = error.to_string();
    let prefix = if error.path().is_empty() { String::new() } else { format!("`{}`: ", error.path()) };
    assert_eq!(shown, format!("{prefix}{}", error.message()));
    error
}

#[test]
fn mistakes_in_toml() {
    let cases = [
        ("", "server.issuer", "is missing: give the server's `issuer`, or its `token_endpoint`"),
        ("[sever]", "sever", "did you mean `server`?"),
        ("[Server]", "Server", "did you mean `server`?"),
        ("issuer = 'https://id.test'", "issuer", "belongs to `server`"),
        ("server = 'https://id.test'", "server", "must be a table, not a string"),
        ("server = []", "server", "must be a table, not a list"),
        ("server.issuer = 7", "server.issuer", "must be a string, in quotes, not a number"),
        ("server.issuer = 1979-05-27", "server.issuer", "not a date or time"),
        ("server.issuer = true", "server.issuer", "not true or false"),
        ("server.issuer = { a = 1 }", "server.issuer", "not a table"),
        ("server.issuer = ''", "server.issuer", "is empty"),
        ("server.issuer = 'http://id.test'", "server.issuer", "use https"),
        ("server.issuer = 'id.test'", "server.issuer", "not an https URL"),
        ("server.issuer = 'https://id.test?a=b'", "server.issuer", "no query"),
        ("server.token_endpoint = 'https://u:p@id.test/token'", "server.token_endpoint", "a user name"),
        (
            "server = { issuer = 'https://id.test', token_endpoint = 'https://id.test/t' }",
            "server.token_endpoint",
            "remove one",
        ),
        (
            "server = { token_endpoint = 'https://id.test/t', override_token_endpoint = 'https://id.test/t' }",
            "server.override_token_endpoint",
            "goes with `issuer` only",
        ),
        (
            "server = { token_endpoint = 'https://id.test/t', accept_metadata_issuer = 'https://id.test' }",
            "server.accept_metadata_issuer",
            "goes with `issuer` only",
        ),
        (
            "server = { issuer = 'https://id.test', override_token_endpoint = 'http://id.test' }",
            "server.override_token_endpoint",
            "use https",
        ),
        (
            "server = { issuer = 'https://id.test', accept_metadata_issuer = 'https://a@id.test' }",
            "server.accept_metadata_issuer",
            "a user name",
        ),
        (
            "server = { issuer = 'https://id.test', dangerously_allow_plain_http = 'yes' }",
            "server.dangerously_allow_plain_http",
            "neither `true` nor `false`",
        ),
        (
            "server = { issuer = 'https://id.test', dangerously_allow_plain_http = 1 }",
            "server.dangerously_allow_plain_http",
            "`true` or `false`, not a number",
        ),
        (
            "server = { issuer = 'https://id.test', allow_plain_http = true }",
            "server.allow_plain_http",
            "known are `issuer`, `token_endpoint`",
        ),
        ("server.issuer = 'https://id.test'", "client.id", "is missing"),
    ];
    for (text, path, message) in cases {
        let error = refused(&toml(text));
        assert_eq!(error.path(), path, "{text}: {error}");
        assert!(error.message().contains(message), "{text}: {error}");
    }
}

#[test]
fn mistakes_in_otherwise_valid_settings() {
    let secret = json!({ "env": "PATH" });
    let refresh = json!({ "type": "refresh_token", "token": secret });
    let cases = [
        ("client", json!({ "id": "", "secret": secret }), "client.id", "is empty"),
        ("client", json!({ "id": "a\nb", "secret": secret }), "client.id", "control character"),
        ("client", json!({ "id": "m2m" }), "client.secret", "`authentication = \"none\"`"),
        ("client", json!({ "id": "m2m", "authentication": "client_secret_post" }), "client.secret", "is missing"),
        (
            "client",
            json!({ "id": "m2m", "authentication": "basic" }),
            "client.authentication",
            "one of `client_secret_basic`,",
        ),
        ("client", json!({ "id": "m2m", "secret": "s" }), "client.secret", "`{ file = \"/run/secrets/NAME\" }` or"),
        ("client", json!({ "id": "m2m", "secret": "" }), "client.secret", "is not written into settings"),
        ("client", json!({ "id": "m2m", "secret": 7 }), "client.secret", "a table, not a number"),
        ("client", json!({ "id": "m2m", "secret": {} }), "client.secret", "give `file` or `env`"),
        (
            "client",
            json!({ "id": "m2m", "secret": { "file": "/a", "env": "A" } }),
            "client.secret",
            "either `file` or `env`",
        ),
        ("client", json!({ "id": "m2m", "secret": { "file": "secret.txt" } }), "client.secret.file", "begins with `/`"),
        ("client", json!({ "id": "m2m", "secret": { "env": "A B" } }), "client.secret.env", "letters, digits and `_`"),
        (
            "client",
            json!({ "id": "m2m", "secret": { "value": "s" } }),
            "client.secret.value",
            "known are `file`, `env`",
        ),
        ("client", json!({ "id": "m2m", "client_secret": "s" }), "client.client_secret", "did you mean `secret`?"),
        ("client", json!({ "id": "m2m", "scope": "s" }), "client.scope", "belongs to `grant`"),
        (
            "client",
            json!({ "id": "a:b", "secret": secret, "authentication": "client_secret_basic_raw" }),
            "client.id",
            "colon",
        ),
        ("grant", json!({ "type": "password" }), "grant.type", "one of `client_credentials`, `refresh_token`"),
        ("grant", json!({ "scope": "a \"b\"" }), "grant.scope[1]", "characters"),
        ("grant", json!({ "scope": ["a", 1] }), "grant.scope[1]", "a string, in quotes"),
        ("grant", json!({ "scope": ["a", null] }), "grant.scope[1]", "not nothing"),
        ("grant", json!({ "scope": 1 }), "grant.scope", "a list, not a number"),
        ("grant", json!({ "resource": "api" }), "grant.resource", "absolute URI"),
        ("grant", json!({ "audience": "" }), "grant.audience", "is empty"),
        ("grant", json!({ "audience": ["a"] }), "grant.audience", "a string, not a list"),
        ("grant", json!({ "parameters": [] }), "grant.parameters", "a table, not a list"),
        ("grant", json!({ "parameters": { "max_age": 1 } }), "grant.parameters.max_age", "a string, in quotes"),
        ("grant", json!({ "parameters": { "scope": "a" } }), "grant.parameters.scope", "protocol's own"),
        (
            "grant",
            json!({ "parameters": { "client_secret": "a" } }),
            "grant.parameters.client_secret",
            "protocol's own",
        ),
        ("grant", json!({ "parameters": { "": "a" } }), "grant.parameters.…", "odd"),
        ("origins", json!(null), "origins", "none is named"),
        ("origins", json!([]), "origins", "none is named"),
        ("origins", json!({}), "origins", "a list, not a table"),
        ("origins", json!(" , "), "origins", "none is named"),
        ("origins", json!({ "url": "https://api.test" }), "origins", "a list, not a table"),
        ("origins", json!({ "0": "https://api.test", "2": "https://b.test" }), "origins", "item 1 is missing"),
        ("origins", json!(["https://api.test", ["https://b.test"]]), "origins[1]", "a table, not a list"),
        ("origins", json!("http://api.test"), "origins", "plain http beyond loopback"),
        ("origins", json!(["https://api.test", "api.test"]), "origins[1]", "no scheme"),
        ("origins", json!([{ "url": "https://api.test?x" }]), "origins[0].url", "query"),
        ("origins", json!([{ "url": 1 }]), "origins[0].url", "must be a string"),
        ("origins", json!([{}]), "origins[0].url", "is missing"),
        ("origins", json!([{ "URL": "https://api.test" }]), "origins[0].URL", "did you mean `url`?"),
        ("origins", json!(["https://api.test", "HTTPS://API.test:443/"]), "origins[1]", "same origin as `origins[0]`"),
        ("origins", json!([{ "url": "https://api.test", "scope": "a\\b" }]), "origins[0].scope", "characters"),
        (
            "origins",
            json!([{ "url": "https://api.test", "parameters": { "scope": "b" } }]),
            "origins[0].parameters.scope",
            "own",
        ),
        (
            "origins",
            json!([{ "url": "https://api.test", "same_token_as": "https://api.test" }]),
            "origins[0].same_token_as",
            "no earlier origin",
        ),
        (
            "origins",
            json!(["https://api.test", { "url": "https://b.test", "same_token_as": "https://api.test/v1" }]),
            "origins[1].same_token_as",
            "no earlier origin",
        ),
        (
            "origins",
            json!(["https://api.test", { "url": "https://b.test", "same_token_as": "https://api.test", "scope": "a" }]),
            "origins[1].scope",
            "remove this, or `same_token_as`",
        ),
        ("policy", json!({ "caller_authorization": "drop" }), "policy.caller_authorization", "one of `send`, `refuse`"),
        ("policy", json!({ "single-connection": true }), "policy.single-connection", "mean `single_connection`?"),
        ("policy", json!({ "retry": "maybe" }), "policy.retry", "neither"),
        ("policy", json!({ "renew_on_other_schemes": [] }), "policy.renew_on_other_schemes", "not a list"),
        ("policy", json!({ "single_connection": {} }), "policy.single_connection", "not a table"),
        ("policy", json!({ "step_up_scopes": ["a", 1] }), "policy.step_up_scopes[1]", "a string, in quotes"),
        ("policy", json!({ "step_up_scopes": "a \\" }), "policy.step_up_scopes[1]", "characters"),
        ("policy", json!({ "step_up_scopes": "a", "retry": false }), "policy.step_up_scopes", "`retry = false`"),
    ];
    for (table, value, path, message) in cases {
        let error = refused(&config(with(minimal(), table, value.clone())));
        assert_eq!(error.path(), path, "{value}: {error}");
        assert!(error.message().contains(message), "{value}: {error}");
    }

    let two = with(minimal(), "origins", json!(["https://api.test", "https://two.test"]));
    let cases = [
        (
            with(two.clone(), "policy", json!({ "single_connection": true })),
            "policy.single_connection",
            "a single origin",
        ),
        (with(two, "grant", refresh.clone()), "origins[1]", "`same_token_as`"),
        (
            with(with(minimal(), "grant", refresh), "policy", json!({ "step_up_scopes": "a" })),
            "policy.step_up_scopes",
            "`refresh_token`",
        ),
        (json!([]), "", "must be a table, not a list"),
        (json!("settings"), "", "must be a table, not a string"),
    ];
    for (settings, path, message) in cases {
        let error = refused(&config(settings));
        assert_eq!(error.path(), path, "{error}");
        assert!(error.message().contains(message), "{error}");
    }
}

/// JSON allows it, and keeps the last one; whoever looked at the first would be wrong.
#[test]
fn a_setting_that_is_there_twice_is_refused() {
    let cases = [
        (r#"{ "server": {}, "server": {} }"#, "server"),
        (r#"{ "server": { "issuer": "https://id.test", "issuer": "https://id.test" } }"#, "server.issuer"),
    ];
    for (text, path) in cases {
        let error = refused(&serde_json::from_str(text).expect("JSON"));
        assert_eq!(error.path(), path);
        assert!(error.message().contains("twice"), "{error}");
    }
}

/// The first in the order of the schema, whatever the order of the document.
#[test]
fn of_several_mistakes_the_first_is_reported() {
    let all = json!({
        "policy": { "retry": 1 },
        "origins": "x",
        "grant": { "type": "x" },
        "client": { "id": 1 },
        "server": { "issuer": "x" },
    });
    let mut settings = all;
    for (table, path) in [
        ("server", "server.issuer"),
        ("client", "client.id"),
        ("grant", "grant.type"),
        ("origins", "origins"),
        ("policy", "policy.retry"),
    ] {
        assert_eq!(refused(&config(settings.clone())).path(), path);
        settings[table] = minimal()[table].clone();
    }
}

/// Each setting that the schema knows is looked at: a value that fits nowhere is refused at its very path.
#[test]
fn every_setting_of_the_schema_is_judged() {
    let schema: Value = serde_json::from_str(OAuthConfig::JSON_SCHEMA).expect("JSON");
    let tables = ["server", "client", "grant", "policy"].map(|table| (table, schema["properties"][table].clone()));
    let origin = schema["$defs"]["origin"]["anyOf"][1].clone();
    let mut judged = 0;
    for (table, definition) in tables.into_iter().chain([("origins/0", origin)]) {
        for key in definition["properties"].as_object().expect("a table").keys() {
            let settings = with(minimal(), "origins", json!([{ "url": "https://api.test" }]));
            let settings = with(settings, &format!("{table}/{key}"), json!([[1]]));
            let error = refused(&config(settings));
            let path = format!("{}.{key}", table.replace("/0", "[0]"));
            assert!(error.path().starts_with(&path), "{path}: {error}");
            assert!(error.message().contains("must be"), "{path}: {error}");
            judged += 1;
        }
    }
    assert_eq!(judged, 6 + 12 + 14 + 5 + 8);
}
