//! Workflows: the definition, the state as a fold over facts, and the machine that decides the next fact.
//! Sans-IO: what has to happen outside is handed out as effects, and comes back as inputs.

mod apply;
pub mod definition;
mod facts;
mod flight;
mod machine;
mod parse;
mod references;
mod state;
mod story;
mod tasks;
mod view;

pub use self::{
    apply::ApplyError,
    definition::{Definition, DefinitionError, Format, TaskDefinition},
    facts::{Blob, Outcome, TaskError, TaskResult},
    flight::{Points, Provider},
    machine::{Chance, Decided, Effect, Env, Input, Machine, Question, QuestionKey, RunKey, Step, Submission},
    references::{ResolveError, Source, Substitution, Template},
    state::{State, Task, TaskStatus, Workflow, WorkflowStatus},
    view::WorkflowView,
};
