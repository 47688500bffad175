//! What the demo's user sees: the stream, a progress line, the digest, the providers, the table. On a terminal in colour; in a pipe the
//! same lines, plain. Counting is done here too, from the events alone.

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    path::Path,
    time::Instant,
};

use serde_json::Value;
use trackside_engine::{Engine, PluginStatus, Stats};
use trackside_model::{
    catalogue,
    event::{Event, Severity, Text},
    time::Timestamp,
    workflow::{TaskStatus, WorkflowView},
};

use super::scene::Scene;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const PLAIN: &str = "\x1b[0m";
/// Columns of a line where there is no terminal.
const WIDTH: usize = 166;
/// Columns of the stream before the words.
const BEFORE_WORDS: usize = 54;
/// Tasks of the workflow, for the progress line.
const TASKS: usize = 7;

/// What the events added up to.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) events: u64,
    pub(super) attempts: u64,
    pub(super) ended_tasks: usize,
    pub(super) retries: u64,
    pub(super) faults: u64,
    pub(super) workflow_ended: bool,
    pub(super) quarantined: bool,
    pub(super) heartbeats: u64,
    by_type: BTreeMap<String, u64>,
    first: Option<Timestamp>,
    plugins: Vec<PluginStatus>,
    stats: Option<Stats>,
}

impl Tally {
    pub(super) fn take(&mut self, event: &Event, workflow_id: &Text) {
        self.first.get_or_insert(event.timestamp);
        self.events += 1;
        *self.by_type.entry(event.event_type.to_string()).or_default() += 1;
        match &*event.event_type {
            "task:started" => self.attempts += 1,
            "task:completed" | "task:skipped" => self.ended_tasks += 1,
            "task:retry_scheduled" => self.retries += 1,
            "plugin:fault" => self.faults += 1,
            "plugin:quarantined" => self.quarantined = true,
            "provider:heartbeat" => self.heartbeats += 1,
            "workflow:completed" | "workflow:failed" | "workflow:timeout" | "workflow:cancelled" => {
                self.workflow_ended |= event.workflow_id.as_ref() == Some(workflow_id);
            }
            _ => {}
        }
    }

    pub(super) fn close(&mut self, engine: &Engine) {
        self.plugins = engine.plugins();
        self.stats = Some(engine.stats());
    }
}

/// The screen, or the pipe.
pub(super) struct Show {
    terminal: bool,
    /// Columns that a line of the stream has.
    width: usize,
    begun: Instant,
    progress: bool,
}

impl Show {
    pub(super) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let width = terminal_size::terminal_size().map_or(WIDTH, |(columns, _)| usize::from(columns.0));
        Self { terminal, width, begun: Instant::now(), progress: false }
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.terminal { format!("{style}{text}{PLAIN}") } else { text.to_owned() }
    }

    /// One line. A reader that has gone away is no reason to fail: `trackside demo | head` is fine.
    fn line(&mut self, line: &str) {
        let mut out = std::io::stdout().lock();
        let clear = if std::mem::take(&mut self.progress) { "\r\x1b[2K" } else { "" };
        let _ = writeln!(out, "{clear}{line}");
    }

    fn heading(&mut self, text: &str) {
        let line = self.paint(BOLD, text);
        self.line("");
        self.line(&line);
    }

    pub(super) fn title(&mut self, scene: &Scene) {
        let line = self.paint(BOLD, "Trackside demo: a workflow over text files, by WebAssembly plugins, with everything in a durable log");
        self.line(&line);
        self.line(&format!("  input  {}", scene.input.display()));
        self.line(&format!("  log    {}", scene.data.display()));
        self.heading("The stream: facts as they become durable (how each came about is told by `trackside events`)");
        let header = format!("{:>9}  {:<22} {:<18} what", "ms", "type", "source");
        let header = self.paint(DIM, &header);
        self.line(&header);
    }

    pub(super) fn event(&mut self, event: &Event, tally: &Tally) {
        if !worth_a_line(event) {
            return self.progress_line(tally);
        }
        let at = tally.first.map_or(0.0, |first| event.timestamp.0.saturating_sub(first.0) as f64 / 1e6);
        let style = match (event.severity, event.event_type.component()) {
            (Severity::Error | Severity::Critical, _) => RED,
            (Severity::Warning, _) => YELLOW,
            (Severity::Debug, _) => DIM,
            (_, "control") => CYAN,
            _ if matches!(event.event_type.action(), "completed" | "loaded" | "registered") => GREEN,
            _ => "",
        };
        let name = self.paint(style, &format!("{:<22}", event.event_type));
        let words = cut(what(event), self.width.saturating_sub(BEFORE_WORDS));
        let line = format!("{at:>9.1}  {name} {:<18} {words}", event.source_component);
        self.line(line.trim_end());
        self.progress_line(tally);
    }

    /// What takes a while, until the first line of the stream; left out in a pipe.
    pub(super) fn waiting(&mut self, what: &str) {
        if self.terminal {
            let mut out = std::io::stdout().lock();
            let _ = write!(out, "{DIM}{what}{PLAIN}");
            let _ = out.flush();
            self.progress = true;
        }
    }

    /// Redrawn in place on a terminal, left out in a pipe.
    fn progress_line(&mut self, tally: &Tally) {
        if !self.terminal {
            return;
        }
        self.end_of_stream();
        let done = tally.ended_tasks.min(TASKS);
        let bar: String = (0..TASKS).map(|task| if task < done { '█' } else { '░' }).collect();
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "{DIM}{bar} {done}/{TASKS} tasks, {} attempts, {} events{PLAIN}", tally.attempts, tally.events);
        let _ = out.flush();
        self.progress = true;
    }

    pub(super) fn end_of_stream(&mut self) {
        let mut out = std::io::stdout().lock();
        if std::mem::take(&mut self.progress) {
            let _ = write!(out, "\r\x1b[2K");
        }
    }

    pub(super) fn digest(&mut self, view: &WorkflowView) {
        self.heading("The digest: joined by references from five tasks' results");
        let digest = view.tasks.iter().find(|task| &*task.id == "digest").and_then(|task| task.result.as_ref());
        let Some(digest) = digest.map(|digest| digest.to_value()) else {
            return self.line("  there is none: the workflow did not come that far");
        };
        self.line(&format!("  {}", text(&digest["title"])));
        let phrases: Vec<&str> =
            digest["keywords"].as_array().into_iter().flatten().filter_map(|keyword| keyword["phrase"].as_str()).collect();
        self.line(&format!("  keywords   {}", phrases.join(", ")));
        let label = format!("  summary    ({}) ", text(&digest["summary_method"]));
        for (number, line) in wrap(&text(&digest["summary"]), 96).into_iter().enumerate() {
            self.line(&if number == 0 { format!("{label}{line}") } else { format!("             {line}") });
        }
        self.line(&format!("  service    {}", text(&digest["service"])));
    }

    pub(super) fn providers(&mut self, tally: &Tally) {
        self.heading("Plugins: calls, faults, health");
        let header = format!("  {:<14} {:<10} {:<12} {:>6} {:>7} {:>10}  state", "name", "role", "class", "calls", "faults", "p50 µs");
        let header = self.paint(DIM, &header);
        self.line(&header);
        for plugin in &tally.plugins {
            let info = &plugin.info;
            let role = match (info.roles.control, info.roles.observer) {
                (true, _) => "control",
                (_, true) => "observer",
                _ => "worker",
            };
            let state = match &plugin.last_fault {
                Some(fault) if plugin.state != "serving" => {
                    self.paint(RED, &format!("{}: {}: {}", plugin.state, fault.kind.as_str(), fault.message))
                }
                _ => self.paint(GREEN, plugin.state),
            };
            let class =
                serde_json::to_value(info.effect_class).ok().and_then(|class| class.as_str().map(str::to_owned)).unwrap_or_default();
            self.line(&format!(
                "  {:<14} {role:<10} {class:<12} {:>6} {:>7} {:>10.1}  {state}",
                info.name, plugin.calls, plugin.faults, plugin.p50_us
            ));
        }
        self.line(&format!("  {} heartbeats of providers", tally.heartbeats));
    }

    pub(super) fn table(&mut self, tally: &Tally, view: &WorkflowView) {
        self.heading("In figures");
        let completed = view.tasks.iter().filter(|task| task.status == TaskStatus::Completed).count();
        let mut rows = vec![
            ("workflow".to_owned(), format!("{} in {} ms", view.status.as_str(), view.duration_ms.unwrap_or_default())),
            ("tasks".to_owned(), format!("{completed} of {} completed", view.tasks.len())),
            ("attempts".to_owned(), format!("{}, {} of them retries that retry-policy decided", tally.attempts, tally.retries)),
            ("events".to_owned(), format!("{} of {} types, narration included", tally.events, tally.by_type.len())),
            ("faults".to_owned(), format!("{}, all of the spinner, which nothing else waited for", tally.faults)),
        ];
        if let Some(stats) = tally.stats {
            rows.push((
                "control check".to_owned(),
                format!("p50 {:.1} µs, p99 {:.1} µs over {}", stats.check_p50_us, stats.check_p99_us, stats.checks),
            ));
            rows.push(("append, durable".to_owned(), format!("p50 {:.0} µs, p99 {:.0} µs", stats.append_p50_us, stats.append_p99_us)));
        }
        rows.push(("all of it".to_owned(), format!("{} ms", self.begun.elapsed().as_millis())));
        for (name, value) in rows {
            self.line(&format!("  {name:<16} {value}"));
        }
    }

    pub(super) fn story(&mut self, data: &Path, view: &WorkflowView) {
        self.heading("The whole story is in the log; read it with");
        let data = data.display();
        self.line(&format!("  trackside events --data {data}"));
        self.line(&format!("  trackside workflow show {} --data {data}", view.workflow_id));
    }

    pub(super) fn story_is_gone(&mut self) {
        self.heading("The log was temporary. To keep it, and read the whole story:");
        self.line("  trackside demo --data ./demo-data");
        self.line("  trackside events --data ./demo-data");
    }
}

/// Every fact, and of the narration what the references gave. The rest is told by `trackside events`.
fn worth_a_line(event: &Event) -> bool {
    let narration = catalogue::entry(&event.event_type).is_some_and(catalogue::Entry::is_narration);
    match &*event.event_type {
        "parameters:resolved" => {
            event.payload.to_value()["substitutions"].as_array().is_some_and(|substitutions| !substitutions.is_empty())
        }
        "method:available" | "provider:available" | "circuit:opened" => false,
        _ => !narration,
    }
}

/// What the references in a task's parameters gave.
fn substituted(payload: &Value) -> String {
    let substitutions = payload["substitutions"].as_array().into_iter().flatten();
    let told = substitutions.filter_map(|one| Some(format!("{} ({} bytes)", one["reference"].as_str()?, one["bytes"])));
    told.collect::<Vec<_>>().join(", ")
}

/// What an event is about, and how long it took, in a few words.
fn what(event: &Event) -> String {
    let payload = event.payload.to_value();
    let mut words = Vec::new();
    words.extend(event.task_id.as_deref().map(str::to_owned));
    words.extend(Some(substituted(&payload)).filter(|told| !told.is_empty()));
    words.extend(event.provider_id.as_deref().map(|provider| format!("by {provider}")));
    for key in ["method", "methods", "kind", "point", "to", "reason", "message"] {
        match &payload[key] {
            Value::String(text) => words.push(text.clone()),
            Value::Array(list) => words.push(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")),
            _ => {}
        }
    }
    if let Some(message) = payload["error"]["message"].as_str() {
        words.push(message.to_owned());
    }
    if let Some(attempt) = payload["attempt"].as_u64().filter(|attempt| *attempt > 1) {
        words.push(format!("attempt {attempt}"));
    }
    for (key, unit) in [("duration_ms", "ms"), ("delay_ms", "ms to wait")] {
        if let Some(ms) = payload[key].as_u64() {
            words.push(format!("{ms} {unit}"));
        }
    }
    words.join(" · ")
}

/// The text in so many columns, with a mark where it was longer.
fn cut(text: String, columns: usize) -> String {
    let Some(last) = columns.checked_sub(1) else { return String::new() };
    match text.char_indices().nth(columns).and_then(|_| text.char_indices().nth(last)) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Lines of at most this many characters, broken at spaces.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full = lines.last().is_some_and(|line| !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_its_columns_and_says_so() {
        assert_eq!(cut("größer".to_owned(), 6), "größer");
        assert_eq!(cut("größer".to_owned(), 4), "grö…");
        assert_eq!(cut("größer".to_owned(), 1), "…");
        assert_eq!(cut("größer".to_owned(), 0), "");
    }
}
