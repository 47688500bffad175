//! What a request's headers say about who publishes and how: the caller, ids and traces that go into an event.
//! The event itself is the body's.

use axum::http::{HeaderMap, StatusCode, header};
use trackside_engine::Caller;
use trackside_model::{
    control::Origin,
    event::{Incoming, Metadata, Text},
};
use uuid::Uuid;

use super::{guard::Token, problem::Problem};

/// Programs of this name are the command line.
pub(crate) const CLI_AGENT: &str = "trackside-cli";
/// Names what a publisher calls one attempt at something, so that the next attempt is known for the same.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REQUEST_ID: &str = "x-request-id";
const TRACE_PARENT: &str = "traceparent";

/// What stands in the headers.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) caller: Caller,
    /// Of the first event of the request, where the events say nothing.
    identity: Option<Uuid>,
    metadata: Metadata,
}

impl Envelope {
    /// Reads the headers.
    ///
    /// # Errors
    /// A problem: 401 for a token that is not the host's, 400 for a header that is not plain text.
    pub(super) fn read(headers: &HeaderMap, token: &Token) -> Result<Self, Problem> {
        let principal = token.carried_by(headers)?.then(|| Text::from("operator"));
        let from_cli = plain(headers, header::USER_AGENT.as_str())?.is_some_and(|agent| agent.starts_with(CLI_AGENT));
        let origin = if from_cli { Origin::Cli } else { Origin::Http };
        let mut metadata = Metadata::new();
        if let Some(id) = plain(headers, REQUEST_ID)? {
            metadata.insert("request_id".to_owned(), id.to_owned());
        }
        // W3C: what is malformed is ignored, not refused.
        if let Some(parent) = plain(headers, TRACE_PARENT)?.filter(|parent| is_trace_parent(parent)) {
            metadata.insert("traceparent".to_owned(), parent.to_owned());
        }
        let identity = plain(headers, IDEMPOTENCY_KEY)?.map(identity_of).transpose()?;
        Ok(Self { caller: Caller { origin, principal }, identity, metadata })
    }

    /// The identity of the event at this place, from 0, of the request; `None` if the headers give none.
    pub(super) fn identity(&self, place: usize) -> Option<Uuid> {
        let first = self.identity?;
        Some(if place == 0 { first } else { Uuid::new_v5(&first, &(place as u64).to_le_bytes()) })
    }

    /// What the headers say goes into an event, where the event does not say it itself.
    pub(super) fn complete(&self, incoming: &mut Incoming, place: usize) {
        incoming.event_id = incoming.event_id.or_else(|| self.identity(place));
        for (name, value) in &self.metadata {
            incoming.metadata.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }

    /// The same for what is no event yet.
    pub(super) fn metadata(&self) -> Metadata {
        self.metadata.clone()
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

/// `00-TRACE-SPAN-FLAGS`, in lower-case hexadecimal.
fn is_trace_parent(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths.get(..4) == Some(&[2, 32, 16, 2])
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-'))
        && text.len() <= 128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(headers: &[(&'static str, &str)]) -> Envelope {
        let directory = tempfile::tempdir().unwrap();
        let token = Token::in_directory(directory.path()).unwrap();
        let headers = headers.iter().map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap())).collect();
        Envelope::read(&headers, &token).unwrap()
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
    fn the_command_line_is_known_by_its_name_and_bad_traces_are_ignored() {
        assert_eq!(envelope(&[("user-agent", "trackside-cli/0.1.0")]).caller.origin, Origin::Cli);
        assert_eq!(envelope(&[("user-agent", "curl/8")]).caller.origin, Origin::Http);
        assert!(envelope(&[("traceparent", "nonsense")]).metadata().is_empty());
    }
}
