//! Scripted guests: the second real implementation of the port `Guest`. What a guest does is a closure of the test, how it is called
//! and what becomes of its answer is the engine's.

use std::{future::Future, sync::Arc};

use parking_lot::Mutex;
use serde_json::Value;
use trackside_model::{
    control::{CheckContext, Signal},
    event::{Event, Filter, Metadata, Severity, Text},
    json::Json,
    plugin::{BreakerPolicy, Digest, EffectClass, Grants, Limits, Method, OnFault, PluginInfo, Roles},
    ports::{
        BoxFuture, CallReport, Delivery, EventBatch, Failure, Fault, FaultKind, Guest, KvOp, KvRead, KvValue, KvWrite, Outbox,
        OutboxPublish, Subject, TaskCall, Usage,
    },
    time::Timestamp,
};
use uuid::Uuid;

/// What a worker's call comes to.
pub(crate) type Run = CallReport<Result<Json, Failure>>;
/// What an observer's call comes to.
pub(crate) type Observed = CallReport<Result<(), String>>;

type ControlScript = dyn Fn(&Event, &CheckContext) -> CallReport<Signal> + Send + Sync;
type ObserverScript = dyn Fn(&[Arc<Event>], &Delivery) -> Observed + Send + Sync;
type WorkerScript = dyn Fn(TaskCall) -> BoxFuture<'static, Run> + Send + Sync;

enum Script {
    Control(Box<ControlScript>),
    Observer(Box<ObserverScript>),
    Worker(Box<WorkerScript>),
}

/// A guest of one role that does what a closure says.
pub(crate) struct Scripted {
    info: PluginInfo,
    script: Script,
}

impl Scripted {
    /// A control handler. `asked` says what it wants to be asked about.
    pub(crate) fn control(
        name: &str,
        priority: i32,
        asked: &[&str],
        script: impl Fn(&Event, &CheckContext) -> CallReport<Signal> + Send + Sync + 'static,
    ) -> Self {
        let mut info = info(name, Roles { control: true, ..Roles::default() });
        info.priority = priority;
        info.controls = types(asked);
        Self { info, script: Script::Control(Box::new(script)) }
    }

    /// An observer of what the filter lets through.
    pub(crate) fn observer(
        name: &str,
        filter: Filter,
        script: impl Fn(&[Arc<Event>], &Delivery) -> Observed + Send + Sync + 'static,
    ) -> Self {
        let mut info = info(name, Roles { observer: true, ..Roles::default() });
        info.observes = filter;
        Self { info, script: Script::Observer(Box::new(script)) }
    }

    /// A worker that offers these methods.
    pub(crate) fn worker<F>(name: &str, methods: &[&str], script: impl Fn(TaskCall) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Run> + Send + 'static,
    {
        let mut info = info(name, Roles { worker: true, ..Roles::default() });
        let method = |name: &&str| Method { name: Text::from(*name), summary: String::new(), parameters: None, returns: None };
        info.methods = methods.iter().map(method).collect();
        Self { info, script: Script::Worker(Box::new(move |task| Box::pin(script(task)))) }
    }

    /// What is known of it, changed.
    #[must_use]
    pub(crate) fn with(mut self, change: impl FnOnce(&mut PluginInfo)) -> Self {
        change(&mut self.info);
        self
    }

    /// Its faults hold the work.
    #[must_use]
    pub(crate) fn holding(self) -> Self {
        self.with(|info| info.on_fault = OnFault::Fail)
    }

    /// It judges many events in one call.
    #[must_use]
    pub(crate) fn batching(self) -> Self {
        self.with(|info| info.batches = true)
    }

    /// The breaker's backoff, short enough for a test to wait for.
    #[must_use]
    pub(crate) fn backing_off(self, backoff_ms: u64) -> Self {
        self.with(|info| info.breaker.backoff_ms = backoff_ms)
    }
}

fn info(name: &str, roles: Roles) -> PluginInfo {
    PluginInfo {
        name: Text::from(name),
        version: Digest::of(name.as_bytes()),
        settings: Digest::of(b""),
        display_name: name.to_owned(),
        display_version: "1".to_owned(),
        summary: String::new(),
        roles,
        effect_class: EffectClass::Stateful,
        imports: Vec::new(),
        observes: Filter { event_types: Some(Vec::new()), ..Filter::default() },
        controls: Filter { event_types: Some(Vec::new()), ..Filter::default() },
        priority: 100,
        on_fault: OnFault::Proceed,
        batches: false,
        methods: Vec::new(),
        triggers: Vec::new(),
        workers: 4,
        limits: Limits::for_roles(roles),
        grants: Grants::default(),
        breaker: BreakerPolicy::default(),
        allow_growth: false,
        live_behind: None,
    }
}

/// A filter on types.
pub(crate) fn types(patterns: &[&str]) -> Filter {
    Filter::types(patterns.iter().copied()).expect("patterns of a test")
}

impl Guest for Scripted {
    fn info(&self) -> &PluginInfo {
        &self.info
    }

    fn check(&self, subject: &Subject<'_>, context: &CheckContext) -> CallReport<Signal> {
        match &self.script {
            Script::Control(script) => script(&subject.event, context),
            _ => fault(FaultKind::Malformed),
        }
    }

    fn observe(&self, batch: &EventBatch, delivery: &Delivery) -> Observed {
        match &self.script {
            Script::Observer(script) => script(batch.events(), delivery),
            _ => fault(FaultKind::Malformed),
        }
    }

    fn run<'a>(&'a self, task: &'a TaskCall) -> BoxFuture<'a, Run> {
        match &self.script {
            Script::Worker(script) => script(task.clone()),
            _ => Box::pin(async { fault(FaultKind::Malformed) }),
        }
    }
}

/// A call that ended well.
pub(crate) fn answer<T>(value: T) -> CallReport<T> {
    CallReport { outcome: Ok(value), outbox: Outbox::default(), usage: Usage { duration_ns: 1_000, fuel: 10, ..Usage::default() } }
}

/// A call that ended in a fault.
pub(crate) fn fault<T>(kind: FaultKind) -> CallReport<T> {
    let fault = Fault { kind, message: format!("a scripted {}", kind.as_str()), used: 0, allowed: 0 };
    CallReport { outcome: Err(fault), outbox: Outbox::default(), usage: Usage { duration_ns: 1_000, fuel: 10, ..Usage::default() } }
}

/// A control handler that has nothing against it.
pub(crate) fn proceed() -> CallReport<Signal> {
    answer(Signal::Proceed(None))
}

/// A control handler that puts something else in place.
pub(crate) fn amend(value: &Value) -> CallReport<Signal> {
    answer(Signal::Proceed(Some(Json::from_value(value))))
}

/// An observer that has taken its batch.
pub(crate) fn taken() -> Observed {
    answer(Ok(()))
}

/// A worker's result.
pub(crate) fn result(value: &Value) -> Run {
    answer(Ok(Json::from_value(value)))
}

/// A worker's own failure.
pub(crate) fn failed(message: &str, retryable: bool) -> Run {
    answer(Err(Failure { message: message.to_owned(), code: None, retryable, retry_after_ms: None, details: None }))
}

/// What a call wants to happen besides its answer.
pub(crate) trait Released {
    /// Publishes an event that follows from `cause`.
    fn publishing(self, cause: Uuid, event_type: &str, payload: &Value) -> Self;
    /// Publishes what was put into the outbox last only then.
    fn due(self, when: Timestamp) -> Self;
    /// Takes a scheduled event back.
    fn cancelling(self, event_id: Uuid) -> Self;
    /// Raises an error about `cause`.
    fn raising(self, cause: Uuid, error: &Value) -> Self;
    /// Adds to a number in its kv space.
    fn adding(self, key: &str, by: i64) -> Self;
    /// Writes a value that rests on what was read.
    fn setting(self, key: &str, value: &str, read: &KvValue) -> Self;
}

impl<T> Released for CallReport<T> {
    fn publishing(mut self, cause: Uuid, event_type: &str, payload: &Value) -> Self {
        let publish = publish_of(&self, cause, event_type, payload);
        self.outbox.publishes.push(publish);
        self
    }

    fn due(mut self, when: Timestamp) -> Self {
        self.outbox.publishes.last_mut().expect("something to publish").due = Some(when);
        self
    }

    fn cancelling(mut self, event_id: Uuid) -> Self {
        self.outbox.cancelled.push(event_id);
        self
    }

    fn raising(mut self, cause: Uuid, error: &Value) -> Self {
        let raised = OutboxPublish { raised: true, ..publish_of(&self, cause, "error:raised", error) };
        self.outbox.publishes.push(raised);
        self
    }

    fn adding(mut self, key: &str, by: i64) -> Self {
        self.outbox.kv_writes.push(KvWrite { key: key.to_owned(), op: KvOp::Add { by, expires_at: None } });
        self
    }

    fn setting(mut self, key: &str, value: &str, read: &KvValue) -> Self {
        self.outbox.kv_reads.push(KvRead { key: key.to_owned(), stamp: read.stamp });
        self.outbox.kv_writes.push(KvWrite { key: key.to_owned(), op: KvOp::Set { value: value.into(), expires_at: None } });
        self
    }
}

/// As the plugin host does it: the id is derived from the cause and the place among what follows from it, so that a repeated call repeats the id.
fn publish_of<T>(report: &CallReport<T>, cause: Uuid, event_type: &str, payload: &Value) -> OutboxPublish {
    let place = report.outbox.publishes.iter().filter(|publish| publish.cause.as_deref() == Some(&*cause.to_string())).count();
    OutboxPublish {
        event_id: Uuid::new_v5(&cause, format!("{event_type}/{place}").as_bytes()),
        event_type: event_type.to_owned(),
        severity: Severity::Info,
        payload: Json::from_value(payload),
        metadata: Metadata::new(),
        cause: Some(cause.to_string()),
        correlation_id: None,
        timestamp: None,
        due: None,
        raised: false,
    }
}

/// What guests have seen, in order, shared between a test and its scripts.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    /// Takes note.
    pub(crate) fn note(&self, what: impl Into<String>) {
        self.0.lock().push(what.into());
    }

    /// All of it.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    /// How much it is.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().len()
    }
}
