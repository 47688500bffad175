//! `alert`: an observer that publishes `alert:triggered` when too much of something happens in a window. It needs the grants `kv` and
//! `publish = ["alert:triggered"]`.
//!
//! A rule counts events. When as many as its threshold lie within its window it triggers, once: not again until there were fewer, and not again
//! before its cooldown is over. What would have triggered during the cooldown does so at its end, if there are still too many.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `rules` | none | the rules |
//! | `rules[].name` | required | what the alert is called; each rule has another |
//! | `rules[].types` | all | events of these types, as in `task:failed` |
//! | `rules[].min_severity` | all | of this severity or a higher one |
//! | `rules[].when` | none | conditions on fields, all of which hold |
//! | `rules[].per` | none | count apart for each value of this field |
//! | `rules[].count` | 1 | this many events; at most 1000 |
//! | `rules[].window_ms` | 60000 | within this long, by the events' own time |
//! | `rules[].cooldown_ms` | 300000 | and then not again for this long |
//! | `rules[].severity` | `warning` | of the alert |
//!
//! Everything that is counted is in `kv`, and is released together with the alerts and the observer's place in the log: an alert is published
//! once, whatever is delivered again or restarted. It watches every fact; `[observes]` narrows that. It never sees its own alerts.

mod rule;
mod window;

use rule::{RawRule, Rule};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeSet;
use trackside_policy_kit::{Configuration, Configured, Facts, get_json, hex_digest, set_json_for_ms};
use trackside_sdk::{Delivery, Description, Draft, Error, Event, Events, Filter, Observer, Plugin, events};
use window::Window;

struct Alert;

/// The settings as they are written.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    rules: Vec<RawRule>,
}

/// The settings, checked.
struct Rules(Vec<Rule>);

impl Configured for Rules {
    type Raw = Raw;

    fn configured(raw: Raw) -> Result<Self, String> {
        let rules: Vec<Rule> = raw.rules.into_iter().map(Rule::checked).collect::<Result<_, _>>()?;
        let mut names = BTreeSet::new();
        match rules.iter().find(|rule| !names.insert(&rule.name)) {
            Some(twice) => Err(format!("`rules`: there are two of the name '{}'", twice.name)),
            None => Ok(Rules(rules)),
        }
    }
}

static RULES: Configuration<Rules> = Configuration::new();

impl Plugin for Alert {
    fn describe() -> Description {
        Description::new("alert")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Publishes an alert when too much of something happens in a window.")
            .observes(Filter::facts())
            .memoryless()
    }
}

impl Observer for Alert {
    fn observe(batch: Events, _: &Delivery) -> Result<(), Error> {
        let rules = RULES.get()?;
        for event in batch {
            let facts = Facts::of_event(&event);
            for rule in rules.0.iter().filter(|rule| rule.is_about(&facts)) {
                count(rule, &facts, &event)?;
            }
        }
        Ok(())
    }
}

trackside_sdk::export!(Alert: observer);

/// Counts an event for a rule, and publishes the alert if that makes too many.
fn count(rule: &Rule, facts: &Facts, event: &Event) -> Result<(), Error> {
    let group = rule.per.as_ref().map(|field| field.text(facts).unwrap_or_default());
    let key = format!("window/{}", hex_digest(&[&rule.name, group.as_deref().unwrap_or_default()]));
    let mut window: Window = get_json(&key)?.unwrap_or_default();
    let now_ms = event.recorded_at_ns() / 1_000_000;
    let triggers = window.add(now_ms, rule);
    // As long as it matters, counted from now: what is read late stays too long, never too short.
    set_json_for_ms(&key, &window, rule.window_ms.saturating_add(rule.cooldown_ms))?;
    if !triggers {
        return Ok(());
    }
    let payload = json!({
        "rule": rule.name,
        "group": group,
        "count": window.count(),
        "window_ms": rule.window_ms,
        "first_ms": window.first_ms(),
        "last_ms": now_ms,
        "last_event": { "event_id": event.event_id(), "event_type": event.event_type(), "sequence_number": event.sequence_number() },
    });
    let draft = Draft::new("alert:triggered").severity(rule.severity).payload(payload).cause(event);
    events::publish(draft.key(format!("{key}/{}/{}", event.sequence_number(), event.part())))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use trackside_policy_kit::read;

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (rules, says) in [
            (json!([{ "types": ["task:failed"] }]), "missing field `name`"),
            (json!([{ "name": "a", "count": 0 }]), "`rules`: 'a' has count = 0"),
            (json!([{ "name": "a", "count": 1_001 }]), "`rules`: 'a' has count = 1001"),
            (json!([{ "name": "a", "window_ms": 0 }]), "`rules`: 'a' has window_ms = 0"),
            (json!([{ "name": "a" }, { "name": "a" }]), "`rules`: there are two of the name 'a'"),
            (json!([{ "name": "a", "when": [{ "field": "/x" }] }]), "`rules`: 'a' has a condition that asks nothing"),
            (json!([{ "name": "a", "severity": "loud" }]), "`rules`"),
            (json!([{ "name": "a", "type": "task:failed" }]), "unknown field `type`"),
        ] {
            let error = read::<Rules>(&json!({ "rules": rules })).err().expect("these settings are wrong");
            assert!(error.message().starts_with("setting `rules`") && error.message().contains(says), "{error}");
        }
    }
}
