//! `trackside dead-letters`: what could not be handed over or published: listed, shown, tried again, given up.
//! What becomes of them is the host's.

use std::{fs, path::PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, value::RawValue};

use super::{
    CliError,
    client::{Answered, HostArg},
    print::{self, Out},
    source::{Pairs, SourceArg},
};
use crate::params::MAX_LIMIT;

/// Characters of a reason in a list.
const MOST_REASON: usize = 60;

#[derive(Subcommand)]
pub(super) enum DeadLetterVerb {
    /// List them, oldest first.
    List {
        #[command(flatten)]
        which: WhichArg,
        /// So many at most.
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: usize,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: SourceArg,
    },
    /// Show one: what it is about, what each attempt came to, and what was done about it since.
    Show {
        /// Its number.
        id: u64,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        at: SourceArg,
    },
    /// Try one again, or all that match: hand it to its observer once more, or publish it once more.
    Redrive {
        /// Its number.
        id: Option<u64>,
        /// A file with the JSON to be its payload instead.
        #[arg(long, value_name = "FILE", requires = "id")]
        payload: Option<PathBuf>,
        #[command(flatten)]
        many: ManyArg,
    },
    /// Give some up.
    Purge {
        /// Its number.
        id: Option<u64>,
        /// Why, for the log.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        many: ManyArg,
    },
}

/// Which letters.
#[derive(Args, Clone, Debug)]
pub(super) struct WhichArg {
    /// Of these types: patterns, with commas.
    #[arg(long = "type", value_name = "PATTERN")]
    types: Vec<String>,
    /// Of these plugins, with commas.
    #[arg(long, value_name = "NAME")]
    plugin: Vec<String>,
    /// That died longer ago, as in 2h.
    #[arg(long, value_name = "TIME")]
    older_than: Option<String>,
}

/// Which letters, and how a host is asked.
#[derive(Args, Clone, Debug)]
pub(super) struct ManyArg {
    #[command(flatten)]
    which: WhichArg,
    /// Every one.
    #[arg(long, conflicts_with_all = ["id", "types", "plugin", "older_than"])]
    all: bool,
    /// The host's answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    host: HostArg,
}

impl WhichArg {
    fn pairs(&self) -> Pairs {
        let pair = |name: &str, value: &String| (name.to_owned(), value.clone());
        let mut pairs: Pairs = self.types.iter().map(|types| pair("type", types)).collect();
        pairs.extend(self.plugin.iter().map(|plugin| pair("plugin", plugin)));
        pairs.extend(self.older_than.iter().map(|age| pair("older_than", age)));
        pairs
    }
}

impl ManyArg {
    /// Which, as the host is asked; one that is named stands alone.
    fn query(&self, id: Option<u64>) -> Result<Vec<(&'static str, String)>, CliError> {
        let mut query: Vec<(&'static str, String)> = Vec::new();
        query.extend(id.map(|id| ("id", id.to_string())));
        query.extend(self.which.types.iter().map(|types| ("type", types.clone())));
        query.extend(self.which.plugin.iter().map(|plugin| ("plugin", plugin.clone())));
        query.extend(self.which.older_than.iter().map(|age| ("older_than", age.clone())));
        match (query.is_empty(), self.all) {
            (true, false) => Err(CliError::Usage("say which: a number, --type, --plugin, --older-than, or --all".to_owned())),
            (true, true) => Ok(vec![("all", "true".to_owned())]),
            _ => Ok(query),
        }
    }

    fn ask(&self, verb: &str, query: &[(&str, String)]) -> Result<Answered, CliError> {
        self.host.operator()?.post_query(&format!("/v1/dead-letters/{verb}"), query)
    }

    fn tell(&self, out: &mut Out, answered: &Answered) -> Result<Option<Value>, CliError> {
        if !self.json {
            return answered.done().map(Some);
        }
        out.line(&print::one_line(&answered.text))?;
        if answered.status < 400 { Ok(None) } else { Err(CliError::Told) }
    }
}

pub(super) fn run(verb: DeadLetterVerb) -> Result<(), CliError> {
    match verb {
        DeadLetterVerb::List { which, limit, json, at } => list(&which, limit, json, &at),
        DeadLetterVerb::Show { id, json, at } => show(id, json, &at),
        DeadLetterVerb::Redrive { id: Some(id), payload, many } => redrive(id, payload, &many),
        DeadLetterVerb::Redrive { id: None, many, .. } => redrive_many(&many),
        DeadLetterVerb::Purge { id, reason, many } => purge(id, reason, &many),
    }
}

fn list(which: &WhichArg, limit: usize, json: bool, at: &SourceArg) -> Result<(), CliError> {
    let source = at.open()?;
    let (mut rows, mut after) = (Vec::new(), None);
    while rows.len() < limit {
        let mut pairs = which.pairs();
        pairs.push(("limit".to_owned(), (limit - rows.len()).min(MAX_LIMIT).to_string()));
        pairs.extend(after.take().map(|after: u64| ("after".to_owned(), after.to_string())));
        let page = source.dead_letters(&pairs)?;
        rows.extend(page["dead_letters"].as_array().into_iter().flatten().cloned());
        match page["next"].as_u64() {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let mut out = Out::new();
    if json {
        return rows.iter().try_for_each(|row| out.line(&row.to_string()));
    }
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    print::table(&["dead letter", "plugin", "event", "died", "why", "attempts", "reason"], &cells)
        .iter()
        .try_for_each(|line| out.line(line))
}

fn cells(row: &Value) -> Vec<String> {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| row[name].as_u64().map(|number| number.to_string()).unwrap_or_default();
    let died = text("dead_at");
    let died = died.get(..19).map_or(died.clone(), |time| time.replace('T', " "));
    vec![
        number("dead_letter"),
        text("plugin"),
        text("event_type"),
        died,
        text("code"),
        number("attempts"),
        print::clip(&text("reason"), MOST_REASON),
    ]
}

fn show(id: u64, json: bool, at: &SourceArg) -> Result<(), CliError> {
    let letter = at.open()?.dead_letter(id)?;
    let mut out = Out::new();
    if json {
        return out.line(&letter.to_string());
    }
    for name in
        ["dead_letter", "dead_at", "plugin", "code", "reason", "event_type", "sequence_number", "event_id", "correlation_id", "cause"]
    {
        match &letter[name] {
            Value::Null => {}
            Value::String(text) => out.line(&format!("{name:<15} {text}"))?,
            other => out.line(&format!("{name:<15} {other}"))?,
        }
    }
    let payload = if letter["event"].is_null() { &letter["payload"] } else { &letter["event"]["payload"] };
    out.line(&format!("{:<15} {payload}", "payload"))?;
    let attempts = letter["attempts"].as_array().into_iter().flatten();
    let redrives =
        letter["redrives"].as_array().into_iter().flatten().map(|redrive| &redrive["attempt"]).filter(|attempt| !attempt.is_null());
    for attempt in attempts.chain(redrives) {
        let text = |name: &str| attempt[name].as_str().unwrap_or_default();
        out.line(&format!("attempt {:<7} {} {} {}", attempt["attempt"], text("at"), text("version"), text("error")))?;
    }
    out.flush()
}

fn redrive(id: u64, payload: Option<PathBuf>, many: &ManyArg) -> Result<(), CliError> {
    let mut body = String::new();
    if let Some(path) = payload {
        let text = fs::read_to_string(&path).map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))?;
        let payload: Box<RawValue> =
            serde_json::from_str(&text).map_err(|error| CliError::Failed(format!("{}: {error}", path.display())))?;
        body = format!("{{\"payload\":{}}}", payload.get());
    }
    let headers = [("Content-Type", "application/json")];
    let answered = many.host.operator()?.post(&format!("/v1/dead-letters/{id}/redrive"), &headers, &body)?;
    let mut out = Out::new();
    let Some(answer) = many.tell(&mut out, &answered)? else { return Ok(()) };
    out.line(&sentence(id, &answer))
}

fn sentence(id: u64, answer: &Value) -> String {
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    match text("outcome") {
        "taken" => format!("{id}: '{}' took it", answer["plugin"].as_str().unwrap_or("the observer")),
        "handed_on" => format!("{id}: '{}' has it in hand", answer["plugin"].as_str().unwrap_or("the reader")),
        "published" => format!("{id}: it is published again, as {}", text("event_id")),
        "not_taken" => format!("{id}: it was not taken, and stays: {}", text("reason")),
        _ => format!("{id}: it stays: {}", text("reason")),
    }
}

fn redrive_many(many: &ManyArg) -> Result<(), CliError> {
    let query = many.query(None)?;
    let (mut out, mut after, mut tried) = (Out::new(), 0, 0);
    loop {
        // What stays lies behind it, so that nothing is tried twice in one go.
        let mut query = query.clone();
        query.push(("after", after.to_string()));
        let answered = many.ask("redrive", &query)?;
        let next = answered.json()?["next"].as_u64();
        if let Some(answer) = many.tell(&mut out, &answered)? {
            for one in answer["redriven"].as_array().into_iter().flatten() {
                out.line(&sentence(one["dead_letter"].as_u64().unwrap_or_default(), one))?;
                tried += 1;
            }
        }
        match next {
            Some(next) => after = next,
            None if tried == 0 && !many.json => return out.line("there are no such dead letters"),
            None => return out.flush(),
        }
    }
}

fn purge(id: Option<u64>, reason: Option<String>, many: &ManyArg) -> Result<(), CliError> {
    let mut query = many.query(id)?;
    query.extend(reason.map(|reason| ("reason", reason)));
    query.push(("limit", MAX_LIMIT.to_string()));
    let (mut out, mut purged) = (Out::new(), 0);
    loop {
        let answered = many.ask("purge", &query)?;
        let Some(answer) = many.tell(&mut out, &answered)? else { return Ok(()) };
        purged += answer["purged"].as_u64().unwrap_or_default();
        if answer["next"].is_null() || answer["purged"] == 0 {
            return out.line(&format!("purged: {purged} dead letters"));
        }
    }
}
