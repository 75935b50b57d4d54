//! Files that only their owner reads.

use std::{
    fs::DirBuilder,
    io::{self, ErrorKind, Write},
    path::Path,
};

use anyhow::{Context, Result};
use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::NamedTempFile;

/// Makes a folder for its owner only. One that is there stays as it is; others may read it, and not write.
///
/// # Errors
///
/// When it cannot be made, or others can write into it.
pub fn make_private_folder(folder: &Path) -> Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&folder.metadata()?.permissions());
        let (is_private, folder) = (mode & 0o022 == 0, folder.display());
        anyhow::ensure!(is_private, "others can write into {folder}: `chmod 700 {folder}`, or another folder");
    }
    Ok(())
}

/// Makes a file for its owner only, whole or not at all; two first starts agree on one. One that is there keeps what is in it, and
/// is for its owner only from now on.
///
/// # Errors
///
/// When it cannot be written, or is another user's.
pub fn make_private_file(path: &Path, content: &[u8]) -> Result<()> {
    let make = || match path.try_exists()? {
        true => make_private(path),
        false => write_new(path, content),
    };
    make().with_context(|| format!("{} cannot be made", path.display()))
}

/// Makes a file with a key for a token store, unless there is one.
///
/// # Errors
///
/// As [`make_private_file`].
pub fn make_store_key(path: &Path) -> Result<()> {
    let mut key = [0; 32];
    rand::fill(&mut key).ok().context("the system gives no random numbers")?;
    make_private_file(path, STANDARD.encode(key).as_bytes())
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(content)?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn make_private(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
}

#[cfg(not(unix))]
fn make_private(_: &Path) -> io::Result<()> {
    Ok(())
}
