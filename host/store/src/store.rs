//! The store as its users hold it: one that appends, and one that only reads. Both are handles that clone for nothing.
//! The verbs are in the files named after them; here is what holds them together, and the end.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
};

use parking_lot::Mutex;
use tokio::sync::watch;
use trackside_model::event::Event;

use crate::{
    append::AppendError,
    batch::{Appended, Batch, Flush},
    readers::{ReadError, Readers},
    shared::Shared,
    tail,
    ticket::{Durable, Poisoned, Ticket},
};

/// A log that is read: beside a running host, or without one.
#[derive(Clone, Debug)]
pub struct ReadStore {
    readers: Arc<Readers>,
    head: Head,
}

/// How far readers see.
#[derive(Clone, Debug)]
enum Head {
    /// What the writer has published.
    Live(Arc<AtomicU64>),
    /// What the file has.
    File,
}

impl ReadStore {
    /// Of a file that another process may write.
    pub(crate) fn of_file(readers: Arc<Readers>) -> Self {
        Self { readers, head: Head::File }
    }

    pub(crate) fn readers(&self) -> &Readers {
        &self.readers
    }

    /// The last durable sequence; 0: the log is empty.
    pub(crate) fn head(&self) -> Result<u64, ReadError> {
        match &self.head {
            Head::Live(durable) => Ok(durable.load(Ordering::Acquire)),
            Head::File => self.readers.read(|names| {
                let last: Option<i64> = names.connection.query_row("SELECT max(sequence) FROM events", [], |row| row.get(0))?;
                Ok(last.unwrap_or(0).cast_unsigned())
            }),
        }
    }

    /// Durable events behind the sequence `after`, in order: at most `max_events` and about `max_bytes` of them, but at least one if there
    /// is one. Narration stays inside its fact.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn read(&self, after: u64, max_events: usize, max_bytes: usize) -> Result<Vec<Arc<Event>>, ReadError> {
        let head = self.head()?;
        if after >= head {
            return Ok(Vec::new());
        }
        self.readers.read(|names| tail::read(names, after, head, max_events, max_bytes))
    }
}

/// The log, open for appending. Cloning gives another handle to the same one; when the last is gone, what is pending is committed.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    reads: ReadStore,
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
}

/// The threads behind a store, to be joined in this order.
pub(crate) struct Threads {
    pub(crate) writer: JoinHandle<()>,
    pub(crate) checkpointer: JoinHandle<()>,
}

impl Store {
    pub(crate) fn new(shared: Arc<Shared>, threads: Threads) -> Self {
        let reads = ReadStore { readers: shared.readers.clone(), head: Head::Live(shared.durable.clone()) };
        Self { inner: Arc::new(Inner { reads, shared, threads: Mutex::new(Some(threads)) }) }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// Appends all of the batch or nothing. Does not wait for the disk: the ticket does.
    ///
    /// # Errors
    /// [`AppendError`], by what stands against it.
    pub fn append(&self, batch: Batch, flush: Flush) -> Result<Appended, AppendError> {
        self.shared().append(batch, |_| flush)
    }

    /// The same for what rests on the batch's own conditions: once they are met, and before anybody else can append, `decide` adds what
    /// follows from that. It may take rows away and add events with fresh ids and workflows; it runs under the store's lock, so it must
    /// be quick and must not come back to the store. Where the conditions are not met it is not called.
    ///
    /// # Errors
    /// [`AppendError`], by what stands against it: always before `decide`.
    pub fn append_then(&self, batch: Batch, decide: impl FnOnce(&mut Batch) -> Flush) -> Result<Appended, AppendError> {
        self.shared().append(batch, decide)
    }

    /// Waits until what the ticket stands for is durable.
    ///
    /// # Errors
    /// [`Poisoned`]: nobody can say whether it is; ask again after a restart, with the same event ids.
    pub fn durable(&self, ticket: &Ticket) -> Durable {
        ticket.durable()
    }

    /// The last sequence that has been given.
    pub fn appended(&self) -> u64 {
        self.shared().appended.load(Ordering::Acquire)
    }

    /// The last sequence that readers see.
    pub fn durable_head(&self) -> u64 {
        self.shared().durable_head()
    }

    /// Told whenever the durable head has moved: a hint to read, since only the last value is kept.
    pub fn watch_durable(&self) -> watch::Receiver<u64> {
        self.shared().durable_watch.subscribe()
    }

    /// Told whenever publishes of the outbox have become durable: a hint to read, with the last one's id.
    pub fn watch_outbox(&self) -> watch::Receiver<u64> {
        self.shared().outbox_watch.subscribe()
    }

    /// Why nothing more is appended, if that is so.
    pub fn poisoned(&self) -> Option<Poisoned> {
        self.shared().state().poisoned.clone()
    }

    /// As [`ReadStore::read`], from memory where it reaches back far enough.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn read(&self, after: u64, max_events: usize, max_bytes: usize) -> Result<Vec<Arc<Event>>, ReadError> {
        if after >= self.durable_head() {
            return Ok(Vec::new());
        }
        match self.shared().ring.read(after, max_events, max_bytes) {
            Some(events) => Ok(events),
            None => self.inner.reads.read(after, max_events, max_bytes),
        }
    }

    /// Commits what is pending, brings the log into one file, and ends the threads. Appends fail from here on, reads go on.
    ///
    /// # Errors
    /// [`Poisoned`] if the log could not be written, now or before.
    pub fn close(&self) -> Result<(), Poisoned> {
        self.inner.stop();
        self.poisoned().map_or(Ok(()), Err)
    }
}

impl Inner {
    fn stop(&self) {
        self.shared.begin_close();
        let Some(threads) = self.threads.lock().take() else { return };
        // The last handle may go with a task that the writer has just woken: nobody can wait for himself.
        if threads.writer.thread().id() == std::thread::current().id() {
            return;
        }
        for thread in [threads.writer, threads.checkpointer] {
            if thread.join().is_err() {
                tracing::error!("a thread of the store has panicked");
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Deref for Store {
    type Target = ReadStore;

    fn deref(&self) -> &ReadStore {
        &self.inner.reads
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("appended", &self.appended()).field("durable", &self.durable_head()).finish_non_exhaustive()
    }
}
