//! `neighbour`: a guest that does everything right in all three roles, to stand beside one that does not.
//! Leaves no trace but its counts: `checked`, `seen` and `worked` in its `kv`.
//!
//! Settings: `count` (default true): whether to count at all, for hosts that grant no `kv`.

use trackside_sdk::{
    Context, Control, Delivery, Description, Error, Event, Events, Failure, Filter, Method, Methods, Observer, Plugin, Signal, Task,
    Worker, kv, settings,
};

struct Neighbour;

impl Plugin for Neighbour {
    fn describe() -> Description {
        Description::new("neighbour")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Proceeds, counts and echoes.")
            .controls(Filter::facts())
            .observes(Filter::facts())
    }
}

/// Whether the operator wants counts.
fn counts() -> bool {
    settings::get("count").ok().flatten().unwrap_or(true)
}

impl Control for Neighbour {
    fn check(_event: &Event, _context: &Context) -> Signal {
        match counts().then(|| kv::increment("checked", 1)) {
            Some(Err(refusal)) => Signal::error(refusal.to_string()),
            _ => Signal::proceed(),
        }
    }
}

impl Observer for Neighbour {
    fn observe(events: Events, _delivery: &Delivery) -> Result<(), Error> {
        if counts() {
            kv::increment("seen", i64::try_from(events.len())?)?;
        }
        Ok(())
    }
}

impl Worker for Neighbour {
    fn methods() -> Methods {
        Methods::new().with(Method::raw("neighbour/echo", "Gives its parameters back.", echo))
    }
}

fn echo(task: &Task) -> Result<String, Failure> {
    if counts() {
        kv::increment("worked", 1)?;
    }
    Ok(task.parameters.clone())
}

trackside_sdk::export!(Neighbour: control, observer, worker);
