//! Owns the sums: what an event adds to them, when a summary is due, and where they stand in `kv`.
//! Leaves publishing to the plugin around it.

use crate::{Settings, histogram::Histogram};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use trackside_policy_kit::{Facts, envelope_text, get_json, set_json};
use trackside_sdk::{Error, Event};

/// What is counted together once there are too many names.
const OTHERS: &str = "(others)";

/// All sums.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    head: Head,
    by_type: BTreeMap<String, u64>,
    by_source: BTreeMap<String, u64>,
    tasks: BTreeMap<String, Histogram>,
    workflows: BTreeMap<String, Histogram>,
}

/// What has a bounded size.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Head {
    /// When the first event was recorded; 0 before there was one.
    since_ms: u64,
    published_ms: u64,
    events: u64,
    by_severity: BTreeMap<String, u64>,
    /// Which the histograms were made with.
    buckets_ms: Vec<u64>,
}

/// What an event tells of a duration.
#[derive(Deserialize)]
struct Timed {
    method: Option<String>,
    name: Option<String>,
    duration_ms: u64,
}

impl Totals {
    /// Counts an event.
    pub(crate) fn add(&mut self, event: &Event, settings: &Settings) {
        if self.head.buckets_ms != settings.buckets_ms {
            // Durations that were sorted by other ends cannot be sorted again.
            (self.tasks, self.workflows) = Default::default();
            self.head.buckets_ms.clone_from(&settings.buckets_ms);
        }
        self.head.events += 1;
        let facts = Facts::of_event(event);
        *self.head.by_severity.entry(envelope_text("severity", &facts).to_owned()).or_default() += 1;
        *named(&mut self.by_type, event.event_type(), settings.max_series) += 1;
        *named(&mut self.by_source, event.source_component(), settings.max_series) += 1;
        let series = match event.event_type() {
            "task:completed" => &mut self.tasks,
            "workflow:completed" => &mut self.workflows,
            _ => return,
        };
        let Ok(timed) = event.payload::<Timed>() else { return };
        if let Some(name) = timed.method.or(timed.name) {
            named(series, &name, settings.max_series).add(timed.duration_ms, &settings.buckets_ms);
        }
    }

    /// The summary, if it is time for one: from then on the next one is waited for.
    pub(crate) fn summary_if_due(&mut self, now_ms: u64, settings: &Settings) -> Option<Value> {
        if self.head.since_ms == 0 {
            (self.head.since_ms, self.head.published_ms) = (now_ms, now_ms);
        }
        if now_ms < self.head.published_ms.saturating_add(settings.publish_every_ms) {
            return None;
        }
        self.head.published_ms = now_ms;
        Some(json!({
            "since_ms": self.head.since_ms,
            "until_ms": now_ms,
            "events": { "count": self.head.events, "by_type": self.by_type, "by_source": self.by_source, "by_severity": self.head.by_severity },
            "durations": { "buckets_ms": self.head.buckets_ms, "tasks": self.tasks, "workflows": self.workflows },
        }))
    }
}

/// The entry of this name, or the one of all others where there are too many names.
fn named<'a, T: Default>(series: &'a mut BTreeMap<String, T>, name: &str, most: usize) -> &'a mut T {
    let known = series.contains_key(name) || series.len() < most;
    series.entry(if known { name } else { OTHERS }.to_owned()).or_default()
}

/// The sums as they stand.
pub(crate) fn load() -> Result<Totals, Error> {
    Ok(Totals {
        head: get_json("head")?.unwrap_or_default(),
        by_type: get_json("by_type")?.unwrap_or_default(),
        by_source: get_json("by_source")?.unwrap_or_default(),
        tasks: get_json("tasks")?.unwrap_or_default(),
        workflows: get_json("workflows")?.unwrap_or_default(),
    })
}

/// Writes them down.
pub(crate) fn store(totals: &Totals) -> Result<(), Error> {
    set_json("head", &totals.head)?;
    set_json("by_type", &totals.by_type)?;
    set_json("by_source", &totals.by_source)?;
    set_json("tasks", &totals.tasks)?;
    set_json("workflows", &totals.workflows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trackside_sdk::{EventBuf, Severity};

    fn settings(publish_every_ms: u64, max_series: usize) -> Settings {
        Settings { publish_every_ms, buckets_ms: vec![10, 100], max_series }
    }

    fn added(events: &[EventBuf], settings: &Settings) -> Totals {
        let mut totals = Totals::default();
        events.iter().for_each(|event| totals.add(&event.view(), settings));
        totals
    }

    #[test]
    fn events_and_durations_are_summed_up() {
        let completed = |method: &str, duration_ms: u64| {
            EventBuf::new("task:completed")
                .source_component("execution_engine")
                .payload(json!({ "method": method, "duration_ms": duration_ms }))
        };
        let failed = EventBuf::new("task:failed").severity(Severity::Error).source_component("execution_engine");
        let ended = EventBuf::new("workflow:completed")
            .source_component("execution_engine")
            .payload(json!({ "name": "nightly", "duration_ms": 250 }));
        let settings = settings(1, 10);
        let mut totals =
            added(&[completed("sim/echo", 5), completed("sim/echo", 50), completed("text/stats", 7), failed, ended], &settings);
        assert_eq!(totals.summary_if_due(1_000, &settings), None);
        let summary = totals.summary_if_due(1_001, &settings).expect("it is due");
        assert_eq!(
            summary,
            json!({
                "since_ms": 1_000,
                "until_ms": 1_001,
                "events": {
                    "count": 5,
                    "by_type": { "task:completed": 3, "task:failed": 1, "workflow:completed": 1 },
                    "by_source": { "execution_engine": 5 },
                    "by_severity": { "error": 1, "info": 4 },
                },
                "durations": {
                    "buckets_ms": [10, 100],
                    "tasks": {
                        "sim/echo": { "count": 2, "sum_ms": 55, "max_ms": 50, "buckets": [1, 1, 0] },
                        "text/stats": { "count": 1, "sum_ms": 7, "max_ms": 7, "buckets": [1, 0, 0] },
                    },
                    "workflows": { "nightly": { "count": 1, "sum_ms": 250, "max_ms": 250, "buckets": [0, 0, 1] } },
                },
            })
        );
    }

    #[test]
    fn a_summary_comes_no_more_often_than_it_may() {
        let settings = settings(100, 10);
        let mut totals = Totals::default();
        let due: Vec<u64> = (1_000..2_000).filter(|now_ms| totals.summary_if_due(*now_ms, &settings).is_some()).collect();
        assert_eq!(due, [1_100, 1_200, 1_300, 1_400, 1_500, 1_600, 1_700, 1_800, 1_900]);
    }

    #[test]
    fn names_are_bounded() {
        let events: Vec<EventBuf> = (0..20).map(|number| EventBuf::new(&format!("made:up_{number}"))).collect();
        let totals = added(&events, &settings(1, 3));
        assert_eq!((totals.by_type.len(), totals.by_type[OTHERS]), (4, 17));
    }

    #[test]
    fn other_buckets_begin_anew() {
        let event = EventBuf::new("task:completed").payload(json!({ "method": "a/b", "duration_ms": 1 }));
        let mut totals = added(std::slice::from_ref(&event), &settings(1, 3));
        totals.add(&event.view(), &Settings { publish_every_ms: 1, buckets_ms: vec![1, 2], max_series: 3 });
        assert_eq!((totals.tasks["a/b"].count, totals.by_type["task:completed"]), (1, 2));
    }
}
