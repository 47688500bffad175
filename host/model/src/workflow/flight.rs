//! What is under way: queues, calls out, timers, providers. Nothing here is durable: after a crash it is found again from the state.
//! Which of it matters next is the machine's to decide.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, HashMap, HashSet},
};

use super::{
    facts::{Outcome, TaskResult},
    io::{QuestionKey, RunKey},
};
use crate::{
    control::DecisionPoint,
    event::Text,
    json::Json,
    plugin::{Digest, EffectClass},
    time::Timestamp,
};

/// The decision points at which some control handler may want to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Points(u8);

impl Points {
    /// These.
    pub fn of(points: impl IntoIterator<Item = DecisionPoint>) -> Self {
        Self(points.into_iter().fold(0, |bits, point| bits | 1 << point.ordinal()))
    }

    /// Whether this is one of them.
    pub fn contains(self, point: DecisionPoint) -> bool {
        self.0 & (1 << point.ordinal()) != 0
    }
}

/// A worker as the assignment sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// The plugin's name.
    pub provider_id: Text,
    /// The plugin's version, 12 digits.
    pub version: Text,
    /// The methods it offers.
    pub methods: Vec<Text>,
    /// Tasks that it does at a time.
    pub capacity: u32,
    /// Whether its calls wait for the disk.
    pub effect_class: EffectClass,
    /// Milliseconds that its calls have at the most.
    pub timeout_ms: u64,
    /// Whether its breaker lets calls through.
    pub allowed: bool,
}

/// A call to a worker.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) provider_id: Text,
    pub(super) attempt: u32,
}

/// A place in a method's queue: highest priority first, then first come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) priority: i32,
    pub(super) order: Reverse<u64>,
    pub(super) workflow_id: Text,
    pub(super) task: usize,
}

/// What happens at a point in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Timer {
    /// An attempt's time is up.
    Attempt(RunKey),
    /// A task's wait is over: a retry, or a chain asked again.
    Task(Text, usize),
    /// A workflow's wait is over.
    Start(Text),
    /// A workflow's time is up.
    Workflow(Text),
    /// A method's queue is looked at again, after every provider was passed over.
    Queue(Text),
}

/// All that is under way.
#[derive(Debug, Default)]
pub(super) struct Flight {
    pub(super) points: Points,
    pub(super) providers: Vec<Provider>,
    pub(super) busy: HashMap<Text, u32>,
    pub(super) runs: HashMap<RunKey, Run>,
    pub(super) questions: HashMap<QuestionKey, Asked>,
    pub(super) queues: HashMap<Text, BinaryHeap<Place>>,
    /// Parameters that `task:ready` amended, until the attempt starts.
    pub(super) amended: HashMap<(Text, usize), Json>,
    /// Providers that `assignment:candidate_found` passed over, until the task starts.
    pub(super) passed_over: HashMap<(Text, usize), HashSet<Text>>,
    /// The content of large results, until their workflow ends.
    pub(super) blobs: HashMap<(Text, Digest), Json>,
    timers: BTreeMap<(Timestamp, u64), Timer>,
    count: u64,
}

/// What is kept of a question until its answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    Nothing,
    /// The provider that is to be kept or passed over.
    Candidate(Text),
    /// What the chain judges, and who produced it.
    Outcome(Outcome),
}

impl Flight {
    /// The content of a result.
    pub(super) fn open(&self, workflow_id: &Text, result: &TaskResult) -> Option<Json> {
        match result {
            TaskResult::Inline(value) => Some(value.clone()),
            TaskResult::Blob(blob) => self.blobs.get(&(workflow_id.clone(), blob.digest)).cloned(),
        }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    pub(super) fn at(&mut self, when: Timestamp, timer: Timer) {
        let order = self.next();
        self.timers.insert((when, order), timer);
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.first_key_value().map(|((when, _), _)| *when)
    }

    pub(super) fn due(&mut self, now: Timestamp) -> Option<Timer> {
        let entry = self.timers.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }

    /// Takes away the timers that are meant, the next one first.
    pub(super) fn take_timers(&mut self, is_meant: impl Fn(&Timer) -> bool) -> Vec<Timer> {
        self.timers.extract_if(.., |_, timer| is_meant(timer)).map(|(_, timer)| timer).collect()
    }

    pub(super) fn free(&self, provider: &Provider) -> u32 {
        provider.capacity.saturating_sub(self.busy.get(&provider.provider_id).copied().unwrap_or(0))
    }

    pub(super) fn release(&mut self, provider_id: &Text) {
        if let Some(busy) = self.busy.get_mut(provider_id) {
            *busy = busy.saturating_sub(1);
        }
    }

    pub(super) fn depth(&self, method: &Text) -> usize {
        self.queues.get(method).map_or(0, BinaryHeap::len)
    }

    pub(super) fn enqueue(&mut self, method: &Text, priority: i32, workflow_id: &Text, task: usize) {
        let order = Reverse(self.next());
        let place = Place { priority, order, workflow_id: workflow_id.clone(), task };
        self.queues.entry(method.clone()).or_default().push(place);
    }
}
