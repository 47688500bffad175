//! What an author gives a plugin to be called with: events, tasks and the circumstances of a call, as JSON. Events are normalised as at the
//! door, and may be the host's own; what a file leaves out is filled in, the same every time.

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, value::RawValue};
use trackside_model::{
    catalogue,
    control::{CheckContext, DecisionPoint, Origin},
    event::{EnvelopeLimits, Event, Incoming, Metadata, Text},
    json::Json,
    plugin::PluginInfo,
    ports::{Delivery, TaskCall},
    text::nearest,
    time::Timestamp,
};
use uuid::Uuid;

use super::OfflineError;

/// Namespace of the ids that are given where a file names none.
const IDS: Uuid = Uuid::from_u128(0x5f0c_6d0e_52f1_4d0b_9a3c_7a52_6b1d_0c03);
/// Who publishes what names nobody.
const SOURCE: &str = "cli";

/// What is known about a call besides what it is about. What is absent is as in a host that has just been given the event.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Circumstances {
    /// The decision point; absent: by the event's type.
    #[serde(deserialize_with = "some_point")]
    pub(crate) point: Option<DecisionPoint>,
    /// Attempts made so far at the task, or deliveries of a batch, this one included.
    pub(crate) attempt: Option<u32>,
    /// The host's clock.
    pub(crate) now: Option<Timestamp>,
    /// Since the workflow, or the publish, began.
    pub(crate) elapsed_ms: u64,
    /// Left to answer in; absent: the plugin's deadline.
    pub(crate) remaining_ms: Option<u64>,
    /// Where the draft came in.
    pub(crate) origin: Option<Origin>,
    /// Who published.
    pub(crate) principal: Option<String>,
    /// Whether a batch is replayed.
    pub(crate) replay: bool,
    /// Events that a live reader was too slow for.
    pub(crate) missed: u64,
}

fn some_point<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DecisionPoint>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| point(&text).map_err(D::Error::custom)).transpose()
}

/// A decision point by its name, with hyphens or underscores.
///
/// # Errors
/// What to write instead.
pub(crate) fn point(text: &str) -> Result<DecisionPoint, String> {
    serde_json::from_value(Value::String(text.replace('-', "_"))).map_err(|_| {
        format!("'{text}' is no decision point; they are publish, workflow-submitted, task-ready, candidate-found, task-completed and task-failed")
    })
}

impl Circumstances {
    /// Where an event of this type is decided about, if the circumstances do not say.
    pub(crate) fn point_of(&self, event: &Event) -> Result<DecisionPoint, OfflineError> {
        let points = [
            DecisionPoint::WorkflowSubmitted,
            DecisionPoint::TaskReady,
            DecisionPoint::CandidateFound,
            DecisionPoint::TaskCompleted,
            DecisionPoint::TaskFailed,
        ];
        let by_type = points.into_iter().find(|point| point.event_type() == Some(&*event.event_type));
        let Some(point) = self.point else { return Ok(by_type.unwrap_or(DecisionPoint::Publish)) };
        match point.event_type() {
            Some(asked) if asked != &*event.event_type => {
                Err(OfflineError(format!("at that point a handler is asked about {asked}; the event is {}", event.event_type)))
            }
            _ => Ok(point),
        }
    }

    pub(crate) fn check_context(&self, point: DecisionPoint, now: Timestamp, info: &PluginInfo) -> CheckContext {
        CheckContext {
            point,
            attempt: self.attempt.unwrap_or(0),
            now,
            elapsed_ms: self.elapsed_ms,
            remaining_ms: self.remaining_ms.unwrap_or(info.limits.timeout_ms),
            origin: self.origin.unwrap_or(Origin::Cli),
            principal: self.principal.as_deref().map(Text::from),
        }
    }

    pub(crate) fn delivery(&self, now: Timestamp) -> Delivery {
        Delivery { now, attempt: self.attempt.unwrap_or(1), replay: self.replay, missed: self.missed }
    }
}

/// Events from a text: an object, a list, or one a line.
///
/// # Errors
/// [`OfflineError`] says which event is wrong, and what about it.
pub(crate) fn events(text: &str, now: Timestamp) -> Result<Vec<Event>, OfflineError> {
    let values: Vec<Box<RawValue>> = if text.trim_start().starts_with('[') {
        serde_json::from_str(text).map_err(OfflineError::of)?
    } else {
        serde_json::Deserializer::from_str(text).into_iter().collect::<Result<_, _>>().map_err(OfflineError::of)?
    };
    let one = values.len() == 1;
    let read = |(index, text): (usize, &str)| {
        event(text, index, now).map_err(|error| if one { error } else { OfflineError::at(format!("event {}", index + 1), error) })
    };
    values.iter().map(|value| value.get()).enumerate().map(read).collect()
}

/// Events of a log, each at its own place, or behind the one before it.
///
/// # Errors
/// As [`events`].
pub(crate) fn log(text: &str, now: Timestamp) -> Result<Vec<Event>, OfflineError> {
    let mut log = events(text, now)?;
    log.sort_by_key(|event| event.sequence_number);
    let mut last = 0;
    for event in &mut log {
        event.sequence_number = event.sequence_number.max(last + 1);
        last = event.sequence_number;
    }
    Ok(log)
}

/// One event. `index` tells it from another with the same text.
pub(crate) fn event(text: &str, index: usize, now: Timestamp) -> Result<Event, OfflineError> {
    /// What a host adds, and a recorded event has.
    #[derive(Deserialize)]
    struct Recorded {
        #[serde(default)]
        sequence_number: u64,
        recorded_at: Option<Timestamp>,
    }
    let limits = EnvelopeLimits::default();
    let mut incoming = Incoming::from_json(text, &limits).map_err(OfflineError::of)?;
    let recorded: Recorded = serde_json::from_str(text).map_err(OfflineError::of)?;
    if incoming.source_component.is_empty() {
        SOURCE.clone_into(&mut incoming.source_component);
        let known = catalogue::publish_alias(&incoming.event_type).unwrap_or(&incoming.event_type);
        if let Some(entry) = catalogue::entry(known).filter(|entry| !entry.source.is_empty()) {
            entry.source.clone_into(&mut incoming.source_component);
        }
    }
    let id = Uuid::new_v5(&IDS, format!("{index}\0{text}").as_bytes());
    let now = incoming.timestamp.unwrap_or(now);
    let mut event = incoming.into_shown(now, id, &limits).map_err(OfflineError::of)?;
    event.sequence_number = recorded.sequence_number;
    event.recorded_at = recorded.recorded_at.unwrap_or(now);
    Ok(event)
}

/// A task as a file says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskText {
    method: Option<String>,
    parameters: Option<Json>,
    workflow_id: Option<String>,
    task_id: Option<String>,
    attempt: Option<u32>,
    idempotency_key: Option<String>,
    correlation_id: Option<String>,
    timeout_ms: Option<u64>,
    #[serde(default)]
    metadata: Metadata,
}

/// A task from a text.
///
/// # Errors
/// [`OfflineError`] says what is wrong with it.
pub(crate) fn task(text: &str) -> Result<TaskText, OfflineError> {
    serde_json::from_str(text).map_err(OfflineError::of)
}

impl TaskText {
    /// The attempt that a worker with these methods is given.
    ///
    /// # Errors
    /// [`OfflineError`], if it has no such method.
    pub(crate) fn call(self, info: &PluginInfo) -> Result<TaskCall, OfflineError> {
        let names = || info.methods.iter().map(|method| &*method.name);
        let method = match (self.method, info.methods.as_slice()) {
            (Some(named), _) if names().any(|name| name == named) => named,
            (Some(named), _) => {
                let help = match nearest(&named, names()) {
                    Some(near) => format!("did you mean '{near}'?"),
                    None => format!("it has {}", names().collect::<Vec<_>>().join(", ")),
                };
                return Err(OfflineError(format!("method: {} has no method '{named}'; {help}", info.name)));
            }
            (None, [only]) => only.name.to_string(),
            (None, _) => {
                let names = names().collect::<Vec<_>>().join(", ");
                return Err(OfflineError(format!("method: is missing, and {} has several: {names}", info.name)));
            }
        };
        let text = |value: Option<String>, otherwise: &str| Text::from(value.unwrap_or_else(|| otherwise.to_owned()));
        let (workflow_id, task_id, attempt) = (text(self.workflow_id, "workflow"), text(self.task_id, "task"), self.attempt.unwrap_or(1));
        Ok(TaskCall {
            method: Text::from(method),
            parameters: self.parameters.unwrap_or_else(|| Json::trusted("{}")),
            idempotency_key: text(self.idempotency_key, &format!("{workflow_id}/{task_id}/{attempt}")),
            correlation_id: text(self.correlation_id, &workflow_id),
            cause: Text::from(Uuid::new_v5(&IDS, format!("{workflow_id}\0{task_id}\0{attempt}").as_bytes()).to_string()),
            timeout_ms: self.timeout_ms.unwrap_or(info.limits.timeout_ms),
            workflow_id,
            task_id,
            attempt,
            metadata: self.metadata,
        })
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const NOW: Timestamp = Timestamp(1_750_000_000_000_000_000);

    fn check(text: &str, expected: Expect) {
        let actual = match events(text, NOW) {
            Ok(events) => events
                .iter()
                .map(|event| format!("{} {} by {} at {}", event.sequence_number, event.event_type, event.source_component, event.payload))
                .collect::<Vec<_>>()
                .join("; "),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&actual);
    }

    #[test]
    fn one_event_a_list_and_lines_are_read() {
        check(r#"{"event_type": "OrderPlaced", "payload": {"n": 1}}"#, expect![[r#"0 order:placed by cli at {"n": 1}"#]]);
        check(r#"[{"event_type": "a:b"}, {"event_type": "a:c"}]"#, expect!["0 a:b by cli at {}; 0 a:c by cli at {}"]);
        check(
            "{\"event_type\": \"task:failed\", \"sequence_number\": 7, \"recorded_at\": \"2026-01-31T10:30:00Z\"}\n{\n\"event_type\": \"a:b\"\n}\n",
            expect!["7 task:failed by execution_engine at {}; 0 a:b by cli at {}"],
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        check(r#"{"event_typ": "a:b"}"#, expect!["event_typ: unknown field 'event_typ'; did you mean 'event_type'?"]);
        check(r#"[{"event_type": "a:b"}, {}]"#, expect!["event 2: event_type: required: 'component:action', for example 'order:placed'"]);
        check("{", expect!["EOF while parsing an object at line 1 column 1"]);
    }

    #[test]
    fn the_same_text_is_the_same_event() {
        let ids = |text: &str| events(text, NOW).unwrap().iter().map(|event| event.event_id).collect::<Vec<_>>();
        let twice = "[{\"event_type\": \"a:b\"}, {\"event_type\": \"a:b\"}]";
        assert_eq!(ids(twice), ids(twice));
        assert_ne!(ids(twice)[0], ids(twice)[1], "two events of one text are two");
    }

    #[test]
    fn the_point_is_by_the_type_unless_it_is_said() {
        let of = |point: Option<&str>, event_type: &str| {
            let circumstances = Circumstances { point: point.map(|text| super::point(text).unwrap()), ..Circumstances::default() };
            let event = event(&format!("{{\"event_type\": \"{event_type}\"}}"), 0, NOW).unwrap();
            circumstances.point_of(&event).map_err(|error| error.to_string())
        };
        assert_eq!(of(None, "order:placed"), Ok(DecisionPoint::Publish));
        assert_eq!(of(None, "task:failed"), Ok(DecisionPoint::TaskFailed));
        assert_eq!(of(Some("candidate-found"), "assignment:candidate_found"), Ok(DecisionPoint::CandidateFound));
        assert!(of(Some("task_ready"), "order:placed").unwrap_err().contains("asked about task:ready; the event is order:placed"));
        assert!(point("ready").unwrap_err().contains("'ready' is no decision point"));
    }
}
