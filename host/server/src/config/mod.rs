//! The host's configuration: one tree of values with their defaults, as the rest of the server gets them.
//! Which keys there are, in words and bounds, is `keys`'; reading file, environment and flags is `read`'s.

mod keys;
mod names;
mod read;
mod resolve;
mod retention;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use trackside_engine::EngineOptions;
use trackside_model::{event::EnvelopeLimits, rate::Rate};
use trackside_store::StoreOptions;
use trackside_wasm::{CompileLimits, OutgoingOptions, PoolSizes};

use crate::{params, plugins::watch::Pauses};

pub use self::{
    keys::environment_name,
    read::{ConfigError, ConfigErrors, Overrides, Source, check_text},
    retention::Rule,
};

/// Everything that the operator can say about the host. Every field is a key of `trackside.toml`; `keys` says what each means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is explained once, in the table of keys from which the commented file is written")]
pub struct Config {
    pub data_dir: PathBuf,
    pub plugin_dir: PathBuf,
    pub listen: SocketAddr,
    pub schemas: Schemas,
    pub log: Log,
    pub dedup: Dedup,
    pub stop: Stop,
    pub plugins: Plugins,
    pub http: Http,
    pub outgoing: Outgoing,
    pub inbox: Inbox,
    pub events: Events,
    pub engine: Engine,
    pub store: Store,
    pub pools: Pools,
    pub compile: Compile,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retention: Vec<Rule>,
}

/// `[schemas]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Schemas {
    pub dir: PathBuf,
    pub rescan_ms: u64,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[dedup]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Dedup {
    pub window_secs: u64,
    pub windows: String,
    pub entries: usize,
}

/// `[stop]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Stop {
    pub grace_ms: u64,
}

/// `[plugins]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Plugins {
    pub watch: bool,
    pub settle_ms: u64,
    pub rescan_ms: u64,
    pub versions: usize,
}

/// `[http]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Http {
    pub require_tokens: bool,
    pub names: String,
    pub tls_cert: String,
    pub tls_key: String,
    pub body_bytes: usize,
    pub line_bytes: usize,
    pub definition_bytes: usize,
    pub batch_events: usize,
    pub in_flight: usize,
    pub connections: usize,
    pub sockets: usize,
    pub readers: usize,
    pub read_timeout_ms: u64,
    pub heartbeat_ms: u64,
    pub slow_events: u64,
}

/// `[outgoing]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Outgoing {
    pub ca_file: String,
    pub resolve: String,
}

/// `[inbox]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Inbox {
    pub enabled: bool,
    pub poll_interval_secs: u64,
    pub keep_secs: u64,
}

/// `[events]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Events {
    pub payload_bytes: usize,
    pub payload_depth: usize,
    pub id_bytes: usize,
    pub metadata_bytes: usize,
    pub aliases: String,
}

/// `[engine]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Engine {
    pub publish_slots: usize,
    pub chain_budget_ms: u64,
    pub guest_threads: usize,
    pub check_batch: usize,
    pub observer_threads: usize,
    pub worker_threads: usize,
    pub observer_batch: usize,
    pub observer_deliveries: u32,
    pub most_hops: u32,
    pub plugin_rate: u32,
    pub plugin_burst: u32,
    pub correlation_rate: u32,
    pub correlation_burst: u32,
    pub heartbeat_ms: u64,
}

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Store {
    pub ring_events: usize,
    pub ring_bytes: usize,
    pub lazy_commit_us: u64,
    pub max_commit_events: usize,
    pub max_pending_events: usize,
    pub max_pending_bytes: usize,
    pub max_readers: usize,
    pub full_text: String,
    pub retention_interval_secs: u64,
    pub id_memory_secs: u64,
}

/// `[pools]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Pools {
    pub control: u32,
    pub observer: u32,
    pub total: u32,
    pub memory_bytes: u64,
}

/// `[compile]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the table of keys says it")]
pub struct Compile {
    pub memory_bytes: u64,
    pub timeout_ms: u64,
    pub component_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("./trackside-data"),
            plugin_dir: PathBuf::from("./trackside-plugins"),
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            schemas: Schemas::default(),
            log: Log::default(),
            dedup: Dedup::default(),
            stop: Stop::default(),
            plugins: Plugins::default(),
            http: Http::default(),
            outgoing: Outgoing::default(),
            inbox: Inbox::default(),
            events: Events::default(),
            engine: Engine::default(),
            store: Store::default(),
            pools: Pools::default(),
            compile: Compile::default(),
            retention: Vec::new(),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Default for Schemas {
    fn default() -> Self {
        Self { dir: PathBuf::new(), rescan_ms: 500 }
    }
}

impl Default for Dedup {
    fn default() -> Self {
        let options = EngineOptions::default();
        Self { window_secs: options.dedup_window_ms / 1_000, windows: String::new(), entries: options.dedup_entries }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self { grace_ms: 10_000 }
    }
}

impl Default for Plugins {
    fn default() -> Self {
        Self { watch: true, settle_ms: 50, rescan_ms: 30_000, versions: 5 }
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self { enabled: true, poll_interval_secs: 5, keep_secs: 86_400 }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self {
            require_tokens: false,
            names: String::new(),
            tls_cert: String::new(),
            tls_key: String::new(),
            body_bytes: 16 << 20,
            line_bytes: 2 << 20,
            definition_bytes: 64 << 20,
            batch_events: 1_000,
            in_flight: 64,
            connections: 1_024,
            sockets: 1_024,
            readers: 16,
            read_timeout_ms: 30_000,
            heartbeat_ms: 15_000,
            slow_events: 10_000,
        }
    }
}

impl Default for Events {
    fn default() -> Self {
        let limits = EnvelopeLimits::default();
        Self {
            payload_bytes: limits.payload_bytes,
            payload_depth: limits.payload_depth,
            id_bytes: limits.id_bytes,
            metadata_bytes: limits.metadata_bytes,
            aliases: String::new(),
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        let options = EngineOptions::default();
        Self {
            publish_slots: options.publish_slots,
            chain_budget_ms: options.chain_budget_ms,
            guest_threads: options.guest_threads,
            check_batch: options.check_batch,
            observer_threads: options.observer_threads,
            worker_threads: options.worker_threads,
            observer_batch: options.observer_batch,
            observer_deliveries: options.observer_deliveries,
            most_hops: options.most_hops,
            plugin_rate: options.plugin_rate.per_sec,
            plugin_burst: options.plugin_rate.burst,
            correlation_rate: options.correlation_rate.per_sec,
            correlation_burst: options.correlation_rate.burst,
            heartbeat_ms: options.heartbeat_ms,
        }
    }
}

impl Default for Store {
    fn default() -> Self {
        let (options, engine) = (StoreOptions::new(""), EngineOptions::default());
        Self {
            ring_events: options.ring_events,
            ring_bytes: options.ring_bytes,
            lazy_commit_us: options.lazy_commit_us,
            max_commit_events: options.max_commit_events,
            max_pending_events: options.max_pending_events,
            max_pending_bytes: options.max_pending_bytes,
            max_readers: options.max_readers,
            full_text: String::new(),
            retention_interval_secs: engine.retention_interval_ms / 1_000,
            id_memory_secs: engine.id_memory_ms / 1_000,
        }
    }
}

impl Default for Pools {
    fn default() -> Self {
        let pools = PoolSizes::default();
        Self { control: pools.control, observer: pools.observer, total: pools.total, memory_bytes: pools.memory_bytes }
    }
}

impl Default for Compile {
    fn default() -> Self {
        let limits = CompileLimits::default();
        Self { memory_bytes: limits.memory_bytes, timeout_ms: limits.timeout_ms, component_bytes: limits.component_bytes }
    }
}

impl Config {
    /// The commented file that says what this does: `trackside config default`.
    pub fn to_commented_toml(&self) -> String {
        keys::write(self)
    }

    /// What the engine is started with.
    pub fn engine_options(&self) -> EngineOptions {
        EngineOptions {
            publish_slots: self.engine.publish_slots,
            chain_budget_ms: self.engine.chain_budget_ms,
            guest_threads: self.engine.guest_threads,
            check_batch: self.engine.check_batch,
            observer_threads: self.engine.observer_threads,
            worker_threads: self.engine.worker_threads,
            observer_batch: self.engine.observer_batch,
            observer_deliveries: self.engine.observer_deliveries,
            envelope: self.envelope_limits(),
            aliases: self.events.aliases.parse().unwrap_or_default(),
            dedup_window_ms: self.dedup.window_secs.saturating_mul(1_000),
            dedup_windows: self.dedup.windows.parse().unwrap_or_default(),
            dedup_entries: self.dedup.entries,
            most_hops: self.engine.most_hops,
            plugin_rate: Rate { per_sec: self.engine.plugin_rate, burst: self.engine.plugin_burst },
            correlation_rate: Rate { per_sec: self.engine.correlation_rate, burst: self.engine.correlation_burst },
            heartbeat_ms: self.engine.heartbeat_ms,
            retention: self.retention.iter().map(Rule::for_store).collect(),
            retention_interval_ms: self.store.retention_interval_secs.saturating_mul(1_000),
            id_memory_ms: self.store.id_memory_secs.saturating_mul(1_000),
        }
    }

    /// Bounds on what an edge may send.
    pub fn envelope_limits(&self) -> EnvelopeLimits {
        EnvelopeLimits {
            payload_bytes: self.events.payload_bytes,
            payload_depth: self.events.payload_depth,
            id_bytes: self.events.id_bytes,
            metadata_bytes: self.events.metadata_bytes,
        }
    }

    /// What the store is opened with.
    pub fn store_options(&self) -> StoreOptions {
        StoreOptions {
            ring_events: self.store.ring_events,
            ring_bytes: self.store.ring_bytes,
            lazy_commit_us: self.store.lazy_commit_us,
            max_commit_events: self.store.max_commit_events,
            max_pending_events: self.store.max_pending_events,
            max_pending_bytes: self.store.max_pending_bytes,
            max_readers: self.store.max_readers,
            // It was read once when the configuration was.
            full_text: params::patterns(&self.store.full_text).unwrap_or_default(),
            ..StoreOptions::new(&self.data_dir)
        }
    }

    /// How many instances there may be.
    pub fn pool_sizes(&self) -> PoolSizes {
        PoolSizes {
            control: self.pools.control,
            observer: self.pools.observer,
            total: self.pools.total,
            memory_bytes: self.pools.memory_bytes,
        }
    }

    /// How requests of plugins are connected.
    pub fn outgoing_options(&self) -> OutgoingOptions {
        let ca_file = Some(PathBuf::from(&self.outgoing.ca_file)).filter(|path| !path.as_os_str().is_empty());
        // It was read once when the configuration was.
        OutgoingOptions { ca_file, resolve: resolve::parse(&self.outgoing.resolve).unwrap_or_default() }
    }

    /// How much a compilation may use.
    pub fn compile_limits(&self) -> CompileLimits {
        CompileLimits {
            memory_bytes: self.compile.memory_bytes,
            timeout_ms: self.compile.timeout_ms,
            component_bytes: self.compile.component_bytes,
        }
    }

    /// The names by which the host is called, besides its address and `localhost`.
    pub fn names(&self) -> Vec<String> {
        // They were read once when the configuration was.
        names::parse(&self.http.names).unwrap_or_default()
    }

    /// The certificate and its key, if connections are to be greeted with one.
    pub fn certificate_files(&self) -> Option<(&Path, &Path)> {
        // They go together: that was looked at when the configuration was read.
        let named = !self.http.tls_cert.is_empty() && !self.http.tls_key.is_empty();
        named.then(|| (Path::new(&self.http.tls_cert), Path::new(&self.http.tls_key)))
    }

    /// Whether other machines can reach the host.
    pub fn is_beyond_loopback(&self) -> bool {
        !self.listen.ip().is_loopback()
    }

    /// Whether every request needs a token.
    pub fn requires_tokens(&self) -> bool {
        self.http.require_tokens || self.is_beyond_loopback()
    }

    /// How long what is under way has when the host stops.
    pub fn stop_grace(&self) -> Duration {
        Duration::from_millis(self.stop.grace_ms)
    }

    /// How the plugin directory is watched.
    pub fn watch_pauses(&self) -> Pauses {
        Pauses { settle: Duration::from_millis(self.plugins.settle_ms), rescan: Duration::from_millis(self.plugins.rescan_ms) }
    }

    /// How many plugins are loaded at a time: one a core.
    pub fn load_threads() -> usize {
        thread::available_parallelism().map_or(1, Into::into)
    }
}

/// `value` as TOML writes it.
fn toml_text(value: &toml::Value) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "{value}");
    text
}
