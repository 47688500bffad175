//! `trackside plugin check`: whether a component would load here, what it is, and what it may do with the settings beside it.
//! Compiling, describing and judging are the plugin host's; nothing is put into service, and no log is needed.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use trackside_model::{
    capability::CapabilityDiff,
    event::{Filter, Severity},
    json::Json,
    ports::{Found, HostCallError, HostCalls, KvValue, LogLine, TaskCall},
    time::Timestamp,
};
use trackside_wasm::{CheckReport, EngineKind, OutgoingOptions, PluginHost, WasmOptions};
use uuid::Uuid;

use super::{CliError, DirectoryArg, Out, lifecycle, print};
use crate::boot::HostOptions;

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
    let is_file = what.extension() == Some(OsStr::new("wasm"));
    let path = if is_file { what.to_owned() } else { at.path().join(format!("{}.wasm", what.display())) };
    if !path.is_file() {
        return Err(CliError::Failed(format!("there is no component at {}", path.display())));
    }
    host(&path)?.check_file(&path).map_err(CliError::failed)
}

/// A plugin host that keeps what it compiles where it is lost again.
fn host(path: &std::path::Path) -> Result<PluginHost, CliError> {
    let options = HostOptions::new(crate::config::Config::default()).map_err(CliError::failed)?;
    let wasm_options = WasmOptions {
        plugin_dir: path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or_else(|| PathBuf::from("."), PathBuf::from),
        cache_dir: std::env::temp_dir().join(format!("trackside-check-{}", users_own())),
        compiler: options.compiler,
        compile: options.config.compile_limits(),
        pools: options.config.pool_sizes(),
        outgoing: OutgoingOptions::default(),
    };
    PluginHost::new(wasm_options, Arc::new(Nobody)).map_err(CliError::failed)
}

/// Different users do not share what they have compiled.
fn users_own() -> String {
    std::env::var("USER").ok().filter(|user| trackside_wasm::check_name(user).is_ok()).unwrap_or_else(|| "user".to_owned())
}

fn print_report(out: &mut Out, report: &CheckReport) -> Result<(), CliError> {
    let info = &report.info;
    let roles: Vec<&str> = [("observer", info.roles.observer), ("control", info.roles.control), ("worker", info.roles.worker)]
        .into_iter()
        .filter_map(|(name, has)| has.then_some(name))
        .collect();
    out.line(&format!("{} would load", report.path.display()))?;
    let cached = if report.from_cache { " (compiled before)" } else { "" };
    let methods: Vec<&str> = info.methods.iter().map(|method| &*method.name).collect();
    let rows = [
        ("name", format!("{} ({} {})", info.name, info.display_name, info.display_version)),
        ("what", info.summary.clone()),
        ("version", info.version.to_string()),
        ("roles", roles.join(", ")),
        ("methods", methods.join(", ")),
        ("effect class", format!("{:?}", info.effect_class).to_lowercase()),
        ("priority", if info.roles.control { info.priority.to_string() } else { String::new() }),
        ("engine", if info.roles.control || info.roles.observer { engine(report.engine).to_owned() } else { String::new() }),
        ("deadline", print::duration(info.limits.timeout_ms as f64)),
        ("memory", format!("{} bytes", info.limits.memory_bytes)),
        ("calls", listed(&info.grants.http)),
        ("secrets", listed(&info.grants.secrets)),
        ("without value", report.absent_secrets.join(", ")),
        ("size", format!("{} bytes, compiled in {}{cached}", report.component_bytes, print::duration(report.compile_ms as f64))),
    ];
    for (name, text) in rows.iter().filter(|(_, text)| !text.is_empty()) {
        out.line(&format!("  {name:<13}  {text}"))?;
    }
    if !report.grant_uses.is_empty() {
        out.line("  it has a use for:")?;
    }
    for grant in &report.grant_uses {
        let state = if grant.granted {
            "granted".to_owned()
        } else {
            format!("not granted: {}; to grant it, under [grants]: {}", grant.without, grant.line)
        };
        out.line(&format!("    {:<20}  {state}", grant.what))?;
    }
    out.flush()
}

fn listed<T: std::fmt::Display>(grants: &[T]) -> String {
    grants.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn engine(kind: EngineKind) -> &'static str {
    match kind {
        EngineKind::Pooled => "pooled",
        EngineKind::Large => "large: instances are made on demand",
        EngineKind::Asynchronous => "asynchronous",
    }
}

/// Nobody is behind the calls of a component that is only asked what it is.
struct Nobody;

fn nobody<T>() -> Result<T, HostCallError> {
    Err(HostCallError("no host is running: the component is only being checked".to_owned()))
}

impl HostCalls for Nobody {
    fn now(&self) -> Timestamp {
        trackside_engine::now()
    }

    fn kv_get(&self, _: &str, _: &str) -> Result<KvValue, HostCallError> {
        nobody()
    }

    fn kv_keys(&self, _: &str, _: &str, _: Option<&str>, _: u32) -> Result<Vec<String>, HostCallError> {
        nobody()
    }

    fn kv_bytes(&self, _: &str) -> Result<u64, HostCallError> {
        nobody()
    }

    fn head(&self) -> u64 {
        0
    }

    fn query(&self, _: &Filter, _: Option<u64>, _: u64, _: u32) -> Result<Found, HostCallError> {
        nobody()
    }

    fn schedules(&self, _: &str) -> Result<u32, HostCallError> {
        nobody()
    }

    fn is_scheduled(&self, _: &str, _: Uuid) -> Result<bool, HostCallError> {
        nobody()
    }

    fn log(&self, plugin: &str, line: LogLine<'_>) {
        if line.level >= Severity::Warning {
            eprintln!("{plugin}: {}", line.message);
        }
    }

    fn progress(&self, _: &TaskCall, _: Option<f64>, _: Option<Json>) {}

    fn cancelled(&self, _: &TaskCall) -> bool {
        false
    }

    fn not_granted(&self, _: &str, _: &str, _: &str) {}

    fn cut(&self, _: &str, _: &str, _: u64) {}
}
