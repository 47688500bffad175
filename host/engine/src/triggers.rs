//! Triggers at work: each reads the log from its own cursor, and starts a one-task workflow for what its filter asks for. A start goes into the
//! outbox in one commit with the cursor: an event starts what it starts once, and nobody who published it waits for that.
//! How many events go into a start, and when it is due, is the model's `trigger`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use trackside_model::{
    event::{Event, Metadata, Position, Severity, Text, trace},
    json::Json,
    ports::OutboxPublish,
    time::Timestamp,
    trigger::{Gathering, Start, Trigger},
};
use trackside_store::{AppendError, Batch, Flush, OutboxRow, ReadError};
use uuid::Uuid;

use crate::{
    clock,
    engine::Shared,
    guest_threads::Overloaded,
    observers::{CURSOR_AGE, First},
    outbox,
    slot::Slot,
    tasks::OnStop,
};

/// How long is waited before what the log did not take is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Events that nobody wanted before a cursor is written down all the same.
const CURSOR_EVERY: u64 = 4_096;

/// Why what comes next is not known.
#[derive(Debug, thiserror::Error)]
enum GatherError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
}

/// How far one trigger has come.
struct Reading {
    plugin: Text,
    method: Text,
    /// The fact behind which it reads on.
    cursor: u64,
    /// What it has looked at, though that fact is read again: a part of the next one's narration.
    behind: Position,
    written: Position,
    written_at: Instant,
    gathering: Gathering,
}

impl Reading {
    fn key(&self) -> String {
        key(&self.plugin, &self.method)
    }

    /// Goes on from there: a place inside of a fact's narration, or behind a fact.
    fn go_on(&mut self, from: Position) {
        self.cursor = from.whole_through();
        self.behind = from;
    }

    /// How far it has come, but for what waits; `last` is the last event that was taken out of what waited.
    fn through(&self, last: Position) -> Position {
        match self.gathering.first() {
            None => Position::end_of(self.cursor).max(self.behind),
            Some(first) if first.sequence == last.sequence => last,
            Some(first) => Position::end_of(first.sequence - 1),
        }
    }
}

fn key(plugin: &str, method: &str) -> String {
    format!("trigger/{plugin}/{method}")
}

/// How the names of a plugin's cursors begin.
pub(crate) fn cursors_of(plugin: &str) -> String {
    key(plugin, "")
}

/// The trigger as the version in service has it.
fn trigger_of<'a>(slot: &'a Slot, method: &str) -> Option<&'a Trigger> {
    slot.info().triggers.iter().find(|trigger| *trigger.method == *method)
}

impl Shared {
    /// Starts the reading of a plugin's triggers; it goes on through reloads, each from its own cursor.
    pub(crate) fn start_triggers(self: &Arc<Self>, slot: &Slot) {
        for trigger in &slot.info().triggers {
            self.start_trigger(slot.name(), &trigger.method);
        }
    }

    fn start_trigger(self: &Arc<Self>, plugin: &Text, method: &Text) {
        let key = key(plugin, method);
        if !self.reading.lock().insert(Text::from(key.as_str())) {
            return;
        }
        let begins = self.first_cursor(&key);
        let (shared, plugin, method) = (self.clone(), plugin.clone(), method.clone());
        self.tasks.spawn(key.clone(), OnStop::Drain, async move {
            let mut reading = Reading {
                plugin,
                method,
                cursor: 0,
                behind: Position::default(),
                written: Position::default(),
                written_at: Instant::now(),
                gathering: Gathering::default(),
            };
            if let Some(First { cursor, is_new }) = shared.in_the_end(begins, &key).await {
                // When one that was there before last started something is not known: a throttle must not be got round by restarts.
                reading.gathering = Gathering::since((!is_new).then(clock::now));
                reading.go_on(cursor);
                reading.written = cursor;
                shared.read_for_trigger(&mut reading).await;
                shared.leave_trigger(&reading);
            }
            shared.reading.lock().remove(key.as_str());
            // Taken out of service and put back in while this came to an end: somebody has to read on.
            let back = shared.roster.load().get(&reading.plugin).is_some_and(|slot| trigger_of(slot, &reading.method).is_some());
            if back && !shared.stopping.is_set() {
                shared.start_trigger(&reading.plugin, &reading.method);
            }
        });
    }

    /// Until the host stops, or the trigger is gone.
    async fn read_for_trigger(self: &Arc<Self>, reading: &mut Reading) {
        let mut stopping = self.tasks.stopping();
        let mut durable = self.store.watch_durable();
        let mut bypasses = self.bypasses.watch();
        loop {
            let Some(slot) = self.roster.load().get(&reading.plugin).cloned() else { return };
            let Some(trigger) = trigger_of(&slot, &reading.method) else { return };
            bypasses.mark_unchanged();
            durable.mark_unchanged();
            let now = clock::now();
            if let Some(bypass) = slot.bypassed(now) {
                // Its cursor stands.
                let left = Duration::from_millis(bypass.until.ms_since(now) + 1);
                tokio::select! { () = tokio::time::sleep(left) => {} _ = bypasses.changed() => {} () = stopping.wait() => return }
                continue;
            }
            let has_read = match self.gather(reading, trigger, now).await {
                Ok(has_read) => has_read,
                Err(error) => {
                    tracing::error!(plugin = &*reading.plugin, method = &*reading.method, "the log cannot be looked through: {error}");
                    tokio::select! { () = tokio::time::sleep(RETRY) => {} () = stopping.wait() => return }
                    continue;
                }
            };
            let due = reading.gathering.due(trigger);
            let before = reading.gathering.last_start();
            if due.is_some_and(|due| due <= now)
                && let Some(start) = reading.gathering.take(trigger, now)
            {
                if let Err(error) = self.start_of_trigger(reading, trigger, start) {
                    tracing::error!(plugin = &*reading.plugin, method = &*reading.method, "what a trigger starts is not taken: {error}");
                    tokio::select! { () = tokio::time::sleep(RETRY) => {} () = stopping.wait() => return }
                    // The events come again from the log.
                    reading.gathering = Gathering::since(before);
                    reading.go_on(reading.written);
                }
            } else if !has_read {
                let wait = due.map(|due| Duration::from_nanos(due.0.saturating_sub(clock::now().0)));
                tokio::select! {
                    changed = durable.changed() => if changed.is_err() { return },
                    () = pause(wait) => {}
                    () = stopping.wait() => return,
                }
            }
            if stopping.is_set() {
                return;
            }
            // Long stretches are looked through on a thread that others wait for.
            tokio::task::yield_now().await;
        }
    }

    /// Writes down how far it has come: another version, with another filter, begins there.
    fn leave_trigger(&self, reading: &Reading) {
        let through = reading.through(reading.written);
        if through > reading.written {
            let cursors = vec![(reading.key(), through)];
            // Not taken, it costs a second look.
            let _ = self.store.append(Batch { cursors, ..Batch::default() }, Flush::Lazy);
        }
    }

    /// Reads on, unless as many wait as a start can have. `false`: there is nothing more.
    async fn gather(&self, reading: &mut Reading, trigger: &Trigger, now: Timestamp) -> Result<bool, GatherError> {
        if reading.gathering.is_full(trigger) {
            return Ok(false);
        }
        let Some(stretch) = self.stretches.read(&self.store, reading.cursor, self.options.observer_batch)? else { return Ok(false) };
        let (of, filter) = (stretch.clone(), trigger.filter.clone());
        let wanted = self.look_through(&trigger.filter, move || of.all(&filter)).await?;
        reading.cursor = stretch.last();
        let new = wanted.into_iter().filter(|event| event.position() > reading.behind);
        new.for_each(|event| reading.gathering.came(trigger, event, now));
        let unwritten = reading.cursor - reading.written.whole_through();
        if reading.gathering.is_empty() && (unwritten >= CURSOR_EVERY || reading.written_at.elapsed() >= CURSOR_AGE) {
            let through = Position::end_of(reading.cursor);
            let cursors = vec![(reading.key(), through)];
            // Nothing was started behind it: a cursor that is not written costs a second look at nothing.
            if self.store.append(Batch { cursors, ..Batch::default() }, Flush::Lazy).is_ok() {
                reading.written = through;
                reading.written_at = Instant::now();
            }
        }
        Ok(true)
    }

    /// Puts a start into the outbox, and the cursor behind what it stands for.
    fn start_of_trigger(&self, reading: &mut Reading, trigger: &Trigger, start: Start) -> Result<(), AppendError> {
        let Some(last) = start.events.last().cloned() else { return Ok(()) };
        // What still waits is read again after a crash, and no event that has started something.
        let through = reading.through(last.position());
        let row = OutboxRow {
            plugin: reading.plugin.clone(),
            correlation_id: last.correlation_id.clone(),
            causation_id: Some(Text::from(last.event_id.to_string())),
            workflow_id: None,
            task_id: None,
            hops: outbox::hops_of(&last) + 1,
            publish: submission(reading, trigger, &start, &last),
        };
        let cursors = vec![(reading.key(), through)];
        self.store.append(Batch { cursors, outbox_put: vec![row], ..Batch::default() }, Flush::Now)?;
        reading.written = through;
        reading.written_at = Instant::now();
        Ok(())
    }
}

/// The command that starts it, under an id that the same start has again.
fn submission(reading: &Reading, trigger: &Trigger, start: &Start, last: &Event) -> OutboxPublish {
    let (mut parameters, mut input) = match trigger.batch_max {
        1 => (json!({"event": "${workflow.input.event}"}), json!({"event": last})),
        _ => (json!({"events": "${workflow.input.events}"}), json!({"events": start.events})),
    };
    if trigger.coalesces() {
        parameters["passed_over"] = json!("${workflow.input.passed_over}");
        input["passed_over"] = json!(start.passed_over);
    }
    // It waits for who offers the method: an event that came while that was being loaded starts it then.
    let task = json!({"id": "run", "method": &*reading.method, "parameters": parameters});
    let definition = json!({"name": format!("{} by {}", reading.method, reading.plugin), "wait_for_provider": true, "tasks": [task]});
    let named = format!("trigger\n{}\n{}\n{}.{}", reading.plugin, reading.method, last.event_id, last.part);
    let mut metadata = Metadata::new();
    trace::follow(&mut metadata, last);
    OutboxPublish {
        event_id: Uuid::new_v5(&last.event_id, named.as_bytes()),
        event_type: "workflow:submit".to_owned(),
        severity: Severity::Info,
        payload: Json::from(json!({"definition": definition, "input": input})),
        metadata,
        cause: None,
        correlation_id: None,
        timestamp: None,
        due: None,
        raised: false,
    }
}

async fn pause(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use trackside_model::event::Filter;

    use super::*;

    fn event(sequence: u64, part: u32) -> Arc<Event> {
        let event = json!({"event_id": Uuid::from_u128(u128::from(sequence) << 32 | u128::from(part)), "event_type": "assignment:requested",
            "timestamp": "2026-01-31T10:30:00Z", "recorded_at": "2026-01-31T10:30:00Z", "sequence_number": sequence, "part": part,
            "source_component": "s", "correlation_id": "c", "severity": "info", "payload": {}});
        Arc::new(serde_json::from_value(event).unwrap())
    }

    /// The events of each start, and where the trigger stands behind it.
    fn starts(reading: &mut Reading, trigger: &Trigger) -> Vec<(Vec<String>, String)> {
        let mut starts = Vec::new();
        while let Some(start) = reading.gathering.take(trigger, Timestamp(1)) {
            let last = start.events.last().map(|last| last.position()).unwrap();
            starts.push((start.events.iter().map(|event| event.position().to_string()).collect(), reading.through(last).to_string()));
        }
        starts
    }

    #[test]
    fn behind_a_start_it_stands_behind_the_last_event_of_it_and_before_the_first_that_waits() {
        let trigger = Trigger { filter: Filter::default(), method: Text::from("a/b"), debounce_ms: None, throttle_ms: None, batch_max: 2 };
        let mut reading = Reading {
            plugin: Text::from("a"),
            method: Text::from("a/b"),
            cursor: 9,
            behind: Position::default(),
            written: Position::default(),
            written_at: Instant::now(),
            gathering: Gathering::default(),
        };
        for (sequence, part) in [(3, 0), (5, 0), (5, 1), (5, 2), (5, 4), (7, 1)] {
            reading.gathering.came(&trigger, event(sequence, part), Timestamp(1));
        }
        let texts = |texts: [&str; 2]| texts.map(str::to_owned).to_vec();
        assert_eq!(
            starts(&mut reading, &trigger),
            [(texts(["3.0", "5.0"]), "5.0".to_owned()), (texts(["5.1", "5.2"]), "5.2".to_owned()), (texts(["5.4", "7.1"]), "9".to_owned())]
        );
        // Inside of a fact, that fact is read again, and nothing of it that is behind.
        reading.go_on(Position { sequence: 5, part: 2 });
        assert_eq!((reading.cursor, reading.behind.to_string()), (4, "5.2".to_owned()));
        reading.go_on(Position::end_of(5));
        assert_eq!(reading.cursor, 5);
    }
}
