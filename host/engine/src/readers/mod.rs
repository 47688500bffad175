//! Durable readers: named, each with a cursor that moves when what it was handed is acknowledged. Here is which there are, and what becomes of
//! them; reading and settling is `reading`'s, the rules are the model's.

mod reading;

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use trackside_model::{
    control::{Admitted, Notice},
    event::Position,
    reader::{ReaderError, ReaderMemory, ReaderOptions, check_name},
};
use trackside_store::{AppendError, Batch, Entry, Flush, Poisoned, ReadError, ReaderChange, Store, failpoint, reader_cursor};

pub(crate) use self::reading::part_of;
pub use self::reading::{Delivery, DurableReader};
use crate::{clock, engine::Shared};

/// Durable readers of one host at most.
pub(crate) const MOST_READERS: usize = 1_000;

/// Why something is not done for a durable reader.
#[derive(Debug, thiserror::Error)]
pub enum ReadersError {
    /// Name or options are not taken.
    #[error(transparent)]
    Options(#[from] ReaderError),
    /// There are as many as there may be.
    #[error("there are {MOST_READERS} durable readers, which is the most; remove one that is not needed any more")]
    TooMany,
    /// It was taken away.
    #[error("there is no durable reader '{0}' any more")]
    Gone(String),
    /// The log does not take it now.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The commit failed: whether it is kept is seen after a restart.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// A durable reader as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct ReaderStatus {
    /// Its name.
    pub name: String,
    /// Everything up to here is settled.
    pub cursor: String,
    /// Events of the log behind that, whether it wants them or not.
    pub behind: u64,
    /// Handed out and not settled.
    pub in_flight: usize,
    /// Read, and waiting to be handed out.
    pub waiting: usize,
    /// How it reads.
    pub options: ReaderOptions,
}

/// The durable readers, by name.
#[derive(Default)]
pub(crate) struct Readers(Mutex<BTreeMap<String, Arc<DurableReader>>>);

impl Readers {
    /// Takes up those that the store has.
    pub(crate) fn recover(&self, shared: &Arc<Shared>) -> Result<(), ReadError> {
        for row in shared.store.durable_readers()? {
            let read = serde_json::from_str(&row.options).and_then(|options| Ok((options, serde_json::from_str(&row.memory)?)));
            let (options, memory): (ReaderOptions, ReaderMemory) = match read {
                Ok(read) => read,
                Err(error) => {
                    tracing::error!(reader = row.name, "a durable reader cannot be taken up; set it anew: {error}");
                    continue;
                }
            };
            let reader = DurableReader::new(shared, &row.name, options, row.cursor, memory);
            self.0.lock().insert(row.name, Arc::new(reader));
        }
        Ok(())
    }
}

impl Shared {
    /// The reader of this name.
    pub(crate) fn durable_reader(&self, name: &str) -> Option<Arc<DurableReader>> {
        self.readers.0.lock().get(name).cloned()
    }

    /// All, by name.
    pub(crate) fn durable_readers(&self) -> Vec<Arc<DurableReader>> {
        self.readers.0.lock().values().cloned().collect()
    }

    /// Makes a reader, or has one read differently from now on; its cursor stays unless another is given. `true`: it is new. Answers when that is durable.
    pub(crate) async fn set_reader(
        self: &Arc<Self>,
        name: &str,
        options: ReaderOptions,
        from: Option<Position>,
        by: &str,
    ) -> Result<bool, ReadersError> {
        check_name(name)?;
        options.check()?;
        let (ticket, new) = {
            let mut readers = self.readers.0.lock();
            let before = readers.get(name).cloned();
            if before.is_none() && readers.len() >= MOST_READERS {
                return Err(ReadersError::TooMany);
            }
            let event_type = if before.is_some() { "reader:changed" } else { "reader:created" };
            let set = |cursor: Position, memory: ReaderMemory| {
                let payload = json!({"reader": name, "options": options, "from": cursor.to_string(), "by": by});
                let batch = Batch {
                    cursors: vec![(reader_cursor(name), cursor)],
                    readers: vec![ReaderChange::Set { name: name.to_owned(), options: text(&options), memory: text(&memory) }],
                    ..told(event_type, payload)
                };
                self.store.append(batch, Flush::Now).map(|appended| (cursor, memory, appended.ticket))
            };
            // What is handed out of the one before is handed out again; what it settled ahead stays settled, unless it is to begin elsewhere. It
            // settles nothing between what is taken over from it and its end.
            let (cursor, memory, ticket) = match (&before, from) {
                (Some(before), from) => before.retire_with(|cursor, memory| match from {
                    Some(from) => set(from, ReaderMemory::default()),
                    None => set(cursor, memory),
                })?,
                (None, from) => set(from.unwrap_or_else(|| Position::end_of(self.store.appended())), ReaderMemory::default())?,
            };
            readers.insert(name.to_owned(), Arc::new(DurableReader::new(self, name, options.clone(), cursor, memory)));
            (ticket, before.is_none())
        };
        ticket.durable().await?;
        Ok(new)
    }

    /// Takes a reader away, its cursor too. `false`: there is none.
    pub(crate) async fn remove_reader(&self, name: &str, by: &str) -> Result<bool, ReadersError> {
        let ticket = {
            let mut readers = self.readers.0.lock();
            let Some(reader) = readers.get(name).cloned() else { return Ok(false) };
            let gone = vec![ReaderChange::Remove { name: name.to_owned() }];
            let batch = Batch { readers: gone, ..told("reader:removed", json!({"reader": name, "by": by})) };
            // Nothing that it settles may come behind its end.
            let ticket = reader.retire_with(|_, _| self.store.append(batch, Flush::Now))?.ticket;
            readers.remove(name);
            ticket
        };
        ticket.durable().await?;
        Ok(true)
    }
}

/// A batch with this event of the host.
fn told(event_type: &str, payload: serde_json::Value) -> Batch {
    let notice = Notice::new(event_type, clock::fresh_id(), clock::now(), payload).map_err(|error| tracing::error!("{error}"));
    Batch::of(notice.ok().map(|notice| Entry::fresh(Admitted::notice(notice))))
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("options and memories have string keys")
}

/// Puts what is settled on its way to the disk.
fn remember(
    store: &Store,
    name: &str,
    cursor: Position,
    memory: &ReaderMemory,
    flush: Flush,
    mut batch: Batch,
) -> Result<trackside_store::Ticket, AppendError> {
    batch.cursors.push((reader_cursor(name), cursor));
    batch.readers.push(ReaderChange::Remember { name: name.to_owned(), memory: text(memory) });
    failpoint::before("reader");
    let ticket = store.append(batch, flush)?.ticket;
    failpoint::after("reader");
    Ok(ticket)
}
