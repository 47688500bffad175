//! `trackside plugin call`: a plugin called here and now with an event, a batch or a task, without a host, and all there is to tell of it.
//! The call and what it is told by are `offline`'s.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Map, Value};
use trackside_model::{control::DecisionPoint, event::Event, time::Timestamp};

use super::{super::publish::read, CliError, DirectoryArg, Out, component_path, print};
use crate::offline::{self, Call, Circumstances, Manner, MemoryHost, Offline, Role, Space, Stand, Told};

#[derive(Args)]
pub(in crate::cli) struct CallArgs {
    /// The path of a component (NAME.wasm), or the name of a plugin in the plugin directory.
    #[arg(value_name = "FILE|NAME")]
    what: PathBuf,
    /// A file with an event, a list of them, or one a line; `-` reads standard input. Only `event_type` is needed. May be repeated.
    #[arg(long = "event", value_name = "FILE", required_unless_present = "task", conflicts_with = "task")]
    events: Vec<PathBuf>,
    /// A file with a task for a worker: `parameters`, and `method` if it has several; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    task: Option<PathBuf>,
    /// What it is called as [default: worker with --task, else control, else observer].
    #[arg(long, value_name = "ROLE")]
    role: Option<Role>,
    /// Hand all events to its observer in one batch: the same as --role observer.
    #[arg(long, conflicts_with_all = ["role", "task"])]
    observe: bool,
    /// The decision point: publish, workflow-submitted, task-ready, candidate-found, task-completed, task-failed [default: by the event's type].
    #[arg(long, value_name = "POINT", value_parser = offline::point, conflicts_with_all = ["observe", "task"])]
    point: Option<DecisionPoint>,
    /// Attempts made so far at the task, or deliveries of the batch.
    #[arg(long, value_name = "N", conflicts_with = "task")]
    attempt: Option<u32>,
    /// Who published.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["observe", "task"])]
    principal: Option<String>,
    /// Its settings file [default: NAME.toml beside the component].
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Its kv space, a JSON object: read if the file is there, and written back as the calls leave it.
    #[arg(long, value_name = "FILE")]
    kv: Option<PathBuf>,
    /// Events that it can look up: a file with one a line, or a folder of such files (*.ndjson).
    #[arg(long, value_name = "FILE|DIR")]
    log: Option<PathBuf>,
    /// One JSON object a call.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: DirectoryArg,
}

pub(super) fn run(args: &CallArgs) -> Result<(), CliError> {
    let now = trackside_engine::now();
    let call = args.call(now)?;
    let offline = Offline::open(&component_path(&args.what, &args.at)?, args.settings.as_deref()).map_err(CliError::failed)?;
    let (guest, calls) = (offline.load(None).map_err(CliError::failed)?, offline.calls());
    let stand = Stand::new(guest, calls.clone(), Manner::Trial);
    let space = args.kv.as_deref().map_or_else(|| Ok(Space::default()), |path| read_space(path, now))?;
    calls.set(space.clone(), args.log.as_deref().map_or_else(|| Ok(Vec::new()), |path| read_log(path, now))?);
    let told = stand.call(call, args.role(), &args.circumstances()).map_err(CliError::failed)?;
    write_space(args.kv.as_deref(), &space, &calls)?;
    let mut out = Out::new();
    for told in &told {
        if args.json {
            out.line(&told.to_json().to_string())?;
        } else {
            print_told(&mut out, &stand.info().name, &told.to_json())?;
        }
    }
    out.flush()?;
    if told.iter().any(Told::is_fault) { Err(CliError::Told) } else { Ok(()) }
}

impl CallArgs {
    fn call(&self, now: Timestamp) -> Result<Call, CliError> {
        if let Some(path) = &self.task {
            return offline::task(&read(path)?).map(Call::Task).map_err(|error| at(path, &error));
        }
        let mut events: Vec<Event> = Vec::new();
        for path in &self.events {
            events.extend(offline::events(&read(path)?, now).map_err(|error| at(path, &error))?);
        }
        if events.is_empty() {
            return Err(CliError::Failed("there is no event in it".to_owned()));
        }
        Ok(Call::Events(events))
    }

    fn role(&self) -> Option<Role> {
        if self.observe { Some(Role::Observer) } else { self.role }
    }

    fn circumstances(&self) -> Circumstances {
        Circumstances { point: self.point, attempt: self.attempt, principal: self.principal.clone(), ..Circumstances::default() }
    }
}

fn at(path: &Path, error: &dyn std::fmt::Display) -> CliError {
    let name = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
    CliError::Failed(format!("{name}: {error}"))
}

fn read_space(path: &Path, now: Timestamp) -> Result<Space, CliError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Space::default()),
        Err(error) => return Err(at(path, &error)),
    };
    let members: Map<String, Value> = serde_json::from_str(&text).map_err(|error| at(path, &error))?;
    Space::from_json(&members, now).map_err(|error| at(path, &error))
}

fn write_space(path: Option<&Path>, before: &Space, calls: &MemoryHost) -> Result<(), CliError> {
    let (Some(path), after) = (path, calls.space()) else { return Ok(()) };
    if after == *before && path.exists() {
        return Ok(());
    }
    let members = Value::Object(after.to_json(trackside_engine::now()));
    crate::whole_file::write(path, format!("{members:#}\n").as_bytes()).map_err(|error| at(path, &error))
}

fn read_log(path: &Path, now: Timestamp) -> Result<Vec<Event>, CliError> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = fs::read_dir(path).map_err(|error| at(path, &error))?;
        files = entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|ext| ext == "ndjson")).collect();
        files.sort();
    }
    let mut text = String::new();
    for file in &files {
        text.push_str(&fs::read_to_string(file).map_err(|error| at(file, &error))?);
        text.push('\n');
    }
    offline::log(&text, now).map_err(|error| at(path, &error))
}

/// A call, for people.
fn print_told(out: &mut Out, name: &str, told: &Value) -> Result<(), CliError> {
    let text = |member: &str| told[member].as_str().unwrap_or_default().to_owned();
    let place = match (told["point"].as_str(), told["events"].as_u64(), told["method"].as_str()) {
        (Some(point), ..) => format!("{} at {}", text("event_type"), point.replace('_', "-")),
        (_, Some(1), _) => "1 event".to_owned(),
        (_, Some(events), _) => format!("{events} events"),
        (.., method) => method.unwrap_or_default().to_owned(),
    };
    out.line(&format!("{name} as {}, {place}: {}", text("role"), answer(told)))?;
    let cost = print::duration(told["duration_us"].as_f64().unwrap_or_default() / 1_000.0);
    row(out, "cost", &format!("{cost}, {} fuel", told["fuel"]))?;
    if told["wanted"] == false {
        row(out, "filter", "a host would not ask it: its filter does not want this event")?;
    }
    for (member, label) in [
        ("reads", "read"),
        ("publishes", "publishes"),
        ("unscheduled", "takes back"),
        ("progress", "progress"),
        ("lines", "log"),
        ("cut", "cut"),
        ("not_granted", "not granted"),
    ] {
        for item in told[member].as_array().into_iter().flatten() {
            row(out, label, &shown(member, item))?;
        }
    }
    for (key, value) in told["kv"].as_object().into_iter().flatten() {
        row(out, "kv", &if value.is_null() { format!("{key} is gone") } else { format!("{key} = {value}") })?;
    }
    Ok(())
}

fn row(out: &mut Out, label: &str, text: &str) -> Result<(), CliError> {
    out.line(&format!("  {label:<12}  {}", print::one_line(text)))
}

fn answer(told: &Value) -> String {
    if let Some(fault) = told.get("fault") {
        let limit = if fault["allowed"] == 0 { String::new() } else { format!(" (used {}, allowed {})", fault["used"], fault["allowed"]) };
        return format!("fault: {}: {}{limit}", fault["kind"].as_str().unwrap_or_default(), fault["message"].as_str().unwrap_or_default());
    }
    if let Some(result) = told.get("result") {
        return format!("result {result}");
    }
    if let Some(failure) = told.get("failure") {
        return format!("failure {failure}");
    }
    if told["taken"] == true {
        return "taken".to_owned();
    }
    if let Some(error) = told["error"].as_str() {
        return format!("error: {error}");
    }
    let mut answer = told["signal"].as_str().unwrap_or_default().to_owned();
    if let Some(after_ms) = told["after_ms"].as_u64() {
        answer.push_str(&format!(" after {after_ms} ms"));
    }
    if let Some(value) = told.get("value") {
        answer.push_str(&format!(" with {value}"));
    }
    if let Some(reason) = told["reason"].as_str() {
        answer.push_str(&format!(": {reason}"));
    }
    answer
}

/// One thing of a list, in a line.
fn shown(member: &str, item: &Value) -> String {
    let text = |name: &str| item[name].as_str().unwrap_or_default();
    match member {
        "publishes" => {
            let due = item["due"].as_str().map(|due| format!(" at {due}")).unwrap_or_default();
            format!("{}{due} {}", text("event_type"), item["payload"])
        }
        "lines" => format!("{}: {}", text("level"), text("message")),
        "not_granted" => format!("{}; to grant it, write into its settings file: {}", text("what"), text("line").replace('\n', " ")),
        "reads" => read_shown(item),
        _ => item.to_string(),
    }
}

fn read_shown(item: &Value) -> String {
    let found = |what: &str| format!("{} {what}", item["found"]);
    match (item["kv"].as_str(), item["kv_keys"].as_str(), item.get("query")) {
        (Some(key), ..) => {
            let bytes = item["bytes"].as_u64();
            bytes.map_or_else(|| format!("kv {key}: not there"), |bytes| format!("kv {key}: {bytes} bytes"))
        }
        (_, Some(prefix), _) => format!("kv keys {prefix}*: {}", found("found")),
        (.., Some(types)) => format!("the log for {types}: {}", found("events")),
        _ => item.to_string(),
    }
}
