//! `trackside publish`: events from a file, from standard input or from flags, each call under ids of its own.
//! What is right about an event is for the host to say.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    CliError,
    client::{Answered, Client, HostArg},
    print::{self, Out},
};

/// Lines sent in one request: few enough that the answers fit between two programs that do not read and write at the same time.
const LINES_A_REQUEST: usize = 500;
const CLOUD_EVENT: &str = "application/cloudevents+json";
const CLOUD_EVENTS: &str = "application/cloudevents-batch+json";
/// Bytes sent in one request, about.
const BYTES_A_REQUEST: usize = 4 << 20;

#[derive(Args)]
pub(super) struct PublishArgs {
    /// A JSON object, an array of them, or one a line (NDJSON), events or CloudEvents; `-` reads standard input.
    #[arg(value_name = "FILE", required_unless_present = "event_type", conflicts_with = "event_type")]
    file: Option<PathBuf>,
    /// The event's type: `order:placed`.
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// The component that publishes.
    #[arg(long, requires = "event_type", default_value = "cli")]
    source: String,
    /// Any JSON, or @FILE.
    #[arg(long, requires = "event_type", value_name = "JSON")]
    payload: Option<String>,
    /// debug, info, warning, error, critical.
    #[arg(long, requires = "event_type")]
    severity: Option<String>,
    /// The event's identity [default: a new one].
    #[arg(long, requires = "event_type", value_name = "UUID")]
    event_id: Option<String>,
    /// Groups what belongs together.
    #[arg(long, requires = "event_type", value_name = "ID")]
    correlation_id: Option<String>,
    /// The event that caused it.
    #[arg(long, requires = "event_type", value_name = "ID")]
    causation_id: Option<String>,
    /// The workflow it belongs to.
    #[arg(long, requires = "event_type", value_name = "ID")]
    workflow_id: Option<String>,
    /// The task it belongs to.
    #[arg(long, requires = "event_type", value_name = "ID")]
    task_id: Option<String>,
    /// A small fact beside the payload.
    #[arg(long, requires = "event_type", value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    /// What the last event of its workflow, or of its correlation, must be; 0: there must be none.
    #[arg(long, requires = "event_type", value_name = "SEQUENCE")]
    expected_sequence: Option<u64>,
    /// All of an array, or nothing of it.
    #[arg(long, requires = "file", conflicts_with = "ordered")]
    atomic: bool,
    /// One event at a time, so that they stand in the log exactly in this order whatever control handlers do.
    #[arg(long)]
    ordered: bool,
    /// The host's answers, one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

pub(super) fn run(args: &PublishArgs) -> Result<(), CliError> {
    publish(args).map_err(|error| match (error, args.file.as_deref().map(name_of)) {
        // What the host says of a file's text does not name the file.
        (CliError::Failed(message), Some(name)) if !message.starts_with(&name) => CliError::Failed(format!("{name}: {message}")),
        (error, _) => error,
    })
}

/// As it is spoken of in messages.
fn name_of(file: &Path) -> String {
    if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() }
}

fn publish(args: &PublishArgs) -> Result<(), CliError> {
    let client = args.host.client()?;
    let text = match &args.file {
        Some(file) => read(file)?,
        None => args.event()?.to_string(),
    };
    let mut tally = Tally { out: Out::new(), json: args.json, taken: 0, refused: 0, many: false };
    match form(&text) {
        Form::One | Form::Lines if args.atomic => {
            return Err(CliError::Failed("--atomic takes an array: [{\"event_type\": …}, …]".to_owned()));
        }
        Form::One => tally.one(&post(&client, args, media(&text, "application/json", CLOUD_EVENT), &text)?)?,
        Form::Array => {
            let answered = post(&client, args, media(&text, "application/json", CLOUD_EVENTS), &text)?;
            tally.array(&answered, |place| format!("event {}", place + 1))?;
        }
        // There is no form for many of them but a batch.
        Form::Lines if are_cloud_events(&text) => {
            let lines: Vec<(usize, &str)> = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).collect();
            for lines in lines.chunks(LINES_A_REQUEST) {
                let batch: Vec<&str> = lines.iter().map(|(_, line)| *line).collect();
                let answered = post(&client, args, CLOUD_EVENTS, &format!("[{}]", batch.join(",\n")))?;
                tally.array(&answered, |place| format!("line {}", lines.get(place).map_or(0, |(number, _)| *number)))?;
            }
        }
        Form::Lines => {
            let mut from = 1;
            for chunk in chunks(&text) {
                tally.lines(&post(&client, args, "application/x-ndjson", &chunk)?, from)?;
                from += chunk.lines().count();
            }
        }
        Form::Nothing => return Err(CliError::Failed("there is no event in it".to_owned())),
    }
    tally.end()
}

/// The content of a file, or of standard input for `-`.
pub(super) fn read(file: &Path) -> Result<String, CliError> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map_err(|error| CliError::Failed(format!("{}: {error}", name_of(file))))?;
        return Ok(text);
    }
    fs::read_to_string(file).map_err(|error| CliError::Failed(format!("{}: {error}", name_of(file))))
}

/// JSON from an argument, or from the file that `@FILE` names.
pub(super) fn json_argument(flag: &str, text: &str) -> Result<Value, CliError> {
    let (place, text) = match text.strip_prefix('@') {
        Some(file) => (file.to_owned(), read(Path::new(file))?),
        None => (flag.to_owned(), text.to_owned()),
    };
    serde_json::from_str(&text).map_err(|error| CliError::Failed(format!("{place}: {error}; write JSON, such as '{{\"a\": 1}}', or @FILE")))
}

impl PublishArgs {
    fn event(&self) -> Result<Value, CliError> {
        let mut event = Map::new();
        event.insert("source_component".to_owned(), json!(self.source));
        let fields = [
            ("event_type", &self.event_type),
            ("severity", &self.severity),
            ("event_id", &self.event_id),
            ("correlation_id", &self.correlation_id),
            ("causation_id", &self.causation_id),
            ("workflow_id", &self.workflow_id),
            ("task_id", &self.task_id),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                event.insert(name.to_owned(), json!(value));
            }
        }
        if let Some(expected) = self.expected_sequence {
            event.insert("expected_sequence".to_owned(), json!(expected));
        }
        if let Some(payload) = &self.payload {
            event.insert("payload".to_owned(), json_argument("--payload", payload)?);
        }
        let mut metadata = Map::new();
        for pair in &self.metadata {
            let (key, value) = pair.split_once('=').ok_or_else(|| CliError::Usage(format!("--metadata: '{pair}' is not KEY=VALUE")))?;
            metadata.insert(key.to_owned(), json!(value));
        }
        if !metadata.is_empty() {
            event.insert("metadata".to_owned(), Value::Object(metadata));
        }
        Ok(Value::Object(event))
    }
}

fn post(client: &Client, args: &PublishArgs, media: &str, text: &str) -> Result<Answered, CliError> {
    // An identity for each call: sent twice on purpose is two events, sent twice by the network is one.
    let key = Uuid::now_v7().to_string();
    let path = match args {
        PublishArgs { atomic: true, .. } => "/v1/events?atomic=true",
        PublishArgs { ordered: true, .. } => "/v1/events?ordered=true",
        _ => "/v1/events",
    };
    client.post(path, &[("Content-Type", media), ("Idempotency-Key", &key)], text)
}

fn media(text: &str, plain: &'static str, cloud_events: &'static str) -> &'static str {
    if are_cloud_events(text) { cloud_events } else { plain }
}

/// Whether the first event says of which version of CloudEvents it is. What is no JSON is for the host to judge.
fn are_cloud_events(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Marked {
        specversion: Option<IgnoredAny>,
    }
    let text = text.trim_start().trim_start_matches('[');
    let first = serde_json::Deserializer::from_str(text).into_iter::<Marked>().next();
    first.is_some_and(|first| first.is_ok_and(|first| first.specversion.is_some()))
}

#[derive(Debug, PartialEq, Eq)]
enum Form {
    Nothing,
    One,
    Array,
    Lines,
}

/// Several values, each on a line of its own, are NDJSON; everything else is for the host to judge, with line and column.
fn form(text: &str) -> Form {
    let text = text.trim();
    if text.is_empty() {
        return Form::Nothing;
    }
    if text.starts_with('[') {
        return Form::Array;
    }
    let first_line = text.lines().next().unwrap_or_default();
    let whole = serde_json::from_str::<serde::de::IgnoredAny>(first_line).is_ok();
    if whole && text.lines().nth(1).is_some() { Form::Lines } else { Form::One }
}

/// The text in pieces of whole lines.
fn chunks(text: &str) -> Vec<String> {
    let mut chunks = vec![String::new()];
    let mut lines = 0;
    for line in text.lines() {
        let full = lines == LINES_A_REQUEST || chunks.last().is_some_and(|chunk| chunk.len() + line.len() > BYTES_A_REQUEST);
        if full && lines > 0 {
            chunks.push(String::new());
            lines = 0;
        }
        if let Some(chunk) = chunks.last_mut() {
            chunk.push_str(line);
            chunk.push('\n');
        }
        lines += 1;
    }
    chunks
}

/// What became of the events.
struct Tally {
    out: Out,
    json: bool,
    taken: usize,
    refused: usize,
    many: bool,
}

impl Tally {
    fn one(&mut self, answered: &Answered) -> Result<(), CliError> {
        if self.json {
            self.out.line(&print::one_line(&answered.text))?;
            return if answered.status < 400 { Ok(()) } else { Err(CliError::Told) };
        }
        let answer = answered.done()?;
        self.out.line(&sentence(&answer))
    }

    fn array(&mut self, answered: &Answered, named: impl Fn(usize) -> String) -> Result<(), CliError> {
        let answers = answered.done()?;
        for (place, answer) in answers.as_array().into_iter().flatten().enumerate() {
            self.count(answer, &named(place))?;
        }
        Ok(())
    }

    fn lines(&mut self, answered: &Answered, from: usize) -> Result<(), CliError> {
        if answered.status >= 400 {
            return Err(answered.refusal());
        }
        for line in answered.text.lines() {
            let mut answer: Value =
                serde_json::from_str(line).map_err(|error| CliError::Failed(format!("the answer is no JSON: {error}")))?;
            let number = answer["line"].as_u64().map_or(0, |number| number as usize + from - 1);
            if let Some(members) = answer.as_object_mut() {
                members.insert("line".to_owned(), json!(number));
            }
            self.count(&answer, &format!("line {number}"))?;
        }
        Ok(())
    }

    fn count(&mut self, answer: &Value, place: &str) -> Result<(), CliError> {
        self.many = true;
        let taken = answer["status"].as_u64().is_some_and(|status| status < 400);
        if taken {
            self.taken += 1
        } else {
            self.refused += 1
        }
        if self.json {
            return self.out.line(&answer.to_string());
        }
        if !taken {
            eprintln!("{place}: {}", answer["detail"].as_str().unwrap_or("refused"));
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), CliError> {
        if self.many && !self.json {
            self.out.line(&format!("{} taken, {} refused", self.taken, self.refused))?;
        }
        self.out.flush()?;
        if self.refused > 0 { Err(CliError::Told) } else { Ok(()) }
    }
}

/// An answer that is no refusal, for people.
pub(super) fn sentence(answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().map(str::to_owned);
    let mut line = text("outcome").unwrap_or_default();
    if let Some(sequence) = answer["sequence_number"].as_u64() {
        line.push_str(&format!(" as number {sequence}"));
    }
    if let Some(id) = text("event_id") {
        line.push_str(&format!(", event {id}"));
    }
    if let Some(by) = text("by") {
        line.push_str(&format!(", by {by}"));
    }
    if let Some(reason) = text("reason") {
        line.push_str(&format!(": {reason}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_file_is_seen() {
        assert_eq!(form(" \n"), Form::Nothing);
        assert_eq!(form("{\n \"a\": 1\n}"), Form::One);
        assert_eq!(form("{\"a\": 1}"), Form::One);
        assert_eq!(form("{\"a\": }\n{}"), Form::One);
        assert_eq!(form("[\n{}]"), Form::Array);
        assert_eq!(form("{}\n{}\n"), Form::Lines);
    }

    #[test]
    fn cloud_events_are_known_by_their_version() {
        for text in [r#"{"id": "1", "specversion": "1.0"}"#, " [ {\"specversion\": \"1.0\"}, {}]", "{\"specversion\":\"1.0\"}\n{}"] {
            assert!(are_cloud_events(text), "{text}");
        }
        for text in ["", "[]", "{", r#"{"payload": {"specversion": "1.0"}}"#, "7"] {
            assert!(!are_cloud_events(text), "{text}");
        }
    }

    #[test]
    fn many_lines_become_several_requests_and_none_is_lost() {
        let text = "{}\n".repeat(LINES_A_REQUEST * 2 + 1);
        let chunks = chunks(&text);
        assert_eq!(chunks.iter().map(|chunk| chunk.lines().count()).collect::<Vec<_>>(), [LINES_A_REQUEST, LINES_A_REQUEST, 1]);
        assert_eq!(chunks.concat(), text);
    }

    #[test]
    fn an_answer_is_said_in_a_line() {
        assert_eq!(sentence(&json!({"outcome": "appended", "sequence_number": 7, "event_id": "e"})), "appended as number 7, event e");
        assert_eq!(sentence(&json!({"outcome": "skipped", "by": "quiet", "reason": "night"})), "skipped, by quiet: night");
    }
}
