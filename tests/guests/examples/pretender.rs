//! `pretender`: says that it keeps nothing between calls, and counts them in its answers. With `after` in its settings it keeps its word for so
//! many calls.

use std::cell::Cell;

use serde::Deserialize;
use serde_json::{Value, json};
use trackside_sdk::{Context, Control, Description, Event, Filter, Method, Methods, Plugin, Settings, Signal, Worker, log};

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Manners {
    after: u32,
}

static MANNERS: Settings<Manners> = Settings::new();

struct Pretender;

fn counted() -> u32 {
    CALLS.set(CALLS.get() + 1);
    log::info("asked");
    let kept_for = MANNERS.get().map_or(0, |manners| manners.after);
    CALLS.get().saturating_sub(kept_for)
}

impl Plugin for Pretender {
    fn describe() -> Description {
        Description::new("pretender").controls(Filter::types(["order:*"])).memoryless()
    }
}

impl Control for Pretender {
    fn check(_: &Event, _: &Context) -> Signal {
        match counted() {
            0 => Signal::proceed(),
            count => Signal::skip(format!("number {count}")),
        }
    }
}

impl Worker for Pretender {
    fn methods() -> Methods {
        Methods::new().with(Method::new("pretender/count", "Counts its calls.", |_: Value, _| Ok(json!(counted()))))
    }
}

trackside_sdk::export!(Pretender: control, worker);
