//! `publisher`: publishes what it is told to, reports the refusals, and ends the call as it is told: to test the outbox.
//! Its observer is told by its settings, its worker by the task's parameters; both have the same shape.
//!
//! | member | meaning |
//! |---|---|
//! | `drafts` | a list of `{event_type, payload?, key?, correlation_id?}`; `payload_text` in place of `payload` for what is not JSON |
//! | `repeat` | publish the list this many times; 1 if absent |
//! | `raise` | raise an error with this message too |
//! | `then` | `ok` (default), `fail` (an observer's error, a worker's retryable failure) or `trap` |
//!
//! The worker's result, and the observer's one log line, is `{"published": [ids], "refused": [reasons]}`.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use trackside_sdk::{
    Delivery, Description, Draft, Error, Events, Failure, Filter, Method, Methods, Observer, Plugin, Settings, Task, Worker, events, log,
};

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Orders {
    drafts: Vec<Wanted>,
    repeat: Option<u32>,
    raise: Option<String>,
    then: Then,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    event_type: String,
    #[serde(default)]
    payload: Value,
    payload_text: Option<String>,
    key: Option<String>,
    correlation_id: Option<String>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Then {
    #[default]
    Ok,
    Fail,
    Trap,
}

#[derive(Serialize, Default)]
struct Report {
    published: Vec<String>,
    refused: Vec<String>,
}

static ORDERS: Settings<Orders> = Settings::new();

struct Publisher;

impl Plugin for Publisher {
    fn describe() -> Description {
        Description::new("publisher").summary("Publishes what it is told to.").observes(Filter::facts())
    }
}

impl Observer for Publisher {
    fn observe(_events: Events, _delivery: &Delivery) -> Result<(), Error> {
        let orders = ORDERS.get()?;
        log::info(serde_json::to_string(&orders.carry_out())?);
        match orders.then {
            Then::Ok => Ok(()),
            Then::Fail => Err(Error::new("told to fail")),
            Then::Trap => std::process::abort(),
        }
    }
}

impl Worker for Publisher {
    fn methods() -> Methods {
        Methods::new().with(Method::new("publisher/publish", "Publishes what its parameters say.", publish))
    }
}

fn publish(orders: Orders, _task: &Task) -> Result<Report, Failure> {
    let report = orders.carry_out();
    match orders.then {
        Then::Ok => Ok(report),
        Then::Fail => Err(Failure::retryable("told to fail").details(&report)),
        Then::Trap => std::process::abort(),
    }
}

trackside_sdk::export!(Publisher: observer, worker);

impl Orders {
    fn carry_out(&self) -> Report {
        let mut report = Report::default();
        for _ in 0..self.repeat.unwrap_or(1) {
            for wanted in &self.drafts {
                match events::publish(wanted.draft()) {
                    Ok(id) => report.published.push(id),
                    Err(refusal) => report.refused.push(format!("{refusal:?}")),
                }
            }
        }
        if let Some(Err(refusal)) = self.raise.as_ref().map(events::raise) {
            report.refused.push(format!("{refusal:?}"));
        }
        report
    }
}

impl Wanted {
    fn draft(&self) -> Draft {
        let mut draft = match &self.payload_text {
            Some(text) => Draft::new(&self.event_type).payload_text(text),
            None => Draft::new(&self.event_type).payload(&self.payload),
        };
        if let Some(key) = &self.key {
            draft = draft.key(key);
        }
        if let Some(correlation_id) = &self.correlation_id {
            draft = draft.correlation_id(correlation_id);
        }
        draft
    }
}
