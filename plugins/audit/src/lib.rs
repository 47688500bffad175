//! `audit`: an observer that counts events by type and writes a line for each into the host's log.
//! The counts are in its `kv` under `count/<type>`; redelivered batches do not count twice. It needs the `kv` grant to count.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `count` | true | whether to count |
//! | `lines` | true | whether to write lines |
//!
//! It watches every fact; `[observes]` in its settings file narrows that, or widens it to narration with `event_types = ["**"]`.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use trackside_sdk::{Delivery, Description, Error, Event, Events, Filter, Observer, Plugin, Settings, kv, log};

struct Audit;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    count: bool,
    lines: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Wanted { count: true, lines: true }
    }
}

static WANTED: Settings<Wanted> = Settings::new();

impl Plugin for Audit {
    fn describe() -> Description {
        Description::new("audit")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Counts events by type and writes a line for each.")
            .observes(Filter::facts())
            .memoryless()
    }
}

impl Observer for Audit {
    fn observe(events: Events, delivery: &Delivery) -> Result<(), Error> {
        let wanted = WANTED.get()?;
        if wanted.count {
            for (event_type, count) in counts(events) {
                kv::increment(&format!("count/{event_type}"), count)?;
            }
        }
        if wanted.lines {
            if delivery.missed > 0 {
                log::warning(format!("{} events went by unseen before these", delivery.missed));
            }
            for event in events {
                log::write_about(event.severity(), line(&event), &event);
            }
        }
        Ok(())
    }
}

trackside_sdk::export!(Audit: observer);

/// How often each type occurs in the batch: one addition a type, however many events.
fn counts(events: Events<'_>) -> BTreeMap<&str, i64> {
    let mut counts = BTreeMap::new();
    for event in events {
        *counts.entry(event.event_type()).or_default() += 1;
    }
    counts
}

/// The line for an event: its type, its place in the log, its source, and what it is about as far as it says.
fn line(event: &Event) -> String {
    let mut line = format!("{} #{}", event.event_type(), event.sequence_number());
    if event.part() > 0 {
        line.push_str(&format!(".{}", event.part()));
    }
    // Writing to a string cannot fail.
    let _ = write!(line, " from {}", event.source_component());
    let about = [("workflow", event.workflow_id()), ("task", event.task_id()), ("provider", event.provider_id())];
    for (name, id) in about.into_iter().filter_map(|(name, id)| id.map(|id| (name, id))) {
        let _ = write!(line, " {name}={id}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use trackside_sdk::{EventBuf, EventsBuf};

    #[test]
    fn a_line_says_what_the_event_is_about_and_no_more() {
        let full = EventBuf::new("task:assigned").source_component("execution_engine").workflow_id("w").task_id("t").provider_id("p");
        assert_eq!(line(&full.view()), "task:assigned #0 from execution_engine workflow=w task=t provider=p");
        let bare = EventBuf::new("tick:periodic").source_component("host");
        assert_eq!(line(&bare.view()), "tick:periodic #0 from host");
    }

    #[test]
    fn a_batch_is_one_addition_a_type() {
        let events: EventsBuf = ["a:b", "c:d", "a:b"].map(EventBuf::new).into_iter().collect();
        assert_eq!(counts(events.view()).into_iter().collect::<Vec<_>>(), [("a:b", 2), ("c:d", 1)]);
    }

    #[test]
    fn unknown_settings_are_named() {
        let error = serde_json::from_str::<Wanted>(r#"{"line": false}"#).err().expect("there is no such setting");
        assert!(error.to_string().contains("line"), "{error}");
    }
}
