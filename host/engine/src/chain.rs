//! The chain driver: asks the handlers of events in turn, inside the chain's budget, on a guest thread. Events that wait for a thread at the
//! same time, and whose handlers all judge many in a call, go through their chains side by side, so that a handler that is next for several of
//! them is asked about those at once; every other event is led alone.
//! What an answer means for a chain is the model's `Chain`; what the verdict means is the asker's.

mod round;
mod turn;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use trackside_model::{
    control::{DecisionPoint, DecisionRecord, Origin, Verdict},
    event::{Event, Text},
    ports::Outbox,
};

use self::round::Round;
use crate::{engine::Shared, guest_threads::Overloaded, roster::Handlers};

/// What a chain is asked about.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) handlers: Handlers,
    pub(crate) event: Event,
    pub(crate) point: DecisionPoint,
    pub(crate) attempt: u32,
    pub(crate) elapsed_ms: u64,
    pub(crate) origin: Origin,
    pub(crate) principal: Option<Text>,
    /// When the chain was asked for: waiting for a thread is part of the budget.
    pub(crate) asked_at: Instant,
}

/// What a chain came to.
pub(crate) struct Asked {
    pub(crate) verdict: Verdict,
    /// One for all that came the same way.
    pub(crate) record: Option<Arc<DecisionRecord>>,
    /// Of the handlers that answered, in order.
    pub(crate) outboxes: Vec<(Text, Outbox)>,
}

impl Asked {
    /// Nobody was asked.
    pub(crate) fn nobody() -> Self {
        Self { verdict: Verdict::Proceed(None), record: None, outboxes: Vec::new() }
    }
}

/// Told what a chain came to, as soon as it is over.
pub(crate) type Tell = Box<dyn FnOnce(Asked) + Send>;

/// What waits for a guest thread.
pub(crate) struct ChainJob {
    shared: Arc<Shared>,
    asking: Asking,
    tell: Tell,
}

impl ChainJob {
    /// Whether it gains by company: where a handler has to be asked about one event after the other, events side by side only wait for each
    /// other. So they would where conditions are asked first that may take their time.
    pub(crate) fn may_share(&self) -> bool {
        let handlers = &self.asking.handlers;
        !handlers.is_undecided() && handlers.slots().iter().all(|slot| slot.info().batches)
    }
}

/// Does what a guest thread has taken.
pub(crate) fn do_jobs(jobs: Vec<ChainJob>) {
    let Some(shared) = jobs.first().map(|job| job.shared.clone()) else { return };
    let (together, alone): (Vec<ChainJob>, Vec<ChainJob>) = jobs.into_iter().partition(ChainJob::may_share);
    shared.ask_all(together.into_iter().map(|job| (job.asking, job.tell)));
    for job in alone {
        shared.ask_all(std::iter::once((job.asking, job.tell)));
    }
}

impl Shared {
    /// Has the handlers asked on a guest thread.
    pub(crate) fn ask(self: &Arc<Self>, asking: Asking, tell: Tell) -> Result<(), Overloaded> {
        self.guest_threads.send(ChainJob { shared: self.clone(), asking, tell })
    }

    /// Asks about all of them, each in the order of its handlers, until one ends its chain. Blocks: for guest threads only.
    pub(crate) fn ask_all(self: &Arc<Self>, asked: impl Iterator<Item = (Asking, Tell)>) {
        let mut round = Round::new(asked, Duration::from_millis(self.options.chain_budget_ms));
        while let Some((slot, cohorts)) = round.choose() {
            self.take_turn(&slot, cohorts, &mut round);
        }
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
