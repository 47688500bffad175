//! `{{name}}`: an example to go on from. `trackside plugin dev` shows what becomes of every change.
//! What each part may do is told in `trackside/wit/trackside-plugin-0.1.0/plugin.wit`, the author's manual.

// {{#settings}}
use serde::Deserialize;
// {{/settings}}
use trackside_sdk::*;

struct This;

impl Plugin for This {
    fn describe() -> Description {
        Description::new("{{name}}")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("An example to go on from.")
            // {{#control}}
            // It judges events whose type matches one of these patterns: `order:*` is every type of one more segment.
            .controls(Filter::types(["order:placed"]))
            // {{/control}}
            // {{#observer}}
            .observes(Filter::types(["order:**"]))
        // {{/observer}}
    }
}
// {{#control}}

/// What it reads of a payload; the rest is left alone.
#[derive(Deserialize)]
struct Order {
    amount: u64,
}

impl Control for This {
    /// Called before an event is appended, while its publisher waits. The chain of handlers ends at the first answer other than proceed.
    fn check(event: &Event, _context: &Context) -> Signal {
        // What the operator wrote under [settings] of {{name}}.toml.
        let most = match settings::get("most") {
            Ok(most) => most.unwrap_or(500),
            Err(error) => return Signal::error(error.message()),
        };
        match event.payload::<Order>() {
            Ok(order) => judge(&order, most),
            Err(error) => Signal::fail(error.message()),
        }
    }
}

fn judge(order: &Order, most: u64) -> Signal {
    if order.amount > most {
        return Signal::fail(format!("{} is more than the {most} that an order may cost", order.amount));
    }
    Signal::proceed()
}
// {{/control}}
// {{#observer}}

impl Observer for This {
    /// Called with what is in the log already, in order. What it writes happens together with its place in the log: each event counts once.
    fn observe(events: Events, _delivery: &Delivery) -> Result<(), Error> {
        for event in events {
            let seen = kv::increment(event.event_type(), 1)?;
            log::write_about(event.severity(), line(&event, seen), &event);
        }
        Ok(())
    }
}

fn line(event: &Event, seen: i64) -> String {
    format!("{} number {seen}", event.event_type())
}
// {{/observer}}
// {{#worker}}

impl Worker for This {
    /// The kinds of task that it can do, each with its function.
    fn methods() -> Methods {
        Methods::new().with(Method::new("{{name}}/greet", "Greets somebody.", greet))
    }
}

/// The parameters of `{{name}}/greet`.
#[derive(Deserialize)]
struct Greet {
    name: String,
}

/// A failure says whether trying again may help.
fn greet(who: Greet, _task: &Task) -> Result<String, Failure> {
    if who.name.is_empty() {
        return Err(Failure::permanent("nobody to greet").code("no-name"));
    }
    let greeting: Option<String> = settings::get("greeting")?;
    Ok(format!("{}, {}!", greeting.as_deref().unwrap_or("Hello"), who.name))
}
// {{/worker}}

export!(This: {{roles}});

#[cfg(test)]
mod tests {
    use super::*;
    // {{#control}}

    #[test]
    fn large_orders_are_refused() {
        assert_eq!(judge(&Order { amount: 20 }, 500), Signal::proceed());
        assert_eq!(judge(&Order { amount: 501 }, 500), Signal::fail("501 is more than the 500 that an order may cost"));
    }
    // {{/control}}
    // {{#worker}}

    #[test]
    fn nobody_is_not_greeted() {
        let task = Task::new("{{name}}/greet", ());
        assert!(greet(Greet { name: String::new() }, &task).is_err_and(|failure| !failure.is_retryable()));
    }
    // {{/worker}}
    // {{#observer}}

    #[test]
    fn a_line_says_how_many_there_were() {
        let event = EventBuf::new("order:placed");
        assert_eq!(line(&event.view(), 2), "order:placed number 2");
    }
    // {{/observer}}
}
