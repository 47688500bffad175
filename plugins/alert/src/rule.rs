//! Owns one rule: which events it counts, and how many are too many.
//! Leaves the counting to `window`.

use serde::Deserialize;
use trackside_policy_kit::{Condition, Facts, Field, TypePattern, all_hold};
use trackside_sdk::Severity;

/// Events that a rule can count up to: their times are kept.
const MOST_COUNT: usize = 1_000;

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawRule {
    name: String,
    #[serde(default)]
    types: Vec<TypePattern>,
    min_severity: Option<RawSeverity>,
    #[serde(default)]
    when: Vec<Condition>,
    per: Option<Field>,
    #[serde(default = "one")]
    count: usize,
    #[serde(default = "one_minute")]
    window_ms: u64,
    #[serde(default = "five_minutes")]
    cooldown_ms: u64,
    #[serde(default = "warning")]
    severity: RawSeverity,
}

fn one() -> usize {
    1
}

fn one_minute() -> u64 {
    60_000
}

fn five_minutes() -> u64 {
    300_000
}

fn warning() -> RawSeverity {
    RawSeverity::Warning
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum RawSeverity {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl From<RawSeverity> for Severity {
    fn from(severity: RawSeverity) -> Self {
        match severity {
            RawSeverity::Debug => Severity::Debug,
            RawSeverity::Info => Severity::Info,
            RawSeverity::Warning => Severity::Warning,
            RawSeverity::Error => Severity::Error,
            RawSeverity::Critical => Severity::Critical,
        }
    }
}

/// A rule, checked.
pub(crate) struct Rule {
    pub(crate) name: String,
    types: Vec<TypePattern>,
    min_severity: Severity,
    when: Vec<Condition>,
    pub(crate) per: Option<Field>,
    pub(crate) count: usize,
    pub(crate) window_ms: u64,
    pub(crate) cooldown_ms: u64,
    pub(crate) severity: Severity,
}

impl Rule {
    pub(crate) fn checked(raw: RawRule) -> Result<Self, String> {
        let wrong = |what: String| Err(format!("`rules`: '{}' has {what}", raw.name));
        if !(1..=MOST_COUNT).contains(&raw.count) {
            return wrong(format!("count = {}, which is not between 1 and {MOST_COUNT}", raw.count));
        }
        if raw.window_ms == 0 {
            return wrong("window_ms = 0, in which nothing lies".into());
        }
        if raw.when.iter().any(|condition| !condition.says_something()) {
            return wrong("a condition that asks nothing: give equals, one_of, matches, above, exists or the like".into());
        }
        Ok(Rule {
            name: raw.name,
            types: raw.types,
            min_severity: raw.min_severity.map_or(Severity::Debug, Severity::from),
            when: raw.when,
            per: raw.per,
            count: raw.count,
            window_ms: raw.window_ms,
            cooldown_ms: raw.cooldown_ms,
            severity: raw.severity.into(),
        })
    }

    /// Whether it counts this event.
    pub(crate) fn is_about(&self, facts: &Facts<'_>) -> bool {
        (self.types.is_empty() || self.types.iter().any(|pattern| pattern.matches(facts.event.event_type())))
            && facts.event.severity() >= self.min_severity
            && all_hold(&self.when, facts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use trackside_sdk::EventBuf;

    #[test]
    fn an_event_counts_if_all_of_it_is_so() {
        let event = EventBuf::new("task:failed").severity(Severity::Error).payload(json!({ "error": { "code": "timeout" } }));
        let event = event.view();
        let counts =
            |rule: Value| Rule::checked(serde_json::from_value(rule).expect("a rule")).expect("a rule").is_about(&Facts::of_event(&event));
        for (rule, expected) in [
            (json!({ "name": "a" }), true),
            (json!({ "name": "a", "types": ["task:*"], "min_severity": "error" }), true),
            (json!({ "name": "a", "types": ["order:*"] }), false),
            (json!({ "name": "a", "min_severity": "critical" }), false),
            (json!({ "name": "a", "when": [{ "field": "/error/code", "equals": "timeout" }] }), true),
            (json!({ "name": "a", "when": [{ "field": "/error/code", "equals": "busy" }] }), false),
        ] {
            assert_eq!(counts(rule.clone()), expected, "{rule}");
        }
    }
}
