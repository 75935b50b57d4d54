//! Arbitrary settings never panic, and errors keep to their form.

use proptest::prelude::*;
use serde_json::{Map, Value};
use tower_oauth::{ConfigError, OAuthConfig};

use super::{config, minimal, nobody};

const WORDS: &[&str] = &[
    "server",
    "client",
    "grant",
    "origins",
    "policy",
    "issuer",
    "token_endpoint",
    "override_token_endpoint",
    "accept_metadata_issuer",
    "dangerously_allow_plain_http",
    "id",
    "authentication",
    "secret",
    "file",
    "env",
    "type",
    "token",
    "scope",
    "resource",
    "audience",
    "authorization_details",
    "parameters",
    "key",
    "key_id",
    "algorithm",
    "certificate",
    "assertion",
    "assertion_type",
    "dpop",
    "subject_token",
    "actor_token",
    "step_up_scopes",
    "jwt",
    "jwt_bearer",
    "token_exchange",
    "[{\"type\":\"a\"}]",
    "ES256",
    "url",
    "same_token_as",
    "caller_authorization",
    "retry",
    "single_connection",
    "0",
    "1",
    "00",
    "9999999999999999999999",
    "https://id.test",
    "https://api.test",
    "https://b.test",
    "PATH",
    "/run/secrets/x",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "assertion_file",
    "tls_client_auth",
    "omitted",
    "none",
    "refresh_token",
    "true",
    "refuse",
    "a b,c",
    "",
    " ",
    "$__toml_private_datetime",
    "$serde_json::private::Number",
];

fn word() -> impl Strategy<Value = String> {
    prop_oneof![8 => prop::sample::select(WORDS).prop_map(str::to_owned), 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        4 => word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word(), inner), 0..6)
                .prop_map(|entries| entries.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

fn exercise(config: &OAuthConfig) -> Option<ConfigError> {
    let _ = format!("{config:?} {config:#?}");
    let built = config.build_via(nobody());
    match built {
        Ok(configured) => {
            assert!(configured.tokens().count() > 0, "a layer has an origin");
            config.validate().expect("what builds is valid");
            None
        }
        Err(error) => Some(error),
    }
}

fn check(error: &ConfigError) {
    let shown = error.to_string();
    assert!(shown.ends_with(error.message()) && !error.message().is_empty(), "{shown}");
    assert!(shown.contains(error.path()) && shown.chars().all(|c| !c.is_control()), "{shown:?}");
}

proptest! {
    #[test]
    fn arbitrary_json_never_panics(value in value()) {
        exercise(&config(value)).iter().for_each(check);
    }

    /// Wrong in one place, so that what comes after it is reached, too.
    #[test]
    fn arbitrary_values_in_valid_settings_never_panic(
        table in prop::sample::select(&["server", "client", "grant", "origins", "policy"][..]),
        key in word(),
        value in value(),
        whole: bool,
    ) {
        let mut settings = minimal();
        match settings.get_mut(table).and_then(Value::as_object_mut) {
            Some(entries) if !whole => { entries.insert(key, value); }
            _ => settings[table] = value,
        }
        exercise(&config(settings)).iter().for_each(check);
    }

    #[test]
    fn arbitrary_variables_never_panic(
        variables in prop::collection::vec((prop::collection::vec(word(), 0..4), word()), 0..6),
    ) {
        let variables = variables.into_iter().map(|(names, value)| (format!("APP__{}", names.join("__").to_uppercase()), value));
        match OAuthConfig::from_vars("APP", variables) {
            Ok(config) => { exercise(&config); }
            Err(error) => assert!(!error.message().is_empty()),
        }
    }

    #[test]
    fn arbitrary_documents_never_panic(text in "(\\[{0,2}(server|client|origins)\\]{0,2}\n)?([a-z.]{1,8} = [\\[{\"'a-z0-9]{0,9}\n){0,4}") {
        if let Ok(config) = toml::from_str::<OAuthConfig>(&text) {
            exercise(&config).iter().for_each(check);
        }
    }
}
