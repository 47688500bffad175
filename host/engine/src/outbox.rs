//! The outbox: what a call wants published is stored with what the call produced, and taken through the door afterwards.
//! Under an id derived from its cause, so that a call that is delivered again publishes nothing twice.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use trackside_model::{
    control::{Admitted, Notice},
    event::{EnvelopeLimits, Event, HOPS, Incoming, Text, trace},
    json::Json,
    keeping::{Attempt, DEAD_LETTERED, DeadLettered},
    ports::{Outbox, OutboxPublish},
    rate::{Rate, Rates},
    replay::REPLAY,
};
use trackside_store::{Batch, Entry, Flush, OutboxEntry, OutboxRow, ReadError, failpoint};
use uuid::Uuid;

use crate::{answer::Outcome, clock, engine::Shared, options::EngineOptions, publish::AtDoor, slot::Slot};

/// In the metadata of what a plugin publishes: the first 12 digits of its version.
pub(crate) const PLUGIN_VERSION: &str = "plugin_version";

/// The command that triggers publish.
const SUBMIT: &str = "workflow:submit";
/// Bytes that a submission may have beyond an event's payload: what a start holds at most, and a definition.
const SUBMISSION_BYTES: usize = 512 << 10;
/// Levels that a submission puts around an event.
const SUBMISSION_DEPTH: usize = 8;
/// Publishes looked at in one go.
const BATCH: usize = 256;
/// How long a publish that was answered busy waits before it is tried again.
const RETRY: Duration = Duration::from_millis(200);
/// A look without being woken, as a safety net.
const IDLE: Duration = Duration::from_secs(5);

/// Names the version that took part in what it publishes.
pub(crate) fn name_version(outbox: &mut Outbox, slot: &Slot) {
    for publish in &mut outbox.publishes {
        publish.metadata.insert(PLUGIN_VERSION.to_owned(), slot.info().short_version().to_string());
    }
}

/// Marks what is published in a replay.
pub(crate) fn name_replay(outbox: &mut Outbox, replay: Uuid) {
    for publish in &mut outbox.publishes {
        publish.metadata.insert(REPLAY.to_owned(), replay.to_string());
    }
}

/// Puts what calls released into the batch of what they produced. `cause` is the event at hand.
pub(crate) fn release(batch: &mut Batch, outboxes: Vec<(Text, Outbox)>, cause: &Event, hops: u32) {
    for (plugin, outbox) in outboxes {
        release_one(batch, plugin, outbox, cause, hops);
    }
}

/// The same for one call.
pub(crate) fn release_one(batch: &mut Batch, plugin: Text, outbox: Outbox, cause: &Event, hops: u32) {
    release_by(batch, plugin, outbox, |_| (cause, hops));
}

/// The same for a call about several events: a publish follows from the one that it names, else from the last.
pub(crate) fn release_about(batch: &mut Batch, plugin: Text, outbox: Outbox, events: &[Arc<Event>], last: &Event) {
    release_by(batch, plugin, outbox, |publish| {
        let named = publish.cause.as_deref().and_then(|cause| Uuid::parse_str(cause).ok());
        let cause = named.and_then(|named| events.iter().find(|event| event.event_id == named)).map_or(last, |event| &**event);
        (cause, hops_of(cause))
    });
}

fn release_by<'a>(batch: &mut Batch, plugin: Text, outbox: Outbox, cause_of: impl Fn(&OutboxPublish) -> (&'a Event, u32)) {
    for mut publish in outbox.publishes {
        let (cause, hops) = cause_of(&publish);
        let causation_id = publish.cause.as_deref().map_or_else(|| Text::from(cause.event_id.to_string()), Text::from);
        trace::follow(&mut publish.metadata, cause);
        batch.outbox_put.push(OutboxRow {
            plugin: plugin.clone(),
            correlation_id: publish.correlation_id.as_deref().map_or_else(|| cause.correlation_id.clone(), Text::from),
            causation_id: Some(causation_id),
            workflow_id: cause.workflow_id.clone(),
            task_id: cause.task_id.clone(),
            hops: hops + 1,
            publish,
        });
    }
    batch.outbox_cancelled.extend(outbox.cancelled.into_iter().map(|event_id| (plugin.clone(), event_id)));
    if !outbox.kv_reads.is_empty() {
        batch.kv_reads.push((plugin.clone(), outbox.kv_reads));
    }
    if !outbox.kv_writes.is_empty() {
        batch.kv.push((plugin, outbox.kv_writes));
    }
}

/// What a plugin's publish is held to. A submission carries the events that it is about, each within the limits by itself, with a definition around them.
fn limits_of(event_type: &str, limits: &EnvelopeLimits) -> EnvelopeLimits {
    if event_type != SUBMIT {
        return *limits;
    }
    let payload_bytes = limits.payload_bytes.saturating_add(SUBMISSION_BYTES);
    EnvelopeLimits { payload_bytes, payload_depth: limits.payload_depth + SUBMISSION_DEPTH, ..*limits }
}

/// Publishes by plugins that led to an event: carried in its metadata, so that it survives a restart.
pub(crate) fn hops_of(event: &Event) -> u32 {
    event.metadata.get(HOPS).and_then(|hops| hops.parse().ok()).unwrap_or(0)
}

/// How fast plugins publish: each of them, and all of them together about one thing. What is faster is a loop, or will be the end of the host as
/// if it were one.
#[derive(Debug)]
pub(crate) struct Cascades {
    of_plugin: (Rate, Rates<Text>),
    of_correlation: (Rate, Rates<Text>),
}

impl Cascades {
    pub(crate) fn new(options: &EngineOptions) -> Self {
        let of = |rate: Rate| (rate, Rates::new(rate));
        Self { of_plugin: of(options.plugin_rate), of_correlation: of(options.correlation_rate) }
    }

    /// Counts a publish, or says what is too fast about it.
    fn take(&mut self, row: &OutboxRow) -> Result<(), String> {
        let now = clock::now();
        let fast = |what: String, rate: Rate, name: &str| {
            format!(
                "{what} publishes faster than {} a second, with {} at once ({name} in the host's configuration)",
                rate.per_sec, rate.burst
            )
        };
        if !self.of_plugin.1.take(&row.plugin, now) {
            return Err(fast(format!("plugin '{}'", row.plugin), self.of_plugin.0, "engine.plugin_rate"));
        }
        if !self.of_correlation.1.take(&row.correlation_id, now) {
            self.of_plugin.1.give_back(&row.plugin);
            return Err(fast(
                format!("what follows from correlation '{}'", row.correlation_id),
                self.of_correlation.0,
                "engine.correlation_rate",
            ));
        }
        Ok(())
    }

    /// A publish that is taken up again is counted then.
    fn give_back(&mut self, row: &OutboxRow) {
        self.of_plugin.1.give_back(&row.plugin);
        self.of_correlation.1.give_back(&row.correlation_id);
    }
}

impl Shared {
    /// Takes stored publishes through the door until the host stops: in order what goes at once, in time what is scheduled.
    pub(crate) async fn dispatch_outbox(self: Arc<Self>) {
        let mut stopping = self.tasks.stopping();
        let mut stored = self.store.watch_outbox();
        let mut after = 0;
        loop {
            stored.mark_unchanged();
            let entries = self.waiting(after).unwrap_or_else(|error| {
                tracing::error!("the outbox cannot be read: {error}");
                Vec::new()
            });
            let mut put_off = false;
            for entry in &entries {
                if stopping.is_set() {
                    return;
                }
                failpoint::before("outbox");
                put_off |= !self.take_through(entry).await;
                failpoint::after("outbox");
                if entry.row.publish.due.is_none() {
                    after = entry.id;
                }
            }
            if entries.iter().any(|entry| entry.row.publish.due.is_some()) {
                // These have no cursor: what was ended must be gone before the next look.
                self.settle_outbox().await;
            }
            if put_off {
                after = 0;
                tokio::select! { () = tokio::time::sleep(RETRY) => {} () = stopping.wait() => return }
            } else if entries.is_empty() {
                let idle = self.until_due();
                tokio::select! { _ = stored.changed() => {} () = tokio::time::sleep(idle) => {} () = stopping.wait() => return }
            }
        }
    }

    /// Waits until what was appended so far is durable.
    async fn settle_outbox(&self) {
        if let Ok(barrier) = self.store.append(Batch::default(), Flush::Now) {
            // A poisoned store is told of by whoever appends next.
            let _ = barrier.ticket.durable().await;
        }
    }

    /// What is due, and then what goes at once behind the id `after`.
    fn waiting(&self, after: u64) -> Result<Vec<OutboxEntry>, ReadError> {
        let mut entries = self.store.outbox_due(clock::now(), BATCH)?;
        entries.extend(self.store.outbox(after, BATCH)?);
        Ok(entries)
    }

    /// How long there is nothing to do unless somebody puts something there.
    fn until_due(&self) -> Duration {
        let due = self.store.outbox_next_due().ok().flatten();
        due.map_or(IDLE, |due| Duration::from_nanos(due.0.saturating_sub(clock::now().0)).min(IDLE))
    }

    /// `false`: it stays, and is taken up again.
    async fn take_through(self: &Arc<Self>, entry: &OutboxEntry) -> bool {
        let row = &entry.row;
        if row.hops > self.options.most_hops.saturating_add(1) {
            // It follows from the dead letter of one that was cut: a letter about it would be answered as well, and so on for ever.
            tracing::warn!(plugin = &*row.plugin, event_type = row.publish.event_type, "what follows from a loop that was cut is dropped");
            return self.done(entry);
        }
        if row.hops > self.options.most_hops {
            let reason =
                format!("{} publishes by plugins led to it, one after the other; {} are allowed", row.hops, self.options.most_hops);
            return self.refuse(entry, "too_many_hops", &reason);
        }
        let publish = row.publish.clone();
        if publish.raised {
            return self.raise(entry);
        }
        if let Err(reason) = self.cascades.lock().take(row) {
            return self.refuse(entry, "too_fast", &reason);
        }
        let mut metadata = publish.metadata;
        metadata.insert(HOPS.to_owned(), row.hops.to_string());
        let text = |text: &Option<Text>| text.as_deref().map(str::to_owned);
        let mut incoming = Incoming {
            event_id: Some(publish.event_id),
            event_type: publish.event_type,
            timestamp: publish.timestamp,
            source_component: String::new(),
            correlation_id: Some(row.correlation_id.to_string()),
            causation_id: text(&row.causation_id),
            workflow_id: text(&row.workflow_id),
            task_id: text(&row.task_id),
            provider_id: None,
            severity: Some(publish.severity),
            payload: Some(publish.payload),
            metadata,
            expected_sequence: None,
        };
        self.name_as_in_the_log(&mut incoming);
        let limits = limits_of(&incoming.event_type, &self.options.envelope);
        let draft = match incoming.into_plugin_draft(&row.plugin, clock::now(), publish.event_id, &limits) {
            Ok(draft) => draft,
            Err(rejection) => return self.refuse(entry, "refused", &rejection.to_string()),
        };
        let answer = self.enter(AtDoor::of_plugin(draft, entry.id, row.hops, &row.plugin)).await;
        match answer.outcome {
            Outcome::Appended | Outcome::Skipped => true,
            Outcome::Busy | Outcome::Unknown => {
                self.cascades.lock().give_back(row);
                false
            }
            // The same publish of a call that was delivered again.
            Outcome::Duplicate => self.done(entry),
            Outcome::Refused if answer.by.is_some() => true,
            Outcome::Refused => self.refuse(entry, "refused", answer.reason.as_deref().unwrap_or_default()),
        }
    }

    fn done(&self, entry: &OutboxEntry) -> bool {
        self.store.append(Batch { outbox_done: vec![entry.id], ..Batch::default() }, Flush::Lazy).is_ok()
    }

    /// An error that a plugin raised becomes an event of the plugin host.
    fn raise(&self, entry: &OutboxEntry) -> bool {
        let row = &entry.row;
        let payload = json!({"plugin": &*row.plugin, "cause": row.causation_id.as_deref(), "error": row.publish.payload});
        self.tell_and_end(entry, "error:raised", payload)
    }

    /// What cannot be published is a dead letter, told with its reason.
    fn refuse(&self, entry: &OutboxEntry, code: &str, reason: &str) -> bool {
        let row = &entry.row;
        let publish = &row.publish;
        let dead = DeadLettered {
            plugin: row.plugin.clone(),
            code: Text::from(code),
            reason: reason.to_owned(),
            attempts: vec![Attempt::new(
                1,
                clock::now(),
                publish.metadata.get(PLUGIN_VERSION).map(|version| Text::from(&**version)),
                reason,
            )],
            event_id: Some(publish.event_id),
            event_type: publish.event_type.clone(),
            hops: Some(row.hops),
            severity: Some(publish.severity),
            payload: Some(publish.payload.clone()),
            metadata: publish.metadata.clone(),
            timestamp: publish.timestamp,
            cause: row.causation_id.clone(),
            ..DeadLettered::default()
        };
        let payload = Json::from_value(&dead);
        self.tell_and_end(entry, DEAD_LETTERED, payload)
    }

    fn tell_and_end(&self, entry: &OutboxEntry, event_type: &str, payload: impl Into<Json>) -> bool {
        let row = &entry.row;
        let workflow_id = row.workflow_id.clone();
        let notice = Notice::new(event_type, clock::fresh_id(), clock::now(), payload).map(|notice| match workflow_id {
            Some(workflow_id) => notice.about_task(&row.correlation_id, &workflow_id, row.task_id.as_ref()),
            None => notice.correlated(&row.correlation_id),
        });
        let Ok(notice) = notice.map_err(|error| tracing::error!("{error}")) else { return false };
        let notice = notice.hops(row.hops);
        let batch = Batch { outbox_done: vec![entry.id], ..Batch::of([Entry::fresh(Admitted::notice(notice))]) };
        self.store.append(batch, Flush::Lazy).is_ok()
    }
}
