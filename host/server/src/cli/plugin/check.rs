//! `trackside plugin check`: whether a component would load here, what it is, and what it may do with the settings beside it.
//! Compiling, describing and judging are the plugin host's; nothing is put into service, and no log is needed.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use trackside_model::{
    capability::CapabilityDiff,
    event::Filter,
    plugin::{Limits, PluginInfo},
    trigger::Trigger,
};
use trackside_wasm::{CheckReport, EngineKind};

use super::{CliError, DirectoryArg, Out, component_path, lifecycle, print};
use crate::offline::{self, MemoryHost};

#[derive(Args)]
pub(in crate::cli) struct CheckArgs {
    /// The path of a component (NAME.wasm), or the name of a plugin in the plugin directory.
    #[arg(value_name = "FILE|NAME")]
    what: PathBuf,
    /// The version to compare it with, by path or name: say what it could do more and less.
    #[arg(long, value_name = "FILE|NAME")]
    against: Option<PathBuf>,
    /// All that was found, as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    at: DirectoryArg,
}

pub(super) fn run(args: &CheckArgs) -> Result<(), CliError> {
    let report = look_at(&args.what, &args.at)?;
    let changes = match &args.against {
        Some(against) => Some(CapabilityDiff::between(&look_at(against, &args.at)?.info, &report.info)),
        None => None,
    };
    let changes = serde_json::to_value(changes).map_err(CliError::failed)?;
    let mut out = Out::new();
    if args.json {
        let mut report = serde_json::to_value(&report).map_err(CliError::failed)?;
        if let (Some(report), Some(_)) = (report.as_object_mut(), &args.against) {
            report.insert("changes".to_owned(), changes);
        }
        return out.line(&report.to_string());
    }
    print_report(&mut out, &report)?;
    if let Some(against) = &args.against {
        let all = changes.as_array().map_or(0, Vec::len);
        out.line(&format!("  {all} changes against {}; + is what it could do more, which needs consent:", against.display()))?;
        lifecycle::print_changes(&mut out, &changes)?;
    }
    out.flush()
}

fn look_at(what: &Path, at: &DirectoryArg) -> Result<CheckReport, CliError> {
    let path = component_path(what, at)?;
    let host = offline::plugin_host(&path, Arc::new(MemoryHost::default())).map_err(CliError::failed)?;
    host.check_file(&path).map_err(CliError::failed)
}

fn print_report(out: &mut Out, report: &CheckReport) -> Result<(), CliError> {
    out.line(&format!("{} would load", report.path.display()))?;
    let limits = limits(&report.info.limits);
    let rows = about(report).into_iter().chain(limits.iter().map(|text| ("limits", text.clone())));
    let mut last = "";
    for (name, text) in rows.filter(|(_, text)| !text.is_empty()) {
        // A row that goes on has its name once.
        let label = if name == last { "" } else { name };
        out.line(&format!("  {label:<12}  {text}"))?;
        last = name;
    }
    print_grants(out, report)?;
    out.flush()
}

fn about(report: &CheckReport) -> Vec<(&'static str, String)> {
    let info = &report.info;
    let cached = if report.from_cache { " (compiled before)" } else { "" };
    let mut rows = vec![
        ("name", format!("{} ({} {})", info.name, info.display_name, info.display_version)),
        ("what", info.summary.clone()),
        ("version", info.version.to_string()),
        ("roles", info.roles.names().join(", ")),
    ];
    rows.extend(info.methods.iter().map(|method| ("methods", format!("{}  {}", method.name, method.summary))));
    rows.extend(info.triggers.iter().map(|trigger| ("triggers", starts(trigger))));
    rows.extend([
        ("observes", if info.roles.observer { wants(&info.observes) } else { String::new() }),
        ("controls", if info.roles.control { wants(&info.controls) } else { String::new() }),
        ("priority", if info.roles.control { info.priority.to_string() } else { String::new() }),
        ("on fault", if info.roles.control { info.on_fault.to_string() } else { String::new() }),
        ("effect class", effect_class(report)),
        ("imports", imports(info)),
        ("engine", engines(report)),
        ("calls", listed(&info.grants.http)),
        ("secrets", listed(&info.grants.secrets)),
        ("without value", report.absent_secrets.join(", ")),
        ("size", format!("{} bytes, compiled in {}{cached}", report.component_bytes, print::duration(report.compile_ms as f64))),
    ]);
    rows
}

/// A trigger, in words.
fn starts(trigger: &Trigger) -> String {
    let mut text = format!("{}  at {}", trigger.method, wants(&trigger.filter));
    if trigger.batch_max > 1 {
        text.push_str(&format!(", up to {} events at a time", trigger.batch_max));
    }
    if let Some(pause_ms) = trigger.debounce_ms {
        text.push_str(&format!(", {pause_ms} ms after the last of a burst"));
    }
    if let Some(pause_ms) = trigger.throttle_ms {
        text.push_str(&format!(", once in {pause_ms} ms"));
    }
    text
}

/// The conditions of a filter, in words.
fn wants(filter: &Filter) -> String {
    let mut parts = Vec::new();
    parts.push(match &filter.event_types {
        None => "every fact".to_owned(),
        Some(types) if types.is_empty() => "nothing".to_owned(),
        Some(types) => types.iter().map(|pattern| pattern.as_str()).collect::<Vec<_>>().join(", "),
    });
    if let Some(severity) = filter.min_severity {
        parts.push(format!("of severity {} or higher", severity.as_str()));
    }
    let lists = [
        ("from", &filter.source_components),
        ("of the correlations", &filter.correlation_ids),
        ("of the workflows", &filter.workflow_ids),
        ("of the tasks", &filter.task_ids),
        ("about", &filter.provider_ids),
    ];
    parts.extend(lists.iter().filter_map(|(word, list)| Some(format!("{word} {}", list.as_ref()?.join(", ")))));
    parts.extend(filter.when.as_ref().map(|condition| format!("when {}", condition.as_str())));
    parts.join("; ")
}

fn effect_class(report: &CheckReport) -> String {
    let memory = if report.memoryless { "; it says that it keeps nothing between calls" } else { "" };
    format!("{}{memory}", report.info.effect_class)
}

/// Trackside's interfaces by name, WASI's by package: toolchains import more of these than a plugin uses.
fn imports(info: &PluginInfo) -> String {
    let mut names: Vec<&str> = Vec::new();
    for import in &info.imports {
        let name = import.split('@').next().unwrap_or(import);
        let name = name.strip_prefix("trackside:plugin/").unwrap_or_else(|| name.split('/').next().unwrap_or(name));
        if name != "types" && !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn engines(report: &CheckReport) -> String {
    let roles = report.info.roles;
    let own = engine(report.engine);
    let both = roles.worker && report.engine != EngineKind::Asynchronous;
    if both { format!("{own}; {}", engine(EngineKind::Asynchronous)) } else { own.to_owned() }
}

/// Every limit that would apply, by its name in the settings file.
fn limits(limits: &Limits) -> Vec<String> {
    let value = serde_json::to_value(limits).unwrap_or_default();
    let all: Vec<String> = value.as_object().into_iter().flatten().map(|(name, value)| format!("{name} = {value}")).collect();
    all.chunks(4).map(|some| some.join("  ")).collect()
}

/// What it is granted, and what it could be: the lines that would grant it, as they stand in a settings file.
fn print_grants(out: &mut Out, report: &CheckReport) -> Result<(), CliError> {
    if report.grant_uses.is_empty() {
        return out.line("  it needs no grants");
    }
    out.line("  it has a use for:")?;
    for grant in &report.grant_uses {
        let state = if grant.granted { "granted".to_owned() } else { format!("not granted: {}", grant.without) };
        out.line(&format!("    {:<20}  {state}", grant.what))?;
    }
    let missing: Vec<&str> = report.grant_uses.iter().filter(|grant| !grant.granted).map(|grant| grant.line).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let settings = report.path.with_extension("toml");
    out.line(&format!("  to grant what it needs of this, write into {}:", settings.display()))?;
    out.line("    [grants]")?;
    missing.iter().try_for_each(|line| out.line(&format!("    {line}")))
}

fn listed<T: std::fmt::Display>(grants: &[T]) -> String {
    grants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn engine(kind: EngineKind) -> &'static str {
    match kind {
        EngineKind::Pooled => "pooled: instances from a pool",
        EngineKind::Large => "large: instances are made on demand",
        EngineKind::Asynchronous => "asynchronous, for its worker",
    }
}
