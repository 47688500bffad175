//! Dispatch: readers at the head of the log sit here, and one task looks at each event once for all of them, so that an event costs what the
//! readers cost that want it, however many there are. Readers that fall behind read the log themselves (`subscription`).

mod frame;
mod index;
mod seat;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::Notify;
use trackside_model::event::{Event, Filter, Position};
use trackside_store::Store;

pub use self::frame::Frame;
use self::index::Index;
pub(crate) use self::seat::{Seat, Served};
use crate::{conditions::Conditions, tasks::Stopping};

/// Events looked at before the lock is let go.
const PAGE_EVENTS: usize = 512;
/// Bytes of events read at a time.
const PAGE_BYTES: usize = 1 << 20;

/// The readers at the head of the log.
#[derive(Debug, Default)]
pub(crate) struct Dispatch {
    seats: Mutex<Seats>,
    /// Somebody has sat down where nobody sat.
    first: Notify,
    /// Where readers ask what seats do not look at.
    pub(crate) conditions: Conditions,
}

#[derive(Debug, Default)]
struct Seats {
    /// Whether the task has come to an end: nobody is served any more.
    closed: bool,
    /// How far it has looked.
    dispatched: u64,
    taken: HashMap<u64, Arc<Seat>>,
    next: u64,
    narrated: usize,
    index: Index,
}

/// A seat that is taken; dropped, it is free.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) seat: Arc<Seat>,
    number: u64,
    dispatch: Weak<Dispatch>,
}

impl Dispatch {
    /// Sits down a reader that has seen everything up to `after`. `None`: there is more to be seen first, or nobody is served any more.
    pub(crate) fn sit_down(self: &Arc<Self>, filter: &Filter, narration: bool, after: Position) -> Option<Taken> {
        let mut seats = self.seats.lock();
        if seats.closed {
            return None;
        }
        if seats.taken.is_empty() {
            // Nobody has been looked for: the task begins here.
            seats.dispatched = after.sequence;
        } else if seats.dispatched > after.sequence {
            return None;
        }
        let number = seats.next;
        let seat = Arc::new(Seat::new(filter, narration, after));
        seats.next += 1;
        seats.narrated += usize::from(narration);
        seats.index.add(number, filter);
        seats.taken.insert(number, seat.clone());
        let first = seats.taken.len() == 1;
        drop(seats);
        if first {
            self.first.notify_one();
        }
        Some(Taken { seat, number, dispatch: Arc::downgrade(self) })
    }

    /// Serves the seats until the host stops; then every reader is sent back to the log.
    pub(crate) async fn run(self: Arc<Self>, store: Store, mut stopping: Stopping) {
        let mut durable = store.watch_durable();
        loop {
            durable.mark_unchanged();
            match self.look(&store) {
                Looked::On => {}
                Looked::Idle => tokio::select! { () = self.first.notified() => {} () = stopping.wait() => break },
                Looked::AtHead => tokio::select! {
                    changed = durable.changed() => if changed.is_err() { break },
                    () = stopping.wait() => break,
                },
            }
        }
        self.close();
    }

    /// Looks at the next events, if there are any and if anybody waits for them.
    fn look(&self, store: &Store) -> Looked {
        let after = {
            let seats = self.seats.lock();
            if seats.taken.is_empty() {
                return Looked::Idle;
            }
            seats.dispatched
        };
        let events = match store.read(after, PAGE_EVENTS, PAGE_BYTES) {
            Ok(events) => events,
            Err(error) => {
                // Each reader finds out for itself, and says so.
                tracing::error!("the log cannot be read for those who wait at its head: {error}");
                self.seats.lock().send_back();
                return Looked::Idle;
            }
        };
        if events.is_empty() {
            return Looked::AtHead;
        }
        self.seats.lock().serve(after, &events);
        Looked::On
    }

    fn close(&self) {
        let mut seats = self.seats.lock();
        seats.closed = true;
        seats.send_back();
    }
}

enum Looked {
    /// There may be more.
    On,
    /// Nobody sits.
    Idle,
    /// Nothing yet.
    AtHead,
}

impl Seats {
    /// Serves the events behind `after`, unless another place is the next by now: everybody has left, and somebody else sat down.
    fn serve(&mut self, after: u64, events: &[Arc<Event>]) {
        if self.dispatched != after {
            return;
        }
        let mut found = Vec::new();
        for event in events {
            if self.narrated > 0 && event.narration.parts() > 0 {
                for part in event.narration.events(event) {
                    self.serve_one(&Arc::new(part), true, &mut found);
                }
            }
            self.serve_one(event, false, &mut found);
        }
        self.dispatched = events.last().map_or(after, |last| last.sequence_number);
    }

    fn serve_one(&mut self, event: &Arc<Event>, narrated: bool, found: &mut Vec<u64>) {
        self.index.candidates(event, found);
        let mut frame = None;
        let mut full = Vec::new();
        for number in found.iter() {
            let Some(seat) = self.taken.get(number) else { continue };
            let wanted = (seat.narration || !narrated) && seat.filter.matches(event);
            if wanted && !seat.put(frame.get_or_insert_with(|| Frame::new(event.clone()))) {
                full.push(*number);
            }
        }
        full.into_iter().for_each(|number| self.free(number));
    }

    fn free(&mut self, number: u64) {
        if let Some(seat) = self.taken.remove(&number) {
            self.narrated -= usize::from(seat.narration);
            self.index.remove(number, &seat.filter);
        }
    }

    fn send_back(&mut self) {
        for seat in self.taken.values() {
            seat.give_up();
        }
        *self = Self { closed: self.closed, next: self.next, ..Self::default() };
    }
}

impl Taken {
    /// How far the reader has come if nothing lies at its seat.
    pub(crate) fn passed(&self) -> Option<Position> {
        let dispatch = self.dispatch.upgrade()?;
        let seats = dispatch.seats.lock();
        let sits = seats.taken.contains_key(&self.number);
        (sits && self.seat.is_empty()).then(|| Position::end_of(seats.dispatched))
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(dispatch) = self.dispatch.upgrade() {
            dispatch.seats.lock().free(self.number);
        }
    }
}
