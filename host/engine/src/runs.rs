//! Calls to workers: each on the worker runtime, cut when the attempt is no longer wanted, its outcome told to the workflow loop.
//! Which worker gets which attempt is decided by the loop.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::task::AbortHandle;
use trackside_model::{
    event::{Event, Text},
    json::Json,
    ports::{CallReport, Failure, Fault, FaultKind, TaskCall},
    workflow::{Input, RunKey},
};
use trackside_store::Ticket;

use crate::{
    clock,
    engine::Shared,
    publish::MOST_RERUNS,
    slot::Slot,
    workflows::{Message, Released},
};

/// Calls that are out.
pub(crate) type Runs = Mutex<HashMap<RunKey, AbortHandle>>;

/// How long a worker that was told of its cancellation has to come to an end by itself, in milliseconds.
const GRACE_MS: u64 = 500;

/// A call to a worker that is to be made.
#[derive(Clone)]
struct Call {
    key: RunKey,
    slot: Arc<Slot>,
    task: TaskCall,
    /// Its `task:started`.
    cause: Option<Arc<Event>>,
}

impl Shared {
    /// Calls a worker; after the commit of `after`, if the call could show the outside something.
    pub(crate) fn start_run(
        self: &Arc<Self>,
        key: RunKey,
        provider_id: &Text,
        task: TaskCall,
        cause: Option<Arc<Event>>,
        after: Option<Ticket>,
    ) {
        match self.roster.load().get(provider_id).cloned() {
            Some(slot) => self.make(Call { key, slot, task, cause }, after, MOST_RERUNS),
            // It went out of service before the call.
            None => self.tell_from_worker(Input::NotCalled { key }, None),
        }
    }

    fn make(self: &Arc<Self>, call: Call, after: Option<Ticket>, reruns: u32) {
        let (shared, key) = (self.clone(), call.key.clone());
        let run = async move {
            if let Some(ticket) = after
                && ticket.durable().await.is_err()
            {
                // Nothing leaves a host whose log is poisoned; after a restart the attempt is made again.
                return;
            }
            let report = shared.run(&call.slot, &call.task).await;
            shared.runs.lock().remove(&call.key);
            shared.host.over(&call.task);
            match report {
                Ok(report) => shared.made(call, report, reruns),
                Err(not_called) => {
                    shared.tell_loop(Message::Input(Box::new(Input::NotCalled { key: call.key }), None));
                    shared.wake_at(clock::now().plus_ms(not_called.retry_after_ms()));
                }
            }
        };
        let mut runs = self.runs.lock();
        let handle = self.tasks.spawn_on(&self.workers.handle(), run);
        runs.insert(key, handle);
    }

    fn made(self: &Arc<Self>, call: Call, report: CallReport<Result<Json, Failure>>, reruns: u32) {
        let key = call.key.clone();
        // A worker's failure releases only its log and progress.
        let releases = matches!(report.outcome, Ok(Ok(_))) && !report.outbox.is_empty();
        let released = call.cause.clone().filter(|_| releases).map(|cause| Released {
            cause,
            outboxes: vec![(call.slot.name().clone(), report.outbox)],
            again: Box::new(move |shared| shared.make_again(call, reruns)),
        });
        self.tell_loop(Message::Input(Box::new(Input::Finished { key, outcome: report.outcome }), released));
    }

    /// What a call had read in its kv was changed by another call meanwhile.
    fn make_again(self: &Arc<Self>, call: Call, reruns: u32) {
        if reruns > 0 {
            return self.make(call, None, reruns - 1);
        }
        let message = format!("what it had read in its kv was changed under it, {MOST_RERUNS} times more");
        let fault = Fault { kind: FaultKind::Unavailable, message, used: u64::from(MOST_RERUNS), allowed: u64::from(MOST_RERUNS) };
        self.tell_from_worker(Input::Finished { key: call.key, outcome: Err(fault) }, None);
    }

    /// Tells the loop from the loop's own thread, which must not wait for itself.
    pub(crate) fn tell_from_worker(self: &Arc<Self>, input: Input, released: Option<Released>) {
        let shared = self.clone();
        drop(self.tasks.spawn_on(&self.workers.handle(), async move { shared.tell_loop(Message::Input(Box::new(input), released)) }));
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
