//! What the application is told.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tower_oauth::oauth_tokens::Secret;

use crate::{make_private_folder, make_store_key};

/// What it needs to know of the rest of the world.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where browsers find it: `https://parcels.example.com`.
    pub origin: String,
    /// The identity server's issuer.
    pub issuer: String,
    /// Who the application is there.
    pub client_id: String,
    /// And how it proves that.
    pub client_secret: Secret,
    /// What is asked for, besides `openid`.
    pub scope: String,
    /// `prompt`; some servers give a refresh token only with `consent`.
    pub prompt: Option<String>,
    /// The URL of the API that is asked on the user's behalf.
    pub api: String,
    /// A folder of its own: sessions, and the users' tokens.
    pub data: PathBuf,
    /// What the users' tokens are sealed with.
    pub store_keys: Secret,
}

impl Settings {
    /// A key for the users' tokens, in a file of this folder that only its owner reads; made if there is none.
    ///
    /// # Errors
    ///
    /// When the folder cannot be written.
    pub fn own_store_keys(folder: &Path) -> Result<Secret> {
        let file = folder.join("store.key");
        make_private_folder(folder)?;
        make_store_key(&file)?;
        Ok(Secret::file(file))
    }
}
