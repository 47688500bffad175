//! `/v1/events/stream`: what matches, as server-sent events, from a position on and then as it comes. The `id` of each is its position, so
//! that a client that comes back with `Last-Event-ID` misses nothing and sees nothing twice. What retention has taken on the way is told as `trimmed`.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use tokio::sync::watch;
use trackside_engine::Subscription;
use trackside_model::{
    event::{Event, Position},
    keeping::Gap,
    time::Timestamp,
};

use super::{Api, body, problem::Problem, stopped};
use crate::params::{EventParams, ParamError, STREAM_PARAMS};

/// The header with which a browser's `EventSource` comes back.
const LAST_EVENT_ID: &str = "last-event-id";

/// `GET /v1/events/stream`. Without a position it begins with what comes next; `after=0` begins with the whole log.
pub(super) async fn events(State(api): State<Arc<Api>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let pairs = body::pairs(&uri)?;
    let params = EventParams::parse(body::borrowed(&pairs), &STREAM_PARAMS)?;
    let after = match (last_event_id(&headers)?, params.after) {
        (Some(last), _) => last,
        (None, Some(after)) => after,
        (None, None) => Position::end_of(api.engine.store().durable_head()),
    };
    let live = Live {
        subscription: api.engine.subscribe(params.filter, after, params.narration),
        since: params.since,
        until: params.until,
        heartbeat: Duration::from_millis(api.limits.heartbeat_ms),
        stopping: api.stopping.clone(),
        begun: false,
        ended: false,
    };
    let pieces =
        stream::unfold(live, |mut live| async move { live.next().await.map(|piece| (Ok::<_, std::convert::Infallible>(piece), live)) });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that collect answers would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<Position>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let wrong = |error: String| Problem::refused(StatusCode::BAD_REQUEST, ParamError(format!("Last-Event-ID: {error}")).to_string());
    let text = value.to_str().map_err(|error| wrong(error.to_string()))?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(wrong)
}

/// One client's stream.
struct Live {
    subscription: Subscription,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    heartbeat: Duration,
    stopping: watch::Receiver<bool>,
    begun: bool,
    ended: bool,
}

impl Live {
    /// The next piece: events, or a comment when none came for a while. `None`: the stream is over.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        if !self.begun {
            // The head goes out at once, so that a client knows that it is connected.
            self.begun = true;
            return Some(Bytes::from_static(b": trackside\n\n"));
        }
        loop {
            let told = tokio::select! {
                biased;
                () = stopped(&mut self.stopping) => {
                    self.ended = true;
                    return Some(Bytes::from_static(b": the host is stopping\n\n"));
                }
                told = tokio::time::timeout(self.heartbeat, self.subscription.next()) => told,
            };
            match told {
                Err(_) => return Some(Bytes::from_static(b": heartbeat\n\n")),
                Ok(Err(error)) => {
                    tracing::error!("a stream ends: {error}");
                    self.ended = true;
                    return Some(Bytes::from_static(b": the log could not be read\n\n"));
                }
                Ok(Ok(events)) => {
                    let mut text = text_of_gaps(&self.subscription.take_trimmed());
                    text.extend(self.text_of(&events));
                    if !text.is_empty() {
                        return Some(Bytes::from(text));
                    }
                    if self.ended {
                        return None;
                    }
                }
            }
        }
    }

    fn text_of(&mut self, events: &[Event]) -> Vec<u8> {
        let mut text = Vec::with_capacity(512 * events.len());
        for event in events {
            if self.until.is_some_and(|until| event.recorded_at >= until) {
                self.ended = true;
                break;
            }
            if self.since.is_none_or(|since| event.recorded_at >= since) {
                write_event(&mut text, event);
            }
        }
        text
    }
}

/// What is no longer there, told before what comes behind it. It has no `id`: a client that comes back is where its last event was.
fn text_of_gaps(gaps: &[Gap]) -> Vec<u8> {
    if gaps.is_empty() {
        return Vec::new();
    }
    format!("event: trimmed\ndata: {}\n\n", json!({"trimmed": gaps})).into_bytes()
}

/// One event in the stream's format. JSON has no line breaks of its own, so one `data` line holds it.
fn write_event(text: &mut Vec<u8>, event: &Event) {
    let begin = text.len();
    text.extend_from_slice(format!("id: {}\ndata: ", event.position()).as_bytes());
    let from = text.len();
    if let Err(error) = serde_json::to_writer(&mut *text, event) {
        tracing::error!("event {} could not be written to a stream: {error}", event.position());
        text.truncate(begin);
        return;
    }
    // A payload keeps the text it came in, which may be laid out over lines.
    for byte in &mut text[from..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    text.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_data_line_under_its_position() {
        let event: Event = serde_json::from_str(
            "{\"event_id\": \"0198f2b4-0000-7000-8000-000000000001\", \"event_type\": \"a:b\", \"timestamp\": \"2026-01-31T10:30:00Z\",
              \"recorded_at\": \"2026-01-31T10:30:00Z\", \"sequence_number\": 12, \"part\": 3, \"source_component\": \"s\",
              \"correlation_id\": \"c\", \"severity\": \"info\", \"payload\": {\n  \"laid\": \"out\\n\"\r\n}}",
        )
        .unwrap();
        let mut text = Vec::new();
        write_event(&mut text, &event);
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!((lines.len(), lines[0], lines[2], lines[3]), (4, "id: 12.3", "", ""));
        let data: Event = serde_json::from_str(lines[1].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data.payload.to_value(), event.payload.to_value());
    }

    #[test]
    fn a_client_comes_back_where_it_was() {
        let last =
            |value: &str| last_event_id(&[(header::HeaderName::from_static(LAST_EVENT_ID), value.parse().unwrap())].into_iter().collect());
        assert_eq!(last("12.3").unwrap(), Some(Position { sequence: 12, part: 3 }));
        assert_eq!(last("12").unwrap(), Some(Position::end_of(12)));
        assert_eq!(last("").unwrap(), None);
        assert_eq!(last("x").unwrap_err().status(), 400);
    }
}
