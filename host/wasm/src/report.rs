//! Owns the report about a component that `trackside plugin check` prints: what it is, what it needs, what it costs.
//! Leaves getting there to `load`.

use std::path::Path;

use serde::Serialize;
use trackside_model::plugin::PluginInfo;

use crate::{
    component::Outline,
    directory::{self, PluginFile},
    engines::EngineKind,
    error::{LoadError, LoadProblem},
    load::{PluginHost, at_component, at_settings},
};

/// A grant that a component has a use for, by what it imports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GrantUse {
    /// What it would reach.
    pub what: &'static str,
    /// The line under `[grants]` that lets it.
    pub line: &'static str,
    /// Whether its settings already do.
    pub granted: bool,
    /// What it meets without the grant.
    pub without: &'static str,
}

/// What a component is, needs and costs.
#[derive(Clone, Debug, Serialize)]
pub struct CheckReport {
    /// The file.
    pub path: std::path::PathBuf,
    /// What the host would make of it: roles, filters, effect class, limits, grants, methods.
    #[serde(flatten)]
    pub info: PluginInfo,
    /// Whether it says that nothing kept between calls changes an answer.
    pub memoryless: bool,
    /// The grants that it has a use for.
    pub grant_uses: Vec<GrantUse>,
    /// Secrets that are granted and have no value.
    pub absent_secrets: Vec<String>,
    /// Bytes of the component.
    pub component_bytes: u64,
    /// Milliseconds that compiling took; a fraction of one if it came from the cache.
    pub compile_ms: u64,
    /// Whether it had been compiled before.
    pub from_cache: bool,
    /// Fuel that describing itself took.
    pub describe_fuel: u64,
    /// What serves its control handler and observer, or, where it has neither, its worker.
    pub engine: EngineKind,
}

impl PluginHost {
    /// Goes the whole way to a plugin that could be called, without loading it: for a file anywhere, with the settings beside it.
    ///
    /// # Errors
    /// [`LoadError`], as loading it would, in the same words.
    pub fn check_file(&self, path: &Path) -> Result<CheckReport, LoadError> {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let files = PluginFile { path: path.to_owned(), settings_path: path.with_extension("toml"), name };
        directory::check_name(&files.name).map_err(|error| at_component(&files, error.into()))?;
        let source = self.read(&files)?;
        if source.settings.enabled == Some(false) {
            return Err(at_settings(&files, LoadProblem::Disabled));
        }
        let prepared = self.prepare(&files, &source)?;
        let (memoryless, describe_fuel) = (prepared.described.memoryless, prepared.described.fuel);
        let (from_cache, compile_ms) = (prepared.from_cache, prepared.compile_ms);
        let absent_secrets = prepared.secrets.absent();
        let synchronous = prepared.info.roles.control || (prepared.info.roles.observer && !prepared.info.observer_waits());
        let engine = if synchronous { prepared.engine } else { EngineKind::Asynchronous };
        let plugin = self.instantiate(&source, prepared).map_err(|problem| at_component(&files, problem))?;
        let info = plugin.info.clone();
        Ok(CheckReport {
            path: path.to_owned(),
            grant_uses: grant_uses(&source.outline, &info),
            absent_secrets,
            memoryless,
            engine,
            component_bytes: source.bytes.len() as u64,
            compile_ms,
            from_cache,
            describe_fuel,
            info,
        })
    }
}

/// A grant, the imports that have a use for it, and what they meet without it.
const USES: [(&str, &str, &str, &str); 11] = [
    ("trackside:plugin/kv@", "its key-value space", "kv = true", "every call answers not-granted"),
    ("trackside:plugin/events@", "publishing events", "publish = [\"component:action\"]", "events.publish answers not-granted"),
    ("trackside:plugin/events@", "looking into the log", "query = [\"component:*\"]", "events.query answers not-granted"),
    ("trackside:plugin/schedule@", "events in the future", "schedule = true", "every call answers not-granted"),
    ("trackside:plugin/progress@", "reporting progress", "progress = true", "reports are dropped"),
    ("wasi:clocks/", "the real time", "clock = true", "time stands at the start of the call"),
    ("wasi:clocks/monotonic-clock@", "waiting", "timers = true", "a wait is a fault"),
    ("wasi:random/", "real randomness", "random = true", "a stream seeded by the call"),
    ("wasi:filesystem/", "reading folders", "folders = [{ path = \"PATH\", guest = \"/input\" }]", "there are no folders"),
    (
        "wasi:http/outgoing-handler@",
        "calling out over HTTP",
        "http = [{ host = \"HOST\" }]",
        "every request is answered HTTP-request-denied",
    ),
    (
        "trackside:plugin/secrets@",
        "secrets",
        "secrets = [{ name = \"NAME\", file = \"PATH\", hosts = [\"HOST\"] }]",
        "every call answers not-granted",
    ),
];

fn grant_uses(outline: &Outline, info: &PluginInfo) -> Vec<GrantUse> {
    let grants = &info.grants;
    let granted = [
        grants.kv,
        grants.publish.is_some(),
        grants.query.is_some(),
        grants.schedule,
        grants.progress,
        grants.clock,
        grants.timers,
        grants.random,
        !grants.folders.is_empty(),
        !grants.http.is_empty(),
        !grants.secrets.is_empty(),
    ];
    let used = USES.iter().zip(granted).filter(|((import, ..), _)| outline.imports(import));
    used.map(|((_, what, line, without), granted)| GrantUse { what, line, granted, without }).collect()
}
