//! `webhook`: an observer that posts events to a URL, as JSON, signed with a secret that it never sees.
//! What is answered by a 2xx is delivered; what is answered by one of `retried`, or not at all, is delivered again by the host, with backoff,
//! until it is a dead letter; anything else is given up, with a line in the log. Both are counted in its `kv`: `delivered`, `given_up`.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `url` | required | where events are posted to; its host stands under `[[grants.http]]` |
//! | `secret` | none | the secret that signs, under `[[grants.secrets]]` |
//! | `bearer` | none | the secret that is sent as a bearer token, bound to the URL's host |
//! | `headers` | none | further headers |
//! | `batch` | 1 | events a request: one as an object, more as an array |
//! | `timeout_ms` | 3000 | how long a request may take to be connected, and then to be answered |
//! | `retried` | `[408, 425, 429, 500, 502, 503, 504]` | answers after which an event is posted again |

mod post;
mod settings;

use std::cell::RefCell;
use std::collections::BTreeMap;

use trackside_policy_kit::Configuration;
use trackside_sdk::{Delivery, Description, Error, Event, Events, Filter, Observer, Plugin, Severity, kv, log};

use crate::post::{Outcome, post};
use crate::settings::Wanted;

/// What it watches unless its operator says otherwise.
const TYPES: [&str; 5] = ["workflow:completed", "workflow:failed", "workflow:timeout", "workflow:cancelled", "alert:triggered"];

struct Webhook;

static WANTED: Configuration<Wanted> = Configuration::new();

thread_local! {
    /// What became of the first events of a delivery that failed behind them: when it comes again, they are not posted again.
    static POSTED: RefCell<BTreeMap<String, Outcome>> = const { RefCell::new(BTreeMap::new()) };
}

impl Plugin for Webhook {
    fn describe() -> Description {
        Description::new("webhook")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Posts events to a URL, signed.")
            .observes(Filter::types(TYPES))
    }
}

impl Observer for Webhook {
    fn observe(events: Events, delivery: &Delivery) -> Result<(), Error> {
        let wanted = WANTED.get()?;
        let names: Vec<String> = events.iter().map(|event| name(&event)).collect();
        POSTED.with_borrow_mut(|posted| posted.retain(|name, _| names.contains(name)));
        let left: Vec<Event> = events.iter().filter(|event| !POSTED.with_borrow(|posted| posted.contains_key(&name(event)))).collect();
        for batch in left.chunks(wanted.batch) {
            let outcome = post(wanted, batch, delivery)?;
            POSTED.with_borrow_mut(|posted| posted.extend(batch.iter().map(|event| (name(event), outcome))));
        }
        // What is written now counts once: with the place in the log, and not before all of the delivery has been posted.
        let posted = POSTED.take();
        let mut delivered = 0;
        for event in events {
            match posted.get(&name(&event)) {
                Some(Outcome::GivenUp(status)) => {
                    let line = format!("gave up {} {}: answered {status}", event.event_type(), event.event_id());
                    log::write_about(Severity::Warning, line, &event);
                    kv::increment("given_up", 1)?;
                }
                _ => delivered += 1,
            }
        }
        if delivered > 0 {
            kv::increment("delivered", delivered)?;
        }
        Ok(())
    }
}

trackside_sdk::export!(Webhook: observer);

/// Narration has its fact's id and a part of its own.
fn name(event: &Event) -> String {
    format!("{}.{}", event.event_id(), event.part())
}
