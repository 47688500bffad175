//! The store's knobs and limits, each with its name and default.
//! Where they come from (file, environment, flags) is the server's.

use std::path::PathBuf;

use trackside_model::event::Pattern;

/// How a store is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The directory that holds the log; created if it is missing.
    pub data_dir: PathBuf,
    /// Events that the ring keeps in memory for readers near the head.
    pub ring_events: usize,
    /// Bytes that the ring keeps in memory.
    pub ring_bytes: usize,
    /// Microseconds that a [`Flush::Lazy`](crate::Flush::Lazy) append waits for company before it is committed alone.
    pub lazy_commit_us: u64,
    /// Events of one commit: more become the next one.
    pub max_commit_events: usize,
    /// Events that may wait for the disk: more are refused as busy.
    pub max_pending_events: usize,
    /// Bytes that may wait for the disk: more are refused as busy.
    pub max_pending_bytes: usize,
    /// Connections that read at a time: more callers wait for one.
    pub max_readers: usize,
    /// Pages (4 KiB each) of the write-ahead file that have it carried into the log; at four times as many, commits wait for that.
    pub checkpoint_pages: u32,
    /// Types whose payloads' words are looked for: others are not in the full text.
    pub full_text: Vec<Pattern>,
}

impl StoreOptions {
    /// The defaults, for this directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            ring_events: 8_192,
            ring_bytes: 32 << 20,
            lazy_commit_us: 100,
            max_commit_events: 2_048,
            max_pending_events: 65_536,
            max_pending_bytes: 64 << 20,
            max_readers: 8,
            checkpoint_pages: 4_096,
            full_text: Vec::new(),
        }
    }
}
