//! Observers: each reads the log from its own cursor, in batches, and is delivered every event until it takes it or the event is a dead letter.
//! The cursor, the kv writes and the publishes of a batch go into one commit: what an observer counts, it counts once.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use trackside_model::{
    control::{Admitted, Notice},
    event::{Event, Position, Text},
    ports::{Delivery, Outbox},
};
use trackside_store::{AppendError, Batch, Entry, Flush};

use tokio::sync::oneshot;

use crate::{
    calls::NotCalled,
    clock,
    engine::Shared,
    guest_threads::Overloaded,
    outbox,
    slot::Slot,
    tasks::{CutOnDrop, OnStop},
};

/// Bytes of events handed over at a time, at most, before their narration is expanded.
const BATCH_BYTES: usize = 1 << 20;
/// The first pause before a batch is delivered again; doubled each time, up to [`MOST_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest pause before a batch is delivered again.
const MOST_BACKOFF: Duration = Duration::from_secs(10);
/// Events that nobody wanted before a cursor is written down all the same.
const CURSOR_EVERY: u64 = 4_096;

/// How far one observer has come, and how its next delivery stands.
struct Reading {
    name: Text,
    cursor: Position,
    written: u64,
    batch: usize,
    deliveries: u32,
}

/// What became of one delivery.
enum Delivered {
    Taken(Outbox),
    NotTaken(String),
    Quarantined(u64),
}

impl Shared {
    /// Starts an observer's reading; it goes on through reloads, from the same cursor.
    pub(crate) fn start_observer(self: &Arc<Self>, name: &Text) {
        if !self.reading.lock().insert(name.clone()) {
            return;
        }
        let cursor = self.first_cursor(name);
        let (shared, name) = (self.clone(), name.clone());
        self.tasks.spawn(format!("observer {name}"), OnStop::Drain, async move {
            shared.clone().read_for(&name, cursor).await;
            shared.reading.lock().remove(&name);
            // Taken out of service and put back in while this came to an end: somebody has to read on.
            let back = shared.roster.load().get(&name).is_some_and(|slot| slot.info().roles.observer);
            if back && !shared.stopping.is_set() {
                shared.start_observer(&name);
            }
        });
    }

    /// Where it was; a new observer begins with what comes from now on, and that is written down: what comes before its first delivery
    /// is not lost if the host ends there.
    fn first_cursor(&self, name: &Text) -> Position {
        let key = format!("observer/{name}");
        // What its last reader released may still be on its way to the disk, where cursors are read from.
        if let Ok(barrier) = self.store.append(Batch::default(), Flush::Now) {
            // A poisoned store is told of by whoever appends next.
            let _ = barrier.ticket.wait();
        }
        let stored = self.store.cursor(&key).unwrap_or_else(|error| {
            tracing::error!(observer = &**name, "its cursor cannot be read: {error}");
            None
        });
        if let Some(cursor) = stored {
            return cursor;
        }
        let cursor = Position::end_of(self.store.appended());
        if let Err(error) = self.store.append(Batch { cursors: vec![(key, cursor)], ..Batch::default() }, Flush::Lazy) {
            tracing::error!(observer = &**name, "its cursor is not taken: {error}");
        }
        cursor
    }

    async fn read_for(self: Arc<Self>, name: &Text, cursor: Position) {
        let mut stopping = self.tasks.stopping();
        let mut durable = self.store.watch_durable();
        let mut bypasses = self.bypasses.watch();
        let mut reading =
            Reading { name: name.clone(), cursor, written: cursor.sequence, batch: self.options.observer_batch, deliveries: 0 };
        loop {
            let Some(slot) = self.roster.load().get(name).filter(|slot| slot.info().roles.observer).cloned() else { return };
            bypasses.mark_unchanged();
            if let Some(bypass) = slot.bypassed(clock::now()) {
                // Its cursor stands.
                let left = Duration::from_millis(bypass.until.ms_since(clock::now()) + 1);
                tokio::select! { () = tokio::time::sleep(left) => {} _ = bypasses.changed() => {} () = stopping.wait() => return }
                continue;
            }
            durable.mark_unchanged();
            let events = self.store.read(reading.cursor.sequence, self.options.observer_batch, BATCH_BYTES).unwrap_or_else(|error| {
                tracing::error!(observer = &**name, "the log cannot be read: {error}");
                Vec::new()
            });
            if events.is_empty() {
                tokio::select! { changed = durable.changed() => if changed.is_err() { return }, () = stopping.wait() => return }
                continue;
            }
            let pause = self.deliver(&slot, &mut reading, &events).await;
            if stopping.is_set() {
                return;
            }
            if let Some(pause) = pause {
                tokio::select! { () = tokio::time::sleep(pause) => {} () = stopping.wait() => return }
            }
        }
    }

    /// Delivers what is wanted of these events; the pause before the next delivery, if there must be one.
    async fn deliver(self: &Arc<Self>, slot: &Arc<Slot>, reading: &mut Reading, events: &[Arc<Event>]) -> Option<Duration> {
        let wanted = wanted(slot, events, reading.batch.min(most_of(slot)));
        let Some(last) = wanted.last() else {
            let last = events.last()?.sequence_number;
            reading.cursor = Position::end_of(last);
            if last - reading.written >= CURSOR_EVERY {
                reading.written = last;
                let batch = Batch { cursors: vec![(format!("observer/{}", reading.name), reading.cursor)], ..Batch::default() };
                // Nothing was handed over: a cursor that is not written costs a second look at nothing.
                let _ = self.store.append(batch, Flush::Lazy);
            }
            return None;
        };
        let last = last.clone();
        let handed = wanted.len();
        reading.deliveries += 1;
        match self.hand_over(slot, wanted, reading.deliveries).await {
            Delivered::Taken(released) => match self.advance(reading, &last, released, None) {
                Ok(()) => None,
                // Somebody changed what it had read: the same batch again.
                Err(AppendError::Conflict { .. }) => Some(Duration::ZERO),
                Err(error) => {
                    tracing::error!(observer = &*reading.name, "its cursor is not taken: {error}");
                    Some(MOST_BACKOFF)
                }
            },
            Delivered::Quarantined(retry_after_ms) => {
                reading.deliveries -= 1;
                Some(Duration::from_millis(retry_after_ms.max(10)))
            }
            Delivered::NotTaken(reason) => self.again(slot, reading, handed, &last, &reason),
        }
    }

    async fn hand_over(self: &Arc<Self>, slot: &Arc<Slot>, wanted: Vec<Arc<Event>>, attempt: u32) -> Delivered {
        let (shared, slot) = (self.clone(), slot.clone());
        let delivery = Delivery { now: clock::now(), attempt, replay: false, missed: 0 };
        let called = if slot.info().observer_waits() {
            self.call_waiting(async move { shared.observe_waiting(&slot, &wanted, &delivery).await }).await
        } else {
            self.observer_threads.call(move || shared.observe(&slot, &wanted, &Delivery { now: clock::now(), ..delivery })).await
        };
        match called {
            Ok(Ok(report)) => match report.outcome {
                Ok(Ok(())) => Delivered::Taken(report.outbox),
                Ok(Err(error)) => Delivered::NotTaken(error),
                Err(fault) => Delivered::NotTaken(fault.to_string()),
            },
            Ok(Err(NotCalled::Quarantined { retry_after_ms })) => Delivered::Quarantined(retry_after_ms),
            // Since a moment ago: the next look finds it.
            Ok(Err(NotCalled::Bypassed(_))) => Delivered::Quarantined(0),
            Err(overloaded) => {
                tracing::warn!("{overloaded}");
                Delivered::Quarantined(50)
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
    fn again(self: &Arc<Self>, slot: &Slot, reading: &mut Reading, handed: usize, last: &Event, reason: &str) -> Option<Duration> {
        // One fact, with all that is told of it, is as small as a batch becomes.
        if handed > 1 && reading.batch > 1 {
            reading.batch = (reading.batch.min(handed) / 2).max(1);
            reading.deliveries = 0;
            return Some(Duration::ZERO);
        }
        if reading.deliveries < self.options.observer_deliveries {
            return Some((FIRST_BACKOFF * 2u32.saturating_pow(reading.deliveries - 1)).min(MOST_BACKOFF));
        }
        let payload = json!({"plugin": &*reading.name, "version": &*slot.info().short_version(), "code": "deliveries", "reason": reason, "deliveries": reading.deliveries,
            "event_id": last.event_id, "event_type": last.event_type, "sequence_number": last.sequence_number, "part": last.part});
        let notice = Notice::new("event:dead_lettered", clock::fresh_id(), clock::now(), payload).map(|notice| notice.caused_by(last));
        let told = notice.map_err(|error| tracing::error!("{error}")).ok();
        match self.advance(reading, last, Outbox::default(), told) {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(observer = &*reading.name, "a dead letter is not taken: {error}");
                Some(MOST_BACKOFF)
            }
        }
    }

    fn advance(&self, reading: &mut Reading, last: &Event, released: Outbox, told: Option<Notice>) -> Result<(), AppendError> {
        let mut batch = Batch::of(told.map(|told| Entry::fresh(Admitted::notice(told))));
        let cursor = last.position();
        batch.cursors.push((format!("observer/{}", reading.name), cursor));
        outbox::release_one(&mut batch, reading.name.clone(), released, last, outbox::hops_of(last));
        self.store.append(batch, Flush::Lazy)?;
        reading.cursor = cursor;
        reading.written = cursor.sequence;
        reading.deliveries = 0;
        reading.batch = (reading.batch * 2).min(self.options.observer_batch);
        Ok(())
    }
}

/// Events that its operator lets an observer be handed in one call.
fn most_of(slot: &Slot) -> usize {
    usize::try_from(slot.info().limits.observe_events).unwrap_or(usize::MAX).max(1)
}

/// The events, and the narration, that the observer's filter asks for, at most this many. Never its own publishes, unless it names itself.
fn wanted(slot: &Slot, events: &[Arc<Event>], most: usize) -> Vec<Arc<Event>> {
    let filter = &slot.info().observes;
    let names_itself = filter.source_components.as_ref().is_some_and(|sources| sources.iter().any(|source| **source == *slot.info().name));
    let narrated = filter.names_narration();
    let mut wanted = Vec::new();
    for event in events {
        if *event.source_component == *slot.info().name && !names_itself {
            continue;
        }
        if narrated && event.narration.parts() > 0 {
            wanted.extend(event.expand().filter(|event| filter.matches(event)).map(Arc::new));
        } else if filter.matches(event) {
            wanted.push(event.clone());
        }
        // A fact is taken whole, narration and all, so that a cursor is always behind a fact.
        if wanted.len() >= most {
            break;
        }
    }
    wanted
}
