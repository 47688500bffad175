//! `watcher`: an observer that looks at each event and keeps nothing: what an observer costs before it does anything of its own.

use trackside_sdk::{Delivery, Description, Error, Events, Filter, Observer, Plugin};

struct Watcher;

impl Plugin for Watcher {
    fn describe() -> Description {
        Description::new("watcher").summary("Looks at every event.").observes(Filter::facts())
    }
}

impl Observer for Watcher {
    fn observe(events: Events, _: &Delivery) -> Result<(), Error> {
        let failed = events.iter().filter(|event| event.event_type().ends_with(":failed")).count();
        std::hint::black_box(failed);
        Ok(())
    }
}

trackside_sdk::export!(Watcher: observer);
