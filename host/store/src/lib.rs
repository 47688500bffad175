//! The store: the log file and everything that is durable beside it. One thread writes, many requests share one commit, replies go
//! out after it; readers see only what is durable.
//!
//! Knows no policy, no guests and no HTTP, and rusqlite does not leak out. The schema is `migrations/0001.sql`, which explains itself.

mod append;
mod attempts;
mod backup;
mod batch;
mod blobs;
mod candidates;
mod checkpoint;
mod compact;
mod cursors;
mod dead_letters;
mod decisions;
mod directory;
mod durable_readers;
mod event_types;
mod expected;
mod export;
pub mod failpoint;
mod find;
mod full_text;
mod import;
mod inbox;
mod kv;
mod kv_list;
mod kv_space;
mod lines;
mod open;
mod options;
mod outbox;
mod pending;
mod plans;
mod projections;
mod query;
mod readers;
mod recent;
mod retention;
mod ring;
mod rows;
mod salvage;
mod schema;
mod shared;
mod store;
mod survey;
mod tail;
mod ticket;
mod told_workflows;
mod trimmed;
mod verify;
mod workflows;
mod write;
mod writer;

pub use self::{
    append::AppendError,
    backup::{BackupError, backup},
    batch::{Appended, AttemptChange, Batch, Entry, Flush, Identity, OutboxRow, Trim, TrimmedEvent, WorkflowChange},
    compact::compact,
    dead_letters::{LetterPage, LetterQuery},
    directory::log_path,
    durable_readers::{ReaderChange, ReaderRow, reader_cursor},
    expected::{Expected, Line},
    export::{Export, ExportQuery},
    find::{Found, Remains},
    full_text::{Words, WordsError},
    import::{ImportError, Imported, import},
    inbox::{Inbox, InboxError, InboxRow, Settled},
    kv_list::{KvEntry, KvPage},
    open::OpenError,
    options::StoreOptions,
    outbox::OutboxEntry,
    query::{Page, Query},
    readers::ReadError,
    retention::{BlobSearch, Cleanup, Held, Retention, RetentionRule, Step},
    salvage::{Salvaged, salvage},
    store::{ReadStore, Store},
    survey::{
        Bounds, By, Cut, Durations, DurationsAnswer, DurationsOf, Extent, Group, Pairing, Rates, RatesAnswer, Stats, StatsAnswer, Surveyed,
    },
    ticket::{Durable, Poisoned, Ticket},
    verify::{NOT_COMPARED, Verified, verify},
    workflows::{WorkflowPage, WorkflowQuery, WorkflowRow},
};
