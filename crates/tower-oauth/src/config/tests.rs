//! The schema file and the readers know the same settings; and what formats have that TOML and JSON lack.

use std::collections::BTreeSet;

use serde::{
    Deserialize, Deserializer,
    de::value::{self, BytesDeserializer, I128Deserializer, MapDeserializer, UnitDeserializer},
};
use serde_json::{Value, json};

#[cfg(feature = "signing")]
use super::signing;
use super::{OAuthConfig, TABLES, credential, grant, node::Node, policy, secret};

const GUIDE: &str = include_str!("../guide/configuration.md");

fn schema() -> Value {
    serde_json::from_str(OAuthConfig::JSON_SCHEMA).expect("the schema is JSON")
}

/// The schema of a setting, by the path of a table and a key.
fn find<'a>(schema: &'a Value, table: &str, key: Option<&str>) -> &'a Value {
    let keys = table.split('.').filter(|part| !part.is_empty()).chain(key);
    keys.fold(schema, |at, key| &table_of(schema, at)["properties"][key])
}

/// Where the properties are: behind a reference, in a list's items, beside a simpler form.
fn table_of<'a>(schema: &'a Value, mut at: &'a Value) -> &'a Value {
    loop {
        let reference = at["$ref"].as_str().and_then(|name| name.strip_prefix("#"));
        let list = at["anyOf"].as_array().and_then(|forms| forms.last());
        at = match (reference, list) {
            (Some(reference), _) => schema.pointer(reference).expect("a definition"),
            (None, Some(form)) if form["items"].is_object() => &form["items"],
            (None, Some(form)) => form,
            (None, None) => return at,
        };
    }
}

#[test]
fn schema_and_readers_know_the_same_settings() {
    let schema = schema();
    for (table, keys) in TABLES {
        let definition = table_of(&schema, find(&schema, table, None));
        assert_eq!(definition["additionalProperties"], false, "{table}");
        let described: BTreeSet<_> = definition["properties"].as_object().expect("a table").keys().collect();
        let known: BTreeSet<_> = keys.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(described, known.iter().collect(), "{table}");
        for key in *keys {
            assert!(find(&schema, table, Some(key))["description"].is_string(), "{table}.{key} is not described");
        }
    }
}

#[test]
fn schema_and_readers_know_the_same_words() {
    fn words<T>(choices: &[(&'static str, T)]) -> BTreeSet<&'static str> {
        choices.iter().map(|(word, _)| *word).collect()
    }
    let schema = schema();
    let cases = [
        ("client", "authentication", words(credential::METHODS), Some("client_secret_basic")),
        #[cfg(feature = "signing")]
        ("client", "algorithm", words(signing::ALGORITHMS), None),
        ("grant", "type", words(grant::TYPES), Some("client_credentials")),
        ("policy", "caller_authorization", words(policy::CALLER_AUTHORIZATION), Some("send")),
    ];
    for (table, key, known, default) in cases {
        let definition = find(&schema, table, Some(key));
        let described = definition["enum"].as_array().expect("words").iter().filter_map(Value::as_str);
        assert_eq!(described.collect::<BTreeSet<_>>(), known, "{table}.{key}");
        assert_eq!(definition["default"].as_str(), default, "{table}.{key}");
    }
    let described = schema.pointer("/$defs/token_type/anyOf/0/enum").and_then(Value::as_array).expect("words");
    let described = described.iter().filter_map(Value::as_str);
    assert_eq!(described.collect::<BTreeSet<_>>(), words(grant::TOKEN_TYPES));
}

/// Where a secret is has one row; what it is of has one in the table of all settings.
#[test]
fn guide_and_readers_know_the_same_settings() {
    let rows: BTreeSet<_> = GUIDE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once(" |"))
        .flat_map(|(settings, _)| {
            let settings: Vec<_> = settings.split("`, `").map(|setting| setting.trim_end_matches('`')).collect();
            let table = settings[0].rsplit_once('.').map_or("", |(table, _)| table);
            let path = |setting: &&str| {
                if setting.contains('.') { (*setting).to_owned() } else { format!("{table}.{setting}") }
            };
            settings.iter().map(path).collect::<Vec<_>>()
        })
        .collect();
    let is_of_a_secret = |keys: &[&str]| keys == secret::KEYS || keys == secret::FILE_KEYS;
    for (table, keys) in TABLES.iter().filter(|(table, keys)| !table.is_empty() && !is_of_a_secret(keys)) {
        let table = if *table == "origins" { "origins[]" } else { table };
        for key in *keys {
            assert!(rows.contains(&format!("{table}.{key}")), "{table}.{key} is not in the guide: {rows:?}");
        }
    }
    for (word, _) in credential::METHODS {
        assert!(GUIDE.contains(&format!("`{word}`")), "{word}");
    }
}

/// The first is all of the settings; the others are parts.
#[cfg(feature = "dpop")]
#[test]
fn examples_of_the_guide_are_valid() {
    let blocks = GUIDE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let (server, origins) = ("server.issuer = 'https://id.test'\n", "origins = ['https://api.test']\n");
    let client = "client = { id = 'm2m', secret = { env = 'SECRET' } }\n";
    let mut count = 0;
    for block in blocks {
        let around = [("[server]", server), ("[[origins]]", origins), ("[client]", client)];
        let around = around.into_iter().filter(|(table, _)| !block.contains(table)).map(|(_, text)| text);
        let text = around.chain([block]).collect::<String>();
        let config: OAuthConfig = toml::from_str(&text).expect("TOML");
        config.validate().unwrap_or_else(|error| panic!("{error}: {block}"));
        count += 1;
    }
    assert_eq!(count, 9);
}

/// It says which feature; and not, that something else is wrong.
#[test]
fn what_a_feature_that_is_off_brings_is_refused_by_its_name() {
    let settings = |client: Value| {
        let origins = ["https://api.test"];
        let settings =
            json!({ "server": { "token_endpoint": "https://id.test/t" }, "client": client, "origins": origins });
        OAuthConfig::deserialize(settings).expect("reading never fails").validate()
    };
    let key = json!({ "file": "/run/secrets/key" });
    let signing = cfg!(feature = "signing");
    let cases = [
        (
            "client.authentication",
            "`private_key_jwt` needs the feature `signing` of tower-oauth",
            signing,
            json!({ "id": "m2m", "authentication": "private_key_jwt", "key": key, "assertion_audience": "a" }),
        ),
        (
            "client.authentication",
            "`client_secret_jwt` needs the feature `signing` of tower-oauth",
            signing,
            json!({ "id": "m2m", "authentication": "client_secret_jwt", "secret": key, "assertion_audience": "a" }),
        ),
        (
            "client.dpop",
            "it needs the feature `dpop` of tower-oauth",
            cfg!(feature = "dpop"),
            json!({ "id": "m2m", "secret": key, "dpop": true }),
        ),
        (
            "client.dpop",
            "it needs the feature `dpop` of tower-oauth",
            cfg!(feature = "dpop"),
            json!({ "id": "m2m", "secret": key, "dpop": { "key": key } }),
        ),
    ];
    for (path, message, is_on, client) in cases {
        match settings(client) {
            Ok(()) => assert!(is_on, "{message}"),
            Err(error) => assert_eq!((error.path(), error.message(), is_on), (path, message, false)),
        }
    }
    settings(json!({ "id": "m2m", "secret": key, "dpop": false })).expect("nothing is bound");
}

/// S1: a format that fails to deserialize prints the value.
#[test]
fn s1_whatever_a_format_has_is_read_without_an_error() {
    fn shown<'de>(value: impl Deserializer<'de, Error = value::Error>) -> String {
        format!("{:?}", Node::deserialize(value).expect("reading never fails"))
    }
    assert_eq!(shown(BytesDeserializer::new(b"s3cr3t")), "bytes");
    assert_eq!(shown(I128Deserializer::new(i128::MAX)), "a number");
    assert_eq!(shown(UnitDeserializer::new()), "nothing");
    assert_eq!(shown(MapDeserializer::new([(7, 'c')].into_iter())), "{…: a string}");
    assert_eq!(shown(MapDeserializer::new([("id", true), ("id", false)].into_iter())), "{id: true, id: false}");
    assert_eq!(shown(MapDeserializer::new([("$serde_json::private::Number", "1")].into_iter())), "a number");
    assert_eq!(shown(MapDeserializer::new([("id", 7.5)].into_iter())), "{id: a number}");
}
