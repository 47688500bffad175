//! The host's side of a plugin's calls where there is no host: a clock, a kv space, a log and schedules in memory, and a note of what was
//! asked of them. What is granted is checked by the plugin host before it asks here.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use trackside_model::{
    event::{Event, Filter},
    json::Json,
    ports::{Found, HostCallError, HostCalls, KvValue, LogLine, Outbox, TaskCall},
    time::Timestamp,
};
use uuid::Uuid;

use super::Space;

/// What a call asked of the host and told it, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// What it looked up: keys, stretches of the log, schedules.
    pub(crate) reads: Vec<Value>,
    /// `{level, message}` each.
    pub(crate) lines: Vec<Value>,
    /// `{fraction, chunk}` each.
    pub(crate) progress: Vec<Value>,
    /// `{what, line}` each: what it used without the grant, once a loaded version.
    pub(crate) not_granted: Vec<Value>,
    /// `{limit, allowed}` each: what was cut, once a loaded version.
    pub(crate) cut: Vec<Value>,
}

/// A host's side in memory, for one plugin.
#[derive(Debug, Default)]
pub(crate) struct MemoryHost {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// `None`: the real clock.
    now: Option<Timestamp>,
    space: Space,
    log: Vec<Event>,
    scheduled: BTreeSet<Uuid>,
    trace: Trace,
}

impl MemoryHost {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on it is this time.
    pub(crate) fn set_now(&self, now: Timestamp) {
        self.state().now = Some(now);
    }

    /// Begins anew with this space and this log, in the log's order.
    pub(crate) fn set(&self, space: Space, log: Vec<Event>) {
        let mut state = self.state();
        (state.space, state.log) = (space, log);
        state.scheduled.clear();
    }

    /// The space as it stands.
    pub(crate) fn space(&self) -> Space {
        self.state().space.clone()
    }

    /// Puts an event at the end of the log that calls can look into.
    pub(crate) fn append(&self, event: Event) {
        self.state().log.push(event);
    }

    /// What was asked since the last time.
    pub(crate) fn take_trace(&self) -> Trace {
        std::mem::take(&mut self.state().trace)
    }

    /// Lets happen what a call wants to happen, as far as it stays with the plugin: its kv writes and its schedules.
    pub(crate) fn release(&self, outbox: Outbox, now: Timestamp) {
        let mut state = self.state();
        for write in outbox.kv_writes {
            state.space.apply(write, now);
        }
        state.scheduled.extend(outbox.publishes.iter().filter(|publish| publish.due.is_some()).map(|publish| publish.event_id));
        for cancelled in &outbox.cancelled {
            state.scheduled.remove(cancelled);
        }
    }
}

impl State {
    fn now(&self) -> Timestamp {
        self.now.unwrap_or_else(trackside_engine::now)
    }
}

impl HostCalls for MemoryHost {
    fn now(&self) -> Timestamp {
        self.state().now()
    }

    fn kv_get(&self, _: &str, key: &str) -> Result<KvValue, HostCallError> {
        let mut state = self.state();
        let value = state.space.get(key, state.now());
        let bytes = value.as_ref().map(Vec::len);
        state.trace.reads.push(json!({"kv": key, "bytes": bytes}));
        // Calls come one after the other here, so that nothing changes under one.
        Ok(KvValue { value, stamp: 0 })
    }

    fn kv_keys(&self, _: &str, prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, HostCallError> {
        let mut state = self.state();
        let keys = state.space.keys(prefix, after, limit, state.now());
        state.trace.reads.push(json!({"kv_keys": prefix, "found": keys.len()}));
        Ok(keys)
    }

    fn kv_bytes(&self, _: &str) -> Result<u64, HostCallError> {
        let state = self.state();
        Ok(state.space.bytes(state.now()))
    }

    fn head(&self) -> u64 {
        self.state().log.last().map_or(0, |event| event.sequence_number)
    }

    fn query(&self, filter: &Filter, after: Option<u64>, through: u64, limit: u32) -> Result<Found, HostCallError> {
        let mut state = self.state();
        let behind = after.unwrap_or(0);
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut matching =
            state.log.iter().filter(|event| event.sequence_number > behind && event.sequence_number <= through && filter.matches(event));
        let events: Vec<Event> = matching.by_ref().take(most).cloned().collect();
        let next = matching.next().and(events.last()).map(|event| event.sequence_number);
        state.trace.reads.push(json!({"query": filter.event_types, "found": events.len()}));
        Ok(Found { events, next })
    }

    fn schedules(&self, _: &str) -> Result<u32, HostCallError> {
        Ok(u32::try_from(self.state().scheduled.len()).unwrap_or(u32::MAX))
    }

    fn is_scheduled(&self, _: &str, event_id: Uuid) -> Result<bool, HostCallError> {
        let mut state = self.state();
        let waits = state.scheduled.contains(&event_id);
        state.trace.reads.push(json!({"schedule": event_id, "waits": waits}));
        Ok(waits)
    }

    fn log(&self, _: &str, line: LogLine<'_>) {
        self.state().trace.lines.push(json!({"level": line.level, "message": line.message}));
    }

    fn progress(&self, _: &TaskCall, fraction: Option<f64>, chunk: Option<Json>) {
        self.state().trace.progress.push(json!({"fraction": fraction, "chunk": chunk}));
    }

    fn cancelled(&self, _: &TaskCall) -> bool {
        false
    }

    fn not_granted(&self, _: &str, what: &str, line: &str) {
        self.state().trace.not_granted.push(json!({"what": what, "line": line}));
    }

    fn cut(&self, _: &str, limit: &str, allowed: u64) {
        self.state().trace.cut.push(json!({"limit": limit, "allowed": allowed}));
    }
}
