//! `reactor`: a worker that events start by themselves, through triggers: each `case:came`, bursts of `case:noise`, and, where it may, another
//! plugin's method.

use serde_json::Value;
use trackside_sdk::{Description, Filter, Method, Methods, Plugin, Trigger, Worker};

struct Reactor;

impl Plugin for Reactor {
    fn describe() -> Description {
        Description::new("reactor")
            .trigger(Trigger::new(Filter::types(["case:came"]).when("event.payload.number > 0"), "reactor/each"))
            .trigger(Trigger::new(Filter::types(["case:noise"]), "reactor/burst").debounce_ms(1_000).batch_max(3))
            .trigger(Trigger::new(Filter::types(["case:noise"]), "neighbour/echo").throttle_ms(3_600_000))
    }
}

impl Worker for Reactor {
    fn methods() -> Methods {
        Methods::new()
            .with(Method::new("reactor/each", "Gives back the event that started it.", |given: Value, _| Ok(given)))
            .with(Method::new("reactor/burst", "Gives back the events that started it.", |given: Value, _| Ok(given)))
    }
}

trackside_sdk::export!(Reactor: worker);
