//! What an edge may send as an event: optional fields, foreign spellings, wrong shapes. Here text becomes a valid [`Draft`] or a
//! refusal that names the field; who may publish which type is the catalogue's, and asked here so that there is one door.

use std::collections::BTreeMap;

use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use super::{Draft, Event, EventType, EventTypeError, Metadata, Severity, Text, trace};
use crate::{
    catalogue,
    json::{Json, JsonError},
    narration::Narration,
    time::Timestamp,
};

/// The fields that a publisher may send.
pub const DRAFT_FIELDS: [&str; 13] = [
    "event_id",
    "event_type",
    "timestamp",
    "source_component",
    "correlation_id",
    "causation_id",
    "workflow_id",
    "task_id",
    "provider_id",
    "severity",
    "payload",
    "metadata",
    "expected_sequence",
];

/// Fields of the envelope that the host gives; ignored when an event that was read is published again.
const HOST_FIELDS: [&str; 3] = ["sequence_number", "recorded_at", "part"];

/// Bounds on what an edge may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeLimits {
    /// Bytes of a payload's text.
    pub payload_bytes: usize,
    /// Levels of nesting in a payload.
    pub payload_depth: usize,
    /// Bytes of an id, a source or a metadata key.
    pub id_bytes: usize,
    /// Bytes of all metadata together.
    pub metadata_bytes: usize,
}

impl Default for EnvelopeLimits {
    fn default() -> Self {
        Self { payload_bytes: 1 << 20, payload_depth: 64, id_bytes: 256, metadata_bytes: 8 << 10 }
    }
}

/// The sort of a refusal at the door, which each edge translates once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionKind {
    /// The text or a field has a wrong form.
    Malformed,
    /// Larger than a limit.
    TooLarge,
    /// The form is right, but this publisher may not publish it.
    Forbidden,
}

/// A refusal at the door: what, where and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if self.field.is_empty() { String::new() } else { format!("{}: ", self.field) })]
pub struct Rejection {
    /// What sort of refusal it is.
    pub kind: RejectionKind,
    /// The field, empty for the event as a whole.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Rejection {
    /// A refusal for a wrong form.
    pub fn malformed(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: RejectionKind::Malformed, field: field.into(), message: message.into() }
    }

    fn too_large(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: RejectionKind::TooLarge, field: field.into(), message: message.into() }
    }

    fn forbidden(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: RejectionKind::Forbidden, field: field.into(), message: message.into() }
    }
}

/// An event as an edge sends it: read, but neither checked nor completed.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// Identity for dedup; a content window serves where it is absent.
    pub event_id: Option<Uuid>,
    /// In any of the spellings that normalisation knows.
    pub event_type: String,
    /// When the publisher says it happened.
    pub timestamp: Option<Timestamp>,
    /// Required.
    pub source_component: String,
    /// Defaults to the event's own id.
    pub correlation_id: Option<String>,
    /// The event that caused it.
    pub causation_id: Option<String>,
    /// The workflow it belongs to.
    pub workflow_id: Option<String>,
    /// The task it belongs to.
    pub task_id: Option<String>,
    /// The provider it speaks of.
    pub provider_id: Option<String>,
    /// Defaults to `info`.
    pub severity: Option<Severity>,
    /// Defaults to `{}`.
    pub payload: Option<Json>,
    /// Small string facts.
    pub metadata: Metadata,
    /// What the last event of its workflow, or else of its correlation, must be for it to be taken; 0: there must be none.
    pub expected_sequence: Option<u64>,
}

impl Incoming {
    /// Reads one JSON object.
    ///
    /// # Errors
    /// A [`Rejection`] that names line and column, or the field and the nearest known one.
    pub fn from_json(text: &str, limits: &EnvelopeLimits) -> Result<Self, Rejection> {
        if !text.trim_start().starts_with('{') {
            check_form(text, "payload", limits)?;
            return Err(Rejection::malformed(
                "",
                "an event is a JSON object such as {\"event_type\": \"order:placed\", \"source_component\": \"shop\"}",
            ));
        }
        check_bounds(text, "payload", limits)?;
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|error| json_rejection("", &error.into()))?;
        let mut incoming = Self::default();
        for (name, raw) in fields {
            if name == "payload" {
                // It keeps its own text and limits, and is read where those are checked.
                incoming.payload = (raw.get() != "null").then(|| Json::trusted(raw.get()));
                continue;
            }
            let value = serde_json::from_str(raw.get()).map_err(|error| json_rejection(&name, &error.into()))?;
            incoming.set(&name, value)?;
        }
        Ok(incoming)
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), Rejection> {
        if value.is_null() && name != "event_type" && name != "source_component" {
            return Ok(());
        }
        match name {
            "event_type" => self.event_type = string(name, value)?,
            "source_component" => self.source_component = string(name, value)?,
            "event_id" => {
                let text = string(name, value)?;
                let wrong = |_| Rejection::malformed(name, format!("'{text}' is not a UUID"));
                self.event_id = Some(Uuid::parse_str(&text).map_err(wrong)?);
            }
            "timestamp" => {
                let text = string(name, value)?;
                self.timestamp = Some(text.parse().map_err(|error| Rejection::malformed(name, format!("{error}")))?);
            }
            "severity" => {
                self.severity = Some(string(name, value)?.parse().map_err(|error: String| Rejection::malformed(name, error))?);
            }
            "correlation_id" => self.correlation_id = Some(string(name, value)?),
            "causation_id" => self.causation_id = Some(string(name, value)?),
            "workflow_id" => self.workflow_id = Some(string(name, value)?),
            "task_id" => self.task_id = Some(string(name, value)?),
            "provider_id" => self.provider_id = Some(string(name, value)?),
            "metadata" => {
                let Value::Object(pairs) = value else { return Err(Rejection::malformed(name, "expected an object of strings")) };
                for (key, value) in pairs {
                    let value = string(&format!("metadata.{key}"), value)?;
                    self.metadata.insert(key, value);
                }
            }
            "expected_sequence" => {
                let wrong = || Rejection::malformed(name, "expected the sequence number of an event, or 0 for none");
                self.expected_sequence = Some(value.as_u64().ok_or_else(wrong)?);
            }
            known if HOST_FIELDS.contains(&known) => {}
            unknown => return Err(Rejection::malformed(unknown, crate::text::unknown_field(unknown, &DRAFT_FIELDS))),
        }
        Ok(())
    }

    /// Whether it asks the host to do something, however its type is spelt.
    pub fn is_command(&self) -> bool {
        let known = normalised(&self.event_type).ok();
        known.and_then(|event_type| catalogue::entry(&event_type)).is_some_and(|entry| entry.owner == catalogue::Owner::Command)
    }

    /// Normalises, checks and completes it. `fresh_id` is taken where the publisher gave none.
    ///
    /// # Errors
    /// A [`Rejection`] that names the field and what to do.
    pub fn into_draft(mut self, now: Timestamp, fresh_id: Uuid, limits: &EnvelopeLimits) -> Result<Draft, Rejection> {
        let source = std::mem::take(&mut self.source_component);
        if source.is_empty() {
            return Err(Rejection::malformed("source_component", "required: the name of the component that publishes"));
        }
        if let Some(owner) = catalogue::reserved_source(&source) {
            return Err(Rejection::forbidden(
                "source_component",
                format!("'{source}' is reserved for {owner}; publish under a name of your own"),
            ));
        }
        complete(self, &source, now, fresh_id, limits)
    }

    /// The same for a plugin, whose name the host stamps as source.
    ///
    /// # Errors
    /// A [`Rejection`], as for any publisher.
    pub fn into_plugin_draft(self, plugin: &str, now: Timestamp, fresh_id: Uuid, limits: &EnvelopeLimits) -> Result<Draft, Rejection> {
        complete(self, plugin, now, fresh_id, limits)
    }

    /// An event to show a plugin that no host stands behind: normalised and checked as at the door, but of any type and source, the
    /// host's own too. No draft is made of it, so that it cannot come into a log.
    ///
    /// # Errors
    /// A [`Rejection`] that names the field and what to do.
    pub fn into_shown(self, now: Timestamp, fresh_id: Uuid, limits: &EnvelopeLimits) -> Result<Event, Rejection> {
        let source = self.source_component.clone();
        filled(self, &source, now, fresh_id, limits)
    }
}

fn complete(rest: Incoming, source: &str, now: Timestamp, fresh_id: Uuid, limits: &EnvelopeLimits) -> Result<Draft, Rejection> {
    let event = filled(rest, source, now, fresh_id, limits)?;
    if let Some(entry) = catalogue::entry(&event.event_type)
        && entry.owner == catalogue::Owner::Engine
    {
        let hint = "only the host publishes it; publish a fact of your own, or ask with a command such as workflow:submit";
        return Err(Rejection::forbidden("event_type", format!("'{}' is engine-owned: {hint}", event.event_type)));
    }
    Ok(Draft::new(event))
}

/// A type as it is in the log, of whatever a publisher calls it.
fn normalised(event_type: &str) -> Result<EventType, EventTypeError> {
    match catalogue::publish_alias(event_type) {
        Some(known) => Ok(EventType::known(known)),
        None => EventType::normalise(event_type),
    }
}

fn filled(rest: Incoming, source: &str, now: Timestamp, fresh_id: Uuid, limits: &EnvelopeLimits) -> Result<Event, Rejection> {
    let event_type = rest.event_type;
    let event_id = rest.event_id.unwrap_or(fresh_id);
    if event_type.is_empty() {
        return Err(Rejection::malformed("event_type", "required: 'component:action', for example 'order:placed'"));
    }
    let event_type = normalised(&event_type).map_err(|error| Rejection::malformed("event_type", error.to_string()))?;
    let id = |field: &str, value: Option<&str>| -> Result<Option<Text>, Rejection> {
        match value {
            Some("") => Err(Rejection::malformed(field, "must not be empty; leave it out instead")),
            Some(text) if text.len() > limits.id_bytes => {
                Err(Rejection::too_large(field, format!("{} bytes are more than the {} allowed", text.len(), limits.id_bytes)))
            }
            Some(text) if text.chars().any(char::is_control) => Err(Rejection::malformed(field, "must not hold control characters")),
            Some(text) => Ok(Some(Text::from(text))),
            None => Ok(None),
        }
    };
    let metadata_bytes: usize = rest.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    if metadata_bytes > limits.metadata_bytes {
        return Err(Rejection::too_large(
            "metadata",
            format!("{metadata_bytes} bytes are more than the {} allowed", limits.metadata_bytes),
        ));
    }
    if rest.expected_sequence.is_some() && rest.workflow_id.is_none() && rest.correlation_id.is_none() {
        let what = "say of which workflow_id or correlation_id that is the last event";
        return Err(Rejection::malformed("expected_sequence", what));
    }
    if rest.expected_sequence.is_some() && catalogue::entry(&event_type).is_some_and(|entry| entry.owner == catalogue::Owner::Command) {
        return Err(Rejection::malformed(
            "expected_sequence",
            format!("'{event_type}' is a command, which the workflow's own state decides about"),
        ));
    }
    let payload = match rest.payload {
        Some(payload) => payload.checked(limits.payload_bytes, limits.payload_depth).map_err(|error| json_rejection("payload", &error))?,
        None => Json::trusted("{}"),
    };
    let mut metadata = rest.metadata;
    trace::enter(&mut metadata, event_id)?;
    let own_id = || Text::from(&*event_id.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    Ok(Event {
        event_id,
        event_type,
        recorded_at: Timestamp(0),
        sequence_number: 0,
        part: 0,
        timestamp: rest.timestamp.unwrap_or(now),
        source_component: id("source_component", Some(source))?.unwrap_or_default(),
        correlation_id: id("correlation_id", rest.correlation_id.as_deref())?.unwrap_or_else(own_id),
        causation_id: id("causation_id", rest.causation_id.as_deref())?,
        workflow_id: id("workflow_id", rest.workflow_id.as_deref())?,
        task_id: id("task_id", rest.task_id.as_deref())?,
        provider_id: id("provider_id", rest.provider_id.as_deref())?,
        severity: rest.severity.unwrap_or_default(),
        payload,
        metadata,
        narration: Narration::default(),
    })
}

/// Looks whether a text is JSON within the limits of an event that has its payload in this member; its numbers and texts are read later.
pub(super) fn check_form(text: &str, payload: &str, limits: &EnvelopeLimits) -> Result<(), Rejection> {
    check_bounds(text, payload, limits)?;
    Json::check_form(text, usize::MAX, usize::MAX).map_err(|error| json_rejection("", &error))
}

/// Looks whether a text is within those limits, if it is JSON.
fn check_bounds(text: &str, payload: &str, limits: &EnvelopeLimits) -> Result<(), Rejection> {
    let most = limits.payload_bytes + limits.metadata_bytes + (64 << 10);
    Json::check_bounds(text, most, limits.payload_depth + 1).map_err(|error| match error {
        // Around the payload there is one level; deeper than that is the payload alone.
        JsonError::TooDeep { .. } => json_rejection(payload, &JsonError::TooDeep { limit: limits.payload_depth }),
        error => json_rejection("", &error),
    })
}

fn json_rejection(field: &str, error: &JsonError) -> Rejection {
    match error {
        JsonError::Syntax { .. } => Rejection::malformed(field, error.to_string()),
        JsonError::TooLarge { .. } | JsonError::TooDeep { .. } => Rejection::too_large(field, error.to_string()),
    }
}

fn string(field: &str, value: Value) -> Result<String, Rejection> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(Rejection::malformed(field, format!("expected a string, found {}", crate::text::kind_of(&other)))),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    #[test]
    fn a_command_is_one_however_it_is_spelt() {
        let is_command = |event_type: &str| Incoming { event_type: event_type.to_owned(), ..Incoming::default() }.is_command();
        for command in ["workflow:submit", "WorkflowSubmit", "WORKFLOW_CANCEL", "workflow_submit"] {
            assert!(is_command(command), "{command}");
        }
        for other in ["workflow:submitted", "order:placed", "order", ""] {
            assert!(!is_command(other), "{other}");
        }
    }

    fn check(text: &str, expected: Expect) {
        let limits = EnvelopeLimits { payload_bytes: 40, ..EnvelopeLimits::default() };
        let draft =
            Incoming::from_json(text, &limits).and_then(|incoming| incoming.into_draft(Timestamp(0), Uuid::nil(), &limits)).map_or_else(
                |error| format!("{:?} {error}", error.kind),
                |draft| format!("{} {} {}", draft.event_type, draft.correlation_id, draft.payload),
            );
        expected.assert_eq(&draft);
    }

    #[test]
    fn drafts_are_completed() {
        check(r#"{"event_type":"OrderPlaced","source_component":"shop","correlation_id":"c"}"#, expect!["order:placed c {}"]);
        check(
            r#"{"event_type":"PeriodicTick","source_component":"shop"}"#,
            expect![[
                r#"Forbidden event_type: 'tick:periodic' is engine-owned: only the host publishes it; publish a fact of your own, or ask with a command such as workflow:submit"#
            ]],
        );
        check(
            r#"{"event_type":"a:b","source_component":"s","payload":{ "x" : 1.0 }}"#,
            expect![[r#"a:b 00000000-0000-0000-0000-000000000000 { "x" : 1.0 }"#]],
        );
    }

    #[test]
    fn what_is_only_shown_may_be_the_hosts_own() {
        let shown = |text: &str| {
            let limits = EnvelopeLimits::default();
            Incoming::from_json(text, &limits).and_then(|incoming| incoming.into_shown(Timestamp(0), Uuid::nil(), &limits))
        };
        let event = shown(r#"{"event_type":"TaskFailed","source_component":"execution_engine","payload":{"x":1}}"#).unwrap();
        assert_eq!(
            (&*event.event_type, &*event.source_component, event.payload.as_str()),
            ("task:failed", "execution_engine", r#"{"x":1}"#)
        );
        assert_eq!(shown(r#"{"event_type":""}"#).unwrap_err().field, "event_type");
    }

    #[test]
    fn wrong_input_is_named_and_helped() {
        check(r#"{"event_type":"a:b""#, expect!["Malformed EOF while parsing an object at line 1 column 19"]);
        check(
            r#"[1]"#,
            expect![[r#"Malformed an event is a JSON object such as {"event_type": "order:placed", "source_component": "shop"}"#]],
        );
        check(r#"{"event_typ":"a:b"}"#, expect!["Malformed event_typ: unknown field 'event_typ'; did you mean 'event_type'?"]);
        check(r#"{"event_type":"a:b"}"#, expect!["Malformed source_component: required: the name of the component that publishes"]);
        check(r#"{"event_type":"a:b","source_component":7}"#, expect!["Malformed source_component: expected a string, found a number"]);
        check(
            r#"{"event_type":"a:b","source_component":"s","severity":"loud"}"#,
            expect!["Malformed severity: severity 'loud' is not one of debug, info, warning, error, critical"],
        );
        check(
            r#"{"event_type":"task:completed","source_component":"s"}"#,
            expect![
                "Forbidden event_type: 'task:completed' is engine-owned: only the host publishes it; publish a fact of your own, or ask with a command such as workflow:submit"
            ],
        );
        check(
            r#"{"event_type":"a:b","source_component":"execution_engine"}"#,
            expect!["Forbidden source_component: 'execution_engine' is reserved for a host component; publish under a name of your own"],
        );
        check(
            r#"{"event_type":"a:b","source_component":"s","payload":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#,
            expect!["TooLarge payload: 47 bytes are more than the 40 allowed"],
        );
    }
}
