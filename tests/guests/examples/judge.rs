//! `judge`: a control handler that answers what the event's payload says, and names in its reason all that it was told. It reaches for nothing
//! that would have it called about one event at a time, so that it shows what a call about many comes to.
//!
//! The payload: `say`, a signal's name (default `proceed`), or `trap`, `spin` or `log` (a line, then proceed).

use serde::Deserialize;
use serde_json::json;
use trackside_sdk::{Context, Control, Description, Event, Filter, Plugin, Signal, log};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Order {
    say: String,
}

struct Judge;

impl Plugin for Judge {
    fn describe() -> Description {
        Description::new("judge").summary("Answers what the event says.").controls(Filter::facts())
    }
}

impl Control for Judge {
    fn check(event: &Event, context: &Context) -> Signal {
        let Order { say } = event.payload().unwrap_or_default();
        let told = format!(
            "{} {} {:?} {} {} {} {:?} {:?}",
            event.event_type(),
            event.correlation_id(),
            context.point,
            context.attempt,
            context.elapsed_ms,
            context.remaining_ms,
            context.origin,
            context.principal
        );
        match say.as_str() {
            "amend" => Signal::amend(json!({ "told": told })),
            "skip" => Signal::skip(told),
            "retry" => Signal::Retry { after_ms: Some(7), reason: told },
            "fallback" => Signal::fallback(json!({ "told": told }), "instead"),
            "fail" => Signal::fail(told),
            "error" => Signal::error(told),
            "trap" => panic!("told to"),
            "spin" => loop {
                std::hint::black_box(());
            },
            "log" => {
                log::info(told);
                Signal::proceed()
            }
            _ => Signal::proceed(),
        }
    }
}

trackside_sdk::export!(Judge: control);
