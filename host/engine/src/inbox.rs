//! The inbox at work: rows that other processes have put there go through the same door as everything, and are told what became of them.
//! The row is the identity: one that was taken before a crash and not told is found to be there already.
//! The file is the store's; hearing that something was put there is the server's.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use tokio::sync::Notify;
use trackside_model::{
    control::Origin,
    event::{EnvelopeLimits, Incoming, Metadata, Rejection, Severity},
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
        // Rows up to here were taken; their outcome may have yet to be told.
        let mut taken_through = 0;
        let mut to_tell: Vec<Settled> = Vec::new();
        let mut pause = FIRST_PAUSE;
        loop {
            let mut wait = pause.min(options.poll);
            pause = wait * LONGER;
            let mut is_all = true;
            // While somebody holds up the telling, what waits to be told is bounded.
            let most = ROWS.min(MOST_UNTOLD.saturating_sub(to_tell.len()));
            match inbox.waiting(taken_through, most) {
                Ok(rows) if rows.is_empty() => {}
                Ok(rows) => {
                    let answers = self.take_rows(rows).await;
                    for (id, settled) in answers {
                        is_all &= settled.is_some();
                        to_tell.extend(settled);
                        // Up to the first that has to wait: if those behind it are taken again before they were told, they are found to be there.
                        if is_all {
                            taken_through = id;
                        }
                    }
                    wait = if is_all { Duration::ZERO } else { RETRY };
                }
                Err(error) => {
                    tracing::error!("the inbox cannot be read: {error}");
                    wait = wait.min(RETRY * 5);
                }
            }
            match self.tell(inbox, options, &to_tell) {
                Ok(()) => {
                    to_tell.clear();
                    // Whoever gives a row a number of its own may give one that lies behind.
                    taken_through = 0;
                }
                Err(InboxError::Busy) => wait = wait.min(RETRY),
                Err(error) => {
                    tracing::error!("the inbox cannot be written, what was taken from it is told later: {error}");
                    wait = wait.min(RETRY * 5);
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

    /// What becomes of rows, in their order; `None`: not now.
    async fn take_rows(self: &Arc<Self>, rows: Vec<InboxRow>) -> Vec<(i64, Option<Settled>)> {
        let taken = rows.into_iter().map(|row| {
            let shared = self.clone();
            async move {
                let id = row.id;
                (id, shared.take_row(row).await)
            }
        });
        stream::iter(taken).buffered(IN_FLIGHT).collect().await
    }

    async fn take_row(self: &Arc<Self>, row: InboxRow) -> Option<Settled> {
        let id = row.id;
        let answer = match incoming(row, &self.options.envelope) {
            Ok(incoming) => self.publish(incoming, Caller { origin: Origin::Inbox, principal: None }).await,
            Err(rejection) => Answer::rejected(rejection),
        };
        let outcome = match answer.outcome {
            Outcome::Busy | Outcome::Unknown => return None,
            Outcome::Appended => "appended",
            Outcome::Duplicate => "duplicate",
            Outcome::Skipped => "skipped",
            Outcome::Refused => "refused",
        };
        let reason = match (&answer.by, answer.reason) {
            (Some(by), Some(reason)) => Some(format!("{reason} (by {by})")),
            (_, reason) => reason,
        };
        Some(Settled { id, outcome, sequence_number: answer.sequence_number, event_id: answer.event_id, reason })
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

/// A row as an edge's event.
fn incoming(row: InboxRow, limits: &EnvelopeLimits) -> Result<Incoming, Rejection> {
    if let Some(column) = row.malformed {
        return Err(Rejection::malformed(column, "must be text in UTF-8"));
    }
    let event_id = row.event_id.map_err(|given| Rejection::malformed("event_id", format!("'{given}' is not a UUID")))?;
    let mut incoming = Incoming { event_id: Some(event_id), ..Incoming::default() };
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
