//! Asking control handlers about a workflow or a task: the question, its answer's way, what is told of it, and putting off.
//! What an answer means for a workflow is in `course`, for a task in `judgement`.

use std::sync::Arc;

use super::{
    facts::{Decided as DecidedFact, Outcome, Waits},
    flight::{Asked, Timer},
    io::{Effect, Env, Question, QuestionKey, Step},
    machine::Machine,
};
use crate::{
    control::{DecisionPoint, DecisionRecord, Verdict},
    event::{Text, trace},
};

/// How often in a row a chain may put the same thing off before that counts as a refusal.
pub(super) const MOST_PUT_OFFS: u32 = 100;
/// How long a task or a workflow is held for a handler that cannot judge, in milliseconds: one hour.
pub(super) const HOLD_LIMIT_MS: u64 = 3_600_000;
/// The longest pause between two looks at something that is held, in milliseconds.
const MOST_HOLD_BACKOFF_MS: u64 = 60_000;
/// The pause before something is asked again, where nobody named one, in milliseconds.
const PUT_OFF_MS: u64 = 1_000;

impl Machine {
    /// Asks the control handlers about a workflow or one of its tasks.
    pub(super) fn ask(
        &mut self,
        workflow_id: &Text,
        task: Option<usize>,
        point: DecisionPoint,
        asked: Asked,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
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
        trace::continue_from(&mut event.metadata, event.event_id, event.causation_id.as_deref());
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

    pub(super) fn answered(
        &mut self,
        key: &QuestionKey,
        verdict: Verdict,
        record: Option<Arc<DecisionRecord>>,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
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

    /// Tells what a handler decided, before the fact that follows from it.
    #[expect(clippy::too_many_arguments, reason = "one call a line reads better than a struct built for each")]
    pub(super) fn tell(
        &mut self,
        workflow_id: &Text,
        task: Option<usize>,
        event_type: &str,
        point: DecisionPoint,
        by: Text,
        reason: String,
        env: &mut Env<'_>,
        step: &mut Step,
    ) {
        let Some(workflow) = self.state.workflows.get(workflow_id) else { return };
        let event = workflow.about(task, workflow.event(event_type, env, &DecidedFact { point, by, reason }));
        self.apply(event, step);
    }

    /// Makes something wait for its chain. `false` if it has waited as often, or as long, as it may.
    #[expect(clippy::too_many_arguments, reason = "one call a line reads better than a struct built for each")]
    pub(super) fn put_off(
        &mut self,
        workflow_id: &Text,
        task: Option<usize>,
        event_type: &str,
        point: DecisionPoint,
        by: Text,
        reason: String,
        after_ms: Option<u64>,
        outcome: Option<Outcome>,
        env: &mut Env<'_>,
        step: &mut Step,
    ) -> bool {
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
}
