//! Workflows: the definition, the state as a fold over facts, and the machine that decides the next fact.
//! Sans-IO: what has to happen outside is handed out as effects, and comes back as inputs.

mod apply;
mod asking;
mod course;
pub mod definition;
mod facts;
mod flight;
mod io;
mod judgement;
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
    io::{Chance, Decided, Effect, Env, Input, Question, QuestionKey, RunKey, Step, Submission},
    machine::Machine,
    parse::duration_ms,
    references::{ResolveError, Source, Substitution, Template},
    state::{State, Task, TaskStatus, Workflow, WorkflowStatus},
    view::WorkflowView,
};
