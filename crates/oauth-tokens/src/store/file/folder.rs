//! A folder that only its owner enters, and the files in it (S3). Everything in here blocks.

use std::{
    fs::{DirBuilder, File},
    io::{Error, ErrorKind, Read as _, Result, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::Path,
    thread::sleep,
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FlockOperation, Mode, OFlags, fchmod, flock, fsync, openat, renameat, statat, unlinkat},
    io::Errno,
    process::geteuid,
};
use zeroize::Zeroizing;

use super::Durable;
use crate::store::record::{self, MAX_BYTES};

/// How long the lock is waited for: whoever has it holds it for moments, unless it was stopped.
const LOCK_WITHIN: Duration = Duration::from_millis(400);
const TRY_EVERY: Duration = Duration::from_millis(5);
/// What is older than this, and of a process that ended in the middle, is removed.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);
/// So many files are looked at in one sweep.
const MAX_SWEPT: usize = 10_000;
const LOCK: &str = "lock";
const OURS_ONLY: Mode = Mode::RUSR.union(Mode::WUSR);
const SAFELY: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// An open folder: what happens to its path meanwhile does not matter.
pub(super) struct Folder(File);

/// The lock on a folder, until it is dropped.
pub(super) struct Lock {
    _file: File,
}

impl Folder {
    /// Opens it, or makes it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let open = || openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | SAFELY, Mode::empty());
        let folder = match open() {
            Err(Errno::NOENT) => {
                DirBuilder::new().recursive(true).mode(0o700).create(path)?;
                open()
            }
            found => found,
        };
        let folder = File::from(folder.map_err(|error| match error {
            Errno::LOOP | Errno::NOTDIR => refused("it is a link, or no folder"),
            error => error.into(),
        })?);
        let metadata = folder.metadata()?;
        if metadata.uid() != geteuid().as_raw() {
            return Err(refused("it belongs to another user"));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(refused("others may enter it; its mode should be 0700"));
        }
        Ok(Self(folder))
    }

    /// Keeps other processes, and other threads, from changing anything.
    pub(super) fn lock(&self) -> Result<Lock> {
        let began = Instant::now();
        loop {
            let flags = OFlags::RDWR | OFlags::CREATE | SAFELY;
            let file = File::from(openat(&self.0, LOCK, flags, OURS_ONLY)?);
            check(&file)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Somebody may have removed it meanwhile, and a third one made another.
                Ok(()) if self.is_at(LOCK, &file)? => return Ok(Lock { _file: file }),
                Ok(()) | Err(Errno::WOULDBLOCK | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if began.elapsed() >= LOCK_WITHIN {
                return Err(Error::new(ErrorKind::TimedOut, "another process holds the lock for too long"));
            }
            sleep(TRY_EVERY);
        }
    }

    fn is_at(&self, name: &str, file: &File) -> Result<bool> {
        let metadata = file.metadata()?;
        match statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => Ok(found.st_ino == metadata.ino()),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The content of a file. None: there is none, or one that is refused.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let file = match openat(&self.0, name, OFlags::RDONLY | SAFELY, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error @ (Errno::LOOP | Errno::MLINK | Errno::NXIO | Errno::ACCESS)) => {
                return Ok(not_taken(name, &error.into()));
            }
            Err(error) => return Err(error.into()),
        };
        if let Err(error) = check(&file) {
            return Ok(not_taken(name, &error));
        }
        let mut content = Zeroizing::new(Vec::with_capacity(4096));
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut content)?;
        Ok((content.len() <= MAX_BYTES).then_some(content))
    }

    /// Puts a file in the place of whatever is there, whole; if it is to be durable, it is on disk when this returns.
    pub(super) fn write(&self, name: &str, content: &[u8], durable: Durable) -> Result<()> {
        let temporary = format!("{name}.{:016x}.tmp", fastrand::u64(..));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | SAFELY;
        let mut file = File::from(openat(&self.0, temporary.as_str(), flags, OURS_ONLY)?);
        let written = (|| {
            // The umask may have taken too much.
            fchmod(&file, OURS_ONLY)?;
            file.write_all(content)?;
            if durable == Durable::Yes {
                file.sync_all()?;
            }
            renameat(&self.0, temporary.as_str(), &self.0, name)?;
            if durable == Durable::Yes { fsync(&self.0).map_err(Error::from) } else { Ok(()) }
        })();
        if written.is_err() {
            let _ = unlinkat(&self.0, temporary.as_str(), AtFlags::empty());
        }
        written
    }

    pub(super) fn remove(&self, name: &str) -> Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes records that have expired, and what processes left behind that ended in the middle. Whatever cannot be read
    /// stays. It takes the lock for each file that is over, and looks again: another process may have put a new one there
    /// meanwhile.
    pub(super) fn sweep(&self, now: SystemTime) -> Result<()> {
        for entry in Dir::read_from(&self.0)?.take(MAX_SWEPT) {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !self.is_over(name, now) {
                continue;
            }
            let _lock = self.lock()?;
            if self.is_over(name, now) {
                self.remove(name)?;
            }
        }
        Ok(())
    }

    fn is_over(&self, name: &str, now: SystemTime) -> bool {
        if name.ends_with(".token") { self.has_expired(name, now) } else { self.is_left_behind(name) }
    }

    fn has_expired(&self, name: &str, now: SystemTime) -> bool {
        let content = self.read(name).ok().flatten();
        let expires_at = content.and_then(|content| record::expiry(&content));
        expires_at.is_some_and(|at| at <= now)
    }

    fn is_left_behind(&self, name: &str) -> bool {
        if !name.ends_with(".tmp") && !name.ends_with(".lease") {
            return false;
        }
        let file = openat(&self.0, name, OFlags::RDONLY | SAFELY, Mode::empty()).map(File::from);
        let modified = file.ok().and_then(|file| file.metadata().ok()?.modified().ok());
        modified.is_some_and(|at| at.elapsed().is_ok_and(|age| age >= LEFT_BEHIND))
    }
}

/// Looked at when it is open, so that it cannot be another one afterwards.
fn check(file: &File) -> Result<()> {
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(refused("not a regular file"));
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(refused("it belongs to another user"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(refused("others can read it; its mode should be 0600"));
    }
    // None at all: it has been replaced since it was opened.
    if metadata.nlink() > 1 {
        return Err(refused("it has another name elsewhere (a hard link)"));
    }
    if metadata.len() > MAX_BYTES as u64 {
        return Err(refused("larger than 1 MiB"));
    }
    Ok(())
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::PermissionDenied, why.to_owned())
}

fn not_taken<T>(name: &str, why: &Error) -> Option<T> {
    tracing::warn!(name, %why, "a file in the token store is not read");
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Record, StoreKey};

    /// The record of another process takes the old one's place while the sweep waits for the lock.
    #[test]
    fn s2_a_record_that_took_an_old_ones_place_is_not_swept() {
        let path = std::env::temp_dir().join(format!("oauth-tokens-swept-{}", std::process::id()));
        let (folder, other) = (Folder::open(&path).expect("a folder"), Folder::open(&path).expect("a folder"));
        let now = SystemTime::now();
        let put = |name: &str, expires_at| {
            let record = Record { version: 1, expires_at: Some(expires_at), content: b"c".to_vec().into() };
            let bytes = record::plain(&StoreKey::digest(&[name.as_bytes()]), &record);
            folder.write(name, &bytes, Durable::No).expect("a file");
        };
        put("a.token", now);
        let lock = folder.lock().expect("the lock");
        std::thread::scope(|scope| {
            let sweep = scope.spawn(|| other.sweep(now));
            sleep(10 * TRY_EVERY);
            assert!(folder.read("a.token").expect("a folder").is_some(), "nothing goes without the lock");
            put("a.token", now + LEFT_BEHIND);
            drop(lock);
            sweep.join().expect("no panic").expect("swept");
        });
        assert!(folder.read("a.token").expect("a folder").is_some(), "it is another one");
        put("a.token", now);
        other.sweep(now).expect("swept");
        assert!(folder.read("a.token").expect("a folder").is_none());
        std::fs::remove_dir_all(&path).expect("removed");
    }
}
