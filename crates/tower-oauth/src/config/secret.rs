//! Secrets are referred to, never written into the settings.

use std::{
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use oauth_tokens::Secret;

use super::{
    ConfigError,
    names::Keys,
    outside::Outside,
    reader::{Place, Written},
};

/// Where secrets belong. Environment variables of these names hold them themselves.
pub(super) const PATHS: &[&str] = &[
    "client.secret",
    "client.key",
    "client.dpop.key",
    "grant.token",
    "grant.subject_token",
    "grant.actor_token",
    "grant.assertion",
];

pub(super) const KEYS: Keys = &["file", "env"];

/// What is read anew and again has to be a file.
pub(super) const FILE_KEYS: Keys = &["file"];

/// Stands for a secret that is not looked at; as long as one has to be.
pub(super) const UNREAD: &str = "a secret that nobody has looked at";

/// The most that is read of a file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Where a secret is.
pub(super) struct SecretPlace {
    path: String,
    kind: Kind,
}

enum Kind {
    File(PathBuf),
    Variable(Written),
}

impl SecretPlace {
    pub(super) fn read(place: &Place<'_>) -> Result<Self, ConfigError> {
        if place.is_text() {
            return Err(place.error(
                "it is not written into settings: write where it is, `{ file = \"/run/secrets/NAME\" }` or \
                 `{ env = \"NAME\" }`",
            ));
        }
        let table = place.table(KEYS)?;
        let kind = match (table.text("file")?, table.text("env")?) {
            (Some(file), None) => Kind::File(path(&file)?),
            (None, Some(name)) => Kind::Variable(name),
            (None, None) => return Err(place.error("it is empty: give `file` or `env`")),
            (Some(_), Some(_)) => return Err(place.error("it is given twice: give either `file` or `env`")),
        };
        Ok(Self { path: place.path().to_owned(), kind })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    #[cfg(feature = "signing")]
    pub(super) fn file(&self) -> Option<&Path> {
        match &self.kind {
            Kind::File(file) => Some(file),
            Kind::Variable(_) => None,
        }
    }

    /// For what must be a file: it is replaced while the program runs.
    pub(super) fn into_file(self) -> Result<FilePlace, ConfigError> {
        match self.kind {
            Kind::File(file) => Ok(FilePlace { path: self.path, file }),
            Kind::Variable(name) => {
                Err(name.error("it must be a file, which can be replaced while the program runs: give `file`"))
            }
        }
    }

    /// The secret, for as long as the program runs: a file is read anew for each exchange.
    pub(super) fn secret(&self, outside: &Outside<'_>) -> Result<Secret, ConfigError> {
        match &self.kind {
            Kind::File(file) => Ok(Secret::file(file)),
            Kind::Variable(name) => Ok(Secret::new(variable(name, outside)?)),
        }
    }

    /// The secret as it is now. None: it is not looked at.
    pub(super) fn value(&self, outside: &Outside<'_>) -> Result<Option<String>, ConfigError> {
        let text = match &self.kind {
            Kind::Variable(name) => {
                let value = variable(name, outside)?;
                return Ok((!outside.is_left_alone()).then_some(value));
            }
            Kind::File(_) if outside.is_left_alone() => return Ok(None),
            Kind::File(file) => read_file(file).map_err(|error| {
                let message = format!("the file cannot be read: {}", error.kind());
                ConfigError::at(format!("{}.file", self.path), message).caused_by(error)
            })?,
        };
        match text.trim_end_matches(['\r', '\n']) {
            "" => Err(ConfigError::at(format!("{}.file", self.path), "the file is empty")),
            text => Ok(Some(text.to_owned())),
        }
    }
}

/// A file, and the setting that names it.
#[derive(Clone)]
pub(super) struct FilePlace {
    pub(super) path: String,
    pub(super) file: PathBuf,
}

impl FilePlace {
    pub(super) fn read(place: &Place<'_>) -> Result<Self, ConfigError> {
        SecretPlace::read(place)?.into_file()
    }
}

/// A path that can be nothing else: files are named in errors, and a secret in the wrong place must not be.
fn path(written: &Written) -> Result<PathBuf, ConfigError> {
    let path = Path::new(&written.text);
    let begins_as_path =
        matches!(path.components().next(), Some(Component::CurDir | Component::ParentDir | Component::Prefix(_)));
    if path.has_root() || begins_as_path {
        return Ok(path.to_owned());
    }
    Err(written.error("it must be a path that begins with `/`, `./` or `../`"))
}

fn variable(written: &Written, outside: &Outside<'_>) -> Result<String, ConfigError> {
    let name = &written.text;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if !name.bytes().all(is_name) {
        return Err(written.error("it must be the name of an environment variable: letters, digits and `_`"));
    }
    if outside.is_left_alone() {
        return Ok(UNREAD.to_owned());
    }
    // What is not in capitals may be the secret itself, in the wrong place.
    let shown = match name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        true => "the environment variable, whose name is not in capitals and therefore not shown,".to_owned(),
        false => format!("the environment variable `{name}`"),
    };
    let value = outside.variable(name).ok_or_else(|| written.error(format!("{shown} is not set")))?;
    let text = value.to_str().ok_or_else(|| written.error(format!("{shown} is not Unicode")))?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(written.error(format!("{shown} is empty"))),
        text => Ok(text.to_owned()),
    }
}

pub(super) fn read_file(path: &Path) -> io::Result<String> {
    // Looked at before it is opened: opening a named pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than 1 MiB"));
    }
    Ok(text)
}
