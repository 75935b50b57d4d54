//! Where the tool keeps its user's tokens.
//!
//! The key lies beside what it seals: it guards against copies of single files, in backups for example, and against records that
//! are moved about. Where the system has a keyring, keep the key there.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use examples::{make_private_folder, make_store_key};
use tower_oauth::oauth_tokens::{FileStore, Secret, StoreKeys};

const NAME: &str = "tower-oauth-login";

/// The tool's folder: as it was said, else in the user's folder for the state of programs.
pub(crate) fn folder(said: Option<&Path>) -> Result<PathBuf> {
    if let Some(folder) = said {
        return Ok(folder.to_owned());
    }
    let of = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = of("XDG_STATE_HOME").or_else(|| of("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join(NAME)).context("there is no HOME to keep tokens in: say --store")
}

/// A store in this folder, whose key is made at the first start.
pub(crate) fn store(folder: &Path) -> Result<FileStore> {
    make_private_folder(folder)?;
    let key = folder.join("keys");
    make_store_key(&key)?;
    Ok(FileStore::new(folder.join("tokens")).encrypted(StoreKeys::new(Secret::file(key))))
}
