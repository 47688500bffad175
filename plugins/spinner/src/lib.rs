//! `spinner`: an observer that never returns, for trials: watch it being cut, quarantined and named while everything else goes on.
//! It has no settings and needs no grants; its settings file gives it 50 ms a call.

use trackside_sdk::{Delivery, Description, Error, Events, Filter, Observer, Plugin};

struct Spinner;

impl Plugin for Spinner {
    fn describe() -> Description {
        Description::new("spinner")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Never returns, for trials of isolation.")
            .observes(Filter::types(["task:started"]))
            .memoryless()
    }
}

impl Observer for Spinner {
    fn observe(_: Events, _: &Delivery) -> Result<(), Error> {
        let mut turns = 0_u64;
        loop {
            // The compiler must not see that nothing comes of it.
            turns = std::hint::black_box(turns.wrapping_add(1));
        }
    }
}

trackside_sdk::export!(Spinner: observer);
