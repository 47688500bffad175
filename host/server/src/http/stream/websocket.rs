//! `/v1/events/socket`: a stream over a WebSocket. Each message is one JSON object, `{"position", "event"}`, `{"missed"}` or `{"end"}`; what
//! the client sends is not asked for and is passed over.

use std::sync::Arc;

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, Utf8Bytes, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, Uri},
    response::Response,
};
use futures_util::SinkExt as _;
use tokio::sync::OwnedSemaphorePermit;
use trackside_engine::Frame;
use trackside_model::event::cloud_event::Form;

use super::{Api, Ends, Live, Piece, Problem};
use crate::http::upgrade;

/// `GET /v1/events/socket`.
pub(in crate::http) async fn events(
    State(api): State<Arc<Api>>,
    ends: Ends,
    uri: Uri,
    headers: HeaderMap,
    upgraded: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    // What is asked is looked at first: a wrong parameter is answered as everywhere.
    let live = Live::open(&api, &uri, &headers, ends)?;
    let (upgraded, place) = upgrade(&api, upgraded)?;
    Ok(upgraded.on_upgrade(move |socket| serve(socket, live, place)))
}

/// Until either side ends it.
async fn serve(mut socket: WebSocket, mut live: Live, _place: OwnedSemaphorePermit) {
    let (mut ends, form) = (live.ends.clone(), live.form);
    loop {
        let piece = tokio::select! {
            piece = live.next() => piece,
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
        };
        let Some(piece) = piece else { break };
        let sent = tokio::select! {
            biased;
            sent = send(&mut socket, &piece, form) => sent,
            // A client that reads nothing does not hold up its end.
            _ = ends.come() => return,
        };
        if sent.is_err() {
            return;
        }
    }
    // It is over whether or not the client hears of it.
    let _ = socket.send(Message::Close(None)).await;
}

async fn send(socket: &mut WebSocket, piece: &Piece, form: Form) -> Result<(), axum::Error> {
    match piece {
        Piece::Events(frames) => {
            for frame in frames.iter().filter(|frame| !frame.json_in(form).is_empty()) {
                socket.feed(Message::Text(text_of(frame, form))).await?;
            }
        }
        Piece::Trimmed(gaps) => socket.feed(Message::Text(serde_json::json!({"trimmed": gaps}).to_string().into())).await?,
        Piece::Missed { from, to } => {
            let text = format!("{{\"missed\":{{\"from\":{from},\"to\":{to},\"events\":{}}}}}", to - from + 1);
            socket.feed(Message::Text(text.into())).await?;
        }
        Piece::Heartbeat => socket.feed(Message::Ping(bytes::Bytes::new())).await?,
        Piece::End(why) => socket.feed(Message::Text(format!("{{\"end\":\"{why}\"}}").into())).await?,
    }
    socket.flush().await
}

fn text_of(frame: &Frame, form: Form) -> Utf8Bytes {
    format!("{{\"position\":\"{}\",\"event\":{}}}", frame.position(), frame.json_in(form)).into()
}
