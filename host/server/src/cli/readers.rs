//! `trackside readers`: durable readers listed, made and taken away, and read from: events as lines, each acknowledged once it is printed.
//! What a reader does is the host's.

use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use trackside_model::{
    event::{Event, cloud_event::Form},
    reader::check_name,
};

use super::{
    CliError,
    client::{Client, HostArg},
    print::{self, Out},
    source::Pairs,
};
use crate::params::{DEFAULT_LIMIT, MAX_LIMIT};

/// How long one request waits for events.
const WAIT_MS: u64 = 30_000;

#[derive(Subcommand)]
pub(super) enum ReadersVerb {
    /// List the durable readers, how far each has come and how far it is behind.
    List(ListArgs),
    /// Make a reader, or have one read differently from now on.
    Set(Box<SetArgs>),
    /// Take a reader away, its cursor too.
    Remove(RemoveArgs),
    /// Print what comes next for a reader, and acknowledge what was printed.
    Read(ReadArgs),
}

#[derive(Args)]
pub(super) struct ListArgs {
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

#[derive(Args)]
pub(super) struct SetArgs {
    /// Its name.
    name: String,
    /// Types or patterns: `order:placed`, `order:*`; several with commas, or by repeating it.
    #[arg(long = "type", value_name = "PATTERN")]
    types: Vec<String>,
    /// At least this severity: debug, info, warning, error, critical.
    #[arg(long)]
    severity: Option<String>,
    /// From these sources.
    #[arg(long)]
    source: Vec<String>,
    /// For which this holds, in CEL: `event.payload.amount > 100`.
    #[arg(long, value_name = "CONDITION")]
    when: Option<String>,
    /// The moments that led to facts, too.
    #[arg(long)]
    narration: bool,
    /// Where it begins: start, end, or behind this position [default: a new one at the end, another where it is].
    #[arg(long, value_name = "POSITION")]
    from: Option<String>,
    /// In which order: none, correlation (one after the other within each), log (one after the other).
    #[arg(long)]
    order: Option<String>,
    /// Events handed out and not acknowledged, at most.
    #[arg(long, value_name = "N")]
    in_flight: Option<u32>,
    /// How long an event may be out before it is handed out again.
    #[arg(long, value_name = "MS")]
    ack_wait_ms: Option<u64>,
    /// Deliveries of one event before it is a dead letter.
    #[arg(long, value_name = "N")]
    deliveries: Option<u32>,
    /// The host's answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

#[derive(Args)]
pub(super) struct RemoveArgs {
    /// Its name.
    name: String,
    #[command(flatten)]
    host: HostArg,
}

#[derive(Args)]
pub(super) struct ReadArgs {
    /// Its name.
    name: String,
    /// So many at most [default: what is there].
    #[arg(long, value_name = "N", conflicts_with = "follow")]
    limit: Option<usize>,
    /// Wait so long for the first of them.
    #[arg(long, value_name = "TIME", default_value = "0s", conflicts_with = "follow")]
    wait: String,
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
    host: HostArg,
}

pub(super) fn run(verb: ReadersVerb) -> Result<(), CliError> {
    match verb {
        ReadersVerb::List(args) => list(&args),
        ReadersVerb::Set(args) => set(&args),
        ReadersVerb::Remove(args) => remove(&args),
        ReadersVerb::Read(args) => read(&args),
    }
}

fn path(name: &str) -> Result<String, CliError> {
    check_name(name).map_err(|error| CliError::Usage(error.to_string()))?;
    Ok(format!("/v1/readers/{name}"))
}

fn list(args: &ListArgs) -> Result<(), CliError> {
    let answer = args.host.client()?.get("/v1/readers", &[])?.done()?;
    let readers = answer["readers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut out = Out::new();
    if args.json {
        return readers.iter().try_for_each(|reader| out.line(&reader.to_string()));
    }
    if readers.is_empty() {
        return out.line("there is no durable reader; trackside readers set NAME makes one");
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let types = |reader: &Value| match reader["options"]["filter"]["event_types"].as_array() {
        Some(patterns) => patterns.iter().map(text).collect::<Vec<_>>().join(","),
        None => "every fact".to_owned(),
    };
    let row = |reader: &Value| {
        let mut cells: Vec<String> = ["name", "cursor", "behind", "in_flight", "waiting"].map(|name| text(&reader[name])).into();
        cells.push(text(&reader["options"]["order"]));
        cells.push(types(reader));
        cells
    };
    let cells: Vec<Vec<String>> = readers.iter().map(row).collect();
    print::table(&["name", "cursor", "behind", "in flight", "waiting", "order", "wants"], &cells).iter().try_for_each(|line| out.line(line))
}

impl SetArgs {
    fn pairs(&self) -> Pairs {
        let mut pairs = Pairs::new();
        for (name, values) in [("type", &self.types), ("source", &self.source)] {
            pairs.extend(values.iter().map(|value| (name.to_owned(), value.clone())));
        }
        let texts = [("severity", &self.severity), ("when", &self.when), ("from", &self.from), ("order", &self.order)];
        for (name, value) in texts {
            pairs.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
        }
        let numbers = [
            ("in_flight", self.in_flight.map(u64::from)),
            ("ack_wait_ms", self.ack_wait_ms),
            ("deliveries", self.deliveries.map(u64::from)),
        ];
        pairs.extend(numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_string()))));
        if self.narration {
            pairs.push(("narration".to_owned(), "true".to_owned()));
        }
        pairs
    }
}

fn set(args: &SetArgs) -> Result<(), CliError> {
    let answered = args.host.client()?.put(&path(&args.name)?, &args.pairs())?;
    let status = answered.done()?;
    let mut out = Out::new();
    if args.json {
        return out.line(&status.to_string());
    }
    let done = if answered.status == 201 { "was made" } else { "reads like this from now on" };
    out.line(&format!(
        "{} {done}: it stands at {}, {} events behind",
        args.name,
        status["cursor"].as_str().unwrap_or_default(),
        status["behind"]
    ))
}

fn remove(args: &RemoveArgs) -> Result<(), CliError> {
    args.host.client()?.delete(&path(&args.name)?)?.done()?;
    Out::new().line(&format!("{} is gone", args.name))
}

/// What a host hands out.
#[derive(Deserialize)]
struct Deliveries {
    deliveries: Vec<Delivery>,
}

#[derive(Deserialize)]
struct Delivery {
    position: String,
    event: Box<RawValue>,
}

fn read(args: &ReadArgs) -> Result<(), CliError> {
    let wait_ms = crate::params::duration_ms("--wait", &args.wait).map_err(|error| CliError::Usage(error.to_string()))?;
    if args.limit == Some(0) {
        return Err(CliError::Usage("--limit: 0 is nothing; leave it out for all that is there".to_owned()));
    }
    let client = args.host.client()?;
    let mut out = Out::new();
    let until = Instant::now() + Duration::from_millis(wait_ms);
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut waits = true;
    while left > 0 {
        let wait_ms = match args.follow {
            true => WAIT_MS,
            false if waits => u64::try_from(until.saturating_duration_since(Instant::now()).as_millis()).unwrap_or(0).min(WAIT_MS),
            false => 0,
        };
        let limit = left.min(if args.follow { DEFAULT_LIMIT } else { MAX_LIMIT });
        let count = take(&client, args, &[("limit", limit.to_string()), ("wait_ms", wait_ms.to_string())], &mut out)?;
        left = left.saturating_sub(count);
        waits &= count == 0;
        if count == 0 && !args.follow && (!waits || Instant::now() >= until) {
            break;
        }
    }
    Ok(())
}

/// Prints what comes, and acknowledges it: in this order, so that what nobody has seen comes again.
fn take(client: &Client, args: &ReadArgs, asked: &[(&str, String)], out: &mut Out) -> Result<usize, CliError> {
    let path = path(&args.name)?;
    let mut query = asked.to_vec();
    if args.format != Form::default() {
        query.push(("format", args.format.to_string()));
    }
    let answered = client.post_query(&format!("{path}/next"), &query)?;
    answered.done()?;
    let read = serde_json::from_str::<Deliveries>(&answered.text);
    let Deliveries { deliveries } = read.map_err(|error| CliError::Failed(format!("the answer cannot be read: {error}")))?;
    if deliveries.is_empty() {
        return Ok(0);
    }
    for delivery in &deliveries {
        let line = if args.json || args.format != Form::default() {
            print::one_line(delivery.event.get())
        } else {
            let event: Event = serde_json::from_str(delivery.event.get())
                .map_err(|error| CliError::Failed(format!("an event cannot be read: {error}")))?;
            print::event_line(out, &event)
        };
        out.line(&line)?;
    }
    out.flush()?;
    let positions: Vec<&str> = deliveries.iter().map(|delivery| delivery.position.as_str()).collect();
    let body = json!({"acknowledge": positions}).to_string();
    client.post(&format!("{path}/settle"), &[("Content-Type", "application/json")], &body)?.done()?;
    Ok(deliveries.len())
}
