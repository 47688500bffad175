//! Owns the settings file `NAME.toml`: its keys, their forms and bounds, and the words for what is wrong in it.
//! Leaves what the plugin says of itself, over which the settings win, to `describe`.

use std::collections::BTreeMap;

use serde::{Deserialize, de::Error as _};
use serde_json::Value;
use toml::de::{DeTable, DeValue};
use trackside_model::{
    event::{Filter, Pattern},
    outside::{HttpGrant, SecretGrant, SecretSource},
    plugin::{BreakerPolicy, FolderGrant, Grants, Limits, OnFault},
    text::nearest,
};

use crate::limits::SMALL_KV_BYTES;

const TOP: &[&str] = &[
    "enabled",
    "allow_growth",
    "priority",
    "on_fault",
    "observes",
    "controls",
    "live_behind",
    "triggers",
    "workers",
    "fresh",
    "limits",
    "grants",
    "breaker",
    "settings",
];
const FILTER: &[&str] =
    &["event_types", "min_severity", "source_components", "correlation_ids", "workflow_ids", "task_ids", "provider_ids", "when"];
const LIMITS: &[&str] = &[
    "timeout_ms",
    "fuel",
    "memory_bytes",
    "table_elements",
    "instances",
    "stack_bytes",
    "argument_bytes",
    "result_bytes",
    "log_bytes",
    "publishes",
    "query_events",
    "schedules",
    "kv_bytes",
    "observe_events",
    "http_requests",
    "http_concurrent",
    "http_request_bytes",
    "http_response_bytes",
    "http_connect_ms",
    "http_timeout_ms",
];
const GRANTS: &[&str] = &["publish", "query", "kv", "schedule", "clock", "random", "timers", "progress", "folders", "http", "secrets"];
const FOLDER: &[&str] = &["path", "guest"];
const HTTP: &[&str] = &["host", "port", "methods", "path_prefix", "plain", "private"];
const SECRET: &[&str] = &["name", "file", "env", "hosts"];
const BREAKER: &[&str] = &["faults", "window_ms", "backoff_ms"];

/// Most instances that work at a time for one plugin.
pub const MAX_WORKERS: u32 = 1_024;
/// Longest deadline of a call, in milliseconds: a day.
pub const MAX_TIMEOUT_MS: u64 = 24 * 3_600_000;

/// What is wrong in a settings file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct SettingsError {
    /// From 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// What the operator says of a plugin. `None` leaves it to the plugin's description, or to the defaults of its roles.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    pub(crate) enabled: Option<bool>,
    pub(crate) allow_growth: bool,
    pub(crate) priority: Option<i32>,
    pub(crate) on_fault: Option<OnFault>,
    pub(crate) observes: Option<Filter>,
    pub(crate) controls: Option<Filter>,
    pub(crate) live_behind: Option<u64>,
    pub(crate) triggers: Option<bool>,
    pub(crate) workers: Option<u32>,
    pub(crate) fresh: bool,
    limits: LimitSettings,
    grants: GrantSettings,
    breaker: BreakerSettings,
    settings: toml::Table,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct LimitSettings {
    timeout_ms: Option<u64>,
    fuel: Option<u64>,
    memory_bytes: Option<u64>,
    table_elements: Option<u64>,
    instances: Option<u32>,
    stack_bytes: Option<u64>,
    argument_bytes: Option<u64>,
    result_bytes: Option<u64>,
    log_bytes: Option<u64>,
    publishes: Option<u32>,
    query_events: Option<u32>,
    schedules: Option<u32>,
    kv_bytes: Option<u64>,
    observe_events: Option<u32>,
    http_requests: Option<u32>,
    http_concurrent: Option<u32>,
    http_request_bytes: Option<u64>,
    http_response_bytes: Option<u64>,
    http_connect_ms: Option<u64>,
    http_timeout_ms: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct GrantSettings {
    #[serde(deserialize_with = "types")]
    publish: Option<Vec<Pattern>>,
    #[serde(deserialize_with = "types")]
    query: Option<Vec<Pattern>>,
    kv: Option<bool>,
    schedule: bool,
    clock: bool,
    random: bool,
    timers: bool,
    progress: Option<bool>,
    folders: Vec<FolderGrant>,
    http: Vec<HttpGrant>,
    secrets: Vec<SecretGrant>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct BreakerSettings {
    faults: Option<u32>,
    window_ms: Option<u64>,
    backoff_ms: Option<u64>,
}

/// `true` is every type, `false` none, a list these.
fn types<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Pattern>>, D::Error> {
    let message = "expected true, false or a list of type patterns, as in publish = [\"order:*\"]";
    match toml::Value::deserialize(deserializer)? {
        toml::Value::Boolean(false) => Ok(None),
        toml::Value::Boolean(true) => Ok(Some(vec![Pattern::parse("**").map_err(D::Error::custom)?])),
        toml::Value::Array(items) => items
            .iter()
            .map(|item| {
                item.as_str().ok_or_else(|| D::Error::custom(message)).and_then(|text| Pattern::parse(text).map_err(D::Error::custom))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Some),
        _ => Err(D::Error::custom(message)),
    }
}

impl Settings {
    /// Reads a settings file.
    ///
    /// # Errors
    /// [`SettingsError`] for the first thing that is wrong, with its line.
    pub(crate) fn parse(text: &str) -> Result<Self, SettingsError> {
        let table = DeTable::parse(text).map_err(|error| of_toml(text, &error))?;
        check_keys(text, table.get_ref())?;
        let mut settings: Self = toml::from_str(text).map_err(|error| of_toml(text, &error))?;
        settings.check(text)?;
        settings.resolve_folders(text)?;
        Ok(settings)
    }

    fn check(&self, text: &str) -> Result<(), SettingsError> {
        let limits = &self.limits;
        let wrong = |key: &str, message: String| Err(SettingsError { line: line_of_key(text, key), message: format!("{key}: {message}") });
        let at_least_one = [
            ("timeout_ms", limits.timeout_ms),
            ("fuel", limits.fuel),
            ("memory_bytes", limits.memory_bytes),
            ("instances", limits.instances.map(u64::from)),
            ("argument_bytes", limits.argument_bytes),
            ("result_bytes", limits.result_bytes),
            ("observe_events", limits.observe_events.map(u64::from)),
            ("live_behind", self.live_behind),
            ("faults", self.breaker.faults.map(u64::from)),
            ("workers", self.workers.map(u64::from)),
        ];
        for (key, value) in at_least_one {
            if value == Some(0) {
                return wrong(key, "0 would let no call succeed; give at least 1, or set enabled = false".to_owned());
            }
        }
        if limits.timeout_ms.is_some_and(|timeout_ms| timeout_ms > MAX_TIMEOUT_MS) {
            return wrong("timeout_ms", format!("at most {MAX_TIMEOUT_MS}, a day"));
        }
        if self.workers.is_some_and(|workers| workers > MAX_WORKERS) {
            return wrong("workers", format!("at most {MAX_WORKERS}"));
        }
        if let Some(stack_bytes) = limits.stack_bytes
            && stack_bytes != crate::engines::STACK_BYTES
        {
            return wrong("stack_bytes", format!("all plugins have the same size, {}; remove the line", crate::engines::STACK_BYTES));
        }
        for (key, ms) in [("http_connect_ms", limits.http_connect_ms), ("http_timeout_ms", limits.http_timeout_ms)] {
            if ms.is_some_and(|ms| ms > MAX_TIMEOUT_MS) {
                return wrong(key, format!("at most {MAX_TIMEOUT_MS}, a day"));
            }
        }
        self.check_secrets(text)?;
        for (key, bytes) in [("argument_bytes", limits.argument_bytes), ("result_bytes", limits.result_bytes)] {
            if bytes.is_some_and(|bytes| bytes > 1 << 30) {
                return wrong(key, format!("at most {}, a gibibyte", 1 << 30));
            }
        }
        Ok(())
    }

    /// Each secret is named once, and its file by a path that does not depend on where the host is.
    fn check_secrets(&self, text: &str) -> Result<(), SettingsError> {
        let wrong = |message: String| Err(SettingsError { line: line_of_key(text, "secrets"), message: format!("secrets: {message}") });
        for (index, secret) in self.grants.secrets.iter().enumerate() {
            if self.grants.secrets[..index].iter().any(|other| other.name == secret.name) {
                return wrong(format!("'{}' stands twice", secret.name));
            }
            if let SecretSource::File(path) = &secret.source
                && !path.is_absolute()
            {
                return wrong(format!("file = '{}' of '{}': give an absolute path", path.display(), secret.name));
            }
        }
        Ok(())
    }

    /// Folders become absolute paths, so that what is granted does not depend on where the host is later.
    fn resolve_folders(&mut self, text: &str) -> Result<(), SettingsError> {
        for folder in &mut self.grants.folders {
            let wrong = |message: String| SettingsError { line: line_of_key(text, "folders"), message: format!("folders: {message}") };
            if !folder.guest.starts_with('/') {
                return Err(wrong(format!(
                    "guest = '{}' is where the plugin sees the folder: give an absolute path such as '/input'",
                    folder.guest
                )));
            }
            folder.path = std::path::absolute(&folder.path).map_err(|error| wrong(format!("{}: {error}", folder.path.display())))?;
            if !folder.path.is_dir() {
                return Err(wrong(format!("{} is not a folder of this machine", folder.path.display())));
            }
        }
        Ok(())
    }

    /// The limits: the operator's, else those of the roles.
    pub(crate) fn limits(&self, defaults: Limits) -> Limits {
        let given = &self.limits;
        // Who says nothing about kv gets a small space.
        let kv_default = if self.grants.kv == Some(true) { defaults.kv_bytes } else { SMALL_KV_BYTES.min(defaults.kv_bytes) };
        Limits {
            timeout_ms: given.timeout_ms.unwrap_or(defaults.timeout_ms),
            fuel: given.fuel.unwrap_or(defaults.fuel),
            memory_bytes: given.memory_bytes.unwrap_or(defaults.memory_bytes),
            table_elements: given.table_elements.unwrap_or(defaults.table_elements),
            instances: given.instances.unwrap_or(defaults.instances),
            stack_bytes: crate::engines::STACK_BYTES,
            argument_bytes: given.argument_bytes.unwrap_or(defaults.argument_bytes),
            result_bytes: given.result_bytes.unwrap_or(defaults.result_bytes),
            log_bytes: given.log_bytes.unwrap_or(defaults.log_bytes),
            publishes: given.publishes.unwrap_or(defaults.publishes),
            query_events: given.query_events.unwrap_or(defaults.query_events),
            schedules: given.schedules.unwrap_or(defaults.schedules),
            kv_bytes: given.kv_bytes.unwrap_or(kv_default),
            observe_events: given.observe_events.unwrap_or(defaults.observe_events),
            http_requests: given.http_requests.unwrap_or(defaults.http_requests),
            http_concurrent: given.http_concurrent.unwrap_or(defaults.http_concurrent),
            http_request_bytes: given.http_request_bytes.unwrap_or(defaults.http_request_bytes),
            http_response_bytes: given.http_response_bytes.unwrap_or(defaults.http_response_bytes),
            http_connect_ms: given.http_connect_ms.unwrap_or(defaults.http_connect_ms),
            http_timeout_ms: given.http_timeout_ms.unwrap_or(defaults.http_timeout_ms),
        }
    }

    /// The grants. A small kv and a worker's progress need no word of the operator, but one takes them away.
    pub(crate) fn grants(&self, worker: bool) -> Grants {
        let given = &self.grants;
        Grants {
            publish: given.publish.clone(),
            query: given.query.clone(),
            kv: given.kv.unwrap_or(true),
            schedule: given.schedule,
            clock: given.clock,
            random: given.random,
            timers: given.timers,
            progress: given.progress.unwrap_or(worker),
            folders: given.folders.clone(),
            http: given.http.clone(),
            secrets: given.secrets.clone(),
        }
    }

    /// When the plugin is quarantined.
    pub(crate) fn breaker(&self) -> BreakerPolicy {
        let default = BreakerPolicy::default();
        BreakerPolicy {
            faults: self.breaker.faults.unwrap_or(default.faults),
            window_ms: self.breaker.window_ms.unwrap_or(default.window_ms),
            backoff_ms: self.breaker.backoff_ms.unwrap_or(default.backoff_ms),
        }
    }

    /// What stands under `[settings]`, for the plugin to read.
    pub(crate) fn values(&self) -> Values {
        let values: serde_json::Map<String, Value> = self.settings.iter().map(|(name, value)| (name.clone(), to_json(value))).collect();
        let by_name = values.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        Values { by_name, all: Value::Object(values).to_string() }
    }
}

/// The operator's own words to the plugin, as JSON text.
#[derive(Debug)]
pub(crate) struct Values {
    pub(crate) by_name: BTreeMap<String, String>,
    pub(crate) all: String,
}

/// TOML as JSON: times become their text, and the numbers that JSON lacks become null.
fn to_json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(truth) => Value::from(*truth),
        toml::Value::Datetime(time) => Value::from(time.to_string()),
        toml::Value::Array(items) => items.iter().map(to_json).collect(),
        toml::Value::Table(table) => Value::Object(table.iter().map(|(key, value)| (key.clone(), to_json(value))).collect()),
    }
}

fn check_keys(text: &str, top: &DeTable<'_>) -> Result<(), SettingsError> {
    check_table(text, "", top, TOP)?;
    for (section, known) in [("observes", FILTER), ("controls", FILTER), ("limits", LIMITS), ("grants", GRANTS), ("breaker", BREAKER)] {
        if let Some(table) = top.get(section).and_then(|value| value.get_ref().as_table()) {
            check_table(text, section, table, known)?;
        }
    }
    for (list, known) in [("folders", FOLDER), ("http", HTTP), ("secrets", SECRET)] {
        let entries = top.get("grants").and_then(|grants| grants.get_ref().get(list));
        for entry in entries.and_then(|entries| entries.get_ref().as_array()).into_iter().flatten() {
            if let DeValue::Table(table) = entry.get_ref() {
                check_table(text, &format!("grants.{list}"), table, known)?;
            }
        }
    }
    Ok(())
}

fn check_table(text: &str, section: &str, table: &DeTable<'_>, known: &[&str]) -> Result<(), SettingsError> {
    // In the order of the file: the first wrong line is the one that is named.
    let mut keys: Vec<_> = table.keys().collect();
    keys.sort_by_key(|key| key.span().start);
    let Some(key) = keys.into_iter().find(|key| !known.contains(&key.get_ref().as_ref())) else { return Ok(()) };
    let written = key.get_ref().as_ref();
    let of = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
    let help = match nearest(written, known.iter().copied()) {
        Some(name) => format!("did you mean '{name}'?"),
        None => match elsewhere(written) {
            Some(section) => format!("it belongs in [{section}]"),
            None => format!("known are {}", known.join(", ")),
        },
    };
    Err(SettingsError { line: line_at(text, key.span().start), message: format!("unknown key '{written}'{of}; {help}") })
}

/// The section that knows a key which stands in another.
fn elsewhere(written: &str) -> Option<&'static str> {
    [("limits", LIMITS), ("grants", GRANTS), ("breaker", BREAKER), ("observes", FILTER)]
        .into_iter()
        .find(|(_, known)| known.contains(&written))
        .map(|(section, _)| section)
}

fn of_toml(text: &str, error: &toml::de::Error) -> SettingsError {
    let line = error.span().map_or(1, |span| line_at(text, span.start));
    SettingsError { line, message: error.message().trim().replace('\n', "; ") }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// The first line that begins with this key, as what it is set to has been judged by then and has lost its place.
fn line_of_key(text: &str, key: &str) -> usize {
    let begins = |line: &str| line.trim_start().trim_start_matches(['[', '"']).trim_start_matches("grants.").starts_with(key);
    text.lines().position(begins).map_or(1, |index| index + 1)
}

/// The line that grants what a plugin was refused, to be put under `[grants]`.
pub(crate) fn grant_line(key: &str, value: &str) -> String {
    format!("[grants]\n{key} = {value}")
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
