//! What there is to tell of a call, as JSON: the answer or the fault, what it cost, what it asked of the host and what it released.
//! One shape serves people, programs, expectations and snapshots; how each is shown is the command line's.

use serde_json::{Map, Value, json};
use trackside_model::{
    control::{DecisionPoint, Signal},
    event::{Event, Severity},
    json::Json,
    ports::{Failure, Fault, FaultKind, Outbox, OutboxPublish, TaskCall, Usage},
    time::Timestamp,
};

use super::{Role, Space, memory::Trace};

/// Members that an expectation may name.
pub(crate) const EXPECTABLE: [&str; 24] = [
    "role",
    "point",
    "event_type",
    "events",
    "method",
    "asked",
    "signal",
    "reason",
    "after_ms",
    "value",
    "taken",
    "error",
    "result",
    "failure",
    "fault",
    "publishes",
    "kv",
    "lines",
    "progress",
    "reads",
    "fuel",
    "unscheduled",
    "not_granted",
    "cut",
];
/// Members that differ from run to run, or with every change of the code: no snapshot holds them.
const PASSING: [&str; 3] = ["fuel", "duration_us", "reads"];

/// A call, told.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    members: Map<String, Value>,
    /// All of the plugin's space after the call, as far as it concerns expectations.
    space: Map<String, Value>,
}

impl Told {
    fn of(role: Role, members: Value) -> Self {
        let mut told = Self { members: Map::new(), space: Map::new() };
        told.put("role", role.name());
        if let Value::Object(more) = members {
            told.members.extend(more);
        }
        told
    }

    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.members.insert(name.to_owned(), value.into());
    }

    /// Puts what is there; no list is told as none at all.
    fn put_some(&mut self, name: &str, list: Vec<Value>) {
        if !list.is_empty() {
            self.put(name, list);
        }
    }

    /// A call that a host would not make, for the plugin's filter does not want what it is about.
    pub(crate) fn not_asked(role: Role, about: Value) -> Self {
        let mut told = Self::of(role, about);
        told.put("asked", false);
        told
    }

    pub(crate) fn checked(outcome: Result<Signal, Fault>, point: DecisionPoint, event: &Event) -> Self {
        let mut told = Self::of(Role::Control, json!({"point": point, "event_type": event.event_type}));
        match outcome {
            Err(fault) => told.put_fault(&fault),
            Ok(signal) => {
                told.put("signal", signal.name());
                if let Some(reason) = signal.reason() {
                    told.put("reason", reason);
                }
                match &signal {
                    Signal::Retry { after_ms: Some(after_ms), .. } => told.put("after_ms", *after_ms),
                    Signal::Proceed(Some(value)) | Signal::Fallback { value, .. } => told.put("value", value.to_value()),
                    _ => {}
                }
            }
        }
        told
    }

    pub(crate) fn observed(outcome: Result<Result<(), String>, Fault>, events: usize) -> Self {
        let mut told = Self::of(Role::Observer, json!({"events": events}));
        match outcome {
            Err(fault) => told.put_fault(&fault),
            Ok(Ok(())) => told.put("taken", true),
            Ok(Err(error)) => {
                told.put("taken", false);
                told.put("error", error);
            }
        }
        told
    }

    pub(crate) fn worked(outcome: Result<Result<Json, Failure>, Fault>, task: &TaskCall) -> Self {
        let mut told = Self::of(Role::Worker, json!({"method": &*task.method}));
        match outcome {
            Err(fault) => told.put_fault(&fault),
            Ok(Ok(result)) => told.put("result", result.to_value()),
            Ok(Err(failure)) => told.put("failure", json!(failure)),
        }
        told
    }

    fn put_fault(&mut self, fault: &Fault) {
        self.put("fault", json!({"kind": fault.kind, "message": fault.message, "used": fault.used, "allowed": fault.allowed}));
    }

    /// The same with what it cost, what it asked and what it released. `space` is the plugin's as it stands now.
    pub(crate) fn with(mut self, usage: Usage, outbox: &Outbox, trace: Trace, space: &Space, now: Timestamp) -> Self {
        self.put("fuel", usage.fuel);
        self.put("duration_us", usage.duration_ns / 1_000);
        self.put_some("publishes", outbox.publishes.iter().map(publish).collect());
        self.put_some("unscheduled", outbox.cancelled.iter().map(|id| json!(id)).collect());
        let changed: Map<String, Value> =
            outbox.kv_writes.iter().map(|write| (write.key.clone(), space.value_json(&write.key, now).unwrap_or(Value::Null))).collect();
        if !changed.is_empty() {
            self.put("kv", changed);
        }
        self.put_some("lines", trace.lines);
        self.put_some("progress", trace.progress);
        self.put_some("reads", trace.reads);
        self.put_some("not_granted", trace.not_granted);
        self.put_some("cut", trace.cut);
        self.space = space.to_json(now);
        self
    }

    /// The same with a word about the filter, if it does not want what the call was about.
    pub(crate) fn wanted(mut self, wanted: bool) -> Self {
        if !wanted {
            self.put("wanted", false);
        }
        self
    }

    /// Whether it ended in a fault.
    pub(crate) fn is_fault(&self) -> bool {
        self.members.contains_key("fault")
    }

    /// All of it.
    pub(crate) fn to_json(&self) -> Value {
        Value::Object(self.members.clone())
    }

    /// What expectations are held against: `kv` is all of the space.
    pub(crate) fn to_expect(&self) -> Value {
        let mut members = self.members.clone();
        members.insert("kv".to_owned(), Value::Object(self.space.clone()));
        Value::Object(members)
    }

    /// What a snapshot keeps: all that must be the same the next time.
    pub(crate) fn lasting(&self) -> Value {
        let mut members = self.members.clone();
        members.retain(|name, _| !PASSING.contains(&name.as_str()));
        for publish in members.get_mut("publishes").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(publish) = publish.as_object_mut() {
                publish.remove("event_id");
            }
        }
        if let Some(fault) = members.get_mut("fault").and_then(Value::as_object_mut) {
            // How much was used, and what that is like in words, differs from run to run.
            let kind_alone = fault["kind"] == json!(FaultKind::Deadline);
            fault.retain(|name, _| name == "kind" || name == "allowed" || (name == "message" && !kind_alone));
        }
        Value::Object(members)
    }
}

fn publish(publish: &OutboxPublish) -> Value {
    let mut members = Map::new();
    let mut put = |name: &str, value: Value| members.insert(name.to_owned(), value);
    put("event_id", json!(publish.event_id));
    put("event_type", json!(publish.event_type));
    put("payload", publish.payload.to_value());
    if publish.severity != Severity::Info {
        put("severity", json!(publish.severity));
    }
    if !publish.metadata.is_empty() {
        put("metadata", json!(publish.metadata));
    }
    if let Some(correlation_id) = &publish.correlation_id {
        put("correlation_id", json!(correlation_id));
    }
    if let Some(due) = publish.due {
        put("due", json!(due));
    }
    Value::Object(members)
}
