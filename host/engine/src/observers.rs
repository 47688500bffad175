//! Observers: each reads the log from its own cursor, in batches, and is delivered every event until it takes it or the event is a dead letter.
//! The cursor, the kv writes and the publishes of a batch go into one commit: what an observer counts, it counts once. The cursor of a batch
//! that changed nothing is written down a little later: handed over again after a crash, it changes nothing twice. One that its operator has made
//! *live* is different, and `live` says how.

mod live;

use std::{sync::Arc, time::Duration};

use trackside_model::{
    control::{Admitted, Judged, Notice, next_batch},
    event::{Event, Position, Text},
    json::Json,
    keeping::{Attempt, DEAD_LETTERED, DeadLettered, MOST_ATTEMPTS},
    ports::{CallReport, Delivery, EventBatch, Outbox, Usage},
};
use trackside_store::{AppendError, AttemptChange, Batch, Entry, Flush, failpoint};

use tokio::{sync::oneshot, time::Instant};

use self::live::Missed;
use crate::{
    calls::NotCalled,
    clock,
    engine::Shared,
    guest_threads::Overloaded,
    outbox,
    slot::Slot,
    stretch::{Stretch, Wanted},
    tasks::{CutOnDrop, OnStop},
};

/// Events that a reader is handed at first; how long that takes says how many more it may be.
pub(crate) const FIRST_BATCH: usize = 64;
/// The first pause before a batch is delivered again; doubled each time, up to [`MOST_BACKOFF`].
pub(crate) const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest pause before a batch is delivered again.
pub(crate) const MOST_BACKOFF: Duration = Duration::from_secs(10);
/// Events behind a cursor from which on the log is busy: a reader then lets more of them gather before its next look, so that many are handed
/// over in one call instead of few in each of many.
const BUSY: usize = 16;
/// How long it lets them gather, counted from its last look.
const GATHER: Duration = Duration::from_millis(5);
/// How long a cursor may stay unwritten that stands behind a batch which changed nothing.
const CURSOR_LAG: Duration = Duration::from_millis(50);
/// Events that nobody wanted before a cursor is written down all the same.
const CURSOR_EVERY: u64 = 4_096;
/// How long a cursor stays unwritten behind events that nobody wanted: what lies before it is not trimmed meanwhile.
pub(crate) const CURSOR_AGE: Duration = Duration::from_secs(10);

/// How long is waited before what could not be read is read again.
pub(crate) const RETRY: Duration = Duration::from_millis(500);
/// How long is waited while too much waits for observers' threads, in milliseconds.
const OVERLOADED_MS: u64 = 50;

/// Where a reader begins.
#[derive(Debug)]
pub(crate) struct First {
    pub(crate) cursor: Position,
    /// Whether it was never there before.
    pub(crate) is_new: bool,
}

/// How far one observer has come, and how its next delivery stands.
struct Reading {
    name: Text,
    cursor: Position,
    /// The sequence of the cursor that was written down last.
    written: u64,
    /// When the cursor is written down at the latest, or the log told of what a live one missed; `None`: when there is a reason.
    write_by: Option<Instant>,
    written_at: Instant,
    batch: usize,
    deliveries: u32,
    /// Who has had those deliveries: another version begins anew.
    by: Option<Arc<Slot>>,
    /// What it stands before and could not be handed, and what each attempt came to: written down, so that a host that ends goes on counting.
    failed: Option<(Position, Vec<Attempt>)>,
    /// What a live one has missed; `None`: it misses nothing.
    live: Option<Missed>,
}

impl Reading {
    /// Goes on behind a batch that was taken and changed nothing.
    fn pass(&mut self, cursor: Position) {
        self.cursor = cursor;
        self.write_by.get_or_insert_with(|| Instant::now() + CURSOR_LAG);
    }

    /// Goes on behind events that it does not want: a cursor that is not written costs a second look at nothing.
    fn pass_by(&mut self, last: u64) {
        self.cursor = Position::end_of(last);
        if last - self.written >= CURSOR_EVERY || self.written_at.elapsed() >= CURSOR_AGE {
            self.write_by.get_or_insert_with(Instant::now);
        }
    }

    /// Which attempt at these events is the next one.
    fn attempt(&self, events: usize, last: &Event) -> u32 {
        match &self.failed {
            Some((at, attempts)) if events == 1 && *at == last.position() => attempts.last().map_or(0, |attempt| attempt.attempt) + 1,
            _ => self.deliveries,
        }
    }

    /// One attempt more at the event that it stands before.
    fn failed_again(&mut self, at: Position, version: Text, reason: &str) -> &[Attempt] {
        let (before, mut attempts) = self.failed.take().unwrap_or_default();
        if before != at {
            attempts.clear();
        }
        let number = attempts.last().map_or(0, |attempt| attempt.attempt) + 1;
        attempts.push(Attempt::new(number, clock::now(), Some(version), reason));
        if attempts.len() > MOST_ATTEMPTS {
            attempts.remove(0);
        }
        &self.failed.insert((at, attempts)).1
    }

    /// Whether it comes past what it stood before with this.
    fn comes_past(&self, cursor: Position) -> bool {
        self.failed.as_ref().is_some_and(|(at, _)| *at <= cursor)
    }

    fn wrote(&mut self) {
        self.written = self.cursor.sequence;
        self.written_at = Instant::now();
        self.write_by = None;
    }

    /// Whether the cursor has been unwritten for as long as it may.
    fn is_overdue(&self) -> bool {
        self.write_by.is_some_and(|by| by <= Instant::now())
    }
}

/// How events are handed to an observer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Handing {
    /// Which attempt at them this is, from 1.
    pub(crate) attempt: u32,
    /// Whether they are of the past.
    pub(crate) replay: bool,
    /// Events that a live one was too slow for.
    pub(crate) missed: u64,
}

/// What became of one delivery.
pub(crate) enum Delivered {
    Taken(CallReport<Result<(), String>>),
    NotTaken(String),
    Quarantined(u64),
}

impl Shared {
    /// Starts an observer's reading; it goes on through reloads, from the same cursor.
    pub(crate) fn start_observer(self: &Arc<Self>, name: &Text) {
        if !self.reading.lock().insert(name.clone()) {
            return;
        }
        let begins = self.first_cursor(&cursor_key(name));
        let (shared, name) = (self.clone(), name.clone());
        self.tasks.spawn(format!("observer {name}"), OnStop::Drain, async move {
            if let Some(First { cursor, .. }) = shared.in_the_end(begins, &cursor_key(&name)).await {
                shared.clone().read_for(&name, cursor).await;
            }
            shared.reading.lock().remove(&name);
            // Taken out of service and put back in while this came to an end: somebody has to read on.
            let back = shared.roster.load().get(&name).is_some_and(|slot| slot.info().roles.observer);
            if back && !shared.stopping.is_set() {
                shared.start_observer(&name);
            }
        });
    }

    /// Where a reader was; a new one begins with what comes from now on, and that is written down: what comes before its first delivery is not lost
    /// if the host ends there. Why it cannot be told where it was: one that is taken for new would pass over what it has not seen.
    pub(crate) fn first_cursor(&self, key: &str) -> Result<First, String> {
        // What its last reader released may still be on its way to the disk, where cursors are read from.
        let barrier = self.store.append(Batch::default(), Flush::Now).map_err(|error| error.to_string())?;
        barrier.ticket.wait().map_err(|poisoned| poisoned.to_string())?;
        if let Some(cursor) = self.store.cursor(key).map_err(|error| error.to_string())? {
            return Ok(First { cursor, is_new: false });
        }
        let cursor = Position::end_of(self.store.appended());
        let written = self.store.append(Batch { cursors: vec![(key.to_owned(), cursor)], ..Batch::default() }, Flush::Lazy);
        written.map(|_| First { cursor, is_new: true }).map_err(|error| error.to_string())
    }

    /// Where it was, asked again until it can be told; `None`: the host stops first.
    pub(crate) async fn in_the_end(&self, mut begins: Result<First, String>, key: &str) -> Option<First> {
        let mut stopping = self.tasks.stopping();
        loop {
            match begins {
                Ok(first) => return Some(first),
                Err(error) => tracing::error!(cursor = key, "a cursor cannot be read: {error}"),
            }
            tokio::select! { () = tokio::time::sleep(RETRY) => {} () = stopping.wait() => return None }
            begins = tokio::task::block_in_place(|| self.first_cursor(key));
        }
    }

    async fn read_for(self: Arc<Self>, name: &Text, cursor: Position) {
        let mut reading = Reading {
            name: name.clone(),
            cursor,
            written: cursor.sequence,
            write_by: None,
            written_at: Instant::now(),
            batch: FIRST_BATCH.min(self.options.observer_batch),
            deliveries: 0,
            by: None,
            failed: self.store.attempts(&cursor_key(name)).unwrap_or_else(|error| {
                tracing::error!(observer = &**name, "what it was tried cannot be read: {error}");
                None
            }),
            live: None,
        };
        self.read_on(&mut reading).await;
        self.write_cursor(&mut reading);
    }

    /// Until the host stops, or the observer is taken out of service.
    async fn read_on(self: &Arc<Self>, reading: &mut Reading) {
        let mut stopping = self.tasks.stopping();
        let mut durable = self.store.watch_durable();
        let mut bypasses = self.bypasses.watch();
        let mut in_service = self.in_service.subscribe();
        loop {
            let Some(slot) = self.roster.load().get(&reading.name).filter(|slot| slot.info().roles.observer).cloned() else { return };
            if reading.by.as_ref().is_none_or(|before| !Arc::ptr_eq(before, &slot)) {
                reading.deliveries = 0;
                if reading.by.is_some() {
                    reading.failed = None;
                }
                reading.by = Some(slot.clone());
                self.read_as(reading, slot.info().live_behind);
            }
            self.keep_up(reading, &slot);
            if reading.is_overdue() {
                self.write_cursor(reading);
            }
            in_service.mark_unchanged();
            bypasses.mark_unchanged();
            if let Some(bypass) = slot.bypassed(clock::now()) {
                // Its cursor stands.
                let left = Duration::from_millis(bypass.until.ms_since(clock::now()) + 1);
                tokio::select! { () = tokio::time::sleep(left) => {} _ = bypasses.changed() => {} () = stopping.wait() => return }
                continue;
            }
            durable.mark_unchanged();
            let stretch = match self.stretches.read(&self.store, reading.cursor.sequence, self.options.observer_batch) {
                Ok(stretch) => stretch,
                Err(error) => {
                    tracing::error!(observer = &*reading.name, "the log cannot be read: {error}");
                    tokio::select! { () = tokio::time::sleep(RETRY) => {} () = stopping.wait() => return }
                    continue;
                }
            };
            let Some(stretch) = stretch else {
                tokio::select! {
                    changed = durable.changed() => if changed.is_err() { return },
                    () = until(reading.write_by) => {}
                    () = stopping.wait() => return,
                }
                continue;
            };
            let gathered = Instant::now() + GATHER;
            let pause = self.deliver(&slot, reading, &stretch).await;
            if stopping.is_set() {
                return;
            }
            if let Some(pause) = pause {
                // Another version need not wait for what this one has deserved.
                tokio::select! { () = tokio::time::sleep(pause) => {} _ = in_service.changed() => {} () = stopping.wait() => return }
            } else if (BUSY..self.options.observer_batch).contains(&stretch.len()) && reading.cursor.sequence >= stretch.last() {
                tokio::select! { () = tokio::time::sleep_until(gathered) => {} () = stopping.wait() => return }
            } else {
                // A stretch that nobody wanted was looked through on a thread that others wait for.
                tokio::task::yield_now().await;
            }
        }
    }

    /// Delivers what is wanted of these events; the pause before the next delivery, if there must be one.
    async fn deliver(self: &Arc<Self>, slot: &Arc<Slot>, reading: &mut Reading, stretch: &Arc<Stretch>) -> Option<Duration> {
        let (of, by, most) = (stretch.clone(), slot.clone(), reading.batch.min(most_of(slot)));
        let wanted = match self.look_through(&slot.info().observes, move || of.wanted(&by, most)).await {
            Ok(wanted) => wanted,
            Err(overloaded) => {
                tracing::warn!("{overloaded}");
                return Some(Duration::from_millis(OVERLOADED_MS));
            }
        };
        let Some(Wanted { batch, through }) = wanted else {
            reading.pass_by(stretch.last());
            return None;
        };
        let (events, last) = (batch.events().len(), batch.events().last()?);
        reading.deliveries += 1;
        let missed = reading.live.as_ref().map_or(0, Missed::untold);
        let handing = Handing { attempt: reading.attempt(events, last), replay: false, missed };
        match self.hand_over(slot, &batch, handing).await {
            delivered if reading.live.is_some() => self.handed_live(slot, reading, &batch, through, missed, delivered),
            // Who calls out is different: what it did there is not to be done again for want of a cursor.
            Delivered::Taken(report) if report.outbox.is_untouched() && !slot.info().observer_waits() && !reading.comes_past(through) => {
                reading.pass(through);
                self.taken(slot, reading, events, report.usage);
                None
            }
            Delivered::Taken(report) => match self.advance(reading, through, batch.events(), last, report.outbox, None) {
                Ok(()) => {
                    self.taken(slot, reading, events, report.usage);
                    None
                }
                // Somebody changed what it had read: the same batch again.
                Err(AppendError::Conflict { .. }) => {
                    reading.deliveries -= 1;
                    Some(Duration::ZERO)
                }
                Err(error) => {
                    tracing::error!(observer = &*reading.name, "its cursor is not taken: {error}");
                    Some(MOST_BACKOFF)
                }
            },
            Delivered::Quarantined(retry_after_ms) => {
                reading.deliveries -= 1;
                Some(Duration::from_millis(retry_after_ms.max(10)))
            }
            Delivered::NotTaken(reason) => self.again(slot, reading, events, through, last, &reason),
        }
    }

    /// Hands these events to an observer.
    pub(crate) async fn hand_over(self: &Arc<Self>, slot: &Arc<Slot>, batch: &Arc<EventBatch>, handing: Handing) -> Delivered {
        let (shared, slot, batch) = (self.clone(), slot.clone(), batch.clone());
        let Handing { attempt, replay, missed } = handing;
        let delivery = Delivery { now: clock::now(), attempt, replay, missed };
        let called = if slot.info().observer_waits() {
            self.call_waiting(async move { shared.observe_waiting(&slot, &batch, &delivery).await }).await
        } else {
            self.observer_threads.call(move || shared.observe(&slot, &batch, &Delivery { now: clock::now(), ..delivery })).await
        };
        match called {
            Ok(Ok(report)) => match report.outcome {
                Ok(Ok(())) => Delivered::Taken(report),
                Ok(Err(error)) => Delivered::NotTaken(error),
                Err(fault) => Delivered::NotTaken(fault.to_string()),
            },
            Ok(Err(NotCalled::Quarantined { retry_after_ms })) => Delivered::Quarantined(retry_after_ms),
            // Since a moment ago: the next look finds it.
            Ok(Err(NotCalled::Bypassed(_))) => Delivered::Quarantined(0),
            Err(overloaded) => {
                tracing::warn!("{overloaded}");
                Delivered::Quarantined(OVERLOADED_MS)
            }
        }
    }

    /// Has a call that waits for the world outside polled where workers are. It is cut if nobody waits for it any more.
    async fn call_waiting<T: Send + 'static>(&self, call: impl Future<Output = T> + Send + 'static) -> Result<T, Overloaded> {
        let (done, answer) = oneshot::channel();
        let handle = self.tasks.spawn_on(&self.workers.handle(), async move { drop(done.send(call.await)) });
        let _cut = CutOnDrop(handle);
        answer.await.map_err(|_| Overloaded)
    }

    /// Not taken: smaller batches until the event that cannot be handled is alone, and that one a bounded number of times.
    fn again(
        self: &Arc<Self>,
        slot: &Slot,
        reading: &mut Reading,
        handed: usize,
        through: Position,
        last: &Event,
        reason: &str,
    ) -> Option<Duration> {
        // One fact, with all that is told of it, is as small as a batch becomes.
        if handed > 1 && reading.batch > 1 {
            reading.batch = (reading.batch.min(handed) / 2).max(1);
            reading.deliveries = 0;
            return Some(Duration::ZERO);
        }
        let (at, reader) = (last.position(), cursor_key(&reading.name));
        let attempts = reading.failed_again(at, slot.info().short_version(), reason).to_vec();
        let deliveries = attempts.last().map_or(0, |attempt| attempt.attempt);
        if deliveries < self.options.observer_deliveries {
            let attempts = attempts.last().cloned().map(|attempt| AttemptChange::Failed { reader, position: at, attempt });
            // One that is not taken is made once more after a crash.
            let _ = self.store.append(Batch { attempts: attempts.into_iter().collect(), ..Batch::default() }, Flush::Lazy);
            return Some((FIRST_BACKOFF * 2u32.saturating_pow(deliveries - 1)).min(MOST_BACKOFF));
        }
        let dead = DeadLettered {
            plugin: reading.name.clone(),
            version: Some(slot.info().short_version()),
            code: Text::from("deliveries"),
            reason: reason.to_owned(),
            deliveries: Some(deliveries),
            attempts,
            event_id: Some(last.event_id),
            event_type: last.event_type.to_string(),
            sequence_number: Some(last.sequence_number),
            part: Some(last.part),
            ..DeadLettered::default()
        };
        let payload = Json::from_value(&dead);
        let notice = Notice::new(DEAD_LETTERED, clock::fresh_id(), clock::now(), payload).map(|notice| notice.caused_by(last));
        let told = notice.map_err(|error| tracing::error!("{error}")).ok();
        match self.advance(reading, through, &[], last, Outbox::default(), told) {
            Ok(()) => {
                reading.deliveries = 0;
                None
            }
            Err(error) => {
                tracing::error!(observer = &*reading.name, "a dead letter is not taken: {error}");
                Some(MOST_BACKOFF)
            }
        }
    }

    /// What a call released, and the cursor behind what it was given, in one commit.
    fn advance(
        &self,
        reading: &mut Reading,
        cursor: Position,
        events: &[Arc<Event>],
        last: &Event,
        released: Outbox,
        told: Option<Notice>,
    ) -> Result<(), AppendError> {
        let mut batch = Batch::of(told.map(|told| Entry::fresh(Admitted::notice(told))));
        batch.cursors.push((cursor_key(&reading.name), cursor));
        if reading.comes_past(cursor) {
            batch.attempts.push(AttemptChange::Past(cursor_key(&reading.name)));
        }
        outbox::release_about(&mut batch, reading.name.clone(), released, events, last);
        failpoint::before("observer");
        self.store.append(batch, Flush::Lazy)?;
        failpoint::after("observer");
        if reading.comes_past(cursor) {
            reading.failed = None;
        }
        reading.cursor = cursor;
        reading.wrote();
        Ok(())
    }

    /// What was handed over is behind it; how long it took says how much more it may be handed.
    fn taken(&self, slot: &Slot, reading: &mut Reading, events: usize, usage: Usage) {
        let judged = Judged { events, duration_ns: usage.duration_ns, faulted: false };
        reading.deliveries = 0;
        reading.batch = next_batch(reading.batch, judged, slot.info().limits.timeout_ms, self.options.observer_batch);
    }

    fn write_cursor(&self, reading: &mut Reading) {
        if reading.live.is_some() {
            // It has none that outlives the host.
            reading.wrote();
            return;
        }
        if reading.cursor.sequence == reading.written && reading.write_by.is_none() {
            return;
        }
        let batch = Batch { cursors: vec![(cursor_key(&reading.name), reading.cursor)], ..Batch::default() };
        // Nothing was changed behind it: a cursor that is not written costs a second look at the same, and a poisoned store is told of elsewhere.
        let _ = self.store.append(batch, Flush::Lazy);
        reading.wrote();
    }
}

/// Waits until then; for ever, if there is nothing to wait for.
async fn until(then: Option<Instant>) {
    match then {
        Some(then) => tokio::time::sleep_until(then).await,
        None => std::future::pending().await,
    }
}

pub(crate) fn cursor_key(name: &str) -> String {
    format!("observer/{name}")
}

/// Events that its operator lets an observer be handed in one call.
fn most_of(slot: &Slot) -> usize {
    usize::try_from(slot.info().limits.observe_events).unwrap_or(usize::MAX).max(1)
}
