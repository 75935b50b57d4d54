//! The settings as they were written, before anybody judges them.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// Any value of any format. Reading one never fails, so that no format has a reason to print the value in an error.
#[derive(Clone)]
pub(super) enum Node {
    /// As good as not there.
    Null,
    Flag(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// In the order of the document; a key that is there twice is kept twice, and refused later.
    Table(Vec<(String, Node)>),
    /// Nothing that a setting can be: what it is, for messages.
    Other(&'static str),
}

#[derive(Clone, Copy)]
pub(super) enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

/// A node as it is looked at: text need not be a node of its own.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    Null,
    Flag(bool),
    Number(Number),
    Text(&'a str),
    List(&'a [Node]),
    Table(&'a [(String, Node)]),
    Other(&'static str),
}

impl Node {
    pub(super) fn view(&self) -> View<'_> {
        match self {
            Self::Null => View::Null,
            Self::Flag(value) => View::Flag(*value),
            Self::Number(number) => View::Number(*number),
            Self::Text(text) => View::Text(text),
            Self::List(items) => View::List(items),
            Self::Table(entries) => View::Table(entries),
            Self::Other(kind) => View::Other(kind),
        }
    }
}

impl View<'_> {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Flag(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

/// One that no setting can be.
const LARGE_NUMBER: Node = Node::Other("a number");

impl<'de> Visitor<'de> for Reader {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Flag(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(Number::Signed(value)))
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(LARGE_NUMBER)
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(Number::Unsigned(value)))
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(LARGE_NUMBER)
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(Number::Float(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Other("bytes"))
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut table = Vec::new();
        while let Some((key, value)) = entries.next_entry()? {
            table.push((text_of(key), value));
        }
        Ok(match table.as_slice() {
            // How formats pass on what serde has no word for.
            [(key, _)] if key.starts_with("$__toml_private") => Node::Other("a date or time"),
            [(key, _)] if key.starts_with("$serde_json::private") => LARGE_NUMBER,
            _ => Node::Table(table),
        })
    }
}

/// Keys that are no strings, as YAML has them, are no names of settings.
fn text_of(key: Node) -> String {
    match key {
        Node::Text(text) => text,
        other => format!("({})", other.view().kind()),
    }
}

/// Words of which a value may be made and that say nothing about anybody.
const HARMLESS: &[&str] = &[
    "assertion_file",
    "client_credentials",
    "client_secret_basic",
    "client_secret_basic_raw",
    "client_secret_jwt",
    "client_secret_post",
    "false",
    "jwt_bearer",
    "none",
    "omitted",
    "private_key_jwt",
    "refresh_token",
    "refuse",
    "self_signed_tls_client_auth",
    "send",
    "spiffe_jwt",
    "tls_client_auth",
    "token_exchange",
    "true",
];

/// Shows which settings there are, and what kind of value they have. Text may be a secret in the wrong place.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(value) => value.fmt(f),
            Self::Text(text) if HARMLESS.contains(&text.as_str()) => text.fmt(f),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Table(entries) => {
                let known = |key: &str| super::TABLES.iter().any(|(_, keys)| keys.contains(&key));
                let shown = entries.iter().map(|(key, node)| (if known(key) { key } else { "…" }, node));
                shown.fold(&mut f.debug_map(), |map, (key, node)| map.entry(&format_args!("{key}"), node)).finish()
            }
            other => f.write_str(other.view().kind()),
        }
    }
}
