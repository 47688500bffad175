//! What the disk itself takes: the baseline of everything durable, and the folder in which all of it is measured.
//! What is compared with it is the parts' own.

use std::{
    env, fs,
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::samples;

/// About what an event of the benches takes in the log.
const RECORD_BYTES: usize = 512;
const FILE_BYTES: usize = 8 << 20;

/// The folder of the benches, beside what cargo built: on the disk, which `/tmp` may not be.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn folder() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.parent().and_then(Path::parent).context("the program lies in a folder of cargo's")?.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    Ok(folder)
}

/// A new folder in there, removed when it is dropped.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn scratch() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("run-").tempdir_in(folder()?)?)
}

/// A file that was written once, so that writing to it again changes no metadata: the cheapest durable write that there is.
pub(crate) struct Probe {
    file: File,
    at: usize,
}

impl Probe {
    /// Writes the file, in this folder.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("probe");
        let file = File::create_new(&path).with_context(|| format!("failed to make {}", path.display()))?;
        file.write_all_at(&vec![0x5a; FILE_BYTES], 0)?;
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    /// Writes a record and waits until it is on the disk; microseconds.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn sync_us(&mut self) -> Result<f64> {
        let record = [u8::try_from(self.at % 251).unwrap_or(0); RECORD_BYTES];
        let at = self.at % (FILE_BYTES - RECORD_BYTES);
        self.at += RECORD_BYTES;
        samples::us(|| {
            self.file.write_all_at(&record, at as u64)?;
            Ok(self.file.sync_data()?)
        })
    }
}
