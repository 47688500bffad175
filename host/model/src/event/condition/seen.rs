//! What conditions see of an event: the fields that they name, as values of CEL. What takes long to make of it is made once for all conditions.

use std::{cell::OnceCell, collections::HashMap, sync::Arc};

use cel::Value;
use serde_json::Value as Json;

use super::names::{Uses, Weight};
use crate::event::Event;

/// One event as conditions see it.
#[derive(Debug)]
pub struct Sight<'a> {
    event: &'a Event,
    payload: OnceCell<(Value, Weight)>,
    metadata: OnceCell<Value>,
}

impl<'a> Sight<'a> {
    /// Of this event. Nothing of it is read before a condition looks at it.
    pub fn of(event: &'a Event) -> Self {
        Self { event, payload: OnceCell::new(), metadata: OnceCell::new() }
    }

    pub(super) fn payload_bytes(&self) -> usize {
        self.event.payload.as_str().len()
    }

    /// Whether the payload has been read.
    pub(super) fn is_read(&self) -> bool {
        self.payload.get().is_some()
    }

    /// How much there is to what such a condition looks at.
    pub(super) fn weight(&self, uses: &Uses) -> Weight {
        let mut weight = if uses.field("payload") { self.payload().1 } else { Weight::default() };
        if uses.field("metadata") {
            weight.longest = weight.longest.max(self.event.metadata.len() as u64);
        }
        weight
    }

    fn payload(&self) -> &(Value, Weight) {
        self.payload.get_or_init(|| {
            let mut weight = Weight { bytes: self.payload_bytes() as u64, ..Weight::default() };
            let seen = value(&self.event.payload.to_value(), &mut weight);
            (seen, weight)
        })
    }

    fn metadata(&self) -> &Value {
        self.metadata.get_or_init(|| self.event.metadata.clone().into_iter().collect::<HashMap<String, String>>().into())
    }

    /// The fields that such a condition names.
    pub(super) fn seen(&self, uses: &Uses) -> Value {
        let event = self.event;
        let mut seen = Seen { uses, members: HashMap::new() };
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
        seen.with("metadata", || self.metadata().clone());
        seen.with("payload", || self.payload().0.clone());
        seen.members.into()
    }
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
