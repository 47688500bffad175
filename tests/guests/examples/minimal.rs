//! `minimal`: the smallest useful control handler, to measure what the SDK costs in bytes and in time.
//! Imports none of the host's interfaces; it fails a task named `refused` and proceeds with every other.

use trackside_sdk::{Context, Control, Description, Event, Filter, Plugin, Signal};

struct Minimal;

impl Plugin for Minimal {
    fn describe() -> Description {
        Description::new("minimal").controls(Filter::types(["task:ready"])).memoryless()
    }
}

impl Control for Minimal {
    fn check(event: &Event, _context: &Context) -> Signal {
        match event.task_id() {
            Some("refused") => Signal::fail("refused by its name"),
            _ => Signal::proceed(),
        }
    }
}

trackside_sdk::export!(Minimal: control);
