//! Builds the guests that tests run against, once, and says where they are: the examples of this package, the shipped plugins, and a few
//! files made by hand. Leaves what is done with them to the tests.
//!
//! `build` runs cargo in a target folder of its own (`TRACKSIDE_GUEST_TARGET_DIR`, by default `target/guests`), so the first call in a
//! checkout takes a minute and the others a second. Every `.wasm` then lies in one folder under its stem.
#![cfg(not(target_family = "wasm"))]

mod cargo;
mod handmade;

pub use handmade::{compile_bomb, distinct};

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, io};

/// Why there are no guests.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The compiler cannot build for WebAssembly, and rustup could not change that.
    #[error("guests need the wasm32-wasip2 target, and `rustup target add wasm32-wasip2` did not help: {reason}")]
    NoTarget {
        /// What rustup said.
        reason: String,
    },
    /// A command is not there.
    #[error("failed to start `{command}`: {reason}")]
    NotStarted {
        /// The command line.
        command: String,
        /// What the system said.
        reason: String,
    },
    /// A command ended badly.
    #[error("`{command}` failed:\n{stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// What it said.
        stderr: String,
    },
    /// A file could not be put in place.
    #[error("failed to put {path} in place: {source}")]
    NotPlaced {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A folder with every guest in it, under its stem.
#[derive(Clone, Debug)]
pub struct GuestDir(PathBuf);

impl GuestDir {
    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The file of one guest.
    ///
    /// # Panics
    /// When there is no guest of this name.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        let path = self.0.join(name).with_extension("wasm");
        assert!(path.is_file(), "no guest {name}: there are {}", names().join(", "));
        path
    }

    /// The bytes of one guest.
    ///
    /// # Panics
    /// When there is no guest of this name, or it cannot be read.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        fs::read(&path).unwrap_or_else(|error| panic!("failed to read {}: {error}", path.display()))
    }

    /// Copies one guest into a plugin directory under its own stem, with this text for its settings file if there is any.
    ///
    /// # Panics
    /// When there is no guest of this name, or the directory cannot be written.
    pub fn install(&self, name: &str, plugins: &Path, settings: Option<&str>) {
        let placed = place(&plugins.join(format!("{name}.wasm")), &self.bytes(name))
            .and_then(|()| settings.map_or(Ok(()), |text| place(&plugins.join(format!("{name}.toml")), text.as_bytes())));
        placed.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Every guest, built if need be: once in a process, and seldom in a checkout.
///
/// # Panics
/// When they cannot be built; the message says why, and what to do.
pub fn build() -> &'static GuestDir {
    static GUESTS: OnceLock<GuestDir> = OnceLock::new();
    GUESTS.get_or_init(|| try_build().unwrap_or_else(|error| panic!("{error}")))
}

/// The file of one guest, built if need be.
///
/// # Panics
/// As `build` and `GuestDir::path`.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    build().path(name)
}

/// The stems of all guests: this package's, those that ship, and those made by hand.
#[must_use]
pub fn names() -> Vec<String> {
    let made = handmade::files(&cargo::workspace());
    let shipped = cargo::PLUGINS.iter().map(|name| (*name).to_owned());
    fixtures().into_iter().chain(shipped).chain(made.into_iter().map(|(name, _)| name.to_owned())).collect()
}

/// The stems of this package's own guests, as their files in `examples/` say.
#[must_use]
pub fn fixtures() -> Vec<String> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = fs::read_dir(&examples).unwrap_or_else(|error| panic!("failed to list {}: {error}", examples.display()));
    let stem = |entry: io::Result<fs::DirEntry>| {
        let path = entry.ok()?.path();
        (path.extension()? == "rs").then(|| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()))?
    };
    let mut stems: Vec<String> = entries.filter_map(stem).collect();
    stems.sort_unstable();
    stems
}

fn try_build() -> Result<GuestDir, BuildError> {
    let folder = cargo::target_dir().join("out");
    fs::create_dir_all(&folder).map_err(|source| BuildError::NotPlaced { path: folder.clone(), source })?;
    for (name, made) in cargo::build(&fixtures())? {
        let bytes = fs::read(&made).map_err(|source| BuildError::NotPlaced { path: made.clone(), source })?;
        place(&folder.join(format!("{name}.wasm")), &bytes)?;
    }
    for (name, bytes) in handmade::files(&cargo::workspace()) {
        place(&folder.join(format!("{name}.wasm")), &bytes)?;
    }
    Ok(GuestDir(folder))
}

/// Puts a file in place in one step, so that a test in another process never reads half of one. A file that is right is left alone.
fn place(path: &Path, bytes: &[u8]) -> Result<(), BuildError> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    let beside = path.with_extension(format!("{}.part", std::process::id()));
    let placed = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    placed.map_err(|source| BuildError::NotPlaced { path: path.to_owned(), source })
}
