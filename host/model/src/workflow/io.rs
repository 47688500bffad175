//! What goes into the machine and what comes out of it: inputs, effects, steps, and the names of calls and questions.
//! What follows from what is in `machine`.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    definition::Definition,
    flight::{Points, Provider},
};
use crate::{
    control::{DecisionPoint, DecisionRecord, Fact, Origin, Verdict},
    event::{Event, Metadata, Text},
    json::Json,
    plugin::Digest,
    ports::{Failure, Fault, TaskCall},
    time::Timestamp,
};

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
        record: Option<Arc<DecisionRecord>>,
    },
    /// A call to a worker is over.
    Finished {
        /// Which.
        key: RunKey,
        /// Its answer, or the fault.
        outcome: Result<Result<Json, Failure>, Fault>,
    },
    /// A call to a worker was not made: its provider is quarantined, or has gone. Word about the providers follows.
    NotCalled {
        /// Which.
        key: RunKey,
    },
    /// The workers that there are now.
    Providers(Vec<Provider>),
    /// Where control handlers want to be asked now.
    Points(Points),
    /// This handler stands in nobody's way any more: what it held is asked about again now.
    Freed(Text),
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
    /// Call a worker; answer with [`Input::Finished`] or [`Input::NotCalled`].
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
    pub record: Option<Arc<DecisionRecord>>,
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
    pub(super) record: Option<Arc<DecisionRecord>>,
}
