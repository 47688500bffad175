//! Publishing NDJSON: events are taken line by line while they come, and answered line by line, in order, while they are stored.
//! A line that is wrong has its own answer, with its number, and the others go on.

use std::{collections::VecDeque, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use trackside_model::event::Incoming;

use super::{
    Api, answer,
    body::{BodyLimit, Pieces},
    gate::Ends,
    problem::Problem,
    request::Envelope,
};

/// Answers that share a write.
const ANSWERS_A_WRITE: usize = 64;

/// Answers at once; what became of each event is in the body.
pub(super) fn publish(api: Arc<Api>, envelope: Envelope, ends: Ends, in_flight: usize, body: Body) -> Response {
    let limit = BodyLimit { name: "http.line_bytes", bytes: api.limits.line_bytes };
    let lines = Lines::new(Pieces::new(body, api.limits.read_timeout_ms), limit);
    let lines = stream::unfold((lines, ends), |(mut lines, mut ends)| async move {
        let line = tokio::select! {
            biased;
            why = ends.revoked() => lines.cut_off(why),
            line = lines.next() => line,
        };
        line.map(|line| (line, (lines, ends)))
    });
    let envelope = Arc::new(envelope);
    let answers = lines.map(move |(number, line)| publish_line(api.clone(), envelope.clone(), number, line)).buffered(in_flight);
    let pieces = answers.ready_chunks(ANSWERS_A_WRITE).map(|answers| Ok::<_, std::convert::Infallible>(lines_of(&answers)));
    let mut response = Response::new(Body::from_stream(pieces));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn publish_line(api: Arc<Api>, envelope: Arc<Envelope>, number: usize, line: Result<Bytes, Problem>) -> Value {
    let answered = match line {
        Ok(line) => publish_text(&api, &envelope, number, &line).await,
        Err(problem) => Err(problem),
    };
    match answered {
        Ok(mut element) => {
            if let Some(members) = element.as_object_mut() {
                members.insert("line".to_owned(), json!(number));
            }
            element
        }
        Err(problem) => Value::Object(problem.with("line", number).document().clone()),
    }
}

async fn publish_text(api: &Api, envelope: &Envelope, number: usize, line: &[u8]) -> Result<Value, Problem> {
    let text = std::str::from_utf8(line).map_err(|error| {
        Problem::refused(StatusCode::BAD_REQUEST, format!("the line is not UTF-8: byte {} is no character", error.valid_up_to()))
    })?;
    let mut incoming = Incoming::from_json(text, &api.envelope_limits).map_err(|rejection| answer::rejected(&rejection))?;
    envelope.may(&incoming)?;
    envelope.complete(&mut incoming, number - 1);
    Ok(answer::element(&api.engine.publish(incoming, envelope.caller.clone()).await))
}

fn lines_of(answers: &[Value]) -> Bytes {
    let mut text = String::new();
    for answer in answers {
        text.push_str(&answer.to_string());
        text.push('\n');
    }
    Bytes::from(text)
}

/// The lines of a body, with their numbers from 1. Empty lines are passed over; the first problem is the last line.
struct Lines {
    pieces: Pieces,
    limit: BodyLimit,
    buffer: BytesMut,
    ready: VecDeque<(usize, Result<Bytes, Problem>)>,
    line: usize,
    done: bool,
}

impl Lines {
    fn new(pieces: Pieces, limit: BodyLimit) -> Self {
        Self { pieces, limit, buffer: BytesMut::new(), ready: VecDeque::new(), line: 0, done: false }
    }

    /// Whoever sends them may no longer: the next line is the last, and says so.
    fn cut_off(&mut self, why: &str) -> Option<(usize, Result<Bytes, Problem>)> {
        if self.done {
            return None;
        }
        self.done = true;
        self.ready.clear();
        Some((self.line + 1, Err(Problem::refused(StatusCode::UNAUTHORIZED, why))))
    }

    async fn next(&mut self) -> Option<(usize, Result<Bytes, Problem>)> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.done {
                return None;
            }
            match self.pieces.next().await {
                Ok(Some(piece)) => self.split(&piece),
                Ok(None) => {
                    let rest = self.buffer.split().freeze();
                    self.push(rest);
                    self.done = true;
                }
                Err(problem) => self.end_with(problem),
            }
        }
    }

    fn split(&mut self, piece: &[u8]) {
        let mut from = self.buffer.len();
        self.buffer.extend_from_slice(piece);
        while let Some(found) = self.buffer[from..].iter().position(|byte| *byte == b'\n').filter(|_| !self.done) {
            let line = self.buffer.split_to(from + found).freeze();
            self.buffer.advance(1);
            self.push(line);
            from = 0;
        }
        if !self.done && self.buffer.len() > self.limit.bytes {
            self.end_with(self.limit.exceeded("the line"));
        }
    }

    fn push(&mut self, line: Bytes) {
        if line.len() > self.limit.bytes {
            self.end_with(self.limit.exceeded("the line"));
            return;
        }
        self.line += 1;
        if !line.trim_ascii().is_empty() {
            self.ready.push_back((self.line, Ok(line)));
        }
    }

    /// The problem stands in the line that comes next; nothing is looked at behind it.
    fn end_with(&mut self, problem: Problem) {
        self.done = true;
        self.ready.push_back((self.line + 1, Err(problem)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(pieces: &[&'static str], bytes: usize) -> Vec<String> {
        let pieces: Vec<Result<Bytes, std::io::Error>> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
        let body = Body::from_stream(stream::iter(pieces));
        let limit = BodyLimit { name: "http.line_bytes", bytes };
        let mut lines = Lines::new(Pieces::new(body, 1_000), limit);
        let mut found = Vec::new();
        while let Some((number, line)) = lines.next().await {
            found.push(match line {
                Ok(line) => format!("{number} {}", String::from_utf8_lossy(&line)),
                Err(problem) => format!("{number} {}", problem.status().as_u16()),
            });
        }
        found
    }

    #[tokio::test]
    async fn lines_are_found_across_pieces() {
        assert_eq!(lines(&["a\nb", "b\n", "\n  \nc\nd"], 100).await, ["1 a", "2 bb", "5 c", "6 d"]);
        assert_eq!(lines(&["a\n"], 100).await, ["1 a"]);
        assert!(lines(&[""], 100).await.is_empty());
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_the_last() {
        assert_eq!(lines(&["a\n12345"], 4).await, ["1 a", "2 413"]);
        assert_eq!(lines(&["12345\nb\n"], 4).await, ["1 413"]);
    }
}
