//! `trackside events`: everything that matches, oldest first, and what comes, if asked to follow; one event explained.
//! Where it is read is `source`'s.

mod export;
mod filter;
mod survey;
mod trace;

use std::io::BufRead as _;

use clap::{Args, Subcommand};
use serde_json::Value;
use trackside_model::{
    event::{Event, cloud_event::Form},
    keeping::Gap,
};

use self::filter::FilterArgs;
use super::{
    CliError,
    print::{self, Out},
    source::{EventPage, Pairs, Source, SourceArg},
};
use crate::params::MAX_LIMIT;

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct EventsArgs {
    #[command(subcommand)]
    verb: Option<EventsVerb>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Subcommand)]
enum EventsVerb {
    /// List every match, oldest first (the same as `trackside events`).
    List(Box<ListArgs>),
    /// Show an event, the moments that led to it, and what control handlers decided about it.
    Explain(ExplainArgs),
    /// Count events: by type, component, source, severity, minute or hour.
    Stats(Box<survey::StatsArgs>),
    /// Measure how long it takes from one event to another: half, most and the slowest of them.
    Durations(Box<survey::DurationsArgs>),
    /// Say how much failed, of what succeeded and what failed.
    Rates(Box<survey::RatesArgs>),
    /// Write a stretch of the log as lines that `trackside store import` makes the same log of.
    Export(Box<export::ExportArgs>),
    /// Show everything that one request set in motion: a tree from causes to effects, with times and decisions.
    Trace(trace::TraceArgs),
}

#[derive(Args)]
struct ListArgs {
    #[command(flatten)]
    filter: FilterArgs,
    /// Whose payloads have these words: `late order`, `"no show" OR cancel*`; of the types that are opted in.
    #[arg(long, value_name = "WORDS", conflicts_with = "follow")]
    text: Option<String>,
    /// Behind this sequence number.
    #[arg(long, value_name = "POSITION")]
    after: Option<String>,
    /// So many at most [default: all].
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Facts only, without the moments that led to them.
    #[arg(long)]
    no_narration: bool,
    /// Go on with what comes, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    /// `cloudevents`: each as a CloudEvent, one JSON object a line.
    #[arg(long, value_name = "FORM", default_value_t)]
    format: Form,
    #[command(flatten)]
    at: SourceArg,
}

#[derive(Args)]
struct ExplainArgs {
    /// The event's id, or its sequence number.
    id: String,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// `cloudevents`: the same with events as CloudEvents.
    #[arg(long, value_name = "FORM", default_value_t)]
    format: Form,
    #[command(flatten)]
    at: SourceArg,
}

pub(super) fn run(args: EventsArgs) -> Result<(), CliError> {
    match args.verb {
        None => list(&args.list),
        Some(EventsVerb::List(list_args)) => list(&list_args),
        Some(EventsVerb::Explain(explain_args)) => explain(&explain_args),
        Some(EventsVerb::Stats(args)) => survey::stats(&args),
        Some(EventsVerb::Durations(args)) => survey::durations(&args),
        Some(EventsVerb::Rates(args)) => survey::rates(&args),
        Some(EventsVerb::Export(export_args)) => export::run(&export_args),
        Some(EventsVerb::Trace(trace_args)) => trace::run(&trace_args),
    }
}

impl ListArgs {
    fn pairs(&self) -> Pairs {
        let mut pairs = self.filter.pairs();
        if self.format != Form::default() {
            pairs.push(("format".to_owned(), self.format.to_string()));
        }
        pairs.extend(self.text.iter().map(|text| ("text".to_owned(), text.clone())));
        if self.no_narration {
            pairs.push(("narration".to_owned(), "false".to_owned()));
        }
        pairs
    }
}

/// What is printed, and how many are still wanted.
struct Printer {
    out: Out,
    json: bool,
    left: usize,
}

impl Printer {
    fn print(&mut self, event: &str) -> Result<(), CliError> {
        self.left = self.left.saturating_sub(1);
        if self.json {
            return self.out.line(&print::one_line(event));
        }
        let event: Event = serde_json::from_str(event).map_err(|error| CliError::Failed(format!("the answer holds no event: {error}")))?;
        let line = print::event_line(&self.out, &event);
        self.out.line(&line)
    }
}

fn list(args: &ListArgs) -> Result<(), CliError> {
    let source = args.at.open()?;
    let mut printer =
        Printer { out: Out::new(), json: args.json || args.format != Form::default(), left: args.limit.unwrap_or(usize::MAX) };
    if args.follow {
        return follow(args, &source, &mut printer);
    }
    let mut after = args.after.clone();
    while printer.left > 0 {
        let mut pairs = args.pairs();
        pairs.push(("limit".to_owned(), printer.left.min(MAX_LIMIT).to_string()));
        pairs.extend(after.take().map(|after| ("after".to_owned(), after)));
        let EventPage { events, next, trimmed } = source.events(&pairs)?;
        tell_gaps(&trimmed);
        for event in &events {
            printer.print(event.get())?;
        }
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    printer.out.flush()
}

/// What a stream says of what is no longer there.
#[derive(serde::Deserialize)]
struct Gaps {
    trimmed: Vec<Gap>,
}

/// Beside the output, which is for events.
fn tell_gaps(gaps: &[Gap]) {
    let (Some(first), Some(last)) = (gaps.first(), gaps.last()) else { return };
    let events: u64 = gaps.iter().map(Gap::events).sum();
    let among = if gaps.len() == 1 { "" } else { "among " };
    eprintln!("note: {events} events were trimmed: {among}{} to {}", first.from, last.to);
}

fn follow(args: &ListArgs, source: &Source, printer: &mut Printer) -> Result<(), CliError> {
    let Source::Host(client) = source else {
        return Err(CliError::Usage("--follow needs a running host: leave out --data".to_owned()));
    };
    let mut pairs = args.pairs();
    pairs.push(("after".to_owned(), args.after.clone().unwrap_or_else(|| "0".to_owned())));
    let lines = client.lines("/v1/events/stream", &pairs)?;
    let mut of_gaps = false;
    for line in lines.lines() {
        let line = line.map_err(|error| CliError::Unreachable(format!("the host at {} ended the stream: {error}", client.base())))?;
        if line.starts_with("event: ") {
            of_gaps = line == "event: trimmed";
        } else if let (Some(gaps), true) = (line.strip_prefix("data: "), std::mem::take(&mut of_gaps)) {
            tell_gaps(&serde_json::from_str::<Gaps>(gaps).map_err(CliError::failed)?.trimmed);
        } else if let Some(event) = line.strip_prefix("data: ") {
            printer.print(event)?;
            printer.out.flush()?;
        }
        if printer.left == 0 {
            return Ok(());
        }
        if line == ": the host is stopping" {
            return Err(CliError::Unreachable(format!("the host at {} is stopping", client.base())));
        }
    }
    // Only a stream that was asked to end somewhere ends by itself.
    if args.filter.until.is_some() {
        return Ok(());
    }
    Err(CliError::Unreachable(format!("the host at {} ended the stream", client.base())))
}

fn explain(args: &ExplainArgs) -> Result<(), CliError> {
    let id = args.id.parse().map_err(|error| CliError::Usage(format!("{error}")))?;
    let explained = args.at.open()?.explain(&id, args.format)?;
    let mut out = Out::new();
    if args.json || args.format != Form::default() {
        return out.line(&explained.to_string());
    }
    let event: Event = serde_json::from_value(explained["event"].clone()).map_err(CliError::failed)?;
    out.line(&print::event_line(&out, &event))?;
    print_envelope(&mut out, &event)?;
    print_narration(&mut out, &explained["narration"])?;
    print_decisions(&mut out, &explained["decisions"])
}

fn print_envelope(out: &mut Out, event: &Event) -> Result<(), CliError> {
    let id = event.event_id.to_string();
    let (timestamp, recorded_at) = (event.timestamp.to_string(), event.recorded_at.to_string());
    let fields = [
        ("event_id", Some(id.as_str())),
        ("severity", Some(event.severity.as_str())),
        ("timestamp", Some(&timestamp)),
        ("recorded_at", Some(&recorded_at)),
        ("correlation_id", Some(&*event.correlation_id)),
        ("causation_id", event.causation_id.as_deref()),
        ("workflow_id", event.workflow_id.as_deref()),
        ("task_id", event.task_id.as_deref()),
        ("provider_id", event.provider_id.as_deref()),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            out.line(&format!("  {name:<15} {value}"))?;
        }
    }
    for (name, value) in &event.metadata {
        out.line(&format!("  {:<15} {value}", format!("metadata.{name}")))?;
    }
    out.line(&format!("  {:<15} {}", "payload", print::one_line(event.payload.as_str())))
}

fn print_narration(out: &mut Out, narration: &Value) -> Result<(), CliError> {
    let moments = narration.as_array().map(Vec::as_slice).unwrap_or_default();
    if moments.is_empty() {
        return Ok(());
    }
    out.line("\nhow it came about")?;
    for moment in moments {
        let event: Event = serde_json::from_value(moment.clone()).map_err(CliError::failed)?;
        out.line(&print::event_line(out, &event))?;
    }
    Ok(())
}

fn print_decisions(out: &mut Out, decisions: &Value) -> Result<(), CliError> {
    let records = decisions.as_array().map(Vec::as_slice).unwrap_or_default();
    if records.is_empty() {
        return out.line("\nno control handler looked at it");
    }
    for record in records {
        let ended = record["ended_by"].as_str().map_or_else(|| "nobody ended the chain".to_owned(), |by| format!("ended by {by}"));
        out.line(&format!("\nat {}: {ended}", record["point"].as_str().unwrap_or_default()))?;
        let rows: Vec<Vec<String>> = record["checks"].as_array().into_iter().flatten().map(check_row).collect();
        for line in print::table(&["handler", "version", "settings", "answer", "time", "fuel", "judged with", "reason"], &rows) {
            out.line(&format!("  {line}"))?;
        }
    }
    Ok(())
}

fn check_row(check: &Value) -> Vec<String> {
    let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
    let amended = if check["amended"].as_bool() == Some(true) { " (amended)" } else { "" };
    vec![
        text("plugin"),
        text("version"),
        text("settings"),
        format!("{}{amended}", text("answer")),
        print::duration(check["duration_ns"].as_f64().unwrap_or_default() / 1e6),
        check["fuel"].as_u64().unwrap_or_default().to_string(),
        check["batch"].as_u64().map_or_else(|| "alone".to_owned(), |batch| format!("{} others", batch - 1)),
        text("reason"),
    ]
}
