//! Who is in service beside a component: an observer that counts and publishes, one that fails now and then, and a worker.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;
use trackside_engine::Native;
use trackside_model::{
    control::{CheckContext, Signal},
    event::{Event, Filter, Severity, Text},
    json::Json,
    plugin::{BreakerPolicy, Digest, EffectClass, Grants, Limits, Method, OnFault, PluginInfo, Roles},
    ports::{BoxFuture, CallReport, Delivery, EventBatch, Failure, Fault, FaultKind, Guest, Outbox, Subject, TaskCall, Usage},
};

/// What the ledger counts.
pub(crate) const COUNTED: [&str; 4] = ["order:*", "pair:*", "link:*", "row:*"];

/// The number that an event of a client carries.
pub(crate) fn number(event: &Event) -> i64 {
    event.payload.to_value()["n"].as_i64().unwrap_or(0)
}

/// Whether the grumbler never takes this.
pub(crate) fn is_hopeless(event: &Event) -> bool {
    number(event) % 150 == 7
}

/// Counts every event once, adds up their numbers, and notes each order in the log.
pub(crate) fn ledger() -> Native {
    Native::observer("ledger", Filter::types(COUNTED).unwrap(), |events, _, effects| {
        for event in events {
            effects.kv_add("count", 1);
            effects.kv_add("sum", number(event));
            if &*event.event_type == "order:placed" {
                let noted = Json::from_value(&json!({"of": event.sequence_number}));
                effects.caused_by(event).publish("ledger:noted", Severity::Info, noted).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    })
}

/// Counts too, but takes some only the second time, and some never.
pub(crate) fn grumbler() -> Native {
    let calls = AtomicU64::new(0);
    Native::observer("grumbler", Filter::types(["order:*", "row:*"]).unwrap(), move |events, _, effects| {
        if events.iter().any(|event| is_hopeless(event)) {
            return Err("never that one".to_owned());
        }
        if calls.fetch_add(1, Ordering::Relaxed) % 11 == 3 {
            return Err("not now".to_owned());
        }
        effects.kv_add("count", i64::try_from(events.len()).unwrap_or(i64::MAX));
        Ok(())
    })
}

/// A worker that gives its parameters back: at once, or later than anybody waits.
pub(crate) struct Echo(PluginInfo);

impl Echo {
    pub(crate) fn new() -> Self {
        let roles = Roles { worker: true, ..Roles::default() };
        let nothing = Filter { event_types: Some(Vec::new()), ..Filter::default() };
        Self(PluginInfo {
            name: Text::from("echo"),
            version: Digest::of(b"echo"),
            settings: Digest::of(b""),
            display_name: "echo".to_owned(),
            display_version: "1".to_owned(),
            summary: String::new(),
            roles,
            effect_class: EffectClass::Stateful,
            imports: Vec::new(),
            observes: nothing.clone(),
            controls: nothing,
            priority: 100,
            on_fault: OnFault::Proceed,
            batches: false,
            methods: ["loss/echo", "loss/wait"].map(method).to_vec(),
            triggers: Vec::new(),
            workers: 4,
            limits: Limits::for_roles(roles),
            grants: Grants::default(),
            breaker: BreakerPolicy::default(),
            allow_growth: false,
            live_behind: None,
        })
    }
}

fn method(name: &str) -> Method {
    Method { name: Text::from(name), summary: String::new(), parameters: None, returns: None }
}

fn no_such_role<T>() -> CallReport<T> {
    let fault = Fault { kind: FaultKind::Malformed, message: "it is a worker".to_owned(), used: 0, allowed: 0 };
    CallReport { outcome: Err(fault), outbox: Outbox::default(), usage: Usage::default() }
}

impl Guest for Echo {
    fn info(&self) -> &PluginInfo {
        &self.0
    }

    fn check(&self, _: &Subject<'_>, _: &CheckContext) -> CallReport<Signal> {
        no_such_role()
    }

    fn observe(&self, _: &EventBatch, _: &Delivery) -> CallReport<Result<(), String>> {
        no_such_role()
    }

    fn run<'a>(&'a self, task: &'a TaskCall) -> BoxFuture<'a, CallReport<Result<Json, Failure>>> {
        let (parameters, waits) = (task.parameters.clone(), &*task.method == "loss/wait");
        Box::pin(async move {
            tokio::time::sleep(std::time::Duration::from_millis(if waits { 60_000 } else { 2 })).await;
            CallReport { outcome: Ok(Ok(parameters)), outbox: Outbox::default(), usage: Usage::default() }
        })
    }
}
