//! Reads settings by hand, so that each error names its field and none repeats a value.

use super::{
    ConfigError, TABLES,
    names::{Keys, is_index, is_shown, join, nearest},
    node::{Node, View},
};

/// A value, and the path that leads to it.
pub(super) struct Place<'a> {
    path: String,
    value: View<'a>,
}

/// Text, and the path that led to it, for whoever finds it to be of no use.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) path: String,
    pub(super) text: String,
}

impl<'a> Place<'a> {
    pub(super) fn new(path: impl Into<String>, node: &'a Node) -> Self {
        Self { path: path.into(), value: node.view() }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn view(&self) -> View<'a> {
        self.value
    }

    pub(super) fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::at(&self.path, message)
    }

    pub(super) fn is_text(&self) -> bool {
        matches!(self.value, View::Text(_))
    }

    pub(super) fn is_flag(&self) -> bool {
        matches!(self.value, View::Flag(_))
    }

    pub(super) fn is_table(&self) -> bool {
        matches!(self.value, View::Table(_))
    }

    pub(super) fn text(&self) -> Result<Written, ConfigError> {
        match self.value {
            View::Text("") => Err(self.error("it is empty: give it a value, or leave it out")),
            View::Text(text) => Ok(Written { path: self.path.clone(), text: text.to_owned() }),
            View::List(_) | View::Table(_) => Err(self.must_be("a string")),
            View::Null | View::Flag(_) | View::Number(_) | View::Other(_) => Err(self.must_be("a string, in quotes")),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, ConfigError> {
        match self.value {
            View::Flag(value) => Ok(value),
            View::Text(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            View::Text(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            View::Text(_) => Err(self.error("it is neither `true` nor `false`")),
            _ => Err(self.must_be("`true` or `false`")),
        }
    }

    /// One of these words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, ConfigError> {
        let text = self.text()?.text;
        let found = words.iter().find(|(word, _)| *word == text);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words = listed(words.iter().map(|(word, _)| *word));
            self.error(format!("it must be one of {words}"))
        })
    }

    /// The items of a list, or of a string with spaces or commas between them; or of a table whose keys are indexes, as
    /// environment variables make it.
    pub(super) fn items(&self) -> Result<Vec<Self>, ConfigError> {
        let views: Vec<View<'a>> = match self.value {
            View::List(items) => items.iter().map(Node::view).collect(),
            View::Table(entries @ [_, ..]) if entries.iter().all(|(key, _)| is_index(key)) => self.numbered(entries)?,
            View::Text(text) => {
                let parts = text.split([',', ' ', '\t', '\r', '\n']).filter(|part| !part.is_empty());
                parts.map(View::Text).collect()
            }
            _ => return Err(self.must_be("a list")),
        };
        if let (View::Text(_), [only]) = (self.value, views.as_slice()) {
            return Ok(vec![Self { path: self.path.clone(), value: *only }]);
        }
        let item = |(index, value)| Self { path: join(&self.path, &format!("{index}")), value };
        Ok(views.into_iter().enumerate().map(item).collect())
    }

    /// Values in the order of their indexes, which must be 0, 1, 2 and so on.
    fn numbered(&self, entries: &'a [(String, Node)]) -> Result<Vec<View<'a>>, ConfigError> {
        let find = |index: usize| entries.iter().find(|(key, _)| key.parse() == Ok(index));
        let in_order = (0..entries.len()).map(|index| match find(index) {
            Some((_, node)) => Ok(node.view()),
            None => Err(self.error(format!("item {index} is missing: count from 0, without a gap"))),
        });
        in_order.collect()
    }

    /// The texts of a list.
    pub(super) fn texts(&self) -> Result<Vec<Written>, ConfigError> {
        self.items()?.iter().map(Self::text).collect()
    }

    /// A table with whatever keys.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, Self)>, ConfigError> {
        let View::Table(entries) = self.value else {
            return Err(self.must_be("a table"));
        };
        let mut places: Vec<(&str, Self)> = Vec::new();
        for (key, node) in entries {
            let place = Self::new(join(&self.path, if is_shown(key) { key } else { "…" }), node);
            if places.iter().any(|(other, _)| other == key) {
                return Err(place.error("it is there twice: remove one of them"));
            }
            places.push((key, place));
        }
        Ok(places)
    }

    /// A table that has these keys and no others.
    pub(super) fn table(&self, keys: Keys) -> Result<Table<'a>, ConfigError> {
        let entries = self.entries()?;
        match entries.iter().find(|(key, _)| !keys.contains(key)) {
            Some((key, _)) => Err(self.unknown(key, keys)),
            None => Ok(Table { path: self.path.clone(), entries }),
        }
    }

    fn unknown(&self, key: &str, keys: Keys) -> ConfigError {
        let place = join(&self.path, key);
        if !is_shown(key) {
            let message =
                format!("it has a setting that is not known, by a name that is not shown; known are {}", listed(keys));
            return self.error(message).with_place(place);
        }
        let elsewhere = || TABLES.iter().find(|(_, keys)| keys.contains(&key)).map(|(table, _)| *table);
        let message = match (elsewhere(), nearest(key, keys)) {
            (Some(""), _) => "there is no such setting here; it belongs outside of all tables".to_owned(),
            (Some(table), _) => format!("there is no such setting here; it belongs to `{table}`"),
            (None, Some(name)) => format!("there is no such setting; did you mean `{name}`?"),
            (None, None) => format!("there is no such setting; known are {}", listed(keys)),
        };
        ConfigError::at(place, message)
    }

    pub(super) fn must_be(&self, what: &str) -> ConfigError {
        self.error(format!("it must be {what}, not {}", self.value.kind()))
    }
}

/// A table whose keys are known.
pub(super) struct Table<'a> {
    path: String,
    entries: Vec<(&'a str, Place<'a>)>,
}

impl<'a> Table<'a> {
    /// A value; none when it is null, which is as good as not there.
    pub(super) fn get(&self, key: &str) -> Option<&Place<'a>> {
        let (_, place) = self.entries.iter().find(|(name, _)| *name == key)?;
        (!matches!(place.value, View::Null)).then_some(place)
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<Written>, ConfigError> {
        self.get(key).map(Place::text).transpose()
    }

    /// Whether it is set to true. Default: no.
    pub(super) fn flag(&self, key: &str) -> Result<bool, ConfigError> {
        self.get(key).map_or(Ok(false), Place::flag)
    }

    /// A table in this one; as good as empty when it is not there.
    pub(super) fn table(&self, key: &str, keys: Keys) -> Result<Self, ConfigError> {
        match self.get(key) {
            Some(place) => place.table(keys),
            None => Ok(Self { path: join(&self.path, key), entries: Vec::new() }),
        }
    }

    /// Refuses settings that would change nothing beside what was chosen in another one.
    pub(super) fn refuse_besides<T: PartialEq>(
        &self,
        choice: &str,
        words: &[(&str, T)],
        chosen: T,
        goes_with: &[(&str, &[T])],
    ) -> Result<(), ConfigError> {
        let needless = goes_with.iter().find(|(key, fits)| self.get(key).is_some() && !fits.contains(&chosen));
        let Some((key, fits)) = needless else { return Ok(()) };
        let fits = words.iter().filter(|(_, meaning)| fits.contains(meaning));
        let chosen = words.iter().find(|(_, meaning)| *meaning == chosen).map_or("", |(word, _)| word);
        let message = format!(
            "it does not go with `{choice} = \"{chosen}\"`: remove it, or set that to one of {}",
            listed(fits.map(|(word, _)| word))
        );
        Err(self.error(key, message))
    }

    /// An error of a setting, whether it is there or not.
    pub(super) fn error(&self, key: &str, message: impl Into<String>) -> ConfigError {
        ConfigError::at(join(&self.path, key), message)
    }
}

impl Written {
    pub(super) fn error(&self, message: impl Into<String>) -> ConfigError {
        ConfigError::at(&self.path, message)
    }

    /// An error of what this text was given to.
    pub(super) fn refused(&self, error: oauth_tokens::Error) -> ConfigError {
        ConfigError::of_tokens(&self.path, error)
    }
}

pub(super) fn listed<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    let quoted: Vec<_> = words.into_iter().map(|word| format!("`{}`", word.as_ref())).collect();
    quoted.join(", ")
}
