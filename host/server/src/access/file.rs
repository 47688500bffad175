//! The file of tokens in the data directory: who has which scopes until when, by the digests of their secrets. It is written whole, by one
//! program at a time, and readable by its owner alone. What a token lets its holder do is decided elsewhere.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use trackside_model::{plugin::Digest, time::Timestamp};

use super::scope::Scope;
use crate::whole_file;

/// The file's name in the data directory.
const FILE: &str = "tokens.toml";
/// Held by whoever changes the file.
const LOCK: &str = "tokens.lock";
/// The most tokens that a host knows.
pub(crate) const MOST_TOKENS: usize = 1_000;
/// The longest name of a token, in bytes.
const NAME_BYTES: usize = 64;
/// The name of the token that the host makes for itself.
pub(crate) const OPERATOR: &str = "operator";

/// A token, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Who has it: the principal of what is done with it.
    pub(crate) name: String,
    /// What it lets its holder do.
    pub(crate) scopes: Vec<Scope>,
    /// Of its secret.
    #[serde(with = "digits")]
    pub(crate) sha256: Digest,
    /// When it was made.
    pub(crate) made_at: Timestamp,
    /// From when on it is none any more; `None`: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expires_at: Option<Timestamp>,
}

impl Entry {
    /// Whether it still counts.
    pub(crate) fn is_valid(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|expires_at| now < expires_at)
    }
}

/// What stands against the file, or against a change of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    /// What the system says.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// It says something else than tokens.
    #[error("{}: {message}; `trackside token` writes this file", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The data directory is not there.
    #[error("there is no data directory {}; name a host's with --data", .0.display())]
    NoDirectory(PathBuf),
    /// A token of this name is there.
    #[error("there is a token '{0}' already; `trackside token remove {0}` takes it away")]
    Taken(String),
    /// No token of this name is there.
    #[error("there is no token '{0}'; `trackside token list` shows which there are")]
    Unknown(String),
    /// The file is full.
    #[error("there are {MOST_TOKENS} tokens, which is the most; remove one that nobody uses")]
    Full,
}

/// The file of one data directory.
#[derive(Clone, Debug)]
pub(crate) struct TokenFile {
    data_dir: PathBuf,
    path: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default, rename = "token", skip_serializing_if = "Vec::is_empty")]
    tokens: Vec<Entry>,
}

impl TokenFile {
    /// That of this data directory, whether it is there or not.
    pub(crate) fn in_directory(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), path: data_dir.join(FILE) }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The tokens in it; none, if there is no such file.
    ///
    /// # Errors
    /// [`FileError`], if it cannot be read or holds something else.
    pub(crate) fn read(&self) -> Result<Vec<Entry>, FileError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(FileError::Io { path: self.path.clone(), source }),
        };
        let malformed = |message| FileError::Malformed { path: self.path.clone(), message };
        let document: Document = toml::from_str(&text).map_err(|error| malformed(error.message().to_owned()))?;
        check(&document.tokens).map_err(malformed)?;
        Ok(document.tokens)
    }

    /// Adds a token.
    ///
    /// # Errors
    /// [`FileError`]: the name is taken, the file is full, or it cannot be written.
    pub(crate) fn add(&self, entry: Entry) -> Result<(), FileError> {
        self.change(|tokens| {
            if tokens.iter().any(|token| token.name == entry.name) {
                return Err(FileError::Taken(entry.name));
            }
            if tokens.len() >= MOST_TOKENS {
                return Err(FileError::Full);
            }
            tokens.push(entry);
            Ok(())
        })
    }

    /// Takes a token away.
    ///
    /// # Errors
    /// [`FileError`]: there is none of this name, or the file cannot be written.
    pub(crate) fn remove(&self, name: &str) -> Result<(), FileError> {
        self.change(|tokens| {
            let before = tokens.len();
            tokens.retain(|token| token.name != name);
            if tokens.len() == before { Err(FileError::Unknown(name.to_owned())) } else { Ok(()) }
        })
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Entry>) -> Result<(), FileError>) -> Result<(), FileError> {
        let failed = |source| FileError::Io { path: self.path.clone(), source };
        let _alone = self.lock()?;
        let mut tokens = self.read()?;
        change(&mut tokens)?;
        let text = toml::to_string(&Document { tokens }).map_err(|error| failed(io::Error::other(error)))?;
        whole_file::write_private(&self.path, text.as_bytes()).map_err(failed)
    }

    /// Two programs that read, change and write at a time would lose what one of them wrote.
    fn lock(&self) -> Result<File, FileError> {
        let path = self.data_dir.join(LOCK);
        match OpenOptions::new().create(true).append(true).mode(0o600).open(&path).and_then(|file| file.lock().map(|()| file)) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FileError::NoDirectory(self.data_dir.clone())),
            Err(source) => Err(FileError::Io { path, source }),
        }
    }
}

/// What is wrong with tokens that somebody else may have written.
fn check(tokens: &[Entry]) -> Result<(), String> {
    if tokens.len() > MOST_TOKENS {
        return Err(format!("{} tokens are more than the {MOST_TOKENS} allowed", tokens.len()));
    }
    for (place, token) in tokens.iter().enumerate() {
        check_name(&token.name)?;
        if tokens[..place].iter().any(|other| other.name == token.name) {
            return Err(format!("the token '{}' stands there twice", token.name));
        }
    }
    Ok(())
}

/// Whether a token can have this name.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    let form = bytes.len() <= NAME_BYTES
        && bytes.first().copied().is_some_and(plain)
        && bytes.iter().all(|byte| plain(*byte) || matches!(byte, b'-' | b'_'));
    if !form {
        return Err(format!(
            "'{name}' is not a token's name: use up to {NAME_BYTES} of a-z, 0-9, '-' and '_', beginning with a letter or digit"
        ));
    }
    if name == OPERATOR {
        return Err(format!("'{OPERATOR}' is the host's own token, in the file 'token'; give this one another name"));
    }
    Ok(())
}

/// A digest as its hexadecimal digits.
mod digits {
    use serde::{Deserialize, Deserializer, Serializer, de::Error as _};
    use trackside_model::plugin::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(digest)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, thread};

    use super::*;

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            scopes: vec![Scope::Read],
            sha256: Digest::of(name.as_bytes()),
            made_at: Timestamp(1_000),
            expires_at: None,
        }
    }

    #[test]
    fn what_is_added_is_read_until_it_is_removed_and_nobody_else_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = TokenFile::in_directory(directory.path());
        assert_eq!(file.read().unwrap(), []);
        let soon = Entry { expires_at: Some(Timestamp(7_000)), scopes: Scope::ALL.to_vec(), ..entry("soon") };
        file.add(entry("shop")).unwrap();
        file.add(soon.clone()).unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(file.read().unwrap(), [entry("shop"), soon.clone()]);
        assert!(soon.is_valid(Timestamp(6_999)) && !soon.is_valid(Timestamp(7_000)));
        assert!(matches!(file.add(entry("shop")), Err(FileError::Taken(_))));
        file.remove("shop").unwrap();
        assert!(matches!(file.remove("shop"), Err(FileError::Unknown(_))));
        assert_eq!(file.read().unwrap(), [soon]);
    }

    #[test]
    fn programs_that_write_at_a_time_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let file = TokenFile::in_directory(directory.path());
        thread::scope(|scope| {
            for name in 0..16 {
                let file = &file;
                scope.spawn(move || file.add(entry(&format!("t{name}"))).unwrap());
            }
        });
        assert_eq!(file.read().unwrap().len(), 16);
    }

    #[test]
    fn the_most_is_the_most() {
        let directory = tempfile::tempdir().unwrap();
        let file = TokenFile::in_directory(directory.path());
        let tokens: Vec<Entry> = (0..MOST_TOKENS).map(|name| entry(&format!("t{name}"))).collect();
        fs::write(file.path(), toml::to_string(&Document { tokens }).unwrap()).unwrap();
        assert!(matches!(file.add(entry("one-more")), Err(FileError::Full)));
        file.remove("t7").unwrap();
        file.add(entry("one-more")).unwrap();
    }

    #[test]
    fn what_is_no_file_of_tokens_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = TokenFile::in_directory(directory.path());
        let digest = Digest::of(b"");
        let token =
            |name: &str| format!("[[token]]\nname = '{name}'\nscopes = ['read']\nsha256 = '{digest}'\nmade_at = '2026-01-31T10:30:00Z'\n");
        for (text, says) in [
            ("tokens".to_owned(), "tokens.toml"),
            ("[[tokens]]\n".to_owned(), "tokens"),
            (token("Shop"), "'Shop' is not a token's name"),
            (token("operator"), "'operator' is the host's own token"),
            (token("a") + &token("a"), "the token 'a' stands there twice"),
            (token("a").replace("read", "reed"), "reed"),
            (token("a").replace("sha256 = '", "sha256 = 'x"), "is not a SHA-256 digest"),
        ] {
            fs::write(file.path(), &text).unwrap();
            let error = file.read().unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("`trackside token` writes this file"), "{text}: {error}");
        }
        fs::write(file.path(), token("a")).unwrap();
        assert_eq!(file.read().unwrap().len(), 1);
    }
}
