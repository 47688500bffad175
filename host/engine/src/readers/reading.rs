//! One durable reader at work: it reads the log ahead of its clients, hands out, and settles what they say. Any number of clients share it.

use std::{sync::Arc, time::Duration};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use trackside_model::{
    control::{Admitted, Notice},
    event::{Event, Position, Text},
    json::Json,
    keeping::{DEAD_LETTERED, DeadLettered},
    reader::{Dead, Place, Reader, ReaderMemory, ReaderOptions, Settled},
    time::Timestamp,
};
use trackside_store::{AppendError, Batch, Entry, Flush, Store, Ticket, reader_cursor};

use super::{ReaderStatus, ReadersError, remember};
use crate::{
    clock,
    dispatch::Frame,
    engine::Shared,
    subscription::{Reading, Subscription, Told},
};

/// Events that are passed by before a cursor is written down for them alone.
const CURSOR_EVERY: u64 = 4_096;

/// An event that is handed to a client.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its place, by which it is settled.
    pub position: Position,
    /// 1 for the first.
    pub delivery: u32,
    /// Whether it is of the past, and handed out because of a replay.
    pub replayed: bool,
    /// The event, with its text.
    pub frame: Arc<Frame>,
}

/// A named reader of the log that outlives the host. Events are handed out until they are acknowledged or dead letters.
pub struct DurableReader {
    name: String,
    store: Store,
    standing: Mutex<Standing>,
    subscription: tokio::sync::Mutex<Subscription>,
    /// Something was settled, read or taken away.
    changed: Notify,
}

struct Standing {
    reader: Reader<Arc<Frame>>,
    /// The cursor that was written down last.
    written: u64,
    /// Something is settled that is not on its way to the disk: the log did not take it.
    unwritten: bool,
    /// Dead letters that the log has not taken yet: they go with the cursor behind them.
    untold: Vec<Entry>,
    /// Another reads under this name, or nobody.
    retired: bool,
}

impl DurableReader {
    pub(super) fn new(shared: &Arc<Shared>, name: &str, options: ReaderOptions, cursor: Position, memory: ReaderMemory) -> Self {
        let reading = Reading { filter: options.filter.clone(), after: cursor, narration: options.narration, most_behind: None };
        let subscription = Subscription::new(shared.store.clone(), shared.dispatch.clone(), reading);
        let (again, replayed) = (memory.again.clone(), memory.replayed.clone());
        let mut standing = Standing {
            reader: Reader::new(options, cursor, memory),
            written: cursor.sequence,
            unwritten: false,
            untold: Vec::new(),
            retired: false,
        };
        for place @ Place(position) in again {
            match shared.store.event(position.sequence).map(|fact| fact.and_then(|fact| part_of(&fact, position))) {
                Ok(Some(event)) => {
                    let (correlation_id, bytes) = (event.correlation_id.clone(), event.text_bytes());
                    standing.reader.again(position, &correlation_id, bytes, Frame::new(event), replayed.contains(&place));
                }
                Ok(None) => tracing::warn!(reader = name, "what was to be handed out again at {position} is no longer there"),
                Err(error) => tracing::error!(reader = name, "what is to be handed out again at {position} cannot be read: {error}"),
            }
        }
        Self {
            name: name.to_owned(),
            store: shared.store.clone(),
            standing: Mutex::new(standing),
            subscription: tokio::sync::Mutex::new(subscription),
            changed: Notify::new(),
        }
    }

    /// How it stands.
    pub fn status(&self) -> ReaderStatus {
        let standing = self.standing.lock();
        let cursor = standing.reader.cursor();
        ReaderStatus {
            name: self.name.clone(),
            cursor: cursor.to_string(),
            behind: self.store.durable_head().saturating_sub(cursor.sequence),
            in_flight: standing.reader.in_flight(),
            waiting: standing.reader.waiting(),
            options: standing.reader.options().clone(),
        }
    }

    /// The next events to be handled, at least one, at most so many. Waits for them; cancelling the wait loses nothing. What is handed out comes
    /// again if it is not acknowledged in time.
    ///
    /// # Errors
    /// [`ReadersError`] if the log cannot be read, or if the reader is taken away.
    pub async fn next(&self, most: usize) -> Result<Vec<Delivery>, ReadersError> {
        loop {
            // Listening begins before looking: what changes in between is noticed.
            let changed = self.changed.notified();
            let now = clock::now();
            let (room, next_change) = {
                let mut standing = self.serving()?;
                self.expire(&mut standing, now);
                let handed = standing.reader.hand_out(now, most);
                if !handed.is_empty() {
                    let delivery = |handed: trackside_model::reader::Handed<Arc<Frame>>| Delivery {
                        position: handed.position,
                        delivery: handed.delivery,
                        replayed: handed.replayed,
                        frame: handed.event,
                    };
                    return Ok(handed.into_iter().map(delivery).collect());
                }
                (standing.reader.room(), standing.reader.next_change())
            };
            tokio::select! {
                read = self.read(), if room > 0 => read?,
                () = until(next_change, now) => {}
                () = changed => {}
            }
        }
    }

    /// Settles events: they are done, and do not come again. Answers when that is durable, with those that were not out any more.
    ///
    /// # Errors
    /// [`ReadersError`] if it is not taken: say it again.
    pub async fn acknowledge(&self, positions: &[Position]) -> Result<Vec<Position>, ReadersError> {
        let (before, ticket) = {
            let mut standing = self.serving()?;
            let is_before = |position: &&Position| standing.reader.acknowledge(**position) == Settled::Before;
            let before: Vec<Position> = positions.iter().filter(is_before).copied().collect();
            standing.unwritten |= before.len() < positions.len();
            let ticket = match self.write(&mut standing, Flush::Now, Batch::default())? {
                Some(ticket) => ticket,
                // Settled before: what was written then may still be on its way.
                None => self.store.append(Batch::default(), Flush::Now)?.ticket,
            };
            (before, ticket)
        };
        self.changed.notify_waiters();
        ticket.durable().await?;
        Ok(before)
    }

    /// Gives an event back that could not be done: it comes again after a pause, or is a dead letter. `false`: it is not out any more, or has been
    /// handed out again since.
    ///
    /// # Errors
    /// [`ReadersError`] if the reader is taken away.
    pub fn give_back(&self, position: Position, delivery: u32, reason: &str, retry_after_ms: Option<u64>) -> Result<bool, ReadersError> {
        let given = {
            let mut standing = self.serving()?;
            let in_flight = standing.reader.in_flight();
            let dead = standing.reader.give_back(position, delivery, clock::now(), retry_after_ms, reason);
            let given = standing.reader.in_flight() < in_flight;
            self.bury(&mut standing, dead);
            given
        };
        self.changed.notify_waiters();
        Ok(given)
    }

    /// Gives a client more time for an event. `false`: it is not out any more.
    ///
    /// # Errors
    /// [`ReadersError`] if the reader is taken away.
    pub fn extend(&self, position: Position, delivery: u32) -> Result<bool, ReadersError> {
        Ok(self.serving()?.reader.extend(position, delivery, clock::now()))
    }

    /// Hands an event out once more that was a dead letter, in one commit with the event that tells of it. `None`: it has it in hand.
    pub(crate) fn hand_out_again(&self, event: Arc<Event>, told: Entry) -> Result<Option<Ticket>, ReadersError> {
        let (position, correlation_id, bytes) = (event.position(), event.correlation_id.clone(), event.text_bytes());
        let ticket = {
            let mut standing = self.serving()?;
            if !standing.reader.again(position, &correlation_id, bytes, Frame::new(event), false) {
                return Ok(None);
            }
            standing.unwritten = true;
            match self.write(&mut standing, Flush::Now, Batch::of([told])) {
                Ok(ticket) => ticket,
                Err(error) => {
                    // As it was.
                    standing.reader.acknowledge(position);
                    return Err(error.into());
                }
            }
        };
        self.changed.notify_waiters();
        Ok(ticket)
    }

    /// How many more replayed events it may be handed: what comes in has the other half of its places.
    pub(crate) fn replay_room(&self) -> Result<usize, ReadersError> {
        let standing = self.serving()?;
        let half = usize::try_from(standing.reader.options().in_flight / 2).unwrap_or(usize::MAX).max(1);
        Ok(half.saturating_sub(standing.reader.replaying()).min(standing.reader.room()))
    }

    /// Waits until something was settled, read or taken away.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }

    /// How it reads, and the sequence up to which it has settled everything.
    pub(crate) fn stands(&self) -> (ReaderOptions, u64) {
        let standing = self.standing.lock();
        (standing.reader.options().clone(), standing.reader.cursor().whole_through())
    }

    /// Takes events of the past in hand, in one commit with the cursor of their replay. How many those were: what it has in hand, or has still to
    /// come to, is not handed out twice.
    pub(crate) fn replay(&self, events: &[Arc<Event>], mut batch: Batch, cursor: (String, Position)) -> Result<usize, ReadersError> {
        let taken = {
            let mut standing = self.serving()?;
            let mut taken = Vec::with_capacity(events.len());
            for event in events {
                let (position, correlation_id, bytes) = (event.position(), event.correlation_id.clone(), event.text_bytes());
                if standing.reader.again(position, &correlation_id, bytes, Frame::new(event.clone()), true) {
                    taken.push(position);
                }
            }
            standing.unwritten |= !taken.is_empty();
            batch.cursors.push(cursor);
            let written = match standing.unwritten {
                true => self.write(&mut standing, Flush::Lazy, batch).map(drop),
                false => self.store.append(batch, Flush::Lazy).map(drop),
            };
            if let Err(error) = written {
                // As it was.
                for position in taken {
                    standing.reader.acknowledge(position);
                }
                return Err(error.into());
            }
            taken.len()
        };
        self.changed.notify_waiters();
        Ok(taken)
    }

    /// It serves nobody any more, if the log takes what goes with that: which is given where the reader stands, and what is kept of it.
    pub(super) fn retire_with<T, E>(&self, with: impl FnOnce(Position, ReaderMemory) -> Result<T, E>) -> Result<T, E> {
        let mut standing = self.standing.lock();
        let taken = with(standing.reader.cursor(), standing.reader.memory())?;
        standing.retired = true;
        drop(standing);
        self.changed.notify_waiters();
        Ok(taken)
    }

    fn serving(&self) -> Result<MutexGuard<'_, Standing>, ReadersError> {
        let standing = self.standing.lock();
        if standing.retired {
            return Err(ReadersError::Gone(self.name.clone()));
        }
        Ok(standing)
    }

    /// Takes in what comes next in the log. Cancelling the wait loses nothing.
    async fn read(&self) -> Result<(), ReadersError> {
        let mut subscription = self.subscription.lock().await;
        // Another client may have read meanwhile what this one waits for.
        if self.serving()?.reader.has_ready(clock::now()) {
            return Ok(());
        }
        let told = subscription.next().await?;
        // One that was taken away meanwhile must leave no cursor behind.
        let mut standing = self.serving()?;
        if let Told::Events(frames) = told {
            for frame in frames {
                let correlation_id = frame.event().correlation_id.clone();
                standing.reader.take(frame.position(), &correlation_id, frame.event().text_bytes(), frame);
            }
        }
        standing.reader.pass(subscription.position());
        let passed = standing.reader.cursor().sequence.saturating_sub(standing.written);
        if passed >= CURSOR_EVERY {
            standing.unwritten = true;
            // It costs a second look at what it does not want, if it is not taken.
            let _ = self.write(&mut standing, Flush::Lazy, Batch::default());
        }
        drop(standing);
        self.changed.notify_waiters();
        Ok(())
    }

    fn expire(&self, standing: &mut Standing, now: Timestamp) {
        let dead = standing.reader.expire(now);
        self.bury(standing, dead);
    }

    /// Tells the log of dead letters, in one commit with the cursor behind them.
    fn bury(&self, standing: &mut Standing, dead: impl IntoIterator<Item = Dead<Arc<Frame>>>) {
        let told: Vec<Entry> =
            dead.into_iter().filter_map(|dead| self.obituary(&dead)).map(|told| Entry::fresh(Admitted::notice(told))).collect();
        if told.is_empty() {
            return;
        }
        standing.unwritten = true;
        standing.untold.extend(told);
        if let Err(error) = self.write(standing, Flush::Lazy, Batch::default()) {
            // The next that is written takes it along; after a restart without one, the event is handed out again.
            tracing::error!(reader = self.name, "a dead letter is not taken: {error}");
        }
    }

    fn obituary(&self, dead: &Dead<Arc<Frame>>) -> Option<Notice> {
        let event = dead.event.event();
        let letter = DeadLettered {
            plugin: Text::from(reader_cursor(&self.name)),
            code: Text::from("deliveries"),
            reason: dead.failures.last().map(|failure| failure.error.clone()).unwrap_or_default(),
            deliveries: Some(dead.deliveries),
            attempts: dead.failures.clone(),
            event_id: Some(event.event_id),
            event_type: event.event_type.to_string(),
            sequence_number: Some(event.sequence_number),
            part: Some(event.part),
            ..DeadLettered::default()
        };
        let payload = Json::from_value(&letter);
        let notice = Notice::new(DEAD_LETTERED, clock::fresh_id(), clock::now(), payload).map(|notice| notice.caused_by(event));
        notice.map_err(|error| tracing::error!("{error}")).ok()
    }

    /// Puts what is settled on its way to the disk; `None`: all of it is.
    fn write(&self, standing: &mut Standing, flush: Flush, mut batch: Batch) -> Result<Option<Ticket>, AppendError> {
        if !standing.unwritten {
            return Ok(None);
        }
        let (cursor, memory) = (standing.reader.cursor(), standing.reader.memory());
        batch.events.extend(standing.untold.iter().cloned());
        let ticket = remember(&self.store, &self.name, cursor, &memory, flush, batch)?;
        standing.untold.clear();
        standing.unwritten = false;
        standing.written = cursor.sequence;
        Ok(Some(ticket))
    }
}

/// The part of a fact that stands there.
pub(crate) fn part_of(fact: &Arc<Event>, position: Position) -> Option<Arc<Event>> {
    if fact.position() == position {
        return Some(fact.clone());
    }
    fact.expand().find(|part| part.position() == position).map(Arc::new)
}

/// Waits until then; for ever, if there is nothing to wait for.
async fn until(then: Option<Timestamp>, now: Timestamp) {
    match then {
        Some(then) => tokio::time::sleep(Duration::from_millis(then.ms_since(now) + 1)).await,
        None => std::future::pending().await,
    }
}
