//! Fields of an object by name: the unknown are told with the nearest known, the known are read by type.
//! Which fields there are is the callers' to say.

use std::fmt;

use super::{
    Errors,
    node::{Entry, Node, Place, Value},
    scalar,
};
use crate::{retry::RetryPolicy, text::unknown_field};

/// The fields of one object.
pub(super) struct Fields<'n, 'p> {
    entries: &'n [Entry],
    pub(super) place: &'p Place<'p>,
}

impl<'n, 'p> Fields<'n, 'p> {
    /// The fields of `node`; tells if it is no object, and each field that is not `known`.
    pub(super) fn read(node: &'n Node, place: &'p Place<'p>, known: &[&str], errors: &mut Errors) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            let subject = if matches!(place, Place::Root) { "the definition " } else { "" };
            errors.push(node.line, place, format!("{subject}is {}; an object goes here, with {}", node.kind(), known.join(", ")));
            return None;
        };
        for entry in entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
            // Only written if it is told: of millions of fields a thousand are.
            errors.push(entry.line, place, fmt::from_fn(|f| f.write_str(&unknown_field(&entry.key, known))));
        }
        Some(Self { entries, place })
    }

    /// The field under any of its names; `null` is as good as absent. Tells if two names of one field are used.
    pub(super) fn get(&self, names: &[&str], errors: &mut Errors) -> Option<&'n Entry> {
        let mut found = self.entries.iter().filter(|entry| names.contains(&&*entry.key));
        let first = found.next()?;
        if let Some(other) = found.find(|other| other.key != first.key) {
            errors.push(other.line, self.place, format!("'{}' and '{}' are two names of one field; keep one", first.key, other.key));
        }
        Some(first).filter(|entry| !matches!(entry.node.value, Value::Null))
    }

    /// Tells that the value of a field is not what goes there.
    pub(super) fn wrong(&self, entry: &Entry, expected: &str, errors: &mut Errors) {
        errors.push(entry.node.line, &Place::Field(self.place, &entry.key), format!("is {}; {expected} goes here", entry.node.kind()));
    }

    /// Text; numbers are taken as they are written, for `version: 1.0` and ids such as `1`.
    pub(super) fn text(&self, name: &str, errors: &mut Errors) -> Option<&'n str> {
        let entry = self.get(&[name], errors)?;
        match &entry.node.value {
            Value::String(text) | Value::Number(text) => Some(text),
            _ => {
                self.wrong(entry, "a string", errors);
                None
            }
        }
    }

    pub(super) fn boolean(&self, name: &str, errors: &mut Errors) -> Option<bool> {
        let entry = self.get(&[name], errors)?;
        if let Value::Bool(value) = entry.node.value {
            return Some(value);
        }
        self.wrong(entry, "true or false", errors);
        None
    }

    /// A duration in milliseconds.
    fn duration_ms(&self, names: &[&str], errors: &mut Errors) -> Option<u64> {
        let entry = self.get(names, errors)?;
        let (Value::String(text) | Value::Number(text)) = &entry.node.value else {
            self.wrong(entry, "a duration in seconds, or a text such as \"500ms\" or \"5m\",", errors);
            return None;
        };
        scalar::duration_ms(text).map_err(|message| errors.push(entry.node.line, &Place::Field(self.place, &entry.key), message)).ok()
    }

    /// A duration in milliseconds that is longer than nothing.
    pub(super) fn timeout_ms(&self, name: &str, errors: &mut Errors) -> Option<u64> {
        let timeout_ms = self.duration_ms(&[name], errors)?;
        if timeout_ms == 0 {
            let line = self.get(&[name], errors).map_or(0, |entry| entry.node.line);
            errors.push(line, &Place::Field(self.place, name), "is no time at all; leave it out for no limit");
        }
        Some(timeout_ms)
    }

    /// A number within bounds, for counts and factors.
    pub(super) fn number(&self, names: &[&str], bounds: std::ops::RangeInclusive<f64>, whole: bool, errors: &mut Errors) -> Option<f64> {
        let entry = self.get(names, errors)?;
        let number = match &entry.node.value {
            Value::Number(text) => text.parse::<f64>().ok(),
            _ => None,
        };
        let number = number.filter(|number| bounds.contains(number) && (!whole || number.fract() == 0.0));
        if number.is_none() {
            let kind = if whole { "whole number" } else { "number" };
            let message = format!("a {kind} from {} to {} goes here", bounds.start(), bounds.end());
            errors.push(entry.node.line, &Place::Field(self.place, &entry.key), message);
        }
        number
    }
}

const RETRY_FIELDS: [&str; 9] =
    ["max_attempts", "attempts", "base_delay", "initial_delay", "factor", "multiplier", "max_delay", "jitter", "backoff_strategy"];

/// A task's `retry`: a number of attempts, or an object. What is left unsaid is [`RetryPolicy::RETRYING`]'s.
pub(super) fn retry(entry: Option<&Entry>, task: &Fields<'_, '_>, errors: &mut Errors) -> RetryPolicy {
    let Some(entry) = entry else { return RetryPolicy::ONCE };
    let mut policy = RetryPolicy::RETRYING;
    let bounds = 1.0..=f64::from(crate::retry::MAX_ATTEMPTS);
    if matches!(entry.node.value, Value::Number(_)) {
        if let Some(attempts) = task.number(&[&entry.key], bounds, true, errors) {
            policy.max_attempts = attempts as u32;
        }
        return policy;
    }
    let place = Place::Field(task.place, &entry.key);
    let Some(fields) = Fields::read(&entry.node, &place, &RETRY_FIELDS, errors) else { return policy };
    if let Some(attempts) = fields.number(&["max_attempts", "attempts"], bounds, true, errors) {
        policy.max_attempts = attempts as u32;
    }
    policy.base_ms = fields.duration_ms(&["base_delay", "initial_delay"], errors).unwrap_or(policy.base_ms);
    policy.cap_ms = fields.duration_ms(&["max_delay"], errors).unwrap_or(policy.cap_ms);
    policy.jitter = fields.boolean("jitter", errors).unwrap_or(policy.jitter);
    let factors = 1.0..=crate::retry::MAX_FACTOR;
    let stated = fields.number(&["factor", "multiplier"], factors, false, errors);
    policy.factor = stated.unwrap_or_else(|| strategy_factor(&fields, errors).unwrap_or(policy.factor));
    policy
}

/// Gleitzeit's `backoff_strategy`: the factor that it stands for.
fn strategy_factor(fields: &Fields<'_, '_>, errors: &mut Errors) -> Option<f64> {
    let entry = fields.get(&["backoff_strategy"], errors)?;
    match fields.text("backoff_strategy", errors)? {
        "fixed" => Some(1.0),
        "exponential" => None,
        other => {
            let message = format!("'{other}' is not one of exponential, fixed; write a factor instead");
            errors.push(entry.node.line, &Place::Field(fields.place, &entry.key), message);
            None
        }
    }
}
