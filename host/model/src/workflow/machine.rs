//! The workflow machine: takes an input, decides facts, applies them, and says what has to happen outside.
//! Sans-IO: appending the facts, calling guests and waiting are the engine's; what a single task does next is in `tasks`.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    apply::Applied,
    definition::Definition,
    facts::{Blob, Decided as DecidedFact, Ended, MOST_INLINE_BYTES, Outcome, Started, Submitted, TaskError, TaskResult, Waits},
    flight::{Asked, Flight, Points, Provider, Timer},
    state::{State, Workflow, WorkflowStatus},
    story,
};
use crate::{
    catalogue,
    control::{DecisionPoint, DecisionRecord, Fact, Origin, Signal, Verdict},
    event::{Event, EventType, Metadata, Text},
    json::Json,
    narration::{Moment, Narration},
    plugin::Digest,
    ports::{Failure, Fault, TaskCall},
    time::Timestamp,
};

/// How often in a row a chain may put the same thing off before that counts as a refusal.
pub(super) const MOST_PUT_OFFS: u32 = 100;
/// How long a task or a workflow is held for a handler that cannot judge, in milliseconds: one hour.
pub(super) const HOLD_LIMIT_MS: u64 = 3_600_000;
/// The longest pause between two looks at something that is held, in milliseconds.
const MOST_HOLD_BACKOFF_MS: u64 = 60_000;
/// The pause before something is asked again, where nobody named one, in milliseconds.
const PUT_OFF_MS: u64 = 1_000;

/// Randomness, handed in: ids and jitter.
pub trait Chance {
    /// A new event id.
    fn id(&mut self) -> Uuid;
    /// A number in 0..1.
    fn unit(&mut self) -> f64;
}

/// What a step may know besides the state.
pub struct Env<'a> {
    /// The host's clock.
    pub now: Timestamp,
    /// Ids and jitter.
    pub chance: &'a mut dyn Chance,
}

/// A workflow that was let in at the door.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its id, given at the door.
    pub workflow_id: Text,
    /// What it runs.
    pub definition: Arc<Definition>,
    /// What it runs on.
    pub input: Json,
    /// Of all its events.
    pub correlation_id: Text,
    /// The id of its `workflow:submit`.
    pub cause: Text,
    /// Carried on to every fact.
    pub metadata: Metadata,
    /// Where it came in.
    pub origin: Origin,
    /// Who submitted it.
    pub principal: Option<Text>,
}

/// Names a call to a worker: one attempt of a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    /// The workflow.
    pub workflow_id: Text,
    /// The task's index in the definition.
    pub task: usize,
    /// From 1.
    pub attempt: u32,
}

/// Names a question to a control chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuestionKey {
    /// The workflow.
    pub workflow_id: Text,
    /// The task's index; `None` at `WorkflowSubmitted`.
    pub task: Option<usize>,
    /// Where it is asked.
    pub point: DecisionPoint,
    /// Tells this question from one asked before about the same.
    pub number: u64,
}

/// A question to the control handlers at one point.
#[derive(Clone, Debug)]
pub struct Question {
    /// Names it.
    pub key: QuestionKey,
    /// What the handlers see; its payload has `workflow`, and as far as they exist `task`, `method`, `parameters`, `result`, `error`.
    pub event: Event,
    /// Attempts made so far.
    pub attempt: u32,
    /// Milliseconds since the workflow was submitted.
    pub elapsed_ms: u64,
    /// Where the workflow came in.
    pub origin: Origin,
    /// Who submitted it.
    pub principal: Option<Text>,
}

/// What came from outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// A workflow was let in.
    Submit(Submission),
    /// Somebody wants a workflow to end.
    Cancel {
        /// Which.
        workflow_id: Text,
        /// Why.
        reason: String,
        /// Who.
        by: Text,
        /// The id of the `workflow:cancel`.
        cause: Text,
    },
    /// A chain has come to a verdict.
    Answer {
        /// On which question.
        key: QuestionKey,
        /// The verdict.
        verdict: Verdict,
        /// How it came about.
        record: Option<DecisionRecord>,
    },
    /// A call to a worker is over.
    Finished {
        /// Which.
        key: RunKey,
        /// Its answer, or the fault.
        outcome: Result<Result<Json, Failure>, Fault>,
    },
    /// The workers that there are now.
    Providers(Vec<Provider>),
    /// Where control handlers want to be asked now.
    Points(Points),
    /// Time has passed.
    Tick,
    /// The state was rebuilt from the log; take up what was under way.
    Recovered,
}

/// What has to happen outside.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Ask the control chain; answer with [`Input::Answer`].
    Ask(Question),
    /// Call a worker; answer with [`Input::Finished`].
    Run {
        /// Names the call.
        key: RunKey,
        /// Whom to call.
        provider_id: Text,
        /// With what.
        call: TaskCall,
        /// Whether the facts of this step must be durable before the call.
        after_commit: bool,
    },
    /// Cut a call to a worker; its answer is no longer wanted.
    Cut(RunKey),
    /// A workflow has ended; once the facts are durable, tell who waits.
    Ended(Text),
}

/// One fact, and the decision that led to it.
#[derive(Clone, Debug)]
pub struct Decided {
    /// For the log.
    pub fact: Fact,
    /// For the record.
    pub record: Option<DecisionRecord>,
}

/// What one input came to.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// For the log, in order, in one commit.
    pub facts: Vec<Decided>,
    /// Contents that the facts name by digest, to be kept in the same commit.
    pub blobs: Vec<(Digest, Json)>,
    /// To be done after the facts are appended.
    pub effects: Vec<Effect>,
    /// Whether the input was of use; the outbox of an answer that was not is dropped.
    pub accepted: bool,
    record: Option<DecisionRecord>,
}

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
            Input::Providers(providers) => {
                self.flight.providers = providers;
                self.assign_all(env, &mut step);
            }
            Input::Points(points) => self.flight.points = points,
            Input::Tick => {
                while let Some(timer) = self.flight.due(env.now) {
                    self.fired(timer, env, &mut step);
                }
            }
            Input::Recovered => self.recovered(env, &mut step),
        }
        step
    }

    fn submit(&mut self, submission: Submission, env: &mut Env<'_>, step: &mut Step) {
        let Submission { workflow_id, definition, input, correlation_id, cause, metadata, origin, principal } = submission;
        let fact = Submitted { name: definition.name.clone(), definition: definition.digest, input, tasks: definition.tasks.len(), principal, origin };
        self.state.provide(definition);
        let mut event = blank("workflow:submitted", env);
        event.payload = Json::from_value(&fact);
        event.correlation_id = correlation_id;
        event.causation_id = Some(cause);
        event.workflow_id = Some(workflow_id.clone());
        event.metadata = metadata;
        self.apply(event, step);
        self.ask_or_start(&workflow_id, env, step);
    }

    fn ask_or_start(&mut self, workflow_id: &Text, env: &mut Env<'_>, step: &mut Step) {
        if self.flight.points.contains(DecisionPoint::WorkflowSubmitted) {
            self.ask(workflow_id, None, DecisionPoint::WorkflowSubmitted, Asked::Nothing, env, step);
        } else {
            self.start(workflow_id, None, env, step);
        }
    }

    fn start(&mut self, workflow_id: &Text, input: Option<Json>, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let deadline = workflow.definition.timeout_ms.map(|timeout_ms| env.now.plus_ms(timeout_ms));
        let mut event = workflow.event("workflow:started", env, &Started { deadline, input });
        event.narration = Narration::of(&story::of_start(workflow, env.now));
        if let Some(deadline) = deadline {
            self.flight.at(deadline, Timer::Workflow(workflow_id.clone()));
        }
        let applied = self.apply(event, step);
        for task in applied.ready {
            self.ready(workflow_id, task, env, step);
        }
        self.assign_all(env, step);
    }

    fn cancel(&mut self, workflow_id: &Text, reason: String, by: Text, cause: Text, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id).filter(|workflow| !workflow.status.is_final()) else {
            step.accepted = false;
            return;
        };
        let mut ended = workflow.ended(env.now);
        ended.reason = Some(reason);
        ended.by = Some(by);
        self.end(workflow_id, "workflow:cancelled", &ended, Some(cause), env, step);
    }

    /// Ends a workflow: the fact, and everything of it that is still out is called back.
    pub(super) fn end(&mut self, workflow_id: &Text, event_type: &str, ended: &Ended, cause: Option<Text>, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let to = match event_type {
            "workflow:completed" if ended.left_out => WorkflowStatus::Skipped,
            "workflow:completed" => WorkflowStatus::Completed,
            "workflow:failed" => WorkflowStatus::Failed,
            "workflow:timeout" => WorkflowStatus::TimedOut,
            _ => WorkflowStatus::Cancelled,
        };
        let mut event = workflow.event(event_type, env, ended);
        event.narration = Narration::of(&story::of_end(workflow, env.now, to.as_str()));
        if cause.is_some() {
            event.causation_id = cause;
        }
        let tasks = workflow.tasks.len();
        self.apply(event, step);
        self.call_back(workflow_id, tasks, step);
        step.effects.push(Effect::Ended(workflow_id.clone()));
        self.assign_all(env, step);
    }

    fn call_back(&mut self, workflow_id: &Text, tasks: usize, step: &mut Step) {
        for task in 0..tasks {
            let attempt = self.state.workflows.get(workflow_id).map_or(0, |workflow| workflow.tasks[task].attempt);
            let key = RunKey { workflow_id: workflow_id.clone(), task, attempt };
            if let Some(run) = self.flight.runs.remove(&key) {
                self.flight.release(&run.provider_id);
                step.effects.push(Effect::Cut(key));
            }
        }
        self.flight.questions.retain(|key, _| key.workflow_id != *workflow_id);
        self.flight.amended.retain(|(id, _), _| id != workflow_id);
        self.flight.passed_over.retain(|(id, _), _| id != workflow_id);
        self.flight.blobs.retain(|(id, _), _| id != workflow_id);
    }

    /// Asks the control handlers about a workflow or one of its tasks.
    pub(super) fn ask(&mut self, workflow_id: &Text, task: Option<usize>, point: DecisionPoint, asked: Asked, env: &mut Env<'_>, step: &mut Step) {
        let number = self.flight.next();
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let event_type = point.event_type().expect("the machine asks at the workflow's points only");
        let mut event = workflow.event(event_type, env, &self.question_payload(workflow, task, &asked));
        if let Some(task) = task {
            event.task_id = Some(workflow.definition.tasks[task].id.clone());
            event.causation_id = Some(workflow.tasks[task].cause.clone());
            event.provider_id.clone_from(&workflow.tasks[task].provider_id);
        }
        if let Asked::Candidate(provider_id) = &asked {
            event.provider_id = Some(provider_id.clone());
        }
        let question = Question {
            key: QuestionKey { workflow_id: workflow_id.clone(), task, point, number },
            event,
            attempt: task.map_or(0, |task| workflow.tasks[task].attempt),
            elapsed_ms: env.now.ms_since(workflow.submitted_at),
            origin: workflow.origin,
            principal: workflow.principal.clone(),
        };
        self.flight.questions.insert(question.key.clone(), asked);
        step.effects.push(Effect::Ask(question));
    }

    fn answered(&mut self, key: &QuestionKey, verdict: Verdict, record: Option<DecisionRecord>, env: &mut Env<'_>, step: &mut Step) {
        let live = self.state.workflows.get(&key.workflow_id).is_some_and(|workflow| !workflow.status.is_final());
        let Some(asked) = self.flight.questions.remove(key).filter(|_| live) else {
            step.accepted = false;
            return;
        };
        step.record = record;
        match key.task {
            Some(task) => self.task_answered(key, task, verdict, asked, env, step),
            None => self.submission_answered(&key.workflow_id, verdict, env, step),
        }
        // A decision that led to no fact here stands beside the next one about the task, or is the log's silence about a plain proceed.
        step.record = None;
    }

    fn submission_answered(&mut self, workflow_id: &Text, verdict: Verdict, env: &mut Env<'_>, step: &mut Step) {
        let point = DecisionPoint::WorkflowSubmitted;
        let (by, signal) = match verdict {
            Verdict::Proceed(input) => return self.start(workflow_id, input, env, step),
            Verdict::Held { by, reason, .. } => (by, Signal::Error(reason)),
            Verdict::Signal { by, signal } => (by, signal),
        };
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let mut ended = workflow.ended(env.now);
        ended.by = Some(by.clone());
        ended.reason = signal.reason().map(str::to_owned);
        match signal {
            Signal::Proceed(input) => self.start(workflow_id, input, env, step),
            Signal::Skip(reason) => {
                ended.left_out = true;
                self.tell(workflow_id, None, "control:skipped", point, by, reason, env, step);
                self.end(workflow_id, "workflow:completed", &ended, None, env, step);
            }
            Signal::Fallback { value, reason } => {
                ended.value = Some(value);
                self.tell(workflow_id, None, "control:fallback", point, by, reason, env, step);
                self.end(workflow_id, "workflow:completed", &ended, None, env, step);
            }
            Signal::Fail(reason) => {
                self.tell(workflow_id, None, "control:failed", point, by, reason, env, step);
                self.end(workflow_id, "workflow:failed", &ended, None, env, step);
            }
            Signal::Retry { after_ms, reason } => {
                if !self.put_off(workflow_id, None, "control:retried", point, by, reason, after_ms, None, env, step) {
                    self.end(workflow_id, "workflow:failed", &ended, None, env, step);
                }
            }
            Signal::Error(reason) => {
                if !self.put_off(workflow_id, None, "control:error", point, by, reason, None, None, env, step) {
                    self.end(workflow_id, "workflow:failed", &ended, None, env, step);
                }
            }
        }
    }

    /// Tells what a handler decided, before the fact that follows from it.
    #[expect(clippy::too_many_arguments, reason = "one call a line reads better than a struct built for each")]
    pub(super) fn tell(&mut self, workflow_id: &Text, task: Option<usize>, event_type: &str, point: DecisionPoint, by: Text, reason: String, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let event = workflow.about(task, workflow.event(event_type, env, &DecidedFact { point, by, reason }));
        self.apply(event, step);
    }

    /// Makes something wait for its chain. `false` if it has waited as often, or as long, as it may.
    #[expect(clippy::too_many_arguments, reason = "one call a line reads better than a struct built for each")]
    pub(super) fn put_off(&mut self, workflow_id: &Text, task: Option<usize>, event_type: &str, point: DecisionPoint, by: Text, reason: String, after_ms: Option<u64>, outcome: Option<Outcome>, env: &mut Env<'_>, step: &mut Step) -> bool {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return true };
        let held = event_type == "control:error";
        let waits = task.map_or(&workflow.waits, |task| &workflow.tasks[task].waits);
        let waits = waits.as_ref().filter(|waits| waits.point == point && waits.held == held);
        let times = waits.map_or(0, |waits| waits.times);
        let spent = if held { waits.is_some_and(|waits| env.now.ms_since(waits.since) >= HOLD_LIMIT_MS) } else { times >= MOST_PUT_OFFS };
        if spent {
            return false;
        }
        let backoff_ms = (PUT_OFF_MS << times.min(16)).min(MOST_HOLD_BACKOFF_MS);
        let until = env.now.plus_ms(after_ms.unwrap_or(if held { backoff_ms } else { PUT_OFF_MS }));
        let event = workflow.about(task, workflow.event(event_type, env, &Waits { point, by, reason, until, outcome }));
        self.apply(event, step);
        let timer = match task {
            Some(task) => Timer::Task(workflow_id.clone(), task),
            None => Timer::Start(workflow_id.clone()),
        };
        self.flight.at(until, timer);
        true
    }

    fn fired(&mut self, timer: Timer, env: &mut Env<'_>, step: &mut Step) {
        match timer {
            Timer::Attempt(key) => self.attempt_timed_out(&key, env, step),
            Timer::Task(workflow_id, task) => self.task_wait_over(&workflow_id, task, env, step),
            Timer::Start(workflow_id) => {
                let waits = |workflow: &&Workflow| workflow.status == WorkflowStatus::Submitted && workflow.waits.as_ref().is_some_and(|w| w.until <= env.now);
                if self.state.workflows.get(&workflow_id).as_ref().is_some_and(waits) {
                    self.ask_or_start(&workflow_id, env, step);
                }
            }
            Timer::Workflow(workflow_id) => self.workflow_timed_out(&workflow_id, env, step),
            Timer::Queue(method) => self.assign(&method, env, step),
        }
    }

    fn workflow_timed_out(&mut self, workflow_id: &Text, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id).filter(|workflow| !workflow.status.is_final()) else { return };
        let mut ended = workflow.ended(env.now);
        ended.reason = Some(format!("not done within its {} ms", workflow.definition.timeout_ms.unwrap_or_default()));
        self.end(workflow_id, "workflow:timeout", &ended, None, env, step);
    }

    /// After a restart: what was under way is found in the state.
    fn recovered(&mut self, env: &mut Env<'_>, step: &mut Step) {
        let mut open: Vec<Text> = self.state.workflows.values().filter(|workflow| !workflow.status.is_final()).map(|workflow| workflow.workflow_id.clone()).collect();
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

    /// Ends a workflow whose last task is final.
    pub(super) fn complete_if_done(&mut self, workflow_id: &Text, env: &mut Env<'_>, step: &mut Step) {
        let Some(workflow) = self.state.workflows.get(workflow_id).filter(|workflow| !workflow.status.is_final()) else { return };
        let failed = workflow.tasks.iter().position(|task| task.status == super::TaskStatus::Failed);
        let mut ended = workflow.ended(env.now);
        if let Some(failed) = failed {
            let id = workflow.definition.tasks[failed].id.clone();
            let message = workflow.tasks[failed].error.as_ref().map_or("", |error: &TaskError| error.message.as_str());
            ended.reason = Some(format!("task '{id}' failed: {message}"));
            ended.task = Some(id);
            self.end(workflow_id, "workflow:failed", &ended, None, env, step);
        } else if workflow.unfinished == 0 {
            self.end(workflow_id, "workflow:completed", &ended, None, env, step);
        }
    }

    /// Applies a fact that was just decided, and keeps it for the log.
    pub(super) fn apply(&mut self, mut event: Event, step: &mut Step) -> Applied {
        event.part = event.narration.parts();
        let applied = self.state.apply_fact(&event).unwrap_or_else(|error| {
            // The machine decided a fact that its own state refuses: going on would write it down.
            panic!("decided against the state: {error}")
        });
        step.facts.push(Decided { fact: Fact::new(event), record: step.record.take() });
        applied
    }
}

/// An event of a catalogue type, now, about nothing yet.
fn blank(event_type: &str, env: &mut Env<'_>) -> Event {
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
