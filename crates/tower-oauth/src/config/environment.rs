//! Settings from environment variables.

use std::{
    env,
    ffi::{OsStr, OsString},
};

use super::{ConfigError, names::join, node::Node, secret};

/// What stands between the names of nested settings.
const SEPARATOR: &str = "__";

/// More than any setting has; each is a table in a table.
const MAX_PARTS: usize = 8;

/// The variables that settings came from, by name; and where references to variables lead.
#[derive(Clone)]
pub(super) struct Environment {
    prefix: String,
    names: Vec<String>,
    /// All variables there are. None: those of the process.
    given: Option<Vec<(OsString, OsString)>>,
}

impl Environment {
    pub(super) fn of_process(prefix: &str) -> Result<(Node, Self), ConfigError> {
        Self::read(prefix, env::vars_os(), None)
    }

    pub(super) fn given(prefix: &str, variables: Vec<(OsString, OsString)>) -> Result<(Node, Self), ConfigError> {
        Self::read(prefix, variables.clone().into_iter(), Some(variables))
    }

    fn read(
        prefix: &str,
        variables: impl Iterator<Item = (OsString, OsString)>,
        given: Option<Vec<(OsString, OsString)>>,
    ) -> Result<(Node, Self), ConfigError> {
        let start = format!("{prefix}{SEPARATOR}");
        let mut named: Vec<_> = variables
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .filter(|(name, _)| name.starts_with(&start))
            .collect();
        if named.is_empty() {
            return Err(ConfigError::at("", format!("no environment variable's name begins with `{start}`")));
        }
        named.sort();
        let mut root = Vec::new();
        for (name, value) in &named {
            let keys: Vec<_> = name[start.len()..].split(SEPARATOR).map(str::to_ascii_lowercase).collect();
            insert(&mut root, &keys, name, value).map_err(|why| ConfigError::at("", why).with_variable(name))?;
        }
        let names = named.into_iter().map(|(name, _)| name).collect();
        Ok((Node::Table(root), Self { prefix: prefix.to_owned(), names, given }))
    }

    /// The variable that holds a setting, or a list that it is an item of; or that would hold it.
    pub(super) fn variable(&self, path: &str) -> String {
        let mut name = self.prefix.clone();
        let mut found = None;
        for key in path.split(['.', '[']) {
            name = [&name, SEPARATOR, &key.trim_end_matches(']').to_ascii_uppercase()].concat();
            found = self.names.iter().find(|known| known.eq_ignore_ascii_case(&name)).or(found);
        }
        found.cloned().unwrap_or(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<OsString> {
        match &self.given {
            None => env::var_os(name),
            Some(given) => given.iter().find(|(known, _)| known == OsStr::new(name)).map(|(_, value)| value.clone()),
        }
    }
}

/// Puts a variable's value where its name says; a secret's place gets a reference to the variable instead.
fn insert(table: &mut Vec<(String, Node)>, keys: &[String], name: &str, value: &OsStr) -> Result<(), String> {
    if keys.len() > MAX_PARTS {
        return Err(format!("its name has more than {MAX_PARTS} parts"));
    }
    let path = keys.iter().fold(String::new(), |path, key| join(&path, key));
    if keys.iter().any(String::is_empty) {
        return Err(format!("a part of its name is empty: names are divided by `{SEPARATOR}`"));
    }
    if secret::PATHS.contains(&path.as_str()) {
        let mut keys = keys.to_vec();
        keys.push("env".to_owned());
        return put(table, &keys, Node::Text(name.to_owned()));
    }
    let value = value.to_str().ok_or("its value is not Unicode")?;
    put(table, keys, Node::Text(value.to_owned()))
}

fn put(table: &mut Vec<(String, Node)>, keys: &[String], value: Node) -> Result<(), String> {
    let Some((key, rest)) = keys.split_first() else {
        return Ok(());
    };
    let at = table.iter().position(|(known, _)| known == key);
    match (at.and_then(|at| table.get_mut(at)), rest) {
        (None, []) => table.push((key.clone(), value)),
        (None, rest) => {
            let mut inner = Vec::new();
            put(&mut inner, rest, value)?;
            table.push((key.clone(), Node::Table(inner)));
        }
        (Some((_, Node::Table(inner))), [_, ..]) => put(inner, rest, value)?,
        (Some(_), _) => return Err("another variable sets the same, or a part of it: remove one of them".to_owned()),
    }
    Ok(())
}
