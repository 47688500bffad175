//! The host's own token: a secret in the data directory, made at the first start, with every scope. Who can read the file may do everything.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use trackside_model::{plugin::Digest, time::Timestamp};

use super::{
    file::{Entry, OPERATOR},
    scope::Scope,
    secret,
};

/// The file in the data directory.
pub(crate) const FILE: &str = "token";

/// Where it is.
pub(super) struct OwnToken {
    path: PathBuf,
}

impl OwnToken {
    /// That of a data directory; made, readable by its owner alone, if there is none.
    ///
    /// # Errors
    /// What the system says, if it can be neither found nor made.
    pub(super) fn in_directory(data_dir: &Path) -> io::Result<Self> {
        // Whoever is told of it may stand in another folder.
        let path = std::path::absolute(data_dir)?.join(FILE);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                writeln!(file, "{}", secret::fresh())?;
                file.sync_all()?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It, as it stands in the file now.
    ///
    /// # Errors
    /// What the system says; a file that holds no secret.
    pub(super) fn read(&self) -> io::Result<Entry> {
        let text = fs::read_to_string(&self.path)?;
        let secret = text.trim();
        if secret.len() < secret::LEAST_BYTES {
            let message = format!("{} holds no token; remove it, and the host makes a new one when it starts", self.path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let sha256 = Digest::of(secret.as_bytes());
        Ok(Entry { name: OPERATOR.to_owned(), scopes: Scope::ALL.to_vec(), sha256, made_at: Timestamp(0), expires_at: None })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_is_made_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let token = OwnToken::in_directory(directory.path()).unwrap();
        let made = token.read().unwrap();
        assert_eq!(fs::metadata(token.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(OwnToken::in_directory(directory.path()).unwrap().read().unwrap(), made);
        fs::write(token.path(), "").unwrap();
        assert!(OwnToken::in_directory(directory.path()).unwrap().read().is_err());
    }
}
