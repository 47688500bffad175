//! The store: the log file and everything that is durable beside it. One thread writes, many requests share one commit, replies go
//! out after it; readers see only what is durable.
//!
//! Knows no policy, no guests and no HTTP, and rusqlite does not leak out. The schema is `migrations/0001.sql`, which explains itself.

mod append;
mod backup;
mod batch;
mod blobs;
mod candidates;
mod checkpoint;
mod cursors;
mod decisions;
mod directory;
mod durable_readers;
mod event_types;
mod expected;
mod find;
mod inbox;
mod kv;
mod kv_list;
mod kv_space;
mod open;
mod options;
mod outbox;
mod pending;
mod plans;
mod query;
mod readers;
mod recent;
mod ring;
mod rows;
mod schema;
mod shared;
mod store;
mod tail;
mod ticket;
mod workflows;
mod write;
mod writer;

pub use self::{
    append::AppendError,
    backup::{BackupError, Verified, backup, verify},
    batch::{Appended, Batch, Entry, Flush, Identity, OutboxRow, WorkflowChange},
    directory::log_path,
    durable_readers::{ReaderChange, ReaderRow, reader_cursor},
    expected::{Expected, Line},
    find::Found,
    inbox::{Inbox, InboxError, InboxRow, Settled},
    kv_list::{KvEntry, KvPage},
    open::OpenError,
    options::StoreOptions,
    outbox::OutboxEntry,
    query::{Page, Query},
    readers::ReadError,
    store::{ReadStore, Store},
    ticket::{Durable, Poisoned, Ticket},
    workflows::{WorkflowPage, WorkflowQuery, WorkflowRow},
};
