//! Owns what the hostile guests share: all three roles, and one place that decides whether a call misbehaves.
//! Leaves the misbehaviour to each guest.
//!
//! Settings that all of them have: `role` (`control`, `observer` or `worker`: misbehave there alone), `event_type` (misbehave at events of this
//! type alone). Without them every call misbehaves. A call that does not misbehave proceeds, takes the batch, or echoes.

use trackside_sdk::settings;

/// Whether a call in this role, with these events, is one to misbehave in.
pub(crate) fn is_wanted<'a>(role: &str, mut event_types: impl Iterator<Item = &'a str>) -> bool {
    let wanted = |name| settings::get::<String>(name).ok().flatten();
    wanted("role").is_none_or(|wanted| wanted == role)
        && (role == "worker" || wanted("event_type").is_none_or(|wanted| event_types.any(|event_type| event_type == wanted)))
}

/// Makes a guest that misbehaves in one way: its name, what it does, and one expression for each role.
/// The expressions are what the role's function gives, if they come back at all.
macro_rules! hostile {
    ($name:literal, $summary:literal, control: $control:expr, observer: $observer:expr, worker: $worker:expr $(,)?) => {
        use trackside_sdk::{
            Context, Control, Delivery, Description, Error, Event, Events, Failure, Filter, Method, Methods, Observer, Plugin, Signal,
            Task, Worker,
        };

        struct Hostile;

        impl Plugin for Hostile {
            fn describe() -> Description {
                Description::new($name).summary($summary).controls(Filter::facts()).observes(Filter::facts())
            }
        }

        impl Control for Hostile {
            fn check(event: &Event, _context: &Context) -> Signal {
                if support::is_wanted("control", std::iter::once(event.event_type())) { $control } else { Signal::proceed() }
            }
        }

        impl Observer for Hostile {
            fn observe(events: Events, _delivery: &Delivery) -> Result<(), Error> {
                if support::is_wanted("observer", events.iter().map(|event| event.event_type())) { $observer } else { Ok(()) }
            }
        }

        impl Worker for Hostile {
            fn methods() -> Methods {
                Methods::new().with(Method::raw(concat!($name, "/run"), $summary, work))
            }
        }

        fn work(task: &Task) -> Result<String, Failure> {
            if support::is_wanted("worker", std::iter::empty()) { $worker } else { Ok(task.parameters.clone()) }
        }

        trackside_sdk::export!(Hostile: control, observer, worker);
    };
}

pub(crate) use hostile;
