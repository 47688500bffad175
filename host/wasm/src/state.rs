//! Owns what stands behind a store: the plugin it belongs to, its limiter, its WASI context and the call at hand.
//! Leaves what host calls do with it to the files of `linker`, and how a call begins and ends to `call`.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use trackside_model::{
    control::CheckContext,
    event::{Event, Text, trace::Carried},
    plugin::{Grants, Limits},
    ports::{Fault, FaultKind, HostCalls, KvWrite, Outbox, OutboxPublish, TaskCall},
    time::Timestamp,
};
use uuid::Uuid;
use wasmtime_wasi::{ResourceTable, WasiCtx, WasiCtxView, WasiView};

use crate::{
    engines::Engines,
    http::{Client, Http},
    limits::{HOST_CALL_BYTES, Limiter, REPORTS},
    linker::{kv::Space, stdio::Stdio},
    secrets::Secrets,
    settings::{Values, grant_line},
};

/// What all instances of a plugin version share.
pub(crate) struct Core {
    pub(crate) name: Text,
    pub(crate) limits: Limits,
    pub(crate) grants: Grants,
    pub(crate) values: Values,
    pub(crate) secrets: Secrets,
    pub(crate) client: Arc<Client>,
    pub(crate) calls: Arc<dyn HostCalls>,
    pub(crate) engines: Arc<Engines>,
    /// Whether this only serves `describe`: nothing is granted then, and nothing reported.
    pub(crate) describing: bool,
    /// What has been reported as not granted or cut: each thing once a version.
    pub(crate) reported: Mutex<BTreeSet<String>>,
}

impl Core {
    /// Says, once, that the plugin used what it was not granted, and the line that grants it.
    pub(crate) fn not_granted(&self, what: &str, line: &str) {
        if self.is_new(what) {
            self.calls.not_granted(&self.name, what, line);
        }
    }

    /// The same for a grant that is a key of the settings file.
    pub(crate) fn not_granted_key(&self, what: &str, key: &str, value: &str) {
        self.not_granted(what, &grant_line(key, value));
    }

    /// Says, once, that what the plugin had to say was cut at a limit.
    pub(crate) fn cut(&self, limit: &str, allowed: u64) {
        if self.is_new(limit) {
            self.calls.cut(&self.name, limit, allowed);
        }
    }

    /// Whether it has not been reported yet. A guest that thinks up ever new things to be refused is reported a number of times.
    fn is_new(&self, what: &str) -> bool {
        if self.describing {
            return false;
        }
        let mut reported = self.reported.lock();
        reported.len() < REPORTS && reported.insert(what.to_owned())
    }
}

/// What a call is about: where its publishes and log lines come from.
#[derive(Clone, Debug, Default)]
pub(crate) enum Cause {
    /// Nothing: the plugin describes itself.
    #[default]
    None,
    /// One event, at a decision point.
    Check { event_id: Uuid, correlation_id: Text, point: u8, attempt: u32 },
    /// Several events at decision points: id and correlation of each.
    Checks(Arc<[(Uuid, Text)]>),
    /// A batch: id and correlation of each event, the place of the last one in the log, and the trace of which all are.
    Batch { events: Arc<[(Uuid, Text)]>, last_sequence: u64, trace: Option<Carried> },
    /// A task.
    Task(Arc<TaskCall>),
}

impl Cause {
    /// A check of one event.
    pub(crate) fn of_check(event: &Event, context: &CheckContext) -> Self {
        Self::Check {
            event_id: event.event_id,
            correlation_id: Arc::clone(&event.correlation_id),
            point: context.point.ordinal(),
            attempt: context.attempt,
        }
    }

    /// The correlation of the event that `id` names, or of the one at hand, or of the batch's last.
    pub(crate) fn correlation(&self, id: Option<&str>) -> &str {
        match self {
            Self::None => "",
            Self::Check { correlation_id, .. } => correlation_id,
            Self::Task(task) => &task.correlation_id,
            Self::Checks(events) | Self::Batch { events, .. } => {
                let named = id.and_then(|id| Uuid::parse_str(id).ok()).and_then(|id| events.iter().find(|(event, _)| *event == id));
                named.or(events.last()).map_or("", |(_, correlation)| correlation)
            }
        }
    }

    /// The id of the event that something follows from; `None` if `id` names an event that is not at hand.
    pub(crate) fn event(&self, id: Option<&str>) -> Option<Uuid> {
        let parsed = |text: &str| Uuid::parse_str(text).ok();
        let own = match self {
            Self::None => None,
            Self::Check { event_id, .. } => Some(*event_id),
            Self::Task(task) => parsed(&task.cause),
            Self::Checks(events) | Self::Batch { events, .. } => match id {
                None => events.last().map(|(event, _)| *event),
                Some(id) => {
                    let id = parsed(id)?;
                    return events.iter().any(|(event, _)| *event == id).then_some(id);
                }
            },
        };
        match id {
            Some(id) if parsed(id) != own => None,
            // A task whose cause is no UUID still has an identity to derive ids from.
            _ => Some(own.unwrap_or_default()),
        }
    }

    /// What its requests to the outside carry of a trace.
    pub(crate) fn trace(&self) -> Option<Carried> {
        match self {
            Self::Batch { trace, .. } => trace.clone(),
            Self::Task(task) => Carried::about([&task.metadata]),
            // These do not call out.
            Self::None | Self::Check { .. } | Self::Checks(_) => None,
        }
    }

    /// How many events it judges; 1 for every other call.
    pub(crate) fn judged(&self) -> u64 {
        match self {
            Self::Checks(events) => events.len() as u64,
            _ => 1,
        }
    }

    /// What tells this call from another about the same event, but not from its own repetition.
    pub(crate) fn call_key(&self) -> String {
        match self {
            Self::None => "describe".to_owned(),
            Self::Check { point, attempt, .. } => format!("check {point} {attempt}"),
            // No call that wants something to happen judges many events: nothing is derived from this.
            Self::Checks(_) => "checks".to_owned(),
            Self::Batch { .. } => "observe".to_owned(),
            Self::Task(task) => format!("run {}", task.idempotency_key),
        }
    }
}

/// The call at hand.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
    /// Milliseconds from `started` to `deadline`.
    pub(crate) timeout_ms: u64,
    /// What it may use.
    pub(crate) fuel: u64,
    /// The host's clock at the start.
    pub(crate) now: Timestamp,
    pub(crate) cause: Cause,
    pub(crate) publishes: Vec<OutboxPublish>,
    /// Scheduled events that the call takes back.
    pub(crate) cancelled: Vec<Uuid>,
    /// How far the call sees the log, once it has looked.
    pub(crate) as_of: Option<u64>,
    /// How many derived ids each cause has given.
    pub(crate) derived: Vec<(Uuid, u64)>,
    pub(crate) space: Space,
    /// Bytes that host calls have passed.
    pub(crate) host_bytes: u64,
    pub(crate) log_bytes: u64,
    pub(crate) reports: u32,
    /// Whether it repeats another call, and is not to be heard of.
    pub(crate) silent: bool,
    /// State of the stream that stands for ungranted randomness; 0 before its first use.
    pub(crate) random: u64,
}

impl Call {
    pub(crate) fn new(started: Instant, timeout_ms: u64, now: Timestamp, cause: Cause, fuel: u64) -> Self {
        Self {
            started,
            fuel,
            deadline: started + Duration::from_millis(timeout_ms),
            timeout_ms,
            now,
            cause,
            publishes: Vec::new(),
            cancelled: Vec::new(),
            as_of: None,
            derived: Vec::new(),
            space: Space::default(),
            host_bytes: 0,
            log_bytes: 0,
            reports: 0,
            silent: false,
            random: 0,
        }
    }

    /// What the call wants to happen.
    pub(crate) fn take_outbox(&mut self) -> Outbox {
        let kv_writes: Vec<KvWrite> = std::mem::take(&mut self.space.writes);
        Outbox {
            publishes: std::mem::take(&mut self.publishes),
            kv_writes,
            kv_reads: std::mem::take(&mut self.space.reads),
            cancelled: std::mem::take(&mut self.cancelled),
        }
    }
}

/// What a store holds.
pub(crate) struct State {
    pub(crate) core: Arc<Core>,
    pub(crate) limiter: Limiter,
    pub(crate) call: Call,
    pub(crate) stdio: Stdio,
    pub(crate) wasi: WasiCtx,
    pub(crate) http: Http,
    pub(crate) table: ResourceTable,
    /// Whether its calls are futures, and let others go on now and then.
    pub(crate) suspends: bool,
}

impl State {
    /// Counts bytes that a host call passes, besides what each call costs the host.
    ///
    /// # Errors
    /// The fault, once there are more than allowed.
    pub(crate) fn count(&mut self, bytes: usize) -> wasmtime::Result<()> {
        let allowed = self.core.limits.result_bytes;
        self.call.host_bytes = self.call.host_bytes.saturating_add(bytes as u64 + HOST_CALL_BYTES);
        if self.call.host_bytes <= allowed {
            return Ok(());
        }
        let used = self.call.host_bytes;
        let message =
            format!("its host calls passed {used} bytes, result_bytes allows {allowed} (each call counts {HOST_CALL_BYTES} besides)");
        Err(Fault { kind: FaultKind::Bytes, message, used, allowed }.into())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
