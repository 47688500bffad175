//! What tells one state of a file from another without reading it. When to look is the callers'.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

/// A file at one moment: equal marks mean that nobody has written it in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileMark {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    pub(crate) bytes: u64,
    /// Seconds and nanoseconds of the last change of its content, and of the last change of anything about it.
    pub(crate) times: [i64; 4],
}

impl FileMark {
    /// Of what stands under this name; `None`: nothing that can be seen.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|found| Self::from(&found))
    }
}

impl From<&fs::Metadata> for FileMark {
    fn from(found: &fs::Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            bytes: found.len(),
            times: [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()],
        }
    }
}
