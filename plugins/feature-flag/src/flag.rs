//! Owns one flag: what it is about, and whom it lets in.
//! Leaves the order of flags and the signal to the plugin around it.

use serde::Deserialize;
use std::collections::BTreeMap;
use trackside_policy_kit::{Facts, NamePattern, TypePattern, any_matches, share};
use trackside_sdk::Event;

/// A flag as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFlag {
    name: String,
    #[serde(default)]
    types: Vec<TypePattern>,
    #[serde(default)]
    methods: Vec<NamePattern>,
    #[serde(default)]
    workflows: Vec<NamePattern>,
    percent: f64,
    #[serde(default)]
    allow_correlation_ids: Vec<String>,
    #[serde(default)]
    allow_metadata: BTreeMap<String, Vec<String>>,
}

/// A flag, checked.
pub(crate) struct Flag {
    pub(crate) name: String,
    pub(crate) percent: f64,
    raw: RawFlag,
}

impl Flag {
    pub(crate) fn checked(raw: RawFlag) -> Result<Self, String> {
        if raw.types.is_empty() && raw.methods.is_empty() && raw.workflows.is_empty() {
            return Err(format!("`flags`: '{}' is about nothing: name types, methods or workflows", raw.name));
        }
        if !(0.0..=100.0).contains(&raw.percent) {
            return Err(format!("`flags`: '{}' has percent = {}, which is not between 0 and 100", raw.name, raw.percent));
        }
        Ok(Flag { name: raw.name.clone(), percent: raw.percent, raw })
    }

    /// Whether the event, or the task, is one that the flag is about.
    pub(crate) fn is_about(&self, facts: &Facts<'_>) -> bool {
        let raw = &self.raw;
        (raw.types.is_empty() || raw.types.iter().any(|pattern| pattern.matches(facts.event.event_type())))
            && any_matches(&raw.methods, facts.text_at("/method"))
            && any_matches(&raw.workflows, facts.text_at("/workflow/name"))
    }

    /// Whether it lets this one through.
    pub(crate) fn lets_in(&self, event: &Event<'_>) -> bool {
        let allowed =
            |(key, values): (&String, &Vec<String>)| event.metadata(key).is_some_and(|value| values.iter().any(|one| one == value));
        self.raw.allow_correlation_ids.iter().any(|id| id == event.correlation_id())
            || self.raw.allow_metadata.iter().any(allowed)
            || share(&[&self.name, event.correlation_id()]) * 100.0 < self.percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use trackside_sdk::EventBuf;

    fn flag(flag: Value) -> Flag {
        Flag::checked(serde_json::from_value(flag).expect("a flag")).expect("a flag that makes sense")
    }

    fn of_correlation(number: u32) -> EventBuf {
        EventBuf::new("order:placed").correlation_id(&format!("c-{number}"))
    }

    #[test]
    fn the_share_is_kept_and_only_grows() {
        let at = |percent: u32| flag(json!({ "name": "checkout", "types": ["order:*"], "percent": percent }));
        let (ten, twenty) = (at(10), at(20));
        let within = |flag: &Flag| (0..5_000).filter(|number| flag.lets_in(&of_correlation(*number).view())).collect::<Vec<_>>();
        let (ten, twenty) = (within(&ten), within(&twenty));
        assert!((400..600).contains(&ten.len()) && (850..1_150).contains(&twenty.len()), "{} and {} of 5000", ten.len(), twenty.len());
        assert!(ten.iter().all(|number| twenty.contains(number)), "whoever is in stays in");
        assert_eq!((within(&at(0)).len(), within(&at(100)).len()), (0, 5_000));
    }

    #[test]
    fn lists_let_in_whatever_the_share_says() {
        let flag = flag(
            json!({ "name": "f", "types": ["**"], "percent": 0, "allow_correlation_ids": ["c-1"], "allow_metadata": { "tenant": ["acme"] } }),
        );
        assert!(flag.lets_in(&of_correlation(1).view()) && !flag.lets_in(&of_correlation(2).view()));
        assert!(flag.lets_in(&of_correlation(2).metadata("tenant", "acme").view()));
        assert!(!flag.lets_in(&of_correlation(2).metadata("tenant", "other").view()));
    }

    #[test]
    fn everything_that_it_names_must_be_so() {
        let event = EventBuf::new("task:ready").payload(json!({ "method": "text/stats", "workflow": { "name": "daily" } }));
        let event = event.view();
        let about = |more: Value| {
            let mut all = json!({ "name": "f", "percent": 0 });
            all.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
            flag(all).is_about(&Facts::of_event(&event))
        };
        assert!(about(json!({ "types": ["task:*"] })) && !about(json!({ "types": ["order:*"] })));
        assert!(
            about(json!({ "methods": ["text/*"], "workflows": ["daily"] })) && !about(json!({ "methods": ["text/*"], "workflows": ["x"] }))
        );
    }
}
