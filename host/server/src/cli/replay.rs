//! `trackside replay`: stretches of the past, handed once more to one observer or durable reader: begun, watched, listed, shown, stopped.
//! What a replay does is the host's.

use std::{io::IsTerminal as _, thread, time::Duration};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    CliError,
    client::{Client, HostArg},
    print::Out,
    source::Pairs,
};

/// Between two looks at a replay that is waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Subcommand)]
pub(super) enum ReplayVerb {
    /// Begin one: to an observer, or to a durable reader.
    Begin(Box<BeginArgs>),
    /// List those that are under way.
    List {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArg,
    },
    /// Show one that is under way, or what became of it.
    Show {
        /// Its id.
        id: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        host: HostArg,
    },
    /// End one before its time: what was handed over stays so.
    Stop {
        /// Its id.
        id: String,
        #[command(flatten)]
        host: HostArg,
    },
}

#[derive(Args)]
pub(super) struct BeginArgs {
    /// To whom: observer/NAME or reader/NAME.
    to: String,
    /// Types or patterns, of those that it wants anyway: `order:placed`, `order:*`; several with commas, or by repeating it.
    #[arg(long = "type", value_name = "PATTERN")]
    types: Vec<String>,
    /// At least this severity: debug, info, warning, error, critical.
    #[arg(long)]
    severity: Option<String>,
    /// From these sources.
    #[arg(long)]
    source: Vec<String>,
    /// In these correlations.
    #[arg(long, value_name = "ID")]
    correlation_id: Vec<String>,
    /// Of these workflows.
    #[arg(long, value_name = "ID")]
    workflow_id: Vec<String>,
    /// For which this holds, in CEL: `event.payload.amount > 100`.
    #[arg(long, value_name = "CONDITION")]
    when: Option<String>,
    /// Recorded then or later (RFC 3339).
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Recorded before then.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// From this sequence number on [default: the beginning].
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// Up to this sequence number [default: where the log ends now, or a reader has come].
    #[arg(long, value_name = "N")]
    through: Option<u64>,
    /// How fast: full, or recorded, with the pauses between events as they were.
    #[arg(long, value_name = "PACE")]
    pace: Option<String>,
    /// So many times as fast as it was recorded.
    #[arg(long, value_name = "N")]
    speed: Option<f64>,
    /// The plugin that may reach the world outside once more, by its name.
    #[arg(long, value_name = "NAME")]
    effects_of: Option<String>,
    /// Wait for its end, and show how far it has come.
    #[arg(long)]
    wait: bool,
    /// The host's answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

impl BeginArgs {
    fn pairs(&self) -> Pairs {
        let mut pairs: Pairs = vec![("to".to_owned(), self.to.clone())];
        let lists =
            [("type", &self.types), ("source", &self.source), ("correlation_id", &self.correlation_id), ("workflow_id", &self.workflow_id)];
        for (name, values) in lists {
            pairs.extend(values.iter().map(|value| (name.to_owned(), value.clone())));
        }
        let texts = [
            ("severity", self.severity.clone()),
            ("when", self.when.clone()),
            ("since", self.since.clone()),
            ("until", self.until.clone()),
            ("from", self.from.map(|from| from.to_string())),
            ("through", self.through.map(|through| through.to_string())),
            ("pace", self.pace.clone()),
            ("speed", self.speed.map(|speed| speed.to_string())),
            ("effects_of", self.effects_of.clone()),
        ];
        pairs.extend(texts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        pairs
    }
}

pub(super) fn run(verb: ReplayVerb) -> Result<(), CliError> {
    match verb {
        ReplayVerb::Begin(args) => begin(&args),
        ReplayVerb::List { json, host } => list(&host, json),
        ReplayVerb::Show { id, json, host } => show(&host.client()?, &id, json),
        ReplayVerb::Stop { id, host } => {
            let stopped = host.operator()?.delete(&path(&id)?)?.done()?;
            Out::new().line(&told(&stopped))
        }
    }
}

fn path(id: &str) -> Result<String, CliError> {
    match id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && !id.is_empty() {
        true => Ok(format!("/v1/replays/{id}")),
        false => Err(CliError::Usage(format!("'{id}' is no replay's id; trackside replay list shows them"))),
    }
}

fn begin(args: &BeginArgs) -> Result<(), CliError> {
    let client = args.host.operator()?;
    let pairs = args.pairs();
    let query: Vec<(&str, String)> = pairs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let begun = client.post_query("/v1/replays", &query)?.done()?;
    let mut out = Out::new();
    if !args.wait {
        return out.line(&if args.json { begun.to_string() } else { told(&begun) });
    }
    let shows = std::io::stderr().is_terminal();
    let path = path(begun["id"].as_str().unwrap_or_default())?;
    let ended = loop {
        let replay = client.get(&path, &[])?.done()?;
        if !matches!(replay["state"].as_str(), Some("running" | "waiting")) {
            break replay;
        }
        if shows {
            eprint!("\r{}\x1b[K", told(&replay).replace('\n', " "));
        }
        thread::sleep(LOOK_AGAIN);
    };
    if shows {
        eprint!("\r\x1b[K");
    }
    out.line(&if args.json { ended.to_string() } else { told(&ended) })?;
    if ended["state"] == "completed" { Ok(()) } else { Err(CliError::Told) }
}

fn list(host: &HostArg, as_json: bool) -> Result<(), CliError> {
    let answer = host.client()?.get("/v1/replays", &[])?.done()?;
    let replays = answer["replays"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut out = Out::new();
    if as_json {
        return replays.iter().try_for_each(|replay| out.line(&replay.to_string()));
    }
    if replays.is_empty() {
        return out.line("no replay is under way; trackside events list --type 'replay:*' shows those that were");
    }
    replays.iter().try_for_each(|replay| out.line(&told(replay)))
}

fn show(client: &Client, id: &str, as_json: bool) -> Result<(), CliError> {
    let replay = client.get(&path(id)?, &[])?.done()?;
    Out::new().line(&if as_json { replay.to_string() } else { told(&replay) })
}

/// A share of a hundred, drawn.
fn bar(share: u64) -> String {
    let full = usize::try_from(share.min(100) / 5).unwrap_or(20);
    format!("{}{}", "█".repeat(full), "░".repeat(20 - full))
}

fn count(events: u64) -> String {
    if events == 1 { "1 event".to_owned() } else { format!("{events} events") }
}

/// One line for people.
fn told(replay: &Value) -> String {
    let text = |name: &str| replay[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| replay[name].as_u64().unwrap_or_default();
    let (from, through, at) = (number("from"), number("through"), number("at"));
    let share = (at + 1).saturating_sub(from) * 100 / (through + 1).saturating_sub(from).max(1);
    let mut line = format!(
        "{}  to {}  {from} to {through}  {} {share:>3} %  {}  {}",
        text("id"),
        text("to"),
        bar(share),
        count(number("events")),
        text("state")
    );
    if number("trimmed") > 0 {
        line.push_str(&format!("  ({} of it had been trimmed)", count(number("trimmed"))));
    }
    if let Some(reason) = replay["reason"].as_str() {
        line.push_str(&format!("\n  {reason}"));
    }
    line
}
