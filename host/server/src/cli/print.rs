//! What the command line prints: events as aligned lines, durations, colours on a terminal only, and an output that may be closed.
//! Which things are printed is the verbs' own.

use std::{
    env,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use anstyle::{AnsiColor, Style};
use serde_json::Value;
use trackside_model::{
    catalogue::{self, Entry},
    event::{Event, Severity},
};

use super::CliError;

/// Characters of an id that people need to tell one from another.
const SHORT_ID: usize = 13;
/// Characters of a line's end at most, where the line is for people.
const MOST_WHAT: usize = 160;

/// Standard output. Once its reader has gone, printing says so, and the verb ends without an error.
pub struct Out {
    stdout: io::StdoutLock<'static>,
    colours: bool,
}

impl Out {
    /// Standard output; colours only on a terminal, and where `NO_COLOR` does not forbid them.
    pub fn new() -> Self {
        let stdout = io::stdout();
        let colours = stdout.is_terminal()
            && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { stdout: stdout.lock(), colours }
    }

    /// Whether colours are shown.
    pub fn colours(&self) -> bool {
        self.colours
    }

    /// Prints a line.
    ///
    /// # Errors
    /// [`CliError::OutputClosed`] if nobody reads any more.
    pub fn line(&mut self, line: &str) -> Result<(), CliError> {
        writeln!(self.stdout, "{line}").map_err(of_output)
    }

    /// Sees to it that what was printed can be read.
    ///
    /// # Errors
    /// [`CliError::OutputClosed`] if nobody reads any more.
    pub fn flush(&mut self) -> Result<(), CliError> {
        self.stdout.flush().map_err(of_output)
    }

    /// `text` in a style, if colours are shown.
    pub fn styled(&self, style: Style, text: &str) -> String {
        if self.colours { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

impl Default for Out {
    fn default() -> Self {
        Self::new()
    }
}

fn of_output(error: io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::OutputClosed,
        _ => CliError::Failed(format!("standard output: {error}")),
    }
}

/// The style of a severity; narration, which has no row of its own, is dim.
pub fn style_of(severity: Severity) -> Style {
    match severity {
        Severity::Debug => Style::new().dimmed(),
        Severity::Info => Style::new(),
        Severity::Warning => AnsiColor::Yellow.on_default(),
        Severity::Error => AnsiColor::Red.on_default(),
        Severity::Critical => AnsiColor::Red.on_default().bold(),
    }
}

/// The style of a workflow's or a task's status.
pub fn style_of_status(status: &str) -> Style {
    match status {
        "completed" => AnsiColor::Green.on_default(),
        "failed" | "timed_out" => AnsiColor::Red.on_default(),
        "cancelled" | "retrying" | "held" => AnsiColor::Yellow.on_default(),
        "skipped" | "submitted" | "pending" => Style::new().dimmed(),
        _ => AnsiColor::Cyan.on_default(),
    }
}

/// One event as a line: sequence, time, type, source, what.
pub fn event_line(out: &Out, event: &Event) -> String {
    let time = event.timestamp.to_string();
    let clock = time.get(11..23).unwrap_or(&time);
    let event_type = out.styled(style_of(event.severity), &format!("{:<28}", &*event.event_type));
    // A fact that nothing led to has its number alone; everything else has its place within the fact.
    let alone = event.part == 0 && !catalogue::entry(&event.event_type).is_some_and(Entry::is_narration);
    let sequence = if alone { event.sequence_number.to_string() } else { event.position().to_string() };
    format!("{sequence:>8}  {clock}  {event_type}  {:<22}  {}", &*event.source_component, what(event)).trim_end().to_owned()
}

/// What an event is about, in few words: workflow and task, provider, and what its payload says first.
pub fn what(event: &Event) -> String {
    let mut text = String::new();
    match (&event.workflow_id, &event.task_id) {
        (Some(workflow_id), Some(task_id)) => {
            let _ = write!(text, "{}/{task_id}", short(workflow_id));
        }
        (Some(workflow_id), None) => text.push_str(short(workflow_id)),
        (None, Some(task_id)) => text.push_str(task_id),
        (None, None) => {}
    }
    if let Some(provider_id) = &event.provider_id {
        push(&mut text, &format!("@{provider_id}"));
    }
    salient(&mut text, &event.payload.to_value());
    clip(&text.replace(['\n', '\r'], " "), MOST_WHAT)
}

/// The members that people look for first, in the order in which they make sense.
fn salient(text: &mut String, payload: &Value) {
    for name in ["name", "plugin", "method", "point", "status", "task", "to", "outcome"] {
        if let Some(value) = payload[name].as_str() {
            push(text, value);
        }
    }
    if let Some(attempt) = payload["attempt"].as_u64().filter(|attempt| *attempt > 1) {
        push(text, &format!("attempt {attempt}"));
    }
    if let Some(by) = payload["by"].as_str() {
        push(text, &format!("by {by}"));
    }
    for (name, label) in [("duration_ms", ""), ("delay_ms", "in ")] {
        if let Some(ms) = payload[name].as_f64() {
            // Counted in whole milliseconds, of which none means less than one.
            let said = if ms == 0.0 { "<1 ms".to_owned() } else { duration(ms) };
            push(text, &format!("{label}{said}"));
        }
    }
    let reason = payload["reason"].as_str().or_else(|| payload["message"].as_str()).or_else(|| payload["error"]["message"].as_str());
    if let Some(reason) = reason {
        push(text, reason);
    }
}

fn push(text: &mut String, part: &str) {
    if !text.is_empty() && !part.is_empty() {
        text.push(' ');
    }
    text.push_str(part);
}

/// The beginning of a long id; whole if it is short.
pub fn short(id: &str) -> &str {
    let is_uuid = id.len() == 36 && id.as_bytes()[8] == b'-';
    id.get(..SHORT_ID).filter(|_| is_uuid).unwrap_or(id)
}

/// At most so many characters, the last one `…` where something is left out.
pub fn clip(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut clipped: String = text.chars().take(most.saturating_sub(1)).collect();
    clipped.push('…');
    clipped
}

/// Milliseconds as people say them.
pub fn duration(ms: f64) -> String {
    if ms < 1.0 {
        return format!("{:.0} µs", ms * 1_000.0);
    }
    if ms < 10.0 && ms.fract() != 0.0 {
        return format!("{ms:.1} ms");
    }
    if ms < 1_000.0 {
        return format!("{ms:.0} ms");
    }
    if ms < 60_000.0 {
        return format!("{:.1} s", ms / 1_000.0);
    }
    let seconds = (ms / 1_000.0).round();
    format!("{:.0} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0)
}

/// JSON text on one line: white space between its parts may be line breaks, its strings hold none.
pub fn one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

/// Rows under a head, each column as wide as its widest cell; numbers stay where the verb put them.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut head.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_as_people_do() {
        for (ms, said) in
            [(0.25, "250 µs"), (3.0, "3 ms"), (3.25, "3.2 ms"), (250.0, "250 ms"), (1_500.0, "1.5 s"), (125_000.0, "2 min 5 s")]
        {
            assert_eq!(duration(ms), said);
        }
    }

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [vec!["a".to_owned(), "long cell".to_owned()], vec!["bbbb".to_owned(), "é".to_owned()]];
        assert_eq!(table(&["x", "y"], &rows), ["x     y", "a     long cell", "bbbb  é"]);
    }

    #[test]
    fn long_ids_and_texts_are_cut_where_characters_end() {
        assert_eq!(short("0198f2b4-0000-7000-8000-000000000001"), "0198f2b4-0000");
        assert_eq!(short("daily"), "daily");
        assert_eq!(clip("ééé", 2), "é…");
        assert_eq!(clip("ab", 2), "ab");
    }

    #[test]
    fn an_event_is_one_line_that_says_what_it_is_about() {
        let event: Event = serde_json::from_value(serde_json::json!({
            "event_id": "0198f2b4-0000-7000-8000-000000000001", "event_type": "task:failed", "timestamp": "2026-01-31T10:30:00.123456789Z",
            "recorded_at": "2026-01-31T10:30:00.2Z", "sequence_number": 12, "part": 3, "source_component": "execution_engine", "correlation_id": "c",
            "workflow_id": "0198f2b4-0000-7000-8000-000000000002", "task_id": "read", "provider_id": "files", "severity": "warning",
            "payload": {"method": "files/read", "attempt": 2, "error": {"message": "no such\nfile"}}
        }))
        .unwrap();
        let mut out = Out::new();
        out.colours = false;
        assert_eq!(
            event_line(&out, &event),
            "    12.3  10:30:00.123  task:failed                   execution_engine        0198f2b4-0000/read @files files/read attempt 2 no such file"
        );
    }
}
