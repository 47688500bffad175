//! `trackside workflow`: lists, one workflow drawn wave by wave, cancelling.
//! Where it is read is `source`'s.

use std::collections::HashMap;

use clap::Subcommand;
use serde::Deserialize;
use serde_json::{Value, json};
use trackside_model::time::Timestamp;

use super::{
    CliError,
    client::HostArg,
    print::{self, Out},
    source::{Pairs, SourceArg, segment},
};
use crate::params::MAX_LIMIT;

/// Characters of a result that is shown beside its task.
const MOST_RESULT: usize = 100;

#[derive(Subcommand)]
pub(super) enum WorkflowVerb {
    /// List workflows, newest first.
    List {
        /// Only these: submitted, running, completed, failed, timed_out, cancelled, skipped; several with commas.
        #[arg(long)]
        status: Option<String>,
        /// So many at most.
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: SourceArg,
    },
    /// Show a workflow: its tasks wave by wave, with states, times and what they wait for.
    Show {
        /// Its id.
        id: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: SourceArg,
    },
    /// Cancel a workflow.
    Cancel {
        /// Its id.
        id: String,
        /// Why; stands in the log.
        #[arg(long)]
        reason: Option<String>,
        /// The host's answer as JSON.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArg,
    },
}

pub(super) fn run(verb: WorkflowVerb) -> Result<(), CliError> {
    match verb {
        WorkflowVerb::List { status, limit, json, at } => list(status, limit, json, &at),
        WorkflowVerb::Show { id, json, at } => {
            let view = at.open()?.workflow(&id)?;
            let mut out = Out::new();
            if json { out.line(&view.to_string()) } else { print(&mut out, &View::read(&view)?) }
        }
        WorkflowVerb::Cancel { id, reason, json, host } => cancel(&id, reason, json, &host),
    }
}

fn list(status: Option<String>, limit: usize, json: bool, at: &SourceArg) -> Result<(), CliError> {
    let source = at.open()?;
    let (mut rows, mut before) = (Vec::new(), None);
    while rows.len() < limit {
        let mut pairs: Pairs = vec![("limit".to_owned(), (limit - rows.len()).min(MAX_LIMIT).to_string())];
        pairs.extend(status.iter().map(|status| ("status".to_owned(), status.clone())));
        pairs.extend(before.take().map(|before: u64| ("before".to_owned(), before.to_string())));
        let page = source.workflows(&pairs)?;
        rows.extend(page["workflows"].as_array().into_iter().flatten().cloned());
        match page["next"].as_u64() {
            Some(next) => before = Some(next),
            None => break,
        }
    }
    let mut out = Out::new();
    if json {
        return rows.iter().try_for_each(|row| out.line(&row.to_string()));
    }
    let cells: Vec<Vec<String>> = rows.iter().map(row_cells).collect();
    print::table(&["workflow", "name", "status", "submitted", "took"], &cells).iter().try_for_each(|line| out.line(line))
}

fn row_cells(row: &Value) -> Vec<String> {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let submitted = text("submitted_at");
    let submitted = submitted.get(..19).map_or(submitted.clone(), |time| time.replace('T', " "));
    let took = row["duration_ms"].as_f64().map(print::duration).unwrap_or_default();
    vec![text("workflow_id"), text("name"), text("status"), submitted, took]
}

fn cancel(id: &str, reason: Option<String>, json: bool, host: &HostArg) -> Result<(), CliError> {
    let body = reason.map_or_else(|| json!({}), |reason| json!({"reason": reason})).to_string();
    let answered = host.client()?.post(&format!("/v1/workflows/{}/cancel", segment(id)), &[("Content-Type", "application/json")], &body)?;
    let mut out = Out::new();
    if json {
        out.line(&print::one_line(&answered.text))?;
        return if answered.status < 400 { Ok(()) } else { Err(CliError::Told) };
    }
    let answer = answered.done()?;
    out.line(&format!("cancelled: {}", super::publish::sentence(&answer)))
}

/// A workflow as it is answered.
#[derive(Deserialize)]
pub(super) struct View {
    workflow_id: String,
    name: String,
    status: String,
    correlation_id: String,
    submitted_at: Timestamp,
    duration_ms: Option<u64>,
    reason: Option<String>,
    value: Option<Value>,
    waits_for: Option<String>,
    tasks: Vec<TaskRow>,
}

#[derive(Deserialize)]
struct TaskRow {
    id: String,
    method: String,
    dependencies: Vec<String>,
    status: String,
    attempts: u32,
    provider_id: Option<String>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    waits_for: Option<String>,
    result: Option<Value>,
    error: Option<Value>,
}

impl View {
    pub(super) fn read(value: &Value) -> Result<Self, CliError> {
        Self::deserialize(value).map_err(|error| CliError::Failed(format!("the answer is no workflow: {error}")))
    }

    /// Tasks that can run side by side, in the order in which they can begin: a task stands one wave behind the last that it depends on.
    fn waves(&self) -> Vec<Vec<&TaskRow>> {
        let mut wave_of: HashMap<&str, usize> = HashMap::new();
        // Each round settles at least the tasks whose dependencies are settled; a definition has no cycles.
        for _ in &self.tasks {
            for task in &self.tasks {
                let behind: Option<Vec<usize>> = task.dependencies.iter().map(|id| wave_of.get(id.as_str()).copied()).collect();
                if let Some(behind) = behind {
                    wave_of.insert(&task.id, behind.into_iter().max().map_or(0, |wave| wave + 1));
                }
            }
            if wave_of.len() == self.tasks.len() {
                break;
            }
        }
        let mut waves: Vec<Vec<&TaskRow>> = Vec::new();
        for task in &self.tasks {
            let wave = wave_of.get(task.id.as_str()).copied().unwrap_or_default();
            while waves.len() <= wave {
                waves.push(Vec::new());
            }
            waves[wave].push(task);
        }
        waves
    }
}

/// Draws a workflow.
pub(super) fn print(out: &mut Out, view: &View) -> Result<(), CliError> {
    let took = view.duration_ms.map(|ms| format!(" in {}", print::duration(ms as f64))).unwrap_or_default();
    let status = out.styled(print::style_of_status(&view.status), &view.status);
    out.line(&format!("{}  {status}{took}", view.name))?;
    out.line(&format!("  workflow     {}", view.workflow_id))?;
    if view.correlation_id != view.workflow_id {
        out.line(&format!("  correlation  {}", view.correlation_id))?;
    }
    out.line(&format!("  submitted    {}", view.submitted_at))?;
    for (name, text) in [("reason", &view.reason), ("waits for", &view.waits_for)] {
        if let Some(text) = text {
            out.line(&format!("  {name:<11}  {text}"))?;
        }
    }
    if let Some(value) = &view.value {
        out.line(&format!("  {:<11}  {}", "value", print::clip(&value.to_string(), MOST_RESULT)))?;
    }
    let width = |of: fn(&TaskRow) -> &str| view.tasks.iter().map(|task| of(task).chars().count()).max().unwrap_or_default();
    let widths = (width(|task| &task.id), width(|task| &task.method));
    for (number, wave) in view.waves().iter().enumerate() {
        out.line(&format!("wave {}", number + 1))?;
        for task in wave {
            print_task(out, task, widths)?;
        }
    }
    out.flush()
}

fn print_task(out: &mut Out, task: &TaskRow, (id_width, method_width): (usize, usize)) -> Result<(), CliError> {
    let mark = match task.status.as_str() {
        "completed" => "✓",
        "failed" => "✗",
        "skipped" => "–",
        "cancelled" => "■",
        "running" => "▶",
        _ => "·",
    };
    let status = out.styled(print::style_of_status(&task.status), &format!("{mark} {:<10}", task.status));
    let took = match (task.started_at, task.ended_at) {
        (Some(started_at), Some(ended_at)) => print::duration(ended_at.0.saturating_sub(started_at.0) as f64 / 1e6),
        _ => String::new(),
    };
    let mut line = format!("  {status} {:<id_width$}  {:<method_width$}  {took:>8}", task.id, task.method);
    if let Some(provider_id) = &task.provider_id {
        line.push_str(&format!("  @{provider_id}"));
    }
    if task.attempts > 1 {
        line.push_str(&format!("  {} attempts", task.attempts));
    }
    if !task.dependencies.is_empty() {
        line.push_str(&format!("  ← {}", task.dependencies.join(", ")));
    }
    out.line(line.trim_end())?;
    let indent = " ".repeat(15);
    if let Some(waits_for) = &task.waits_for {
        out.line(&format!("{indent}waits for {waits_for}"))?;
    }
    // What an earlier attempt said does not matter once there is a result.
    if let Some(error) = task.error.as_ref().filter(|_| task.status != "completed") {
        out.line(&format!("{indent}{}", error["message"].as_str().unwrap_or("failed")))?;
    }
    if let Some(result) = task.result.as_ref().filter(|result| !result.is_null()) {
        out.line(&format!("{indent}{}", print::clip(&result.to_string(), MOST_RESULT)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(tasks: &[(&str, &[&str])]) -> View {
        let tasks: Vec<Value> = tasks
            .iter()
            .map(
                |(id, dependencies)| json!({"id": id, "method": "a/b", "dependencies": dependencies, "status": "completed", "attempts": 1}),
            )
            .collect();
        View::read(&json!({"workflow_id": "w", "name": "n", "status": "running", "correlation_id": "w", "submitted_at": "2026-01-31T10:30:00Z", "tasks": tasks})).unwrap()
    }

    #[test]
    fn tasks_stand_one_wave_behind_what_they_depend_on() {
        // In any order of the definition.
        let view = view(&[("join", &["one", "two"]), ("two", &["list"]), ("list", &[]), ("one", &["list"]), ("alone", &[])]);
        let waves: Vec<Vec<&str>> = view.waves().iter().map(|wave| wave.iter().map(|task| task.id.as_str()).collect()).collect();
        assert_eq!(waves, [vec!["list", "alone"], vec!["two", "one"], vec!["join"]]);
    }
}
