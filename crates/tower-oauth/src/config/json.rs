//! Settings that are JSON themselves.

use serde_json::{Number, Value};

use super::{
    ConfigError,
    names::join,
    node::{self, Node, View},
    reader::Place,
};

/// A list of objects with a `type` each, or the same as JSON in a text (RFC 9396, section 2).
pub(super) fn details(place: &Place<'_>) -> Result<Value, ConfigError> {
    if !place.is_text() {
        return place.items()?.iter().map(detail).collect();
    }
    // What the parser says may repeat a value.
    let parsed: Result<Node, _> = serde_json::from_str(&place.text()?.text);
    let node =
        parsed.map_err(|_| place.error("it is no JSON: write a list of tables, or the same as JSON in a string"))?;
    Place::new(place.path(), &node).items()?.iter().map(detail).collect()
}

fn detail(place: &Place<'_>) -> Result<Value, ConfigError> {
    if !place.is_table() {
        return Err(place.must_be("a table"));
    }
    let detail = value(place)?;
    match detail["type"].as_str() {
        Some(kind) if !kind.is_empty() => Ok(detail),
        _ => Err(ConfigError::at(join(place.path(), "type"), "it is missing, or no string: each detail has a type")),
    }
}

fn value(place: &Place<'_>) -> Result<Value, ConfigError> {
    Ok(match place.view() {
        View::Null => Value::Null,
        View::Flag(value) => Value::Bool(value),
        View::Text(text) => Value::from(text),
        View::Number(node::Number::Signed(number)) => Value::from(number),
        View::Number(node::Number::Unsigned(number)) => Value::from(number),
        View::Number(node::Number::Float(number)) => match Number::from_f64(number) {
            Some(number) => Value::Number(number),
            None => return Err(place.error("JSON has no such number")),
        },
        View::List(_) => return place.items()?.iter().map(value).collect(),
        View::Table(_) => {
            let entries = place.entries()?.into_iter();
            return entries.map(|(name, place)| Ok((name.to_owned(), value(&place)?))).collect();
        }
        View::Other(kind) => {
            return Err(place.error(format!("it is {kind} that JSON does not have: write it as a string")));
        }
    })
}
