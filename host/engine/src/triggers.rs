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
    observers::{CURSOR_AGE, First},
    outbox,
    slot::Slot,
    tasks::OnStop,
};

/// How long is waited before what the log did not take is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Events that nobody wanted before a cursor is written down all the same.
const CURSOR_EVERY: u64 = 4_096;

/// How far one trigger has come.
struct Reading {
    plugin: Text,
    method: Text,
    /// Behind what it has looked at.
    cursor: u64,
    written: u64,
    written_at: Instant,
    gathering: Gathering,
}

impl Reading {
    fn key(&self) -> String {
        key(&self.plugin, &self.method)
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
            let mut reading =
                Reading { plugin, method, cursor: 0, written: 0, written_at: Instant::now(), gathering: Gathering::default() };
            if let Some(First { cursor, is_new }) = shared.in_the_end(begins, &key).await {
                // When one that was there before last started something is not known: a throttle must not be got round by restarts.
                reading.gathering = Gathering::since((!is_new).then(clock::now));
                (reading.cursor, reading.written) = (cursor.sequence, cursor.sequence);
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
            let has_read = match self.gather(reading, trigger, now) {
                Ok(has_read) => has_read,
                Err(error) => {
                    tracing::error!(plugin = &*reading.plugin, method = &*reading.method, "the log cannot be read: {error}");
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
                    reading.cursor = reading.written;
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
        let through = reading.gathering.first().map_or(reading.cursor, |first| first.saturating_sub(1));
        if through > reading.written {
            let cursors = vec![(reading.key(), Position::end_of(through))];
            // Not taken, it costs a second look.
            let _ = self.store.append(Batch { cursors, ..Batch::default() }, Flush::Lazy);
        }
    }

    /// Reads on, unless as many wait as a start can have. `false`: there is nothing more.
    fn gather(&self, reading: &mut Reading, trigger: &Trigger, now: Timestamp) -> Result<bool, ReadError> {
        if reading.gathering.is_full(trigger) {
            return Ok(false);
        }
        let Some(stretch) = self.stretches.read(&self.store, reading.cursor, self.options.observer_batch)? else { return Ok(false) };
        reading.cursor = stretch.last();
        stretch.each(&trigger.filter, |event| reading.gathering.came(trigger, event, now));
        let unwritten = reading.cursor - reading.written;
        if reading.gathering.is_empty() && (unwritten >= CURSOR_EVERY || reading.written_at.elapsed() >= CURSOR_AGE) {
            let cursors = vec![(reading.key(), Position::end_of(reading.cursor))];
            // Nothing was started behind it: a cursor that is not written costs a second look at nothing.
            if self.store.append(Batch { cursors, ..Batch::default() }, Flush::Lazy).is_ok() {
                reading.written = reading.cursor;
                reading.written_at = Instant::now();
            }
        }
        Ok(true)
    }

    /// Puts a start into the outbox, and the cursor behind what it stands for.
    fn start_of_trigger(&self, reading: &mut Reading, trigger: &Trigger, start: Start) -> Result<(), AppendError> {
        let Some(last) = start.events.last().cloned() else { return Ok(()) };
        // What still waits is read again after a crash; if that is of the fact whose narration has just started something, what it has started is
        // known by its id.
        let through = reading.gathering.first().map_or(reading.cursor, |first| first.saturating_sub(1));
        let row = OutboxRow {
            plugin: reading.plugin.clone(),
            correlation_id: last.correlation_id.clone(),
            causation_id: Some(Text::from(last.event_id.to_string())),
            workflow_id: None,
            task_id: None,
            hops: outbox::hops_of(&last) + 1,
            publish: submission(reading, trigger, &start, &last),
        };
        let cursors = vec![(reading.key(), Position::end_of(through))];
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
