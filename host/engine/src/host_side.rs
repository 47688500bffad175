//! The host's side of a guest's calls: time, kv, log, progress, cancellation. Everything that changes something waits in the outbox instead.
//! What a guest was granted is checked by the plugin host before it asks here.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use serde_json::{Value, json};
use trackside_model::{
    control::{Admitted, Notice},
    event::{Filter, Position, Severity, Text},
    json::Json,
    ports::{Found, HostCallError, HostCalls, KvValue, LogLine, TaskCall},
    time::Timestamp,
};
use trackside_store::{Batch, Entry, Flush, Query, Store};
use uuid::Uuid;

use crate::{
    clock,
    sightings::{Sighting, Sightings},
};

/// `task:progress` events of one task a second; more are coalesced into the next.
const MOST_PROGRESS_PER_S: u64 = 20;

/// What guests reach of the host.
pub struct HostSide {
    store: Store,
    /// Attempts that are no longer wanted, until their calls are over.
    cancelled: Mutex<HashSet<Text>>,
    progress: Mutex<HashMap<Text, Progress>>,
    /// For whoever looks on.
    pub(crate) sightings: Sightings,
}

/// What an attempt has reported and the log has not been told.
#[derive(Default)]
struct Progress {
    told_at: Timestamp,
    fraction: Option<f64>,
    chunks: Vec<Json>,
}

impl HostSide {
    /// The host's side over this store.
    pub fn new(store: Store) -> Arc<Self> {
        Arc::new(Self { store, cancelled: Mutex::default(), progress: Mutex::default(), sightings: Sightings::default() })
    }

    pub(crate) fn cancel(&self, idempotency_key: &Text) {
        self.cancelled.lock().insert(idempotency_key.clone());
    }

    /// The call is over: what it reported last is told.
    pub(crate) fn over(&self, task: &TaskCall) {
        self.cancelled.lock().remove(&task.idempotency_key);
        let left = self.progress.lock().remove(&task.idempotency_key);
        if let Some(progress) = left.filter(|progress| progress.fraction.is_some() || !progress.chunks.is_empty()) {
            self.tell_progress(task, progress.fraction, &progress.chunks);
        }
    }

    fn tell_progress(&self, task: &TaskCall, fraction: Option<f64>, chunks: &[Json]) {
        let payload = json!({"attempt": task.attempt, "fraction": fraction, "chunks": chunks});
        let notice = Notice::new("task:progress", clock::fresh_id(), clock::now(), payload)
            .map(|notice| notice.about_task(&task.correlation_id, &task.workflow_id, Some(&task.task_id)));
        self.append(notice.map_err(|error| error.to_string()));
    }

    /// Tells of something that went wrong with a plugin and stopped nothing.
    fn warn_of(&self, plugin: &str, error: &Value) {
        let notice = Notice::new("error:raised", clock::fresh_id(), clock::now(), json!({"plugin": plugin, "error": error}))
            .map(|notice| notice.about_provider(&Text::from(plugin)).severity(Severity::Warning));
        self.append(notice.map_err(|error| error.to_string()));
    }

    fn append(&self, notice: Result<Notice, String>) {
        let appended = notice.and_then(|notice| {
            self.store.append(Batch::of([Entry::fresh(Admitted::notice(notice))]), Flush::Lazy).map_err(|error| error.to_string())
        });
        if let Err(error) = appended {
            tracing::error!("the log does not take a notice of the host: {error}");
        }
    }
}

impl HostCalls for HostSide {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn kv_get(&self, plugin: &str, key: &str) -> Result<KvValue, HostCallError> {
        self.store.kv_get(plugin, key).map_err(|error| HostCallError(error.to_string()))
    }

    fn kv_keys(&self, plugin: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, HostCallError> {
        self.store.kv_keys(plugin, prefix, after, limit).map_err(|error| HostCallError(error.to_string()))
    }

    fn kv_bytes(&self, plugin: &str) -> Result<u64, HostCallError> {
        self.store.kv_bytes(plugin).map_err(|error| HostCallError(error.to_string()))
    }

    fn head(&self) -> u64 {
        self.store.durable_head()
    }

    fn query(&self, filter: &Filter, after: Option<u64>, through: u64, limit: u32) -> Result<Found, HostCallError> {
        let query = Query {
            filter: filter.clone(),
            after: after.map(Position::end_of),
            through: Some(through),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            ..Query::default()
        };
        let page = self.store.query(&query).map_err(|error| HostCallError(error.to_string()))?;
        Ok(Found { events: page.events, next: page.next.map(|next| next.sequence) })
    }

    fn schedules(&self, plugin: &str) -> Result<u32, HostCallError> {
        self.store.scheduled(plugin).map_err(|error| HostCallError(error.to_string()))
    }

    fn is_scheduled(&self, plugin: &str, event_id: Uuid) -> Result<bool, HostCallError> {
        // What a call has just released may still be on its way to the disk, where schedules are read from.
        let on_its_way = self.store.append(Batch::default(), Flush::Now).map_err(|error| HostCallError(error.to_string()))?;
        on_its_way.ticket.wait().map_err(|error| HostCallError(error.to_string()))?;
        self.store.is_scheduled(plugin, &event_id).map_err(|error| HostCallError(error.to_string()))
    }

    fn log(&self, plugin: &str, line: LogLine<'_>) {
        let LogLine { level, message, correlation_id } = line;
        self.sightings.show(|| Sighting::Line { plugin: Text::from(plugin), level, message: message.to_owned() });
        match level {
            Severity::Debug => tracing::debug!(target: "plugin", plugin, correlation_id, "{message}"),
            Severity::Info => tracing::info!(target: "plugin", plugin, correlation_id, "{message}"),
            Severity::Warning => tracing::warn!(target: "plugin", plugin, correlation_id, "{message}"),
            Severity::Error | Severity::Critical => tracing::error!(target: "plugin", plugin, correlation_id, "{message}"),
        }
    }

    fn progress(&self, task: &TaskCall, fraction: Option<f64>, chunk: Option<Json>) {
        let now = clock::now();
        let due = {
            let mut progress = self.progress.lock();
            let progress = progress.entry(task.idempotency_key.clone()).or_default();
            progress.fraction = fraction.or(progress.fraction);
            progress.chunks.extend(chunk);
            let due = now.ms_since(progress.told_at) >= 1_000 / MOST_PROGRESS_PER_S;
            due.then(|| std::mem::replace(progress, Progress { told_at: now, ..Progress::default() }))
        };
        if let Some(progress) = due {
            self.tell_progress(task, progress.fraction, &progress.chunks);
        }
    }

    fn cancelled(&self, task: &TaskCall) -> bool {
        self.cancelled.lock().contains(&task.idempotency_key)
    }

    fn not_granted(&self, plugin: &str, what: &str, line: &str) {
        self.sightings.show(|| Sighting::NotGranted { plugin: Text::from(plugin), what: what.to_owned(), line: line.to_owned() });
        tracing::warn!(target: "plugin", plugin, "used {what} without the grant; to grant it, write {line} into its settings file");
        self.warn_of(plugin, &json!({"message": format!("{what} is not granted"), "grant": line}));
    }

    fn cut(&self, plugin: &str, limit: &str, allowed: u64) {
        self.warn_of(
            plugin,
            &json!({"message": format!("one of its calls went past {limit} = {allowed}; what is above that was cut off, or refused"), "limit": limit, "allowed": allowed}),
        );
    }
}
