//! Owns the directory of compiled components: where an entry is, that nobody else has written it, and that it is written whole.
//! Leaves compiling to `compile`, and whether the machine code suits the engine to the key.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use trackside_model::plugin::Digest;

use crate::engines::WASMTIME_VERSION;

const TAG_BYTES: usize = 32;
const SECRET_BYTES: usize = 32;
const SECRET_FILE: &str = "key";

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file or directory cannot be made, read or written.
    #[error("compile cache {}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others could put machine code there.
    #[error("compile cache {}: others may write to it (mode {mode:03o}); run: chmod 700 {}", path.display(), path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
}

/// What stands in the cache for a key.
#[derive(Debug)]
pub(crate) enum Entry {
    /// Machine code that this host has written.
    Found(Vec<u8>),
    /// Nothing.
    Missing,
    /// Something, but not what this host has written under this key.
    Tampered,
}

/// The directory, and the secret by which this host knows its own files.
#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    secret: [u8; SECRET_BYTES],
}

/// The name of one compiled component: engine settings, component and wasmtime's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(Digest);

impl Key {
    pub(crate) fn new(engine_settings: &[u8; 32], component: &Digest) -> Self {
        let hash = Sha256::new().chain_update(engine_settings).chain_update(component.0).chain_update(WASMTIME_VERSION).finalize();
        Self(Digest(hash.into()))
    }
}

impl Cache {
    /// Opens the directory, makes it and the secret if they are missing.
    pub(crate) fn open(dir: &Path) -> Result<Self, CacheError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| CacheError::Io { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed(dir))?;
        let mode = fs::metadata(dir).map_err(failed(dir))?.permissions().mode() & 0o777;
        if mode & 0o022 != 0 {
            return Err(CacheError::Open { path: dir.to_owned(), mode });
        }
        let file = dir.join(SECRET_FILE);
        let secret = read_secret(&file).or_else(|_| make_secret(&file)).map_err(failed(&file))?;
        Ok(Self { dir: dir.to_owned(), secret })
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(format!("{}.cwasm", key.0))
    }

    fn mac(&self, key: &Key) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(&key.0.0);
        mac
    }

    /// Reads an entry once, and gives it only if this host has written it under this key.
    pub(crate) fn get(&self, key: &Key) -> Entry {
        let mut bytes = match fs::read(self.path(key)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Entry::Missing,
            Err(_) => return Entry::Tampered,
        };
        let Some(code_bytes) = bytes.len().checked_sub(TAG_BYTES) else { return Entry::Tampered };
        let tag = bytes.split_off(code_bytes);
        let mut mac = self.mac(key);
        mac.update(&bytes);
        match mac.verify_slice(&tag) {
            Ok(()) => Entry::Found(bytes),
            Err(_) => Entry::Tampered,
        }
    }

    /// Writes an entry: whole or not at all.
    pub(crate) fn put(&self, key: &Key, code: &[u8]) -> Result<(), CacheError> {
        let path = self.path(key);
        let failed = |source| CacheError::Io { path: path.clone(), source };
        let mut mac = self.mac(key);
        mac.update(code);
        let mut temporary = self.scratch("put").map_err(failed)?;
        temporary.file.write_all(code).map_err(failed)?;
        temporary.file.write_all(&mac.finalize().into_bytes()).map_err(failed)?;
        fs::rename(&temporary.path, &path).map_err(failed)
    }

    /// A new, private file in the directory, that is removed when it is dropped unless it has been renamed.
    pub(crate) fn scratch(&self, purpose: &str) -> io::Result<Scratch> {
        let path = self.dir.join(format!("{purpose}-{}.tmp", uuid::Uuid::new_v4()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Scratch { file, path })
    }
}

/// See [`Cache::scratch`].
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Gone already if it was renamed; if it cannot be removed, nobody reads it.
        let _ = fs::remove_file(&self.path);
    }
}

fn read_secret(path: &Path) -> io::Result<[u8; SECRET_BYTES]> {
    let file = File::open(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "others may read it"));
    }
    let mut secret = [0; SECRET_BYTES];
    (&file).read_exact(&mut secret)?;
    Ok(secret)
}

/// A new secret: what was in the cache is no longer known, and will be compiled again.
fn make_secret(path: &Path) -> io::Result<[u8; SECRET_BYTES]> {
    let mut secret = [0; SECRET_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let temporary = path.with_extension(format!("{}.tmp", uuid::Uuid::new_v4()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> (tempfile::TempDir, Cache, Key) {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(&dir.path().join("cache")).unwrap();
        let key = Key::new(&[1; 32], &Digest::of(b"component"));
        (dir, cache, key)
    }

    #[test]
    fn what_was_put_is_got_by_the_next_host_too() {
        let (dir, cache, key) = open();
        assert!(matches!(cache.get(&key), Entry::Missing));
        cache.put(&key, b"code").unwrap();
        let again = Cache::open(&dir.path().join("cache")).unwrap();
        assert!(matches!(again.get(&key), Entry::Found(code) if code == b"code"));
    }

    #[test]
    fn flipped_cut_and_exchanged_entries_are_refused() {
        let (_dir, cache, key) = open();
        cache.put(&key, b"code").unwrap();
        let whole = fs::read(cache.path(&key)).unwrap();
        for index in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[index] ^= 1;
            fs::write(cache.path(&key), &flipped).unwrap();
            assert!(matches!(cache.get(&key), Entry::Tampered), "byte {index}");
        }
        fs::write(cache.path(&key), &whole[..10]).unwrap();
        assert!(matches!(cache.get(&key), Entry::Tampered));
        let other = Key::new(&[2; 32], &Digest::of(b"component"));
        fs::write(cache.path(&other), &whole).unwrap();
        assert!(matches!(cache.get(&other), Entry::Tampered), "an entry of another key");
    }

    #[test]
    fn a_secret_that_others_may_read_is_replaced() {
        let (dir, cache, key) = open();
        cache.put(&key, b"code").unwrap();
        let secret = dir.path().join("cache").join(SECRET_FILE);
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
        let again = Cache::open(&dir.path().join("cache")).unwrap();
        assert!(matches!(again.get(&key), Entry::Tampered));
        assert_eq!(fs::metadata(&secret).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(dir.path()).unwrap_err().to_string().contains("chmod 700"));
    }

    #[test]
    fn scratch_files_leave_nothing_behind() {
        let (dir, cache, _key) = open();
        drop(cache.scratch("x").unwrap());
        let left: Vec<_> = fs::read_dir(dir.path().join("cache")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [SECRET_FILE]);
    }
}
