//! Calls to workers: each on the worker runtime, cut when the attempt is no longer wanted, its outcome told to the workflow loop.
//! Which worker gets which attempt is decided by the loop.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use trackside_model::{
    event::{Event, Text},
    json::Json,
    ports::{CallReport, Failure, Fault, FaultKind, Outbox, TaskCall, Usage},
    workflow::{Input, RunKey},
};
use trackside_store::{AppendError, Batch, Flush, Ticket};

use crate::{
    engine::Shared,
    publish::MOST_RERUNS,
    slot::Slot,
    workflows::{Message, Released},
};

/// Calls that are out.
pub(crate) type Runs = Mutex<HashMap<RunKey, AbortHandle>>;

/// How long a worker that was told of its cancellation has to come to an end by itself, in milliseconds.
const GRACE_MS: u64 = 500;

impl Shared {
    /// Calls a worker; after the commit of `after`, if the call could show the outside something.
    pub(crate) fn start_run(
        self: &Arc<Self>,
        key: RunKey,
        provider_id: &Text,
        call: TaskCall,
        cause: Option<Arc<Event>>,
        after: Option<Ticket>,
    ) {
        let Some(slot) = self.roster.load().get(provider_id).cloned() else {
            let message = format!("'{provider_id}' went out of service before the call");
            let fault = Fault { kind: FaultKind::Unavailable, message, used: 0, allowed: 0 };
            return self.tell_loop(Message::Input(Box::new(Input::Finished { key, outcome: Err(fault) }), None));
        };
        let (shared, run_key) = (self.clone(), key.clone());
        let run = async move {
            if let Some(ticket) = after
                && ticket.durable().await.is_err()
            {
                // Nothing leaves a host whose log is poisoned; after a restart the attempt is made again.
                return;
            }
            let report = shared.run_on_what_holds(&slot, &call).await;
            shared.runs.lock().remove(&run_key);
            shared.host.over(&call);
            // A worker's failure releases only its log and progress.
            let released = cause.filter(|_| matches!(report.outcome, Ok(Ok(_))) && !report.outbox.is_empty());
            let released = released.map(|cause| Released { cause, outboxes: vec![(slot.name().clone(), report.outbox)] });
            shared.tell_loop(Message::Input(Box::new(Input::Finished { key: run_key, outcome: report.outcome }), released));
        };
        let mut runs = self.runs.lock();
        let handle = self.tasks.spawn_on(&self.workers.handle(), run);
        runs.insert(key, handle);
    }

    /// Runs a task; again, if what it read in its kv was changed by another call meanwhile.
    async fn run_on_what_holds(self: &Arc<Self>, slot: &Arc<Slot>, call: &TaskCall) -> CallReport<Result<Json, Failure>> {
        for _ in 0..MOST_RERUNS {
            let report = self.run(slot, call).await;
            if self.holds(slot.name(), &report.outbox) {
                return report;
            }
        }
        let message = format!("what it had read in its kv was changed under it {MOST_RERUNS} times");
        let fault = Fault { kind: FaultKind::Unavailable, message, used: u64::from(MOST_RERUNS), allowed: u64::from(MOST_RERUNS) };
        CallReport { outcome: Err(fault), outbox: Outbox::default(), usage: Usage::default() }
    }

    /// Whether what a call has read still holds.
    pub(crate) fn holds(&self, plugin: &Text, outbox: &Outbox) -> bool {
        if outbox.kv_reads.is_empty() {
            return true;
        }
        let reads = vec![(plugin.clone(), outbox.kv_reads.clone())];
        !matches!(self.store.append(Batch { kv_reads: reads, ..Batch::default() }, Flush::Lazy), Err(AppendError::Conflict { .. }))
    }

    /// Tells a worker that its attempt is no longer wanted, and cuts it if it does not come to an end.
    pub(crate) fn cut_run(self: &Arc<Self>, key: &RunKey, call: &TaskCall) {
        self.host.cancel(&call.idempotency_key);
        let Some(handle) = self.runs.lock().remove(key) else { return };
        let (shared, call) = (self.clone(), call.clone());
        drop(self.tasks.spawn_on(&self.workers.handle(), async move {
            let ends_by_itself = async {
                while !handle.is_finished() {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            };
            if tokio::time::timeout(std::time::Duration::from_millis(GRACE_MS), ends_by_itself).await.is_err() {
                handle.abort();
            }
            shared.host.over(&call);
        }));
    }
}
