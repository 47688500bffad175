//! What a condition sees of an event: the fields that it names, as values of CEL.

use std::{collections::HashMap, sync::Arc};

use cel::Value;
use serde_json::Value as Json;

use super::names::{Uses, Weight};
use crate::event::Event;

/// The fields, and how much there is to them.
pub(super) fn of(event: &Event, uses: &Uses) -> (Value, Weight) {
    let mut seen = Seen { uses, members: HashMap::new() };
    let mut weight = Weight::default();
    seen.with("event_id", || event.event_id.to_string());
    seen.with("event_type", || event.event_type.to_string());
    seen.with("timestamp", || event.timestamp.to_string());
    seen.with("recorded_at", || event.recorded_at.to_string());
    seen.with("sequence_number", || i64::try_from(event.sequence_number).unwrap_or(i64::MAX));
    seen.with("part", || i64::from(event.part));
    seen.with("source_component", || event.source_component.to_string());
    seen.with("correlation_id", || event.correlation_id.to_string());
    seen.with("severity", || event.severity.as_str().to_owned());
    let optional = [
        ("causation_id", &event.causation_id),
        ("workflow_id", &event.workflow_id),
        ("task_id", &event.task_id),
        ("provider_id", &event.provider_id),
    ];
    for (name, text) in optional {
        if let Some(text) = text {
            seen.with(name, || text.to_string());
        }
    }
    seen.with("metadata", || {
        weight.longest = weight.longest.max(event.metadata.len() as u64);
        event.metadata.clone().into_iter().collect::<HashMap<String, String>>()
    });
    seen.with("payload", || {
        weight.bytes = event.payload.as_str().len() as u64;
        value(&event.payload.to_value(), &mut weight)
    });
    (seen.members.into(), weight)
}

struct Seen<'a> {
    uses: &'a Uses,
    members: HashMap<String, Value>,
}

impl Seen<'_> {
    fn with<V: Into<Value>>(&mut self, name: &'static str, value: impl FnOnce() -> V) {
        if self.uses.field(name) {
            self.members.insert(name.to_owned(), value().into());
        }
    }
}

/// JSON in CEL. Whole numbers are ints wherever they fit, as they are written in conditions.
fn value(json: &Json, weight: &mut Weight) -> Value {
    weight.nodes += 1;
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::UInt(number),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Array(items) => {
            weight.longest = weight.longest.max(items.len() as u64);
            Value::List(Arc::new(items.iter().map(|item| value(item, weight)).collect()))
        }
        Json::Object(members) => {
            weight.longest = weight.longest.max(members.len() as u64);
            members.iter().map(|(name, member)| (name.clone(), value(member, weight))).collect::<HashMap<String, Value>>().into()
        }
    }
}
