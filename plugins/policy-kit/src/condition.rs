//! Owns conditions of rules: a field, and what must be true of it.
//! Leaves naming and reading the field to `field`.

use crate::{Facts, Field, NamePattern, text_of};
use serde::Deserialize;
use serde_json::Value;

/// What must be true of a field. Everything that is given must hold, and a field that is not there holds nothing but `exists = false`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    field: Field,
    equals: Option<Value>,
    not_equals: Option<Value>,
    one_of: Option<Vec<Value>>,
    matches: Option<NamePattern>,
    above: Option<f64>,
    at_least: Option<f64>,
    below: Option<f64>,
    at_most: Option<f64>,
    exists: Option<bool>,
}

impl Condition {
    /// Whether it says anything at all: one that names a field and nothing else is a slip of the pen.
    #[must_use]
    pub fn says_something(&self) -> bool {
        self.compares() || self.exists.is_some()
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        let Some(value) = self.field.value(facts) else { return self.exists == Some(false) && !self.compares() };
        self.exists != Some(false)
            && self.equals.as_ref().is_none_or(|wanted| same(wanted, &value))
            && self.not_equals.as_ref().is_none_or(|unwanted| !same(unwanted, &value))
            && self.one_of.as_ref().is_none_or(|wanted| wanted.iter().any(|wanted| same(wanted, &value)))
            && self.matches.as_ref().is_none_or(|pattern| pattern.matches(&text_of(&value)))
            && self.is_within_bounds(&value)
    }

    /// Whether it asks for more than that the field is there, or is not.
    fn compares(&self) -> bool {
        self.equals.is_some() || self.not_equals.is_some() || self.one_of.is_some() || self.matches.is_some() || self.bounds() != [None; 4]
    }

    fn bounds(&self) -> [Option<f64>; 4] {
        [self.above, self.at_least, self.below, self.at_most]
    }

    fn is_within_bounds(&self, value: &Value) -> bool {
        if self.bounds() == [None; 4] {
            return true;
        }
        // What is no number is within no bounds.
        value.as_f64().is_some_and(|value| {
            self.above.is_none_or(|bound| value > bound)
                && self.at_least.is_none_or(|bound| value >= bound)
                && self.below.is_none_or(|bound| value < bound)
                && self.at_most.is_none_or(|bound| value <= bound)
        })
    }
}

/// Numbers are the same by value, so that 20 is 20.0; the rest by what it is.
fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one == other)
}

/// Whether all of them hold.
#[must_use]
pub fn all_hold(conditions: &[Condition], facts: &Facts<'_>) -> bool {
    conditions.iter().all(|condition| condition.holds(facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trackside_sdk::EventBuf;

    fn holds(condition: Value) -> bool {
        let event = EventBuf::new("order:placed").payload(json!({ "amount": 20, "tier": "gold", "note": null }));
        let event = event.view();
        let condition: Condition = serde_json::from_value(condition).expect("a condition");
        condition.holds(&Facts::of_event(&event))
    }

    #[test]
    fn everything_that_is_given_must_hold() {
        for (condition, expected) in [
            (json!({ "field": "/amount", "above": 19 }), true),
            (json!({ "field": "/amount", "above": 20 }), false),
            (json!({ "field": "/amount", "at_least": 20, "at_most": 20.0 }), true),
            (json!({ "field": "/amount", "at_least": 20, "below": 20 }), false),
            (json!({ "field": "/amount", "equals": 20.0 }), true),
            (json!({ "field": "/tier", "equals": "gold" }), true),
            (json!({ "field": "/tier", "not_equals": "gold" }), false),
            (json!({ "field": "/tier", "one_of": ["silver", "gold"] }), true),
            (json!({ "field": "/tier", "one_of": [] }), false),
            (json!({ "field": "/tier", "matches": "g*" }), true),
            (json!({ "field": "/tier", "above": 1 }), false),
            (json!({ "field": "/note", "exists": true }), true),
            (json!({ "field": "/nothing", "exists": true }), false),
            (json!({ "field": "/nothing", "exists": false }), true),
            (json!({ "field": "/tier", "exists": false }), false),
            (json!({ "field": "/nothing", "not_equals": "gold" }), false),
        ] {
            assert_eq!(holds(condition.clone()), expected, "{condition}");
        }
    }

    #[test]
    fn a_condition_that_asks_nothing_or_something_unknown_is_seen() {
        let empty: Condition = serde_json::from_value(json!({ "field": "/tier" })).expect("a condition");
        assert!(!empty.says_something());
        assert!(serde_json::from_value::<Condition>(json!({ "field": "/tier", "equal": 1 })).is_err());
    }
}
