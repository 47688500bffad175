//! A live reader of the log: everything behind a position that passes a filter, in order, and then what comes.
//! A wake-up is a hint; what is read is the log.

use tokio::sync::watch;
use trackside_model::{
    event::{Event, Filter, Position},
    keeping::Gap,
};
use trackside_store::{ReadError, Store};

/// Events read at a time.
const PAGE_EVENTS: usize = 512;
/// Bytes read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// A reader with a cursor of its own.
pub struct Subscription {
    store: Store,
    filter: Filter,
    cursor: Position,
    narration: bool,
    durable: watch::Receiver<u64>,
    trimmed: Vec<Gap>,
}

impl Subscription {
    pub(crate) fn new(store: Store, filter: Filter, cursor: Position, narration: bool) -> Self {
        let durable = store.watch_durable();
        Self { store, filter, cursor, narration, durable, trimmed: Vec::new() }
    }

    /// How far it has come.
    pub fn position(&self) -> Position {
        self.cursor
    }

    /// What is no longer there of the stretch that the events of the last [`Subscription::next`] are from.
    pub fn take_trimmed(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.trimmed)
    }

    /// The next events that pass the filter, at least one unless there are gaps to be told of. Waits for them; cancelling the wait loses nothing.
    ///
    /// # Errors
    /// [`ReadError`] if the log cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Event>, ReadError> {
        loop {
            self.durable.mark_unchanged();
            // A cursor inside a fact's narration has the rest of that fact before it.
            let whole = self.cursor.part == u32::MAX;
            let after = if whole { self.cursor.sequence } else { self.cursor.sequence.saturating_sub(1) };
            let events = self.store.read(after, PAGE_EVENTS, PAGE_BYTES)?;
            let Some(last) = events.last().map(|event| event.sequence_number) else {
                // An error means that the store is closed: nothing will come any more.
                if self.durable.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                continue;
            };
            let mut next = after + 1;
            for event in &events {
                if event.sequence_number > next {
                    self.trimmed.push(Gap { from: next, to: event.sequence_number - 1 });
                }
                next = event.sequence_number + 1;
            }
            let mut wanted = Vec::new();
            for event in &events {
                if self.narration {
                    wanted.extend(event.expand().filter(|event| event.position() > self.cursor && self.filter.matches(event)));
                } else if event.position() > self.cursor && self.filter.matches(event) {
                    wanted.push((**event).clone());
                }
            }
            self.cursor = self.cursor.max(Position::end_of(last));
            if !wanted.is_empty() || !self.trimmed.is_empty() {
                return Ok(wanted);
            }
        }
    }
}
