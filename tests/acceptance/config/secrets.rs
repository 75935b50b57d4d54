//! S1: whatever is written where, no error and no `Debug` shows it.

use serde_json::{Value, json};
use tests::support::{TempFolder, shown};
use tower_oauth::OAuthConfig;

use super::{config, nobody};

const SECRET: &str = "pl4nt3d-s3cr3t";
/// As some secrets look that would pass for something else.
const SECRETS: &[&str] =
    &[SECRET, "pl4nt3d", "pl4nt3d s3cr3t", "pl4nt3d/s3cr3t+==", "pl4nt3d\ns3cr3t", "{pl4nt3d}", "pl4nt3d:x@y"];

/// Every setting, with a value that is right or nearly so.
fn full() -> Value {
    json!({
        "$schema": "x",
        "server": {
            "issuer": "https://id.test",
            "token_endpoint": "https://id.test/token",
            "override_token_endpoint": "https://id.test/token",
            "accept_metadata_issuer": "https://id.test",
            "dangerously_allow_plain_http": true,
            "root_certificates": "/nowhere/root.pem",
        },
        "client": { "id": "m2m", "authentication": "client_secret_post", "secret": { "file": "/run/x", "env": "PATH" } },
        "grant": {
            "type": "refresh_token",
            "token": { "file": "/run/x", "env": "PATH" },
            "scope": ["a"],
            "resource": ["urn:a"],
            "audience": "a",
            "parameters": { "p": "q" },
        },
        "origins": [
            "https://one.test",
            {
                "url": "https://two.test",
                "scope": ["a"],
                "resource": ["urn:a"],
                "audience": "a",
                "parameters": { "p": "q" },
                "same_token_as": "https://one.test",
                "dangerously_allow_plain_http": true,
            },
        ],
        "policy": {
            "caller_authorization": "send",
            "retry": true,
            "renew_on_other_schemes": false,
            "single_connection": false,
        },
    })
}

/// What is taken out of the full settings unless the second is looked at.
const UNLESS: &[(&str, &str)] = &[
    ("server/token_endpoint", "server/token_endpoint"),
    ("server/root_certificates", "server/root_certificates"),
    ("client/secret/env", "client/secret/env"),
    ("grant/type", "grant/t"),
    ("grant/token", "grant/t"),
    ("grant/token/env", "grant/token/env"),
    ("origins/1/same_token_as", "origins/1/same_token_as"),
];

/// What is taken out when the second is looked at.
const WHEN: &[(&str, &str)] = &[
    ("server/issuer", "server/token_endpoint"),
    ("server/override_token_endpoint", "server/token_endpoint"),
    ("server/accept_metadata_issuer", "server/token_endpoint"),
    ("client/secret/file", "client/secret/env"),
    ("grant/token/file", "grant/token/env"),
    ("origins/1/scope", "origins/1/same_token_as"),
    ("origins/1/resource", "origins/1/same_token_as"),
    ("origins/1/audience", "origins/1/same_token_as"),
    ("origins/1/parameters", "origins/1/same_token_as"),
];

/// The full settings without what would be refused before this place is looked at.
fn around(place: &str) -> Value {
    let unless = UNLESS.iter().filter(|(_, other)| !place.starts_with(other));
    let when = WHEN.iter().filter(|(_, other)| place.starts_with(other));
    let mut settings = full();
    for (path, _) in unless.chain(when) {
        let (table, key) = path.rsplit_once('/').expect("a path");
        if let Some(table) = settings.pointer_mut(&format!("/{table}")).and_then(Value::as_object_mut) {
            table.remove(key);
        }
    }
    settings
}

/// The paths of all values, tables and lists too.
fn paths(value: &Value, at: String, found: &mut Vec<String>) {
    let below = |key: &str| if at.is_empty() { key.to_owned() } else { format!("{at}/{key}") };
    match value {
        Value::Object(table) => table.iter().for_each(|(key, value)| paths(value, below(key), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| paths(value, below(&i.to_string()), found))
        }
        _ => {}
    }
    found.push(at);
}

/// All that anybody could print of these settings.
#[track_caller]
fn assert_hidden(config: &OAuthConfig, what: &str) {
    let mut texts = vec![format!("{config:?} {config:#?}")];
    let built = [config.layer(), config.build_via(nobody()).map(|built| built.layer())];
    for built in built {
        texts.push(built.map_or_else(|error| shown(&error), |layer| format!("{layer:?} {layer:#?}")));
    }
    texts.extend(config.validate().err().map(|error| shown(&error)));
    for text in texts {
        assert!(!text.contains("pl4nt3d") && !text.contains("s3cr3t"), "{what}: {text}");
    }
}

/// Every setting of the full settings and of what is around it, for each secret.
fn planted(mut plant: impl FnMut(&mut Value, &str), mut look: impl FnMut(&OAuthConfig, &str)) {
    let mut places = Vec::new();
    paths(&full(), String::new(), &mut places);
    assert!(places.len() > 40, "{places:?}");
    for place in places {
        let pointer = if place.is_empty() { String::new() } else { format!("/{place}") };
        for secret in SECRETS {
            for mut settings in [full(), around(&place)] {
                if let Some(value) = settings.pointer_mut(&pointer) {
                    plant(value, secret);
                    look(&config(settings), &place);
                }
            }
        }
    }
}

/// What these tests stand on: each place is looked at.
#[test]
fn every_place_is_looked_at() {
    let mut places = Vec::new();
    paths(&full(), String::new(), &mut places);
    for place in places.iter().filter(|place| !place.is_empty() && *place != "$schema") {
        let mut settings = around(place);
        *settings.pointer_mut(&format!("/{place}")).expect("the place") = json!([[1]]);
        let error = config(settings).validate().expect_err("it fits nowhere");
        let path = place.replace("/0", "[0]").replace("/1", "[1]").replace('/', ".");
        assert!(error.path().starts_with(&path), "{path}: {error}");
    }
}

#[test]
fn s1_a_secret_in_the_place_of_any_value_is_not_shown() {
    planted(|value, secret| *value = json!(secret), assert_hidden);
    planted(|value, secret| *value = json!([secret]), assert_hidden);
    planted(|value, secret| *value = json!({ "file": secret }), assert_hidden);
    planted(|value, secret| *value = json!({ "env": secret }), assert_hidden);
}

#[test]
fn s1_a_secret_in_the_place_of_any_name_is_not_shown() {
    planted(|value, secret| *value = json!({ secret: secret }), assert_hidden);
    let insert = |value: &mut Value, secret: &str| {
        if let Value::Object(table) = value {
            table.insert(secret.to_owned(), json!("x"));
        }
    };
    planted(insert, assert_hidden);
}

#[test]
fn s1_a_secret_in_any_variable_is_not_shown() {
    let names = [
        "SERVER",
        "SERVER__ISSUER",
        "SERVER__TOKEN_ENDPOINT",
        "CLIENT",
        "CLIENT__ID",
        "CLIENT__SECRET",
        "CLIENT__SECRET__ENV",
        "CLIENT__SECRET__FILE",
        "CLIENT__AUTHENTICATION",
        "GRANT__TYPE",
        "GRANT__TOKEN",
        "GRANT__SCOPE",
        "GRANT__SCOPE__0",
        "GRANT__PARAMETERS",
        "GRANT__PARAMETERS__P",
        "GRANT__PARAMETERS__SCOPE",
        "ORIGINS",
        "ORIGINS__0",
        "ORIGINS__0__URL",
        "POLICY__RETRY",
        "POLICY__UNKNOWN",
        "",
    ];
    for name in names {
        for secret in SECRETS {
            let base = [
                ("APP__SERVER__ISSUER", "https://id.test"),
                ("APP__CLIENT__ID", "m2m"),
                ("APP__CLIENT__SECRET", SECRET),
                ("APP__ORIGINS", "https://api.test"),
            ];
            let name = format!("APP__{name}");
            let variables = base.iter().filter(|(known, _)| *known != name).copied().chain([(name.as_str(), *secret)]);
            match OAuthConfig::from_vars("APP", variables) {
                Ok(config) => assert_hidden(&config, &name),
                Err(error) => assert!(!shown(&error).contains("pl4nt3d"), "{error}"),
            }
        }
    }
}

/// What the files hold to which settings refer.
#[test]
fn s1_secrets_in_files_are_not_shown() {
    let folder = TempFolder::new();
    for secret in SECRETS {
        let file = folder.write("file", secret);
        for place in ["server/root_certificates", "client/secret/file", "grant/token/file"] {
            let mut settings = around(place);
            settings["grant"]["type"] =
                json!(if place.starts_with("grant") { "refresh_token" } else { "client_credentials" });
            if let Some(table) = settings.pointer_mut(&format!("/{}", place.replace("/file", ""))) {
                *table = if place.ends_with("file") { json!({ "file": file.to_str() }) } else { json!(file.to_str()) };
            }
            let config = config(settings);
            assert_hidden(&config, place);
            if let Ok(configured) = config.build() {
                assert!(!format!("{configured:?} {configured:#?}").contains("pl4nt3d"), "{configured:?}");
            }
        }
    }
}
