//! The narration of workflow facts: which moments led to a task's start, to its end, to the workflow's.
//! The facts themselves are the machine's.

use serde_json::json;

use super::{
    references::Substitution,
    state::{TaskStatus, Workflow},
};
use crate::{event::Text, json::Json, narration::Moment, time::Timestamp};

/// Above this many tasks a submission tells their creation in one moment, so that a fact stays small.
const MOST_TOLD_TASKS: usize = 1_000;

/// Each task of a workflow that starts.
pub(super) fn of_start(workflow: &Workflow, now: Timestamp) -> Vec<Moment> {
    let mut moments = vec![Moment::new("workflow:state_changed", now).with(json!({"from": "submitted", "to": "running"}))];
    if workflow.tasks.len() > MOST_TOLD_TASKS {
        moments.push(Moment::new("task:created", now).with(json!({"count": workflow.tasks.len()})));
        return moments;
    }
    for task in &workflow.definition.tasks {
        moments.push(Moment::new("task:submitted", now).about_task(&task.id));
        moments.push(Moment::new("task:created", now).about_task(&task.id).with(json!({"method": &*task.method})));
    }
    moments
}

/// What is to be told of a task that starts, besides what the state knows.
pub(super) struct TaskStart<'a> {
    pub(super) provider_id: &'a Text,
    pub(super) candidates: usize,
    pub(super) queue_depth: usize,
    pub(super) substitutions: &'a [Substitution],
    pub(super) resolved_at: Timestamp,
}

/// From ready to started.
pub(super) fn of_task_start(workflow: &Workflow, index: usize, now: Timestamp, told: &TaskStart<'_>) -> Vec<Moment> {
    let (definition, task) = (&workflow.definition.tasks[index], &workflow.tasks[index]);
    let provider = told.provider_id;
    let mut moments = Vec::with_capacity(20);
    waves(workflow, index, now, &mut moments);
    let ready_at = task.ready_at.unwrap_or(now);
    if task.attempt == 0 {
        for &dependency in &definition.dependencies {
            let on = &workflow.definition.tasks[dependency].id;
            let at = workflow.tasks[dependency].ended_at.unwrap_or(ready_at);
            moments.push(Moment::new("dependency:satisfied", at).with(json!({"on": &**on})));
        }
        if !definition.dependencies.is_empty() {
            moments.push(Moment::new("dependent:task:ready", ready_at));
        }
        moments.push(Moment::new("task:ready", ready_at));
    } else if task.status == TaskStatus::Retrying {
        let at = task.retry_at.unwrap_or(now);
        moments.push(Moment::new("task:retry", at));
        moments.push(Moment::new("task:retry_executed", now).with(json!({"attempt": task.attempt + 1})));
    }
    moments.push(Moment::new("queue:task_enqueued", ready_at).with(json!({"queue": &*definition.method, "depth": told.queue_depth})));
    moments.push(Moment::new("task:queued", ready_at));
    moments.push(Moment::new("task:available", ready_at));
    moments.push(Moment::new("assignment:requested", ready_at).with(json!({"method": &*definition.method})));
    moments.push(Moment::new("assignment:candidate_found", now).about_provider(provider).with(json!({"candidates": told.candidates})));
    moments.push(Moment::new("assignment:validated", now).about_provider(provider));
    moments.push(Moment::new("assignment:approved", now).about_provider(provider));
    moments.push(Moment::new("queue:task_dequeued", now).with(json!({"queue": &*definition.method})));
    moments.push(Moment::new("task:claimed", now).about_provider(provider));
    moments.push(Moment::new("task:assigned", now).about_provider(provider));
    moments.push(Moment::new("parameters:resolve_requested", told.resolved_at));
    moments
        .push(Moment::new("parameters:resolved", told.resolved_at).with(Json::from_value(&json!({"substitutions": told.substitutions}))));
    moments.push(Moment::new("assignment:executed", now).about_provider(provider));
    moments.push(Moment::new("worker:busy", now).about_provider(provider));
    moments
}

/// Waves that are over and not yet told, and the one that this task opens.
fn waves(workflow: &Workflow, index: usize, now: Timestamp, moments: &mut Vec<Moment>) {
    for (number, wave) in (0..).zip(&workflow.waves) {
        if wave.started && wave.unfinished == 0 && !wave.told_completed {
            moments.push(wave_moment("wave:completed", wave.ended_at, number));
        }
    }
    let wave = workflow.definition.wave(index);
    if workflow.waves.get(wave as usize).is_some_and(|wave| !wave.started) {
        moments.push(wave_moment("wave:started", now, wave));
    }
}

fn wave_moment(event_type: &str, at: Timestamp, number: u32) -> Moment {
    Moment::new(event_type, at).with(json!({"wave": number}))
}

/// From the worker's answer to the task's end.
pub(super) fn of_task_end(workflow: &Workflow, index: usize, now: Timestamp) -> Vec<Moment> {
    let task = &workflow.tasks[index];
    let Some(started_at) = task.started_at.filter(|_| task.status == TaskStatus::Running) else { return Vec::new() };
    let duration = Moment::new("task:duration", now).with(json!({"duration_ms": now.ms_since(started_at)}));
    match &task.provider_id {
        Some(provider) => vec![Moment::new("worker:idle", now).about_provider(provider), duration],
        None => vec![duration],
    }
}

/// From the last task's end, or from what cut the workflow short, to its own.
pub(super) fn of_end(workflow: &Workflow, now: Timestamp, to: &str) -> Vec<Moment> {
    let mut moments = Vec::new();
    for (number, wave) in (0..).zip(&workflow.waves) {
        if wave.started && wave.unfinished == 0 && !wave.told_completed {
            moments.push(wave_moment("wave:completed", wave.ended_at, number));
        }
    }
    let cut = workflow.tasks.iter().zip(&workflow.definition.tasks).filter(|(task, _)| !task.status.is_final());
    for (_, definition) in cut.take(MOST_TOLD_TASKS) {
        moments.push(Moment::new("task:cancelled", now).about_task(&definition.id));
    }
    let from = workflow.status.as_str();
    moments.push(Moment::new("workflow:state_changed", now).with(json!({"from": from, "to": to})));
    moments.push(Moment::new("workflow:duration", now).with(json!({"duration_ms": now.ms_since(workflow.submitted_at)})));
    moments
}
