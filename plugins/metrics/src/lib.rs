//! `metrics`: an observer that sums up events and durations, and publishes the sums as `metrics:collected`. It needs the grants `kv` and
//! `publish = ["metrics:collected"]`.
//!
//! It counts events by type, source and severity, and keeps a histogram of durations for each method (of `task:completed`) and each workflow (of
//! `workflow:completed`). All of it is in `kv`, so that every event counts once, whatever is delivered again or restarted.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `publish_every_ms` | 60000 | a summary at most this often, by the events' own time |
//! | `buckets_ms` | 5 to 60000, in thirteen steps | upper ends of the durations' buckets, in ascending order; a last bucket takes the rest |
//! | `max_series` | 200 | names counted apart, of types, sources, methods and workflows each; the others are counted together; at most 500 |
//!
//! A summary has the sums since the first event that was seen, so that the difference of two is what happened between them. It is published with
//! the event that makes it due: where nothing happens, nothing is published. It watches every fact; `[observes]` narrows that.

mod histogram;
mod totals;

use serde::Deserialize;
use trackside_policy_kit::{Configuration, Configured};
use trackside_sdk::{Delivery, Description, Draft, Error, Events, Filter, Observer, Plugin, Severity, events};

struct Metrics;

/// Names that can be counted apart at the most: what is kept of one kind of names is one value of kv.
const MOST_SERIES: usize = 500;
/// Buckets at the most.
const MOST_BUCKETS: usize = 50;

/// The operator's settings. What each means is in the plugin's description.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    publish_every_ms: u64,
    buckets_ms: Vec<u64>,
    max_series: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let buckets_ms = vec![5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000];
        Settings { publish_every_ms: 60_000, buckets_ms, max_series: 200 }
    }
}

impl Configured for Settings {
    type Raw = Self;

    fn configured(raw: Self) -> Result<Self, String> {
        if raw.publish_every_ms == 0 {
            return Err("`publish_every_ms`: give at least 1".into());
        }
        if raw.buckets_ms.is_empty() || raw.buckets_ms.len() > MOST_BUCKETS || !raw.buckets_ms.is_sorted_by(|one, next| one < next) {
            return Err(format!("`buckets_ms`: give 1 to {MOST_BUCKETS} ends in ascending order"));
        }
        if !(1..=MOST_SERIES).contains(&raw.max_series) {
            return Err(format!("`max_series`: give 1 to {MOST_SERIES}"));
        }
        Ok(raw)
    }
}

static SETTINGS: Configuration<Settings> = Configuration::new();

impl Plugin for Metrics {
    fn describe() -> Description {
        Description::new("metrics")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Sums up events and durations, and publishes the sums.")
            .observes(Filter::facts())
            .memoryless()
    }
}

impl Observer for Metrics {
    fn observe(batch: Events, _: &Delivery) -> Result<(), Error> {
        let settings = SETTINGS.get()?;
        let mut totals = totals::load()?;
        for event in batch {
            totals.add(&event, settings);
            if let Some(summary) = totals.summary_if_due(event.recorded_at_ns() / 1_000_000, settings) {
                let draft = Draft::new("metrics:collected").severity(Severity::Debug).payload(summary).cause(&event);
                events::publish(draft.key(format!("summary/{}", event.sequence_number())))?;
            }
        }
        totals::store(&totals)
    }
}

trackside_sdk::export!(Metrics: observer);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trackside_policy_kit::read;

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (settings, name) in [
            (json!({ "publish_every_ms": 0 }), "`publish_every_ms`"),
            (json!({ "buckets_ms": [] }), "`buckets_ms`"),
            (json!({ "buckets_ms": [1, 1] }), "`buckets_ms`"),
            (json!({ "max_series": 501 }), "`max_series`"),
            (json!({ "max_serie": 1 }), "`max_serie`"),
        ] {
            let error = read::<Settings>(&settings).err().expect("these settings are wrong");
            assert!(error.message().contains(name), "{error}");
        }
    }
}
