//! What a request's headers say about who publishes and how: the caller, ids and traces that go into an event.
//! The event itself is the body's.

use axum::http::{HeaderMap, StatusCode, header};
use trackside_engine::Caller;
use trackside_model::{
    control::Origin,
    event::{
        Incoming, Metadata,
        trace::{TRACE_PARENT, TRACE_STATE, TraceParent, trace_state},
    },
};
use uuid::Uuid;

use super::{gate, problem::Problem};
use crate::access::{Scope, Who};

/// Programs of this name are the command line.
pub(crate) const CLI_AGENT: &str = "trackside-cli";
/// Names what a publisher calls one attempt at something, so that the next attempt is known for the same.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REQUEST_ID: &str = "x-request-id";

/// What stands in the headers.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) caller: Caller,
    who: Who,
    /// Of the first event of the request, where the events say nothing.
    identity: Option<Uuid>,
    request_id: Option<String>,
    /// The publisher's span, and what other systems noted about its trace.
    trace: Option<(TraceParent, Option<String>)>,
}

impl Envelope {
    /// Reads the headers of a request from this client.
    ///
    /// # Errors
    /// A problem (400) for a header that is not plain text.
    pub(super) fn read(headers: &HeaderMap, who: &Who) -> Result<Self, Problem> {
        let principal = who.principal();
        let from_cli = plain(headers, header::USER_AGENT.as_str())?.is_some_and(|agent| agent.starts_with(CLI_AGENT));
        let origin = if from_cli { Origin::Cli } else { Origin::Http };
        let request_id = plain(headers, REQUEST_ID)?.map(str::to_owned);
        let identity = plain(headers, IDEMPOTENCY_KEY)?.map(identity_of).transpose()?;
        Ok(Self { caller: Caller { origin, principal }, who: who.clone(), identity, request_id, trace: trace_of(headers) })
    }

    /// Whether who asks may publish this: what asks the host to run a workflow is submitted, by whatever route it comes.
    ///
    /// # Errors
    /// A problem (403) that names the scope.
    pub(super) fn may(&self, incoming: &Incoming) -> Result<(), Problem> {
        if !self.who.may(Scope::Submit) && incoming.is_command() {
            return Err(gate::lacks(&self.who, Scope::Submit, &format!("publishing '{}'", incoming.event_type)));
        }
        Ok(())
    }

    /// The identity of the event at this place, from 0, of the request; `None` if the headers give none.
    pub(super) fn identity(&self, place: usize) -> Option<Uuid> {
        let first = self.identity?;
        Some(if place == 0 { first } else { Uuid::new_v5(&first, &(place as u64).to_le_bytes()) })
    }

    /// What the headers say goes into an event, where the event does not say it itself.
    pub(super) fn complete(&self, incoming: &mut Incoming, place: usize) {
        incoming.event_id = incoming.event_id.or_else(|| self.identity(place));
        self.complete_metadata(&mut incoming.metadata);
    }

    /// The same for the metadata of what is no event yet.
    pub(super) fn complete_metadata(&self, metadata: &mut Metadata) {
        if let Some(request_id) = &self.request_id {
            metadata.entry("request_id".to_owned()).or_insert_with(|| request_id.clone());
        }
        // The headers' state belongs to the headers' span, and to no other.
        if let Some((parent, state)) = self.trace.as_ref().filter(|_| !metadata.contains_key(TRACE_PARENT)) {
            metadata.insert(TRACE_PARENT.to_owned(), parent.to_string());
            if let Some(state) = state {
                metadata.insert(TRACE_STATE.to_owned(), state.clone());
            }
        }
    }
}

fn plain<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let wrong = |_| Problem::refused(StatusCode::BAD_REQUEST, format!("the header '{name}' is not plain text"));
    headers.get(name).map(|value| value.to_str().map(str::trim).map_err(wrong)).transpose()
}

/// A key that is a UUID is the identity itself; any other stands for one.
fn identity_of(key: &str) -> Result<Uuid, Problem> {
    if key.is_empty() {
        return Err(Problem::refused(
            StatusCode::BAD_REQUEST,
            "the header 'Idempotency-Key' is empty; leave it out, or give each request its own",
        ));
    }
    let key = key.trim_matches('"');
    Ok(Uuid::parse_str(key).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("trackside/idempotency-key/{key}").as_bytes())))
}

/// By the rules of W3C Trace Context: a span that is malformed, or named twice, is answered with a new trace, a state that is malformed is left
/// out. Neither is a reason to refuse a request.
fn trace_of(headers: &HeaderMap) -> Option<(TraceParent, Option<String>)> {
    let mut parents = headers.get_all(TRACE_PARENT).iter();
    let only = match (parents.next()?, parents.next()) {
        (only, None) => only.to_str().ok().and_then(|parent| parent.trim().parse().ok()),
        _ => None,
    };
    let Some(parent) = only else { return Some((TraceParent::begun(Uuid::now_v7()), None)) };
    let states: Option<Vec<&str>> = headers.get_all(TRACE_STATE).iter().map(|state| state.to_str().ok()).collect();
    let state = states.and_then(|states| trace_state(&states.join(",")).ok()).filter(|state| !state.is_empty());
    Some((parent, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(headers: &[(&'static str, &str)]) -> Envelope {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Envelope::read(&map, &Who::nobody()).unwrap()
    }

    #[test]
    fn headers_go_into_the_event_unless_it_speaks_for_itself() {
        let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let envelope = envelope(&[("x-request-id", "r-1"), ("traceparent", trace), ("idempotency-key", "order 7")]);
        let mut incoming = Incoming::default();
        incoming.metadata.insert("request_id".to_owned(), "own".to_owned());
        envelope.complete(&mut incoming, 0);
        assert_eq!(incoming.metadata["request_id"], "own");
        assert_eq!(incoming.metadata["traceparent"], trace);
        assert_eq!(incoming.event_id, envelope.identity(0));
        let own = Uuid::from_u128(7);
        let mut incoming = Incoming { event_id: Some(own), ..Incoming::default() };
        envelope.complete(&mut incoming, 0);
        assert_eq!(incoming.event_id, Some(own));
    }

    #[test]
    fn a_key_is_one_identity_for_ever_and_another_at_each_place() {
        let uuid = "0198f2b4-0000-7000-8000-000000000001";
        assert_eq!(envelope(&[("idempotency-key", uuid)]).identity(0), Some(Uuid::parse_str(uuid).unwrap()));
        let (one, other) = (envelope(&[("idempotency-key", "k")]), envelope(&[("idempotency-key", "k")]));
        assert_eq!(one.identity(3), other.identity(3));
        assert_ne!(one.identity(0), one.identity(1));
        assert_eq!(envelope(&[]).identity(0), None);
    }

    #[test]
    fn the_command_line_is_known_by_its_name() {
        assert_eq!(envelope(&[("user-agent", "trackside-cli/0.1.0")]).caller.origin, Origin::Cli);
        assert_eq!(envelope(&[("user-agent", "curl/8")]).caller.origin, Origin::Http);
    }

    fn trace(headers: &[(&'static str, &str)], own: &[(&str, &str)]) -> Metadata {
        let mut metadata = own.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        envelope(headers).complete_metadata(&mut metadata);
        metadata
    }

    #[test]
    fn a_trace_that_cannot_be_read_is_answered_with_a_new_one() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let begun = trace(&[("traceparent", "nonsense"), ("tracestate", "a=1")], &[]);
        assert!(begun[TRACE_PARENT].parse::<TraceParent>().is_ok() && !begun.contains_key(TRACE_STATE), "{begun:?}");
        assert_ne!(begun, trace(&[("traceparent", "nonsense")], &[]));
        let twice = trace(&[("traceparent", parent), ("traceparent", parent)], &[]);
        assert!(twice[TRACE_PARENT].parse::<TraceParent>().is_ok() && twice[TRACE_PARENT] != parent);
        let states = trace(&[("traceparent", parent), ("tracestate", "a=1"), ("tracestate", "b=2")], &[]);
        assert_eq!((&*states[TRACE_PARENT], &*states[TRACE_STATE]), (parent, "a=1,b=2"));
        assert!(!trace(&[("traceparent", parent), ("tracestate", "a")], &[]).contains_key(TRACE_STATE));
        assert!(trace(&[("tracestate", "a=1")], &[]).is_empty());
    }

    #[test]
    fn the_state_of_one_trace_is_not_put_beside_another() {
        let (header, own) =
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-0bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
        let metadata = trace(&[("traceparent", header), ("tracestate", "a=1")], &[("traceparent", own)]);
        assert_eq!((metadata.len(), &*metadata[TRACE_PARENT]), (1, own));
    }
}
