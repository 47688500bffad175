//! `chatter`: an observer that answers every event it is handed with events of its own. Two of them that watch each other never end.
//!
//! Its settings: `says`, the type that it publishes; `times`, how often for each event (default 1); `claims`, a source that it writes into
//! the payload and metadata, since the contract gives it no other place to lie in.

use serde_json::json;
use trackside_sdk::{Delivery, Description, Draft, Error, Events, Filter, Observer, Plugin, events, settings};

struct Chatter;

impl Plugin for Chatter {
    fn describe() -> Description {
        Description::new("neighbour").summary("Answers, under another's name.").observes(Filter::nothing())
    }
}

impl Observer for Chatter {
    fn observe(batch: Events, _: &Delivery) -> Result<(), Error> {
        let says: String = settings::get("says")?.unwrap_or_else(|| "chatter:said".into());
        let times: u32 = settings::get("times")?.unwrap_or(1);
        let claims: String = settings::get("claims")?.unwrap_or_default();
        for event in batch {
            for time in 0..times {
                let draft =
                    Draft::new(&says).payload(json!({ "source_component": claims, "time": time })).metadata("source_component", &claims);
                // What is refused is told by the host; going on is what a nuisance would do.
                let _ = events::publish(draft.cause(&event));
            }
        }
        Ok(())
    }
}

trackside_sdk::export!(Chatter: observer);
