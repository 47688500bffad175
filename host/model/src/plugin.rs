//! What the host knows of a plugin: its identity, roles, what it asked for and what the operator lets it have.
//! Reading components and settings files is the plugin host's; these are the results.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    event::{Filter, Pattern, Text},
    json::Json,
    outside::{HttpGrant, SecretGrant},
    trigger::Trigger,
};

/// How the import begins by which a component sends requests.
pub const OUTGOING_HTTP: &str = "wasi:http/outgoing-handler@";

/// SHA-256 of some bytes: a plugin version, a definition, a blob.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// The first 12 hexadecimal digits: enough for people to tell versions apart.
    pub fn short(&self) -> String {
        self.0[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for Digest {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(format!("'{text}' is not a SHA-256 digest of 64 hexadecimal digits"));
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|error| error.to_string())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| format!("'{text}' is not a SHA-256 digest of 64 hexadecimal digits"))?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The roles a plugin has, by the interfaces that it exports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Roles {
    /// It watches.
    pub observer: bool,
    /// It steers.
    pub control: bool,
    /// It works.
    pub worker: bool,
}

impl Roles {
    /// Those that it has.
    pub fn names(&self) -> Vec<&'static str> {
        let all = [("observer", self.observer), ("control", self.control), ("worker", self.worker)];
        all.into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
    }
}

/// What may be repeated, and what must wait for the disk (DESIGN, section 5). Ordered by how much it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectClass {
    /// Log, settings, progress; and no memory between calls.
    Pure,
    /// Warm memory, kv, query, clocks, randomness, publishes by outbox.
    Stateful,
    /// The world outside: http, files.
    Effectful,
}

impl fmt::Display for EffectClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pure => "pure",
            Self::Stateful => "stateful",
            Self::Effectful => "effectful",
        })
    }
}

/// What a fault of a control handler does to the work it was asked about. Ordered by how much it stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// The chain goes on without it.
    #[default]
    Proceed,
    /// The work holds: a publish is answered busy, a task waits.
    Fail,
}

impl fmt::Display for OnFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proceed => "proceed",
            Self::Fail => "fail",
        })
    }
}

/// How much one call of a plugin may use. Every limit is a fault, by name, when it is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Limits {
    /// Wall-clock deadline of a call, in milliseconds; host calls count.
    pub timeout_ms: u64,
    /// Fuel of a call: about one unit an instruction.
    pub fuel: u64,
    /// Linear memory of an instance, in bytes.
    pub memory_bytes: u64,
    /// Elements of an instance's tables, all together.
    pub table_elements: u64,
    /// Core instances inside a component.
    pub instances: u32,
    /// Stack of a call, in bytes. One size serves all plugins of an engine; this is the size that a plugin sees.
    pub stack_bytes: u64,
    /// Bytes handed to a call.
    pub argument_bytes: u64,
    /// Bytes that a call hands back, and that its host calls pass, together.
    pub result_bytes: u64,
    /// Bytes of log lines of a call; more is cut off and said.
    pub log_bytes: u64,
    /// Publishes of a call.
    pub publishes: u32,
    /// Events on a page of `events.query`.
    pub query_events: u32,
    /// Events that may wait in the plugin's schedules.
    pub schedules: u32,
    /// Bytes that the plugin's kv space may hold.
    pub kv_bytes: u64,
    /// Events handed to its observer in one call; the engine's own limit holds besides.
    pub observe_events: u32,
    /// Requests over HTTP that a call may send.
    pub http_requests: u32,
    /// Those of them that may be under way at a time.
    pub http_concurrent: u32,
    /// Bytes that the bodies of all requests of a call may have.
    pub http_request_bytes: u64,
    /// Bytes that the bodies of all answers to a call may have.
    pub http_response_bytes: u64,
    /// Milliseconds that a request may take to be connected.
    pub http_connect_ms: u64,
    /// Milliseconds that a request may take from its beginning to the end of its answer; the call's deadline holds besides.
    pub http_timeout_ms: u64,
}

impl Limits {
    /// The limits of a plugin with these roles whose operator says nothing.
    pub fn for_roles(roles: Roles) -> Self {
        let (timeout_ms, fuel) = match roles {
            Roles { worker: true, .. } => (30_000, 200_000_000_000),
            Roles { observer: true, .. } => (5_000, 20_000_000_000),
            _ => (100, 1_000_000_000),
        };
        Self {
            timeout_ms,
            fuel,
            memory_bytes: 64 << 20,
            table_elements: 20_000,
            instances: 32,
            stack_bytes: 512 << 10,
            argument_bytes: 8 << 20,
            result_bytes: 4 << 20,
            log_bytes: 64 << 10,
            publishes: 100,
            query_events: 1_000,
            schedules: 1_000,
            kv_bytes: 16 << 20,
            observe_events: 100_000,
            http_requests: 100,
            http_concurrent: 10,
            http_request_bytes: 4 << 20,
            http_response_bytes: 16 << 20,
            http_connect_ms: 5_000,
            http_timeout_ms: 30_000,
        }
    }

    /// The same for a component that carries a language runtime, which has memory and tables of its own.
    #[must_use]
    pub fn with_runtime(self) -> Self {
        Self { memory_bytes: 256 << 20, table_elements: 100_000, ..self }
    }
}

/// A folder of the host that a plugin may read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderGrant {
    /// On the host.
    pub path: std::path::PathBuf,
    /// As the plugin sees it, absolute.
    pub guest: String,
}

/// What the operator lets a plugin reach.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Grants {
    /// Types it may publish; `None`: none.
    pub publish: Option<Vec<Pattern>>,
    /// Types it may look up in the log; `None`: none.
    pub query: Option<Vec<Pattern>>,
    /// Its own kv space.
    pub kv: bool,
    /// The real time.
    pub clock: bool,
    /// Real randomness.
    pub random: bool,
    /// Waiting.
    pub timers: bool,
    /// Events in the future, of the types that it may publish.
    pub schedule: bool,
    /// Reporting progress; workers have it unless it is taken away.
    pub progress: bool,
    /// Folders it may read.
    pub folders: Vec<FolderGrant>,
    /// Requests that it may send.
    pub http: Vec<HttpGrant>,
    /// Secrets that it may use.
    pub secrets: Vec<SecretGrant>,
}

/// When a plugin's breaker opens and how long it stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BreakerPolicy {
    /// Faults within the window that open it; two deadline faults in a row are always enough.
    pub faults: u32,
    /// Milliseconds that a fault counts.
    pub window_ms: u64,
    /// Milliseconds until the first probe; doubled at each probe that fails, up to a hundred times this.
    pub backoff_ms: u64,
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self { faults: 5, window_ms: 60_000, backoff_ms: 1_000 }
    }
}

/// One kind of task that a worker can do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Method {
    /// `namespace/name`.
    pub name: Text,
    /// For people.
    pub summary: String,
    /// JSON Schema of the parameters; `None` accepts anything.
    pub parameters: Option<Json>,
    /// JSON Schema of the result.
    pub returns: Option<Json>,
}

/// One loaded version of a plugin, as everybody but the plugin host sees it.
#[derive(Clone, Debug, Serialize)]
pub struct PluginInfo {
    /// The file's stem: the plugin's identity.
    pub name: Text,
    /// Digest of the component's bytes.
    pub version: Digest,
    /// Digest of the settings file's bytes.
    pub settings: Digest,
    /// The name that it gives itself.
    pub display_name: String,
    /// The version that it gives itself.
    pub display_version: String,
    /// What it says it is for.
    pub summary: String,
    /// By its exports.
    pub roles: Roles,
    /// By its imports and grants.
    pub effect_class: EffectClass,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// Events for its observer.
    pub observes: Filter,
    /// Makes its observer a *live* reader: further behind the head of the log than this many events, it goes on at the head and is told how many
    /// it missed; what it does not take is missed too. It has no cursor that outlives the host. `None`: it is handed every event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_behind: Option<u64>,
    /// Events for its control handler.
    pub controls: Filter,
    /// Place in the control chain: lower is earlier, equal ones by name.
    pub priority: i32,
    /// What its faults do.
    pub on_fault: OnFault,
    /// Whether its control handler judges many events in one call. A call of one that reaches for its kv, publishes or schedules is about one
    /// event, since what it wants happens with that event or not at all.
    pub batches: bool,
    /// Kinds of task for its worker.
    pub methods: Vec<Method>,
    /// What events start by themselves: each method once.
    pub triggers: Vec<Trigger>,
    /// Instances that work at a time.
    pub workers: u32,
    /// How much a call may use.
    pub limits: Limits,
    /// What it may reach.
    pub grants: Grants,
    /// When it is quarantined.
    pub breaker: BreakerPolicy,
    /// Whether the operator lets a version come into service that can do more than the one before it.
    pub allow_growth: bool,
}

impl PluginInfo {
    /// The version's first 12 digits.
    pub fn short_version(&self) -> Text {
        Text::from(self.version.short())
    }

    /// The settings' first 12 digits.
    pub fn short_settings(&self) -> Text {
        Text::from(self.settings.short())
    }

    /// Whether its observer waits for the world outside, and so is called as workers are.
    pub fn observer_waits(&self) -> bool {
        self.roles.observer && self.calls_out()
    }

    /// Whether it both imports and is granted HTTP.
    pub fn calls_out(&self) -> bool {
        !self.grants.http.is_empty() && self.imports.iter().any(|import| import.starts_with(OUTGOING_HTTP))
    }
}
