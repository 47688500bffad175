//! Owns `events`: what a plugin may publish, its form and identity, and its place in the call's outbox; and what it sees of the log.
//! Leaves the control chain, hops and the log to whoever releases the outbox.

use std::time::Instant;

use trackside_model::{
    event::{Condition, EnvelopeLimits, Event, Filter as ModelFilter, Incoming, Metadata, Rejection, RejectionKind, Severity},
    json::Json,
    ports::{Found, OutboxPublish},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    bindings::trackside::plugin::{
        events::{self, Page, Refusal},
        types::{Draft, Filter},
    },
    convert, fault,
    limits::HOST_CALL_BYTES,
    state::{Cause, State},
};

/// The type of an error that a plugin raises about an event.
const ERROR_RAISED: &str = "error:raised";
/// Namespace of the ids that are derived from a call.
const DERIVED: Uuid = Uuid::from_u128(0x5f0c_6d0e_52f1_4d0b_9a3c_7a52_6b1d_0c01);
/// Namespace of the ids that are derived from a plugin's own keys.
const KEYED: Uuid = Uuid::from_u128(0x5f0c_6d0e_52f1_4d0b_9a3c_7a52_6b1d_0c02);

impl State {
    /// The identity of the next publish about `cause`: the same when the call is repeated.
    fn derived_id(&mut self, cause: Uuid) -> Uuid {
        let count = match self.call.derived.iter_mut().find(|(event, _)| *event == cause) {
            Some((_, count)) => {
                *count += 1;
                *count
            }
            None => {
                self.call.derived.push((cause, 0));
                0
            }
        };
        let name = format!("{}\0{cause}\0{}\0{count}", self.core.name, self.call.cause.call_key());
        Uuid::new_v5(&DERIVED, name.as_bytes())
    }

    fn keyed_id(&self, key: &str) -> Uuid {
        Uuid::new_v5(&KEYED, format!("{}\0{key}", self.core.name).as_bytes())
    }

    fn has_room(&self) -> bool {
        self.call.publishes.len() < usize::try_from(self.core.limits.publishes).unwrap_or(usize::MAX)
    }

    /// Checks a draft and puts it into the outbox.
    pub(super) fn put(&mut self, draft: Draft, due: Option<Timestamp>) -> Result<Uuid, Refusal> {
        if !self.has_room() {
            return Err(Refusal::TooMany);
        }
        let Some(cause) = self.call.cause.event(draft.cause.as_deref()) else { return Err(Refusal::Invalid) };
        let id = match &draft.key {
            Some(key) => self.keyed_id(key),
            None => self.derived_id(cause),
        };
        let payload = convert::json(&draft.payload).map_err(|error| convert::refusal_of_json(&error))?;
        let incoming = Incoming {
            event_type: draft.event_type,
            timestamp: draft.timestamp.map(Timestamp),
            correlation_id: draft.correlation_id.clone(),
            severity: Some(convert::severity(draft.severity)),
            payload: Some(payload),
            metadata: draft.metadata.into_iter().collect(),
            ..Incoming::default()
        };
        let checked = incoming
            .into_plugin_draft(&self.core.name, self.call.now, id, &EnvelopeLimits::default())
            .map_err(|error| refusal_of(&error))?;
        self.ask_grant(&checked.event_type)?;
        self.call.publishes.push(OutboxPublish {
            event_id: id,
            event_type: checked.event_type.to_string(),
            severity: checked.severity,
            payload: checked.payload.clone(),
            metadata: checked.metadata.clone(),
            cause: draft.cause,
            correlation_id: draft.correlation_id,
            timestamp: draft.timestamp.map(Timestamp),
            due,
            raised: false,
        });
        Ok(id)
    }

    fn ask_grant(&self, event_type: &str) -> Result<(), Refusal> {
        let granted = self.core.grants.publish.as_deref().unwrap_or_default();
        if granted.iter().any(|pattern| pattern.matches(event_type)) {
            return Ok(());
        }
        let mut patterns: Vec<&str> = granted.iter().map(|pattern| pattern.as_str()).collect();
        patterns.push(event_type);
        self.core.not_granted_key(&format!("publishing {event_type} (events.publish)"), "publish", &format!("{patterns:?}"));
        Err(Refusal::NotGranted)
    }
}

/// The contract's name for a refusal at the door.
fn refusal_of(rejection: &Rejection) -> Refusal {
    match rejection.kind {
        RejectionKind::Malformed => Refusal::Invalid,
        RejectionKind::TooLarge => Refusal::TooLarge,
        RejectionKind::Forbidden => Refusal::ReservedType,
    }
}

pub(super) fn bytes_of(draft: &Draft) -> usize {
    let optional = [&draft.cause, &draft.correlation_id, &draft.key].into_iter().flatten().map(String::len).sum::<usize>();
    let metadata = draft.metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    draft.event_type.len() + draft.payload.len() + optional + metadata
}

impl events::Host for State {
    fn publish(&mut self, draft: Draft) -> wasmtime::Result<Result<String, Refusal>> {
        self.count(bytes_of(&draft))?;
        Ok(self.put(draft, None).map(|id| id.to_string()))
    }

    fn raise(&mut self, message: String, details: Option<String>, cause: Option<String>) -> wasmtime::Result<Result<(), Refusal>> {
        self.count(message.len() + details.as_deref().map_or(0, str::len))?;
        if !self.has_room() {
            return Ok(Err(Refusal::TooMany));
        }
        let Some(event) = self.call.cause.event(cause.as_deref()) else { return Ok(Err(Refusal::Invalid)) };
        let details = match details.as_deref().map(convert::json).transpose() {
            Ok(details) => details,
            Err(error) => return Ok(Err(convert::refusal_of_json(&error))),
        };
        if message.len() > EnvelopeLimits::default().payload_bytes {
            return Ok(Err(Refusal::TooLarge));
        }
        let event_id = self.derived_id(event);
        let mut payload = serde_json::Map::new();
        payload.insert("message".to_owned(), message.into());
        if let Some(details) = details {
            payload.insert("details".to_owned(), details.to_value());
        }
        self.call.publishes.push(OutboxPublish {
            event_id,
            event_type: ERROR_RAISED.to_owned(),
            severity: Severity::Error,
            payload: Json::from(serde_json::Value::Object(payload)),
            metadata: Metadata::new(),
            cause,
            correlation_id: None,
            timestamp: None,
            due: None,
            raised: true,
        });
        Ok(Ok(()))
    }

    fn query(&mut self, filter: Filter, after: Option<u64>, limit: u32) -> wasmtime::Result<Result<Page, Refusal>> {
        self.count(0)?;
        let Some(granted) = self.core.grants.query.clone() else {
            self.core.not_granted_key("looking into the log (events.query)", "query", "true");
            return Ok(Err(Refusal::NotGranted));
        };
        let Ok(filter) = convert::filter(filter) else { return Ok(Err(Refusal::Invalid)) };
        let through = self.sees_through();
        let limit = limit.min(self.core.limits.query_events);
        let condition = filter.when;
        let event_types = Some(filter.event_types.unwrap_or_else(|| granted.clone()));
        let wanted = ModelFilter { event_types, when: None, ..filter };
        let Found { mut events, mut next } = self.core.calls.query(&wanted, after, through, limit)?;
        events.retain(|event| granted.iter().any(|pattern| pattern.matches(&event.event_type)));
        if let Some(condition) = condition {
            events = self.for_which_holds(&condition, events)?;
        }
        if let Some(last) = self.cut_to_what_is_left(&mut events) {
            next = Some(last);
        }
        self.count(events.iter().map(|event| event.text_bytes() as usize).sum())?;
        Ok(Ok(Page { events: events.iter().map(convert::event).collect(), next }))
    }
}

impl State {
    /// Looks at one event after the other, and at the clock: what a condition costs is the call's time.
    fn for_which_holds(&self, condition: &Condition, events: Vec<Event>) -> wasmtime::Result<Vec<Event>> {
        let mut wanted = Vec::new();
        for event in events {
            if Instant::now() >= self.call.deadline {
                return Err(fault::deadline(self.call.started, self.call.timeout_ms).into());
            }
            if condition.holds(&event) {
                wanted.push(event);
            }
        }
        Ok(wanted)
    }

    /// How far this call sees the log: as it stood at the last event at hand, or when the call first looked. The same for all of a call.
    fn sees_through(&mut self) -> u64 {
        if let Cause::Batch { last_sequence, .. } = self.call.cause {
            return last_sequence;
        }
        *self.call.as_of.get_or_insert_with(|| self.core.calls.head())
    }

    /// Takes from the end of a page what the call's bytes have no room for, but never all of it. Where to go on, if anything was taken.
    fn cut_to_what_is_left(&self, events: &mut Vec<Event>) -> Option<u64> {
        let mut left = self.core.limits.result_bytes.saturating_sub(self.call.host_bytes + HOST_CALL_BYTES);
        let fits = events.iter().take_while(|event| {
            let bytes = event.text_bytes();
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        });
        let fitting = fits.count().max(1);
        if fitting >= events.len() {
            return None;
        }
        events.truncate(fitting);
        events.last().map(|event| event.sequence_number)
    }
}
