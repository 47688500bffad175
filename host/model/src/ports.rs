//! The two ports where engine and plugin host meet: [`Guest`], by which the host calls a plugin, and [`HostCalls`], by which a plugin
//! calls the host. Both sides know these types and not each other.

mod batches;

use std::{future::Future, pin::Pin};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::batches::{BatchTurn, BatchVerdicts, CheckBatch, EventBatch, Subject};
use crate::{
    control::{CheckContext, Signal},
    event::{Event, Filter, Metadata, Severity, Text},
    json::Json,
    plugin::PluginInfo,
    time::Timestamp,
};

/// A future without a runtime.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What an observer is told besides the events.
#[derive(Clone, Copy, Debug)]
pub struct Delivery {
    /// The host's clock.
    pub now: Timestamp,
    /// 1 for the first delivery of this batch.
    pub attempt: u32,
    /// Whether these are replayed from the past.
    pub replay: bool,
    /// Events that a live reader was too slow for.
    pub missed: u64,
}

/// One attempt at a task, as a worker gets it.
#[derive(Clone, Debug)]
pub struct TaskCall {
    /// `namespace/name`.
    pub method: Text,
    /// Resolved parameters.
    pub parameters: Json,
    /// The workflow.
    pub workflow_id: Text,
    /// The task.
    pub task_id: Text,
    /// 1 for the first try.
    pub attempt: u32,
    /// The same for every delivery of one attempt.
    pub idempotency_key: Text,
    /// The workflow's correlation.
    pub correlation_id: Text,
    /// The event that the attempt follows from: its `task:started`.
    pub cause: Text,
    /// Milliseconds this attempt has.
    pub timeout_ms: u64,
    /// `traceparent`, `request_id`, ….
    pub metadata: Metadata,
}

/// A worker's own, typed failure: an answer, not a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// For people.
    pub message: String,
    /// For policies, for example `rate-limited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Whether trying again may help.
    pub retryable: bool,
    /// When it may help, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// More, for machines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Json>,
}

/// Why a call ended without an answer. The instance is gone; the outbox is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The guest stopped itself: a panic, `unreachable`, an access out of bounds.
    Trap,
    /// Its time was up.
    Deadline,
    /// Its fuel was gone.
    Fuel,
    /// It wanted more memory than allowed.
    Memory,
    /// It wanted more table elements than allowed.
    Tables,
    /// Its calls went too deep.
    Stack,
    /// More bytes in, out or through host calls than allowed.
    Bytes,
    /// What it answered is not what the contract says.
    Malformed,
    /// It says that it keeps nothing between calls, and answered otherwise than an instance that had kept nothing.
    Promise,
    /// It waited without the grant.
    NotGranted,
    /// No instance could be made or had in time.
    Unavailable,
    /// It was told to stop: the attempt was cancelled.
    Cancelled,
}

impl FaultKind {
    /// The name in events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Fuel => "fuel",
            Self::Memory => "memory",
            Self::Tables => "tables",
            Self::Stack => "stack",
            Self::Bytes => "bytes",
            Self::Malformed => "malformed",
            Self::Promise => "promise",
            Self::NotGranted => "not_granted",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A fault by its true cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", self.kind.as_str())]
pub struct Fault {
    /// The cause.
    pub kind: FaultKind,
    /// What happened, for people.
    pub message: String,
    /// How much of the limit was used, in its unit; 0 where no limit was met.
    pub used: u64,
    /// The limit; 0 where no limit was met.
    pub allowed: u64,
}

/// What a call used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Nanoseconds from asking to answer, waiting for an instance included.
    pub duration_ns: u64,
    /// Fuel.
    pub fuel: u64,
    /// What it sent and got over HTTP.
    pub http: HttpUsage,
}

/// What a call used of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HttpUsage {
    /// Requests that went out.
    pub requests: u32,
    /// Bytes of their bodies.
    pub request_bytes: u64,
    /// Bytes of the answers' bodies.
    pub response_bytes: u64,
}

impl Usage {
    /// What both used.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let http = HttpUsage {
            requests: self.http.requests.saturating_add(other.http.requests),
            request_bytes: self.http.request_bytes.saturating_add(other.http.request_bytes),
            response_bytes: self.http.response_bytes.saturating_add(other.http.response_bytes),
        };
        Self { duration_ns: self.duration_ns.saturating_add(other.duration_ns), fuel: self.fuel.saturating_add(other.fuel), http }
    }

    /// The share of one of `count`, of time and fuel. Requests have none: no call that makes any is about many things.
    #[must_use]
    pub fn share(self, count: usize) -> Self {
        let count = count.max(1) as u64;
        Self { duration_ns: self.duration_ns / count, fuel: self.fuel / count, http: self.http }
    }
}

/// A publish that waits for its call to end well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxPublish {
    /// Identity: derived from plugin, cause and place in the call, or from the key that the plugin gave.
    pub event_id: Uuid,
    /// Already checked for form, owner and grant.
    pub event_type: String,
    /// How much it matters.
    pub severity: Severity,
    /// Any JSON.
    pub payload: Json,
    /// Small string facts.
    pub metadata: Metadata,
    /// The event of the batch that it follows from; `None`: the last.
    pub cause: Option<String>,
    /// Another correlation than the cause's.
    pub correlation_id: Option<String>,
    /// When the plugin says it happened.
    pub timestamp: Option<Timestamp>,
    /// When it is to be published; `None`: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// An error about the event at hand (`events.raise`): becomes `error:raised` instead of going through the door.
    #[serde(default)]
    pub raised: bool,
}

/// One change to a plugin's kv space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvWrite {
    /// The key.
    pub key: String,
    /// What happens to it.
    pub op: KvOp,
}

/// What happens to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KvOp {
    /// It has this value, until `expires_at` if that is given.
    Set {
        /// The value.
        value: Vec<u8>,
        /// When it is gone.
        expires_at: Option<Timestamp>,
    },
    /// It is gone.
    Delete,
    /// It is a number that is this much more; saturating. Never conflicts.
    Add {
        /// How much.
        by: i64,
        /// When it is gone, if this creates it.
        expires_at: Option<Timestamp>,
    },
}

/// A key that a call has read, and the state of the space at that moment: changed since, the call is run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvRead {
    /// The key.
    pub key: String,
    /// [`KvValue::stamp`] of the read.
    pub stamp: u64,
}

/// What a call wants to happen; released together with what it produced, or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outbox {
    /// In the order of the calls.
    pub publishes: Vec<OutboxPublish>,
    /// In the order of the calls.
    pub kv_writes: Vec<KvWrite>,
    /// What they rest on.
    pub kv_reads: Vec<KvRead>,
    /// Events of the plugin's schedules that are taken back.
    pub cancelled: Vec<Uuid>,
}

impl Outbox {
    /// Whether nothing is to happen.
    pub fn is_empty(&self) -> bool {
        self.publishes.is_empty() && self.kv_writes.is_empty() && self.cancelled.is_empty()
    }

    /// Whether nothing is to happen, and nothing was looked at that the answer rests on.
    pub fn is_untouched(&self) -> bool {
        self.is_empty() && self.kv_reads.is_empty()
    }

    /// Adds what another call wants, after what this one does.
    fn append(&mut self, other: Self) {
        let Self { publishes, kv_writes, kv_reads, cancelled } = other;
        self.publishes.extend(publishes);
        self.kv_writes.extend(kv_writes);
        self.kv_reads.extend(kv_reads);
        self.cancelled.extend(cancelled);
    }
}

/// How one guarded call ended.
#[derive(Clone, Debug)]
pub struct CallReport<T> {
    /// The answer, or the fault.
    pub outcome: Result<T, Fault>,
    /// Empty after a fault.
    pub outbox: Outbox,
    /// What it used.
    pub usage: Usage,
}

/// One loaded plugin version that can be called. Each call is guarded: it comes back within its deadline, whatever the guest does.
pub trait Guest: Send + Sync + 'static {
    /// What is known of it.
    fn info(&self) -> &PluginInfo;

    /// Asks the control handler. Blocks, for `context.remaining_ms` at the most: call it on a guest thread.
    fn check(&self, subject: &Subject<'_>, context: &CheckContext) -> CallReport<Signal>;

    /// Asks the control handler about several events in one call. Only where [`PluginInfo::batches`] says so is this less work than
    /// asking one by one, which is what it does if it is not written anew. A fault ends it for all of them.
    fn check_batch(&self, batch: &CheckBatch, turn: &BatchTurn) -> CallReport<BatchVerdicts> {
        let mut all = CallReport { outcome: Ok(Vec::new()), outbox: Outbox::default(), usage: Usage::default() };
        for (place, (subject, context)) in batch.asked().iter().enumerate() {
            let elapsed_ms = context.elapsed_ms + turn.since_ms;
            let context = CheckContext { now: turn.now, elapsed_ms, remaining_ms: turn.remaining_ms, ..context.clone() };
            let report = self.check(subject, &context);
            all.usage = all.usage.and(report.usage);
            match (report.outcome, &mut all.outcome) {
                (Ok(Signal::Proceed(None)), _) => {}
                (Ok(signal), Ok(verdicts)) => verdicts.push((place, signal)),
                (Ok(_), Err(_)) => unreachable!("the first fault ends it"),
                (Err(fault), _) => return CallReport { outcome: Err(fault), outbox: Outbox::default(), usage: all.usage },
            }
            all.outbox.append(report.outbox);
        }
        all
    }

    /// Hands a batch to the observer. Blocks, for the plugin's deadline at the most: call it on a guest thread.
    fn observe(&self, batch: &EventBatch, delivery: &Delivery) -> CallReport<Result<(), String>>;

    /// The same for an observer that waits for the world outside ([`PluginInfo::observer_waits`]). Poll it on a guest thread, as [`run`](Self::run);
    /// dropping the future cuts the call. Guests that never wait are called as they always are.
    fn observe_waiting<'a>(&'a self, batch: &'a EventBatch, delivery: &'a Delivery) -> BoxFuture<'a, CallReport<Result<(), String>>> {
        Box::pin(async move { self.observe(batch, delivery) })
    }

    /// Has the worker do a task. Poll it on a guest thread: a guest computes inside a poll, and yields now and then.
    /// Dropping the future cuts the call.
    fn run<'a>(&'a self, task: &'a TaskCall) -> BoxFuture<'a, CallReport<Result<Json, Failure>>>;
}

/// A value in a plugin's kv space, as a call reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KvValue {
    /// The value; `None`: no such key.
    pub value: Option<Vec<u8>>,
    /// The state of the space: goes into [`KvRead`].
    pub stamp: u64,
}

/// A stretch of the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Oldest first.
    pub events: Vec<Event>,
    /// Behind which sequence to go on; `None`: the stretch has been looked through.
    pub next: Option<u64>,
}

/// A line that a plugin wrote.
#[derive(Clone, Debug)]
pub struct LogLine<'a> {
    /// How much it matters.
    pub level: Severity,
    /// The text, shortened to the plugin's limit.
    pub message: &'a str,
    /// The correlation of the event at hand.
    pub correlation_id: &'a str,
}

/// Why the host does not do what a guest asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostCallError(pub String);

/// What a plugin's call may need of the host while it runs. Everything that changes something goes through the outbox instead.
pub trait HostCalls: Send + Sync + 'static {
    /// The host's clock.
    fn now(&self) -> Timestamp;

    /// A value of the plugin's kv space, as of what has been released.
    ///
    /// # Errors
    /// [`HostCallError`] if the store cannot be read.
    fn kv_get(&self, plugin: &str, key: &str) -> Result<KvValue, HostCallError>;

    /// Keys of the space with this prefix, after `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`HostCallError`] if the store cannot be read.
    fn kv_keys(&self, plugin: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, HostCallError>;

    /// Bytes of keys and values that the space holds.
    ///
    /// # Errors
    /// [`HostCallError`] if the store cannot be read.
    fn kv_bytes(&self, plugin: &str) -> Result<u64, HostCallError>;

    /// The log's last durable sequence.
    fn head(&self) -> u64;

    /// Events of the log that match, oldest first, behind `after` and no further than `through`; at most `limit`.
    ///
    /// # Errors
    /// [`HostCallError`] if the log cannot be read.
    fn query(&self, filter: &Filter, after: Option<u64>, through: u64, limit: u32) -> Result<Found, HostCallError>;

    /// Events that the plugin has scheduled and that are not due yet.
    ///
    /// # Errors
    /// [`HostCallError`] if the store cannot be read.
    fn schedules(&self, plugin: &str) -> Result<u32, HostCallError>;

    /// Whether this event of the plugin's schedules is still waiting.
    ///
    /// # Errors
    /// [`HostCallError`] if the store cannot be read.
    fn is_scheduled(&self, plugin: &str, event_id: Uuid) -> Result<bool, HostCallError>;

    /// A line for the host's log.
    fn log(&self, plugin: &str, line: LogLine<'_>);

    /// A worker's progress: becomes `task:progress`. Coalesced, never refused for its rate here.
    fn progress(&self, task: &TaskCall, fraction: Option<f64>, chunk: Option<Json>);

    /// Whether an attempt is no longer wanted.
    fn cancelled(&self, task: &TaskCall) -> bool;

    /// A plugin used what it was not granted. `line` is what the operator would add to its settings file; reported once a plugin version.
    fn not_granted(&self, plugin: &str, what: &str, line: &str);

    /// What a plugin had to say was cut, or what it wanted refused, at a limit, and the call went on. `limit` is the settings file's name of it, `allowed` its value;
    /// reported once a plugin version.
    fn cut(&self, plugin: &str, limit: &str, allowed: u64);
}
