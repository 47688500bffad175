//! `/v1/events/stream`: a stream as server-sent events. The `id` of each is its position, so that a client that comes back with
//! `Last-Event-ID` misses nothing and sees nothing twice.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Uri, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::stream;
use serde_json::json;
use trackside_engine::Frame;
use trackside_model::event::cloud_event::Form;

use super::{Api, Ends, Live, Piece, Problem};

/// `GET /v1/events/stream`.
pub(in crate::http) async fn events(State(api): State<Arc<Api>>, ends: Ends, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let live = Live::open(&api, &uri, &headers, ends)?;
    // The head goes out at once, so that a client knows that it is connected.
    let head = stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(b": trackside\n\n"))]);
    let pieces = stream::unfold(live, |mut live| async move {
        let piece = live.next().await?;
        Some((Ok(text_of(&piece, live.form)), live))
    });
    let mut response = Response::new(Body::from_stream(futures_util::StreamExt::chain(head, pieces)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that collect answers would hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn text_of(piece: &Piece, form: Form) -> Bytes {
    match piece {
        Piece::Events(frames) => Bytes::from(text_of_events(frames, form)),
        // It has no `id`: a client that comes back is where its last event was.
        Piece::Trimmed(gaps) => Bytes::from(format!("event: trimmed\ndata: {}\n\n", json!({"trimmed": gaps}))),
        Piece::Missed { from, to } => {
            Bytes::from(format!("id: {to}\nevent: missed\ndata: {{\"from\":{from},\"to\":{to},\"events\":{}}}\n\n", to - from + 1))
        }
        Piece::Heartbeat => Bytes::from_static(b": heartbeat\n\n"),
        Piece::End(why) => Bytes::from(format!(": {why}\n\n")),
    }
}

fn text_of_events(frames: &[Arc<Frame>], form: Form) -> Vec<u8> {
    let bytes = frames.iter().map(|frame| frame.json_in(form).len() + 40).sum();
    let mut text = Vec::with_capacity(bytes);
    for frame in frames.iter().filter(|frame| !frame.json_in(form).is_empty()) {
        text.extend_from_slice(b"id: ");
        text.extend_from_slice(frame.position().to_string().as_bytes());
        text.extend_from_slice(b"\ndata: ");
        text.extend_from_slice(frame.json_in(form).as_bytes());
        text.extend_from_slice(b"\n\n");
    }
    text
}
