//! The schema file and the readers know the same settings; and what formats have that TOML and JSON lack.

use std::collections::BTreeSet;

use serde::{
    Deserialize, Deserializer,
    de::value::{self, BytesDeserializer, I128Deserializer, MapDeserializer, UnitDeserializer},
};
use serde_json::Value;

use super::{OAuthConfig, TABLES, client, grant, node::Node, policy};

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
        ("client", "authentication", words(client::METHODS), "client_secret_basic"),
        ("grant", "type", words(grant::TYPES), "client_credentials"),
        ("policy", "caller_authorization", words(policy::CALLER_AUTHORIZATION), "send"),
    ];
    for (table, key, known, default) in cases {
        let definition = find(&schema, table, Some(key));
        let described = definition["enum"].as_array().expect("words").iter().filter_map(Value::as_str);
        assert_eq!(described.collect::<BTreeSet<_>>(), known, "{table}.{key}");
        assert_eq!(definition["default"], default, "{table}.{key}");
    }
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
}
