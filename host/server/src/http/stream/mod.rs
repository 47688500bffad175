//! Streams of events: what matches, from a position on and then as it comes, as server-sent events (`sse`) or over a WebSocket (`websocket`).
//! Here is what both have in common: what is asked, and what is to be told next.

pub(super) mod sse;
pub(super) mod websocket;

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderMap, StatusCode, Uri};
use trackside_engine::{Frame, Reading, Subscription, Told};
use trackside_model::{
    event::{Position, cloud_event::Form},
    keeping::Gap,
    time::Timestamp,
};

use super::{Api, body, gate::Ends, problem::Problem};
use crate::params::{EventParams, ParamError, STREAM_PARAMS, SlowPolicy};

/// The header with which a browser's `EventSource` comes back.
const LAST_EVENT_ID: &str = "last-event-id";

/// What a client is to be told next.
enum Piece {
    /// At least one event.
    Events(Vec<Arc<Frame>>),
    /// Retention has taken these.
    Trimmed(Vec<Gap>),
    /// It was too slow for these.
    Missed { from: u64, to: u64 },
    /// Nothing came for a while.
    Heartbeat,
    /// Nothing more comes, and why; empty: it has all that it asked for.
    End(&'static str),
}

/// One client's stream.
struct Live {
    subscription: Subscription,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    slow: SlowPolicy,
    /// How each event is written.
    form: Form,
    heartbeat: Duration,
    ends: Ends,
    ended: bool,
}

impl Live {
    /// What a request asks for. Without a position it begins with what comes next; `after=0` begins with the whole log.
    fn open(api: &Api, uri: &Uri, headers: &HeaderMap, ends: Ends) -> Result<Self, Problem> {
        let pairs = body::pairs(uri)?;
        let params = EventParams::parse(body::borrowed(&pairs), &STREAM_PARAMS)?;
        let after = match (last_event_id(headers)?, params.after) {
            (Some(last), _) => last,
            (None, Some(after)) => after,
            (None, None) => Position::end_of(api.engine.store().durable_head()),
        };
        let most_behind = (params.slow != SlowPolicy::Wait).then_some(api.limits.slow_events);
        let reading = Reading { filter: params.filter, after, narration: params.narration, most_behind };
        Ok(Self {
            subscription: api.engine.subscribe(reading),
            since: params.since,
            until: params.until,
            slow: params.slow,
            form: params.form,
            heartbeat: Duration::from_millis(api.limits.heartbeat_ms),
            ends,
            ended: false,
        })
    }

    /// The next piece. `None`: the stream is over. Cancelling the wait loses nothing.
    async fn next(&mut self) -> Option<Piece> {
        while !self.ended {
            let told = tokio::select! {
                biased;
                why = self.ends.come() => return Some(self.end(why)),
                told = tokio::time::timeout(self.heartbeat, self.subscription.next()) => told,
            };
            match told {
                Err(_) => return Some(Piece::Heartbeat),
                Ok(Err(error)) => {
                    tracing::error!("a stream ends: {error}");
                    return Some(self.end("the log could not be read"));
                }
                Ok(Ok(Told::Trimmed(gaps))) => return Some(Piece::Trimmed(gaps)),
                Ok(Ok(Told::Missed { .. })) if self.slow == SlowPolicy::Close => {
                    return Some(self.end("it was read too slowly; come back with the id of the last event that was read"));
                }
                Ok(Ok(Told::Missed { from, to })) => return Some(Piece::Missed { from, to }),
                Ok(Ok(Told::Events(frames))) => {
                    let frames = self.in_time(frames);
                    if !frames.is_empty() {
                        return Some(Piece::Events(frames));
                    }
                }
            }
        }
        None
    }

    fn end(&mut self, why: &'static str) -> Piece {
        self.ended = true;
        Piece::End(why)
    }

    /// Those recorded in the time that was asked for; ends the stream behind it.
    fn in_time(&mut self, mut frames: Vec<Arc<Frame>>) -> Vec<Arc<Frame>> {
        if let Some(until) = self.until
            && let Some(first) = frames.iter().position(|frame| frame.event().recorded_at >= until)
        {
            self.ended = true;
            frames.truncate(first);
        }
        if let Some(since) = self.since {
            frames.retain(|frame| frame.event().recorded_at >= since);
        }
        frames
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;

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
