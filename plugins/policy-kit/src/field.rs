//! Owns naming a part of an event in settings, and reading it: a field of the envelope, a metadata key, or a JSON pointer into the payload.
//! Leaves what is compared with it to `condition`.

use serde::Deserialize;
use serde_json::Value;
use std::cell::OnceCell;
use trackside_sdk::{Context, Event, Origin, Severity};

/// An event with what is known beside it, its payload read once and only if somebody looks.
pub struct Facts<'a> {
    /// The event.
    pub event: &'a Event<'a>,
    /// The decision, where there is one.
    pub context: Option<&'a Context<'a>>,
    payload: OnceCell<Value>,
}

impl<'a> Facts<'a> {
    /// Of a decision.
    #[must_use]
    pub fn of_decision(event: &'a Event<'a>, context: &'a Context<'a>) -> Self {
        Facts { event, context: Some(context), payload: OnceCell::new() }
    }

    /// Of an event that has happened.
    #[must_use]
    pub fn of_event(event: &'a Event<'a>) -> Self {
        Facts { event, context: None, payload: OnceCell::new() }
    }

    /// The payload.
    pub fn payload(&self) -> &Value {
        // The host guarantees that a payload is valid JSON.
        self.payload.get_or_init(|| self.event.payload().unwrap_or(Value::Null))
    }

    /// A text that stands in the payload at this pointer.
    pub fn text_at(&self, pointer: &str) -> Option<&str> {
        self.payload().pointer(pointer)?.as_str()
    }
}

/// A part of an event, as settings name it: `source_component` and the like, `metadata.KEY`, or `/json/pointer`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Field(Place);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Envelope(Envelope),
    Metadata(String),
    Payload(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Envelope {
    EventType,
    Source,
    Correlation,
    Workflow,
    Task,
    Provider,
    Severity,
    Principal,
    Origin,
}

const ENVELOPE: [(&str, Envelope); 9] = [
    ("event_type", Envelope::EventType),
    ("source_component", Envelope::Source),
    ("correlation_id", Envelope::Correlation),
    ("workflow_id", Envelope::Workflow),
    ("task_id", Envelope::Task),
    ("provider_id", Envelope::Provider),
    ("severity", Envelope::Severity),
    ("principal", Envelope::Principal),
    ("origin", Envelope::Origin),
];

impl TryFrom<String> for Field {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Some((_, field)) = ENVELOPE.iter().find(|(name, _)| *name == text) {
            return Ok(Field(Place::Envelope(*field)));
        }
        if let Some(key) = text.strip_prefix("metadata.").filter(|key| !key.is_empty()) {
            return Ok(Field(Place::Metadata(key.into())));
        }
        if text.starts_with('/') {
            return Ok(Field(Place::Payload(text)));
        }
        let names: Vec<&str> = ENVELOPE.iter().map(|(name, _)| *name).collect();
        Err(format!(
            "'{text}' names no field: there are {}, metadata.KEY, and JSON pointers into the payload such as /amount",
            names.join(", ")
        ))
    }
}

impl Field {
    /// Who published the event.
    #[must_use]
    pub fn source_component() -> Self {
        Field(Place::Envelope(Envelope::Source))
    }

    /// What stands there; `None` where there is nothing.
    #[must_use]
    pub fn value(&self, facts: &Facts<'_>) -> Option<Value> {
        match &self.0 {
            Place::Envelope(field) => field.text(facts).map(Value::from),
            Place::Metadata(key) => facts.event.metadata(key).map(Value::from),
            Place::Payload(pointer) => facts.payload().pointer(pointer).cloned(),
        }
    }

    /// The same as text: a string bare, everything else as JSON.
    #[must_use]
    pub fn text(&self, facts: &Facts<'_>) -> Option<String> {
        self.value(facts).map(|value| text_of(&value))
    }
}

/// A string bare, everything else as JSON.
#[must_use]
pub fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A field of the envelope, or of the decision, by its name; empty where there is nothing.
#[must_use]
pub fn envelope_text<'a>(name: &str, facts: &Facts<'a>) -> &'a str {
    let field = ENVELOPE.iter().find(|(known, _)| *known == name);
    field.and_then(|(_, field)| field.text(facts)).unwrap_or_default()
}

impl Envelope {
    fn text<'a>(self, facts: &Facts<'a>) -> Option<&'a str> {
        let event = facts.event;
        match self {
            Envelope::EventType => Some(event.event_type()),
            Envelope::Source => Some(event.source_component()),
            Envelope::Correlation => Some(event.correlation_id()),
            Envelope::Workflow => event.workflow_id(),
            Envelope::Task => event.task_id(),
            Envelope::Provider => event.provider_id(),
            Envelope::Severity => Some(severity_name(event.severity())),
            Envelope::Principal => facts.context?.principal,
            Envelope::Origin => Some(origin_name(facts.context?.origin)),
        }
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Debug => "debug",
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
    }
}

fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::Http => "http",
        Origin::Cli => "cli",
        Origin::StreamClient => "stream_client",
        Origin::Inbox => "inbox",
        Origin::Plugin => "plugin",
        Origin::Embedded => "embedded",
        Origin::Host => "host",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trackside_sdk::{EventBuf, Point};

    fn field(name: &str) -> Field {
        Field::try_from(name.to_owned()).expect("a field")
    }

    #[test]
    fn every_part_of_an_event_can_be_named() {
        let event = EventBuf::new("order:placed")
            .source_component("shop")
            .metadata("tenant", "acme")
            .payload(json!({ "items": [{ "sku": "tea" }], "amount": 20 }));
        let (event, context) = (event.view(), Context { principal: Some("ann"), ..Context::at(Point::Publish) });
        let facts = Facts::of_decision(&event, &context);
        for (name, expected) in [
            ("event_type", Some("order:placed")),
            ("source_component", Some("shop")),
            ("severity", Some("info")),
            ("principal", Some("ann")),
            ("origin", Some("http")),
            ("task_id", None),
            ("metadata.tenant", Some("acme")),
            ("metadata.nobody", None),
            ("/items/0/sku", Some("tea")),
            ("/amount", Some("20")),
            ("/missing", None),
        ] {
            assert_eq!(field(name).text(&facts).as_deref(), expected, "{name}");
        }
        assert_eq!(field("principal").text(&Facts::of_event(&event)), None);
    }

    #[test]
    fn a_name_of_nothing_is_refused() {
        for name in ["source", "metadata.", "amount", ""] {
            let error = Field::try_from(name.to_owned()).expect_err(name);
            assert!(error.contains("source_component") && error.contains("metadata.KEY"), "{error}");
        }
    }
}
