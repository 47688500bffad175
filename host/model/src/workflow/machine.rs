//! The workflow machine: takes an input, decides facts, applies them, and says what has to happen outside.
//! Sans-IO: appending the facts, calling guests and waiting are the engine's; what a workflow or a task does next is in `course` and `tasks`.

use super::{
    apply::Applied,
    facts::{Blob, Ended, MOST_INLINE_BYTES, Outcome, TaskResult},
    flight::{Flight, Timer},
    io::{Decided, Env, Input, Step},
    state::{State, Wait, Workflow, WorkflowStatus},
};
use crate::{
    catalogue,
    control::Fact,
    event::{Event, EventType, Metadata, Text, trace},
    json::Json,
    narration::{Moment, Narration},
    plugin::Digest,
    time::Timestamp,
};

/// State and what is under way, and the rules between them.
#[derive(Debug, Default)]
pub struct Machine {
    /// The fold over the log.
    pub state: State,
    pub(super) flight: Flight,
}

impl Machine {
    /// A machine over this state, with nothing under way.
    pub fn new(state: State) -> Self {
        Self { state, flight: Flight::default() }
    }

    /// Contents that the state names by digest and that are not here, after a restart.
    pub fn missing_blobs(&self) -> Vec<(Text, Digest)> {
        let results = self.state.workflows.values().flat_map(|workflow| {
            let waiting = workflow.tasks.iter().filter_map(|task| task.waits.as_ref()?.outcome.as_ref());
            let judged = waiting.filter_map(|outcome| if let Outcome::Result(result) = outcome { Some(result) } else { None });
            let results = workflow.tasks.iter().filter_map(|task| task.result.as_ref()).chain(judged);
            results.map(|result| (workflow.workflow_id.clone(), result))
        });
        let blobs = results.filter_map(|(workflow_id, result)| match result {
            TaskResult::Blob(blob) => Some((workflow_id, blob.digest)),
            TaskResult::Inline(_) => None,
        });
        blobs.filter(|key| !self.flight.blobs.contains_key(key)).collect()
    }

    /// Hands in one of [`missing_blobs`](Self::missing_blobs).
    pub fn provide_blob(&mut self, workflow_id: Text, digest: Digest, content: Json) {
        self.flight.blobs.insert((workflow_id, digest), content);
    }

    /// A result as facts carry it: a large one goes beside the log.
    pub(super) fn keep(&mut self, workflow_id: &Text, value: Json, step: &mut Step) -> TaskResult {
        let bytes = value.as_str().len();
        if bytes <= MOST_INLINE_BYTES {
            return TaskResult::Inline(value);
        }
        let digest = Digest::of(value.as_str().as_bytes());
        self.flight.blobs.insert((workflow_id.clone(), digest), value.clone());
        step.blobs.push((digest, value));
        TaskResult::Blob(Blob { digest, bytes })
    }

    /// When [`Input::Tick`] is due next, if ever.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.flight.next_deadline()
    }

    /// Whether any call is out or any task can go on by itself.
    pub fn is_busy(&self) -> bool {
        !self.flight.runs.is_empty() || !self.flight.questions.is_empty()
    }

    /// Tasks that wait for a worker.
    pub fn queued(&self) -> usize {
        self.flight.queues.values().map(std::collections::BinaryHeap::len).sum()
    }

    /// Tasks that each provider has at the moment.
    pub fn running(&self, provider_id: &str) -> u32 {
        self.flight.busy.get(provider_id).copied().unwrap_or(0)
    }

    /// Takes one input.
    pub fn step(&mut self, input: Input, env: &mut Env<'_>) -> Step {
        let mut step = Step { accepted: true, ..Step::default() };
        match input {
            Input::Submit(submission) => self.submit(submission, env, &mut step),
            Input::Cancel { workflow_id, reason, by, cause } => self.cancel(&workflow_id, reason, by, cause, env, &mut step),
            Input::Answer { key, verdict, record } => self.answered(&key, verdict, record, env, &mut step),
            Input::Finished { key, outcome } => self.finished(&key, outcome, env, &mut step),
            Input::NotCalled { key } => self.not_called(&key, env, &mut step),
            Input::Providers(providers) => {
                self.flight.providers = providers;
                self.assign_all(env, &mut step);
            }
            Input::Points(points) => self.flight.points = points,
            Input::Freed(by) => self.freed(&by, env, &mut step),
            Input::Tick => {
                while let Some(timer) = self.flight.due(env.now) {
                    self.fired(timer, env, &mut step);
                }
            }
            Input::Recovered => self.recovered(env, &mut step),
        }
        step
    }

    fn fired(&mut self, timer: Timer, env: &mut Env<'_>, step: &mut Step) {
        match timer {
            Timer::Attempt(key) => self.attempt_timed_out(&key, env, step),
            Timer::Task(workflow_id, task) => self.task_wait_over(&workflow_id, task, env, step),
            Timer::Start(workflow_id) => {
                let waits = |workflow: &&Workflow| {
                    workflow.status == WorkflowStatus::Submitted && workflow.waits.as_ref().is_some_and(|w| w.until <= env.now)
                };
                if self.state.workflows.get(&workflow_id).as_ref().is_some_and(waits) {
                    self.ask_or_start(&workflow_id, env, step);
                }
            }
            Timer::Workflow(workflow_id) => self.workflow_timed_out(&workflow_id, env, step),
            Timer::Queue(method) => self.assign(&method, env, step),
        }
    }

    /// A wait has its timer until it is over: what has none has been asked about already.
    fn freed(&mut self, by: &Text, env: &mut Env<'_>, step: &mut Step) {
        let is_held = |waits: &Option<Wait>| waits.as_ref().is_some_and(|waits| waits.held && waits.by == *by);
        let workflows = &self.state.workflows;
        let waiting = self.flight.take_timers(|timer| match timer {
            Timer::Task(workflow_id, task) => workflows.get(workflow_id).is_some_and(|workflow| is_held(&workflow.tasks[*task].waits)),
            Timer::Start(workflow_id) => workflows.get(workflow_id).is_some_and(|workflow| is_held(&workflow.waits)),
            Timer::Attempt(_) | Timer::Workflow(_) | Timer::Queue(_) => false,
        });
        for timer in waiting {
            match timer {
                Timer::Task(workflow_id, task) => self.ask_task_again(&workflow_id, task, env, step),
                Timer::Start(workflow_id) => self.ask_or_start(&workflow_id, env, step),
                Timer::Attempt(_) | Timer::Workflow(_) | Timer::Queue(_) => {}
            }
        }
    }

    /// After a restart: what was under way is found in the state.
    fn recovered(&mut self, env: &mut Env<'_>, step: &mut Step) {
        let mut open: Vec<Text> = self
            .state
            .workflows
            .values()
            .filter(|workflow| !workflow.status.is_final())
            .map(|workflow| workflow.workflow_id.clone())
            .collect();
        open.sort();
        for workflow_id in open {
            let Some(workflow) = self.state.workflows.get(&workflow_id) else { continue };
            if let Some(deadline) = workflow.deadline {
                self.flight.at(deadline, Timer::Workflow(workflow_id.clone()));
            }
            match (workflow.status, &workflow.waits) {
                (WorkflowStatus::Submitted, Some(waits)) => {
                    let until = waits.until;
                    self.flight.at(until, Timer::Start(workflow_id.clone()));
                }
                (WorkflowStatus::Submitted, None) => self.ask_or_start(&workflow_id, env, step),
                _ => {
                    for task in 0..workflow.tasks.len() {
                        self.task_recovered(&workflow_id, task, env, step);
                    }
                    self.complete_if_done(&workflow_id, env, step);
                }
            }
        }
        self.assign_all(env, step);
    }

    /// Applies a fact that was just decided, and keeps it for the log.
    pub(super) fn apply(&mut self, mut event: Event, step: &mut Step) -> Applied {
        event.part = event.narration.parts();
        trace::continue_from(&mut event.metadata, event.event_id, event.causation_id.as_deref());
        let applied = self.state.apply_fact(&event).unwrap_or_else(|error| {
            // The machine decided a fact that its own state refuses: going on would write it down.
            panic!("decided against the state: {error}")
        });
        step.facts.push(Decided { fact: Fact::new(event), record: step.record.take() });
        applied
    }
}

/// An event of a catalogue type, now, about nothing yet.
pub(super) fn blank(event_type: &str, env: &mut Env<'_>) -> Event {
    let entry = catalogue::entry(event_type).expect("facts are in the catalogue");
    Event {
        event_id: env.chance.id(),
        event_type: EventType::known(event_type),
        timestamp: env.now,
        recorded_at: Timestamp(0),
        sequence_number: 0,
        part: 0,
        source_component: Text::from(entry.source),
        correlation_id: Text::from(""),
        causation_id: None,
        workflow_id: None,
        task_id: None,
        provider_id: None,
        severity: entry.severity,
        payload: Json::null(),
        metadata: Metadata::new(),
        narration: Narration::default(),
    }
}

impl Workflow {
    /// A fact about this workflow.
    pub(super) fn event(&self, event_type: &str, env: &mut Env<'_>, payload: &impl serde::Serialize) -> Event {
        let mut event = blank(event_type, env);
        event.correlation_id = self.correlation_id.clone();
        event.causation_id = Some(self.cause.clone());
        event.workflow_id = Some(self.workflow_id.clone());
        event.metadata.clone_from(&self.metadata);
        event.payload = Json::from_value(payload);
        event
    }

    /// The same, about a task of it.
    pub(super) fn about(&self, task: Option<usize>, mut event: Event) -> Event {
        if let Some(task) = task {
            event.task_id = Some(self.definition.tasks[task].id.clone());
            event.causation_id = Some(self.tasks[task].cause.clone());
        }
        event
    }

    /// The counts of an end now, without a reason.
    pub(super) fn ended(&self, now: Timestamp) -> Ended {
        let count = |status| self.tasks.iter().filter(|task| task.status == status).count();
        Ended {
            name: self.name.clone(),
            duration_ms: now.ms_since(self.submitted_at),
            completed: count(super::TaskStatus::Completed),
            skipped: count(super::TaskStatus::Skipped),
            reason: None,
            task: None,
            by: None,
            left_out: false,
            value: None,
        }
    }
}

/// A narrated fact.
pub(super) fn narrated(mut event: Event, moments: &[Moment]) -> Event {
    event.narration = Narration::of(moments);
    event
}
