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
        "client": {
            "id": "m2m",
            "authentication": "client_secret_post",
            "secret": { "file": "/run/x", "env": "PATH" },
            "key": { "file": "/run/x", "env": "PATH" },
            "key_id": "k",
            "algorithm": "ES256",
            "certificate": { "file": "/run/x" },
            "assertion": { "file": "/run/x" },
            "assertion_type": "urn:a",
            "assertion_audience": "a",
            "assertion_header_type": "JWT",
            "dpop": { "key": { "file": "/run/x", "env": "PATH" } },
        },
        "grant": {
            "type": "refresh_token",
            "token": { "file": "/run/x", "env": "PATH" },
            "subject_token": { "file": "/run/x", "env": "PATH" },
            "subject_token_type": "jwt",
            "actor_token": { "file": "/run/x", "env": "PATH" },
            "actor_token_type": "urn:a",
            "requested_token_type": "jwt",
            "assertion": { "file": "/run/x", "env": "PATH" },
            "accept_claims_challenges": true,
            "authorization_details": [{ "type": "a", "b": [{ "c": "d" }] }],
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
                "authorization_details": "[]",
                "parameters": { "p": "q" },
                "same_token_as": "https://one.test",
                "dangerously_allow_plain_http": true,
            },
        ],
        "policy": {
            "caller_authorization": "send",
            "retry": true,
            "renew_on_other_schemes": false,
            "step_up_scopes": ["b"],
            "single_connection": false,
        },
    })
}

/// Settings that are looked at only beside this value of another one, and those that are of no use beside it.
const BESIDE: &[(&str, &str, &[&str])] = &[
    ("client/authentication", "client_secret_post", &["secret"]),
    (
        "client/authentication",
        "private_key_jwt",
        &["key", "key_id", "algorithm", "assertion_audience", "assertion_header_type"],
    ),
    ("client/authentication", "tls_client_auth", &["certificate", "key"]),
    ("client/authentication", "assertion_file", &["assertion", "assertion_type"]),
    ("grant/type", "client_credentials", &[]),
    ("grant/type", "refresh_token", &["token"]),
    (
        "grant/type",
        "token_exchange",
        &["subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type"],
    ),
    ("grant/type", "jwt_bearer", &["assertion"]),
];

/// Where a secret is given twice.
const SECRET_PLACES: &[&str] = &[
    "client/secret",
    "client/key",
    "client/dpop/key",
    "grant/token",
    "grant/subject_token",
    "grant/actor_token",
    "grant/assertion",
];

/// What is taken out of the full settings unless it is looked at.
const UNLESS: &[&str] =
    &["server/token_endpoint", "server/root_certificates", "client/dpop", "origins/1/same_token_as"];

/// What is taken out when the second is looked at.
const WHEN: &[(&str, &str)] = &[
    ("server/issuer", "server/token_endpoint"),
    ("server/override_token_endpoint", "server/token_endpoint"),
    ("server/accept_metadata_issuer", "server/token_endpoint"),
    ("origins/1/scope", "origins/1/same_token_as"),
    ("origins/1/resource", "origins/1/same_token_as"),
    ("origins/1/audience", "origins/1/same_token_as"),
    ("origins/1/authorization_details", "origins/1/same_token_as"),
    ("origins/1/parameters", "origins/1/same_token_as"),
];

fn is_in(place: &str, path: &str) -> bool {
    place.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn remove(settings: &mut Value, path: &str) {
    let (table, key) = path.rsplit_once('/').expect("a path");
    if let Some(table) = settings.pointer_mut(&format!("/{table}")).and_then(Value::as_object_mut) {
        table.remove(key);
    }
}

/// The full settings without what would be refused before this place is looked at.
fn around(place: &str) -> Value {
    let mut settings = full();
    for choice in ["client/authentication", "grant/type"] {
        let (table, key) = choice.split_once('/').expect("a path");
        let all: Vec<_> = BESIDE.iter().filter(|(known, ..)| *known == choice).collect();
        let looks_here = |names: &[&str]| names.iter().any(|name| is_in(place, &format!("{table}/{name}")));
        let (_, value, kept) = all.iter().find(|(.., names)| looks_here(names)).unwrap_or(&all[0]);
        settings[table][key] = json!(value);
        let names = all.iter().flat_map(|(.., names)| *names);
        names.filter(|name| !kept.contains(name)).for_each(|name| remove(&mut settings, &format!("{table}/{name}")));
    }
    for secret in SECRET_PLACES {
        let variable = format!("{secret}/env");
        let needless = if is_in(place, &variable) { format!("{secret}/file") } else { variable };
        remove(&mut settings, &needless);
    }
    UNLESS.iter().filter(|path| !is_in(place, path)).for_each(|path| remove(&mut settings, path));
    WHEN.iter().filter(|(_, path)| is_in(place, path)).for_each(|(path, _)| remove(&mut settings, path));
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
    assert!(places.len() > 70, "{places:?}");
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

/// What these tests stand on: each place is looked at. Only below the type of a detail anything goes.
#[test]
fn every_place_is_looked_at() {
    let mut places = Vec::new();
    paths(&full(), String::new(), &mut places);
    places.retain(|place| !place.is_empty() && place != "$schema" && !place.contains("details/0/b"));
    for place in &places {
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
        "CLIENT__KEY",
        "CLIENT__KEY__ENV",
        "CLIENT__KEY_ID",
        "CLIENT__CERTIFICATE",
        "CLIENT__ASSERTION",
        "CLIENT__DPOP",
        "CLIENT__DPOP__KEY",
        "CLIENT__DPOP__KEY__ENV",
        "GRANT__TYPE",
        "GRANT__TOKEN",
        "GRANT__SUBJECT_TOKEN",
        "GRANT__SUBJECT_TOKEN_TYPE",
        "GRANT__ACTOR_TOKEN",
        "GRANT__ASSERTION",
        "GRANT__AUTHORIZATION_DETAILS",
        "GRANT__AUTHORIZATION_DETAILS__0__TYPE",
        "GRANT__SCOPE",
        "GRANT__SCOPE__0",
        "GRANT__PARAMETERS",
        "GRANT__PARAMETERS__P",
        "GRANT__PARAMETERS__SCOPE",
        "ORIGINS",
        "ORIGINS__0",
        "ORIGINS__0__URL",
        "POLICY__RETRY",
        "POLICY__STEP_UP_SCOPES",
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

/// What the files hold to which settings refer: when the layer is built, and when the first token is asked for.
#[tokio::test(start_paused = true)]
async fn s1_secrets_in_files_are_not_shown() {
    let folder = TempFolder::new();
    let places = ["server/root_certificates", "client/certificate/file", "client/assertion/file"].map(str::to_owned);
    let places: Vec<_> = places.into_iter().chain(SECRET_PLACES.iter().map(|place| format!("{place}/file"))).collect();
    for secret in SECRETS {
        let file = folder.write("file", secret);
        for place in &places {
            let mut settings = around(place);
            settings["server"] = json!({ "token_endpoint": "https://id.test/token", "root_certificates": null });
            // What would be refused after the place is looked at, or hides it.
            settings["origins"] = json!(["https://one.test"]);
            remove(&mut settings, "policy/step_up_scopes");
            if !place.starts_with("client/secret") && settings["client"]["authentication"] == "client_secret_post" {
                settings["client"]["secret"] = json!({ "env": "PATH" });
            }
            *settings.pointer_mut(&format!("/{place}")).expect("the place") = json!(file.to_str());
            let config = config(settings);
            assert_hidden(&config, place);
            // Without a network: the certificate is read before there is a connection.
            let is_certificate = place.starts_with("client/certificate");
            let built = if is_certificate { config.build() } else { config.build_via(nobody()) };
            let Ok(configured) = built else { continue };
            assert!(!format!("{configured:?} {configured:#?}").contains("pl4nt3d"), "{configured:?}");
            let error = configured.ready().await.expect_err("nobody gives tokens");
            assert!(!shown(&error).contains("pl4nt3d"), "{place}: {error}");
        }
    }
}
