//! Handlers of the program that embeds the host: closures that observe and steer beside the components, as the second way to be a guest. They
//! are called on the same threads, under the same breakers and in the same chain. What they cannot have is a component's isolation: a panic is
//! a fault of the call, but one that never returns keeps its thread.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use trackside_model::{
    control::{CheckContext, Signal},
    event::{Event, EventType, EventTypeError, Filter, Metadata, Severity, Text},
    json::Json,
    plugin::{BreakerPolicy, Digest, EffectClass, Grants, Limits, OnFault, PluginInfo, Roles},
    ports::{
        BoxFuture, CallReport, Delivery, EventBatch, Failure, Fault, FaultKind, Guest, KvOp, KvWrite, Outbox, OutboxPublish, Subject,
        TaskCall, Usage,
    },
};
use uuid::Uuid;

/// What identities of native handlers are derived under.
const NATIVE: Uuid = Uuid::from_u128(0x7e0d_62a1_52a6_4a5e_9c1e_0e4e_7c3b_9a10);

type ObserverFn = dyn Fn(&[Arc<Event>], &Delivery, &mut Effects) -> Result<(), String> + Send + Sync;
type ControlFn = dyn Fn(&Event, &CheckContext, &mut Effects) -> Signal + Send + Sync;

enum Handler {
    Observer(Box<ObserverFn>),
    Control(Box<ControlFn>),
}

/// A handler of the embedding program, to be taken into service by [`Engine::register`](crate::Engine::register).
pub struct Native {
    info: PluginInfo,
    handler: Handler,
}

/// What a call wants to happen: all of it together with what the call was about, or, if it faults or fails, none of it. An observer's effects are
/// in one commit with its cursor, so that what it counts it counts once, whatever ends the host.
#[derive(Debug)]
pub struct Effects {
    plugin: Text,
    cause: Option<(Uuid, Text)>,
    outbox: Outbox,
}

impl Effects {
    fn of(plugin: &Text, cause: Option<&Event>) -> Self {
        let cause = cause.map(|event| (event.event_id, Text::from(event.event_id.to_string())));
        Self { plugin: plugin.clone(), cause, outbox: Outbox::default() }
    }

    /// What is published from here on follows from this event of the batch.
    pub fn caused_by(&mut self, event: &Event) -> &mut Self {
        self.cause = Some((event.event_id, Text::from(event.event_id.to_string())));
        self
    }

    /// Publishes an event that follows from the last one at hand, through the one door, under an id derived from it.
    ///
    /// # Errors
    /// [`EventTypeError`] if the type is none.
    pub fn publish(&mut self, event_type: &str, severity: Severity, payload: impl Into<Json>) -> Result<(), EventTypeError> {
        let event_type = EventType::normalise(event_type)?.to_string();
        // Among what follows from the same event: handed over in another batch, or once more, it is the same publish.
        let of_cause = self.cause.as_ref().map(|(_, text)| &**text);
        let place = self.outbox.publishes.iter().filter(|publish| publish.cause.as_deref() == of_cause).count();
        let cause = self.cause.as_ref().map_or(NATIVE, |(event_id, _)| *event_id);
        let event_id = Uuid::new_v5(&cause, format!("{}/{event_type}/{place}", self.plugin).as_bytes());
        self.outbox.publishes.push(OutboxPublish {
            event_id,
            event_type,
            severity,
            payload: payload.into(),
            metadata: Metadata::new(),
            cause: self.cause.as_ref().map(|(_, text)| text.to_string()),
            correlation_id: None,
            timestamp: None,
            due: None,
            raised: false,
        });
        Ok(())
    }

    /// Adds to a number in the handler's own kv space, from 0.
    pub fn kv_add(&mut self, key: &str, by: i64) {
        self.write(key, KvOp::Add { by, expires_at: None });
    }

    /// Sets a value in the handler's own kv space.
    pub fn kv_set(&mut self, key: &str, value: impl Into<Vec<u8>>) {
        self.write(key, KvOp::Set { value: value.into(), expires_at: None });
    }

    /// Takes a key out of the handler's own kv space.
    pub fn kv_delete(&mut self, key: &str) {
        self.write(key, KvOp::Delete);
    }

    fn write(&mut self, key: &str, op: KvOp) {
        self.outbox.kv_writes.push(KvWrite { key: key.to_owned(), op });
    }
}

impl Native {
    /// An observer of what the filter lets through: every event once, in the log's order, from its own cursor, which outlives the host. What it
    /// does not take (`Err`) it is handed again, in smaller batches, until it is a dead letter.
    pub fn observer(
        name: &str,
        filter: Filter,
        observe: impl Fn(&[Arc<Event>], &Delivery, &mut Effects) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let mut info = info(name, Roles { observer: true, ..Roles::default() });
        info.observes = filter;
        Self { info, handler: Handler::Observer(Box::new(observe)) }
    }

    /// A control handler that is asked about what the filter lets through, before it is appended.
    pub fn control(
        name: &str,
        filter: Filter,
        check: impl Fn(&Event, &CheckContext, &mut Effects) -> Signal + Send + Sync + 'static,
    ) -> Self {
        let mut info = info(name, Roles { control: true, ..Roles::default() });
        info.controls = filter;
        Self { info, handler: Handler::Control(Box::new(check)) }
    }

    /// Its place in the control chain: lower is earlier; 100 if nothing is said.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.info.priority = priority;
        self
    }

    /// Makes an observer a *live* reader: further behind the head of the log than this many events, it goes on at the head, and is told how many it
    /// missed ([`Delivery::missed`]). It begins at the head at each registration, and what it does not take it misses too.
    #[must_use]
    pub fn live(mut self, behind: u64) -> Self {
        self.info.live_behind = Some(behind);
        self
    }

    /// What its faults do to the work at hand.
    #[must_use]
    pub fn on_fault(mut self, on_fault: OnFault) -> Self {
        self.info.on_fault = on_fault;
        self
    }

    /// How long a call may take before it is a fault, in milliseconds. It is not cut: what it says when it comes back too late does not count.
    #[must_use]
    pub fn timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.info.limits.timeout_ms = timeout_ms.max(1);
        self
    }

    /// What it calls its version, which decisions name.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.info.version = version_of(&self.info.name, version);
        version.clone_into(&mut self.info.display_version);
        self
    }

    /// Its name.
    pub fn name(&self) -> &Text {
        &self.info.name
    }

    /// A call: what it wants counts only if it ends well and in time.
    fn call<T>(&self, cause: Option<&Event>, wanted: impl FnOnce(&mut Effects) -> T) -> CallReport<T> {
        let begun = Instant::now();
        let mut effects = Effects::of(&self.info.name, cause);
        let ended = catch_unwind(AssertUnwindSafe(|| wanted(&mut effects)));
        let took = begun.elapsed();
        let usage = Usage { duration_ns: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), ..Usage::default() };
        let allowed = self.info.limits.timeout_ms;
        let used = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let fault = |kind, message: String| Fault { kind, message, used: 0, allowed: 0 };
        let outcome = match ended {
            Err(panic) => Err(fault(FaultKind::Trap, format!("it panicked: {}", said(&*panic)))),
            Ok(_) if used >= allowed => {
                let message = format!("it came back after {used} ms, and {allowed} are allowed");
                Err(Fault { used, allowed, ..fault(FaultKind::Deadline, message) })
            }
            Ok(value) => Ok(value),
        };
        let outbox = if outcome.is_ok() { effects.outbox } else { Outbox::default() };
        CallReport { outcome, outbox, usage }
    }

    fn has_no_such_role<T>() -> CallReport<T> {
        let message = "it has no such role".to_owned();
        let fault = Fault { kind: FaultKind::Malformed, message, used: 0, allowed: 0 };
        CallReport { outcome: Err(fault), outbox: Outbox::default(), usage: Usage::default() }
    }
}

impl Guest for Native {
    fn info(&self) -> &PluginInfo {
        &self.info
    }

    fn check(&self, subject: &Subject<'_>, context: &CheckContext) -> CallReport<Signal> {
        match &self.handler {
            Handler::Control(check) => self.call(Some(&subject.event), |effects| check(&subject.event, context, effects)),
            Handler::Observer(_) => Self::has_no_such_role(),
        }
    }

    fn observe(&self, batch: &EventBatch, delivery: &Delivery) -> CallReport<Result<(), String>> {
        let Handler::Observer(observe) = &self.handler else { return Self::has_no_such_role() };
        let last = batch.events().last().map(|event| &**event);
        let mut report = self.call(last, |effects| observe(batch.events(), delivery, effects));
        if matches!(report.outcome, Ok(Err(_))) {
            report.outbox = Outbox::default();
        }
        report
    }

    fn run<'a>(&'a self, _: &'a TaskCall) -> BoxFuture<'a, CallReport<Result<Json, Failure>>> {
        Box::pin(async { Self::has_no_such_role() })
    }
}

fn version_of(name: &str, version: &str) -> Digest {
    Digest::of(format!("native {name} {version}").as_bytes())
}

/// What a panic says.
fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

fn info(name: &str, roles: Roles) -> PluginInfo {
    let nothing = Filter { event_types: Some(Vec::new()), ..Filter::default() };
    PluginInfo {
        name: Text::from(name),
        version: version_of(name, "0"),
        settings: Digest::of(b""),
        display_name: name.to_owned(),
        display_version: "0".to_owned(),
        summary: "a handler of the program that embeds the host".to_owned(),
        roles,
        effect_class: EffectClass::Stateful,
        imports: Vec::new(),
        observes: nothing.clone(),
        controls: nothing,
        priority: 100,
        on_fault: OnFault::Proceed,
        batches: false,
        methods: Vec::new(),
        triggers: Vec::new(),
        workers: 1,
        limits: Limits::for_roles(roles),
        grants: Grants { kv: true, publish: Some(Vec::new()), ..Grants::default() },
        breaker: BreakerPolicy::default(),
        allow_growth: false,
        live_behind: None,
    }
}
