//! The inbox at work: rows that other processes have put there go through the same door as everything, and are told what became of them.
//! The row is the identity: one that was taken before a crash and not told is found to be there already.
//! The file is the store's; hearing that something was put there is the server's.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use trackside_model::{
    control::Origin,
    event::{EnvelopeLimits, Incoming, Metadata, Rejection, RejectionKind, Severity, cloud_event},
    json::Json,
    time::Timestamp,
};
use trackside_store::{Inbox, InboxError, InboxRow, Settled};

use crate::{
    answer::{Answer, Caller, Outcome},
    clock,
    engine::{Engine, Shared},
    tasks::OnStop,
};

/// Rows looked at in one go.
const ROWS: usize = 256;
/// Rows that were taken and not told, at most: more are not taken.
const MOST_UNTOLD: usize = 4_096;
/// Rows that are at the door at a time.
const IN_FLIGHT: usize = 64;
/// The pause between a hint and the look that follows. What is heard of is the writing; what was written is seen when it is committed, which a
/// sync of the disk later may be. So each pause is longer than the one before it, until it is the usual one.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
/// How much longer.
const LONGER: u32 = 3;
/// How long is waited before what could not be read, taken or told is tried again.
const RETRY: Duration = Duration::from_millis(200);

/// How long a row is put off at least and at most that cannot be taken now.
const LEAST_PUT_OFF: Duration = Duration::from_millis(50);
const MOST_PUT_OFF: Duration = Duration::from_secs(60);
/// Rows that are put off, at most: then none behind them is taken until one of them is due.
const MOST_ROWS_PUT_OFF: usize = 4_096;
/// Bytes of a row's type, severity and time.
const OTHER_BYTES: usize = 4 << 10;
/// The column for an event in the form of CloudEvents.
const CLOUD_EVENT: &str = "cloud_event";
/// Characters of what is no UUID that a refusal shows.
const SHOWN: usize = 100;

/// Which rows are under way: how far this look through the file has come, what has yet to be told, and what is put off.
struct Desk {
    after: i64,
    to_tell: Vec<Settled>,
    untold: HashSet<i64>,
    put_off: BTreeMap<i64, Instant>,
}

impl Default for Desk {
    fn default() -> Self {
        Self { after: i64::MIN, to_tell: Vec::new(), untold: HashSet::new(), put_off: BTreeMap::new() }
    }
}

impl Desk {
    /// The next rows to be taken; `None`: this look has come to its end.
    fn rows(&mut self, inbox: &Inbox, most_bytes: u64) -> Result<Option<Vec<InboxRow>>, InboxError> {
        let now = Instant::now();
        // While somebody holds up the telling, what waits to be told is bounded.
        let most = ROWS.min(MOST_UNTOLD.saturating_sub(self.to_tell.len()));
        loop {
            let mut rows = if most == 0 { Vec::new() } else { inbox.waiting(self.after, most, most_bytes)? };
            let Some(last) = rows.last().map(|row| row.id) else { break };
            self.after = last;
            let is_full = self.put_off.len() >= MOST_ROWS_PUT_OFF;
            rows.retain(|row| match self.put_off.get(&row.id) {
                Some(due) => *due <= now,
                None => !is_full && !self.untold.contains(&row.id),
            });
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
        self.after = i64::MIN;
        // Due and not met: whoever put it there has taken it away.
        self.put_off.retain(|_, due| *due > now);
        Ok(None)
    }

    fn note(&mut self, id: i64, taken: Result<Settled, Duration>) {
        match taken {
            Ok(settled) => {
                self.put_off.remove(&id);
                self.untold.insert(id);
                self.to_tell.push(settled);
            }
            Err(wait) => drop(self.put_off.insert(id, Instant::now() + wait)),
        }
    }

    fn told(&mut self) {
        self.to_tell.clear();
        self.untold.clear();
    }

    /// How long it is until the first that is put off may be taken.
    fn until_due(&self) -> Option<Duration> {
        self.put_off.values().min().map(|due| due.saturating_duration_since(Instant::now()).max(LEAST_PUT_OFF))
    }
}

/// How the inbox is served.
#[derive(Clone, Debug)]
pub struct InboxOptions {
    /// Between two looks without a hint.
    pub poll: Duration,
    /// How long rows stay there whose outcome is told.
    pub keep: Duration,
    /// Told when something may have been put there.
    pub hint: Arc<Notify>,
}

impl Engine {
    /// Takes what comes into an inbox until the host stops.
    pub fn serve_inbox(&self, inbox: Inbox, options: InboxOptions) {
        let shared = self.shared().clone();
        self.tasks().spawn("inbox", OnStop::Drain, async move { shared.empty_inbox(&inbox, &options).await });
    }
}

impl Shared {
    async fn empty_inbox(self: Arc<Self>, inbox: &Inbox, options: &InboxOptions) {
        let mut stopping = self.tasks.stopping();
        let mut desk = Desk::default();
        let mut pause = FIRST_PAUSE;
        loop {
            let mut wait = pause.min(options.poll);
            pause = wait * LONGER;
            match tokio::task::block_in_place(|| desk.rows(inbox, self.most_row_bytes())) {
                Ok(Some(rows)) => {
                    for (id, taken) in self.take_rows(rows).await {
                        desk.note(id, taken);
                    }
                    wait = Duration::ZERO;
                }
                Ok(None) => wait = desk.until_due().map_or(wait, |due| wait.min(due)),
                Err(error) => {
                    tracing::error!("the inbox cannot be read: {error}");
                    wait = wait.min(RETRY * 5);
                }
            }
            match tokio::task::block_in_place(|| self.tell(inbox, options, &desk.to_tell)) {
                Ok(()) => desk.told(),
                Err(InboxError::Busy) => wait = RETRY,
                Err(error) => {
                    tracing::error!("the inbox cannot be written, what was taken from it is told later: {error}");
                    wait = RETRY * 5;
                }
            }
            if stopping.is_set() {
                return;
            }
            if !wait.is_zero() {
                tokio::select! {
                    () = options.hint.notified() => pause = FIRST_PAUSE,
                    () = tokio::time::sleep(wait) => {}
                    () = stopping.wait() => return,
                }
            }
        }
    }

    /// Bytes of all texts of a row at most: what the door takes of an event, and something for its ids.
    fn most_row_bytes(&self) -> u64 {
        let limits = &self.options.envelope;
        (limits.payload_bytes + limits.metadata_bytes + 8 * limits.id_bytes + OTHER_BYTES) as u64
    }

    /// What becomes of rows, in their order; or how long each is to wait.
    async fn take_rows(self: &Arc<Self>, rows: Vec<InboxRow>) -> Vec<(i64, Result<Settled, Duration>)> {
        let taken = rows.into_iter().map(|row| {
            let shared = self.clone();
            async move {
                let id = row.id;
                (id, shared.take_row(row).await)
            }
        });
        stream::iter(taken).buffered(IN_FLIGHT).collect().await
    }

    async fn take_row(self: &Arc<Self>, row: InboxRow) -> Result<Settled, Duration> {
        let id = row.id;
        let answer = match incoming(row, &self.options.envelope, self.most_row_bytes()) {
            Ok(incoming) => self.publish(incoming, Caller { origin: Origin::Inbox, principal: None }).await,
            Err(rejection) => Answer::rejected(rejection),
        };
        let outcome = match answer.outcome {
            Outcome::Busy | Outcome::Unknown => {
                let wait_ms = answer.retry_after_ms.map_or(RETRY, Duration::from_millis);
                return Err(wait_ms.clamp(LEAST_PUT_OFF, MOST_PUT_OFF));
            }
            Outcome::Appended => "appended",
            Outcome::Duplicate => "duplicate",
            Outcome::Skipped => "skipped",
            Outcome::Refused => "refused",
        };
        let reason = match (&answer.by, answer.reason) {
            (Some(by), Some(reason)) => Some(format!("{reason} (by {by})")),
            (_, reason) => reason,
        };
        Ok(Settled { id, outcome, sequence_number: answer.sequence_number, event_id: answer.event_id, reason })
    }

    fn tell(&self, inbox: &Inbox, options: &InboxOptions, settled: &[Settled]) -> Result<(), InboxError> {
        if settled.is_empty() {
            return Ok(());
        }
        let now = clock::now();
        let keep_ns = u64::try_from(options.keep.as_nanos()).unwrap_or(u64::MAX);
        inbox.settle(settled, now, Timestamp(now.0.saturating_sub(keep_ns)))
    }
}

/// The event that a row has in the form of CloudEvents.
fn cloud_event_of(
    mut fields: Vec<(&'static str, String)>,
    at: usize,
    has_id: bool,
    limits: &EnvelopeLimits,
) -> Result<Incoming, Rejection> {
    let (_, text) = fields.swap_remove(at);
    let besides = if has_id { Some("event_id") } else { fields.first().map(|(column, _)| *column) };
    match besides {
        None => cloud_event::read(&text, limits).map_err(|rejection| {
            let field = if rejection.field.is_empty() { CLOUD_EVENT.to_owned() } else { format!("{CLOUD_EVENT}.{}", rejection.field) };
            Rejection { field, ..rejection }
        }),
        Some(column) => Err(Rejection::malformed(column, "there is a 'cloud_event' besides, which says it all; leave this out")),
    }
}

/// A row as an edge's event.
fn incoming(row: InboxRow, limits: &EnvelopeLimits, most_bytes: u64) -> Result<Incoming, Rejection> {
    if let Some(bytes) = row.too_large {
        let message = format!("the row has {bytes} bytes, which are more than the {most_bytes} allowed");
        return Err(Rejection { kind: RejectionKind::TooLarge, field: String::new(), message });
    }
    if let Some(column) = row.malformed {
        return Err(Rejection::malformed(column, "must be text in UTF-8"));
    }
    let event_id = row
        .event_id
        .map_err(|given| Rejection::malformed("event_id", format!("'{}' is not a UUID", given.chars().take(SHOWN).collect::<String>())))?;
    if let Some(at) = row.fields.iter().position(|(column, _)| *column == CLOUD_EVENT) {
        return cloud_event_of(row.fields, at, event_id.is_some(), limits);
    }
    let mut incoming = Incoming { event_id, ..Incoming::default() };
    for (column, value) in row.fields {
        let wrong = |message: String| Rejection::malformed(column, message);
        match column {
            "event_type" => incoming.event_type = value,
            "source_component" => incoming.source_component = value,
            "payload" => {
                incoming.payload =
                    Some(Json::check(&value, limits.payload_bytes, limits.payload_depth).map_err(|error| wrong(error.to_string()))?)
            }
            "severity" => incoming.severity = Some(value.parse::<Severity>().map_err(|error| wrong(error.to_string()))?),
            "timestamp" => incoming.timestamp = Some(value.parse::<Timestamp>().map_err(|error| wrong(error.to_string()))?),
            "correlation_id" => incoming.correlation_id = Some(value),
            "causation_id" => incoming.causation_id = Some(value),
            "workflow_id" => incoming.workflow_id = Some(value),
            "task_id" => incoming.task_id = Some(value),
            "provider_id" => incoming.provider_id = Some(value),
            _ => {
                let metadata: Metadata =
                    serde_json::from_str(&value).map_err(|error| wrong(format!("not an object of strings: {error}")))?;
                incoming.metadata = metadata;
            }
        }
    }
    Ok(incoming)
}
