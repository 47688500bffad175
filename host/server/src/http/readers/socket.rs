//! `/v1/readers/{name}/socket`: a durable reader over a WebSocket. Events come as they are to be handled, the client says what became of them,
//! and what it holds when the connection ends is handed out again at once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{Message, Utf8Bytes, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::Uri,
    response::Response,
};
use futures_util::SinkExt as _;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use trackside_engine::{Delivery, DurableReader};
use trackside_model::event::{Position, cloud_event::Form};

use super::{Problem, Said, reader, text_of};
use crate::{
    http::{Api, body, gate::Ends, upgrade},
    params,
};

/// Events in one write.
const EVENTS_A_WRITE: usize = 100;

/// `GET /v1/readers/{name}/socket`.
pub(in crate::http) async fn open(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    ends: Ends,
    uri: Uri,
    upgraded: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let form = params::form(body::borrowed(&body::pairs(&uri)?))?;
    let reader = reader(&api, &name)?;
    let (upgraded, place) = upgrade(&api, upgraded)?;
    let heartbeat = Duration::from_millis(api.limits.heartbeat_ms);
    let client = Client { reader, form, held: HashMap::new(), heartbeat, ends, _place: place };
    Ok(upgraded.on_upgrade(move |socket| client.serve(socket)))
}

/// One connection.
struct Client {
    reader: Arc<DurableReader>,
    /// How each event is written.
    form: Form,
    /// What it has been handed and has not settled: which delivery that was.
    held: HashMap<Position, u32>,
    heartbeat: Duration,
    ends: Ends,
    _place: OwnedSemaphorePermit,
}

/// What happens next at a connection.
enum Turn {
    Handed(Vec<Delivery>),
    Said(Utf8Bytes),
    Heartbeat,
    End(String),
    Gone,
}

impl Client {
    async fn serve(mut self, mut socket: WebSocket) {
        let why = self.go_on(&mut socket).await;
        if let Some(why) = why {
            // It is over whether or not the client hears of it.
            let _ = socket.send(text(&json!({"end": why}))).await;
            let _ = socket.send(Message::Close(None)).await;
        }
    }

    /// Until either side ends it; what the client is to be told of the end.
    async fn go_on(&mut self, socket: &mut WebSocket) -> Option<String> {
        loop {
            let messages = match self.turn(socket).await {
                Turn::Gone => return None,
                Turn::End(why) => return Some(why),
                Turn::Heartbeat => vec![Message::Ping(bytes::Bytes::new())],
                Turn::Handed(deliveries) => deliveries.iter().map(|delivery| self.hand(delivery)).collect(),
                Turn::Said(said) => vec![self.hear(&said).await],
            };
            let mut ends = self.ends.clone();
            let sent = tokio::select! {
                biased;
                sent = send(socket, messages) => sent,
                // A client that reads nothing does not hold up its end.
                _ = ends.come() => return None,
            };
            if sent.is_err() {
                return None;
            }
        }
    }

    async fn turn(&mut self, socket: &mut WebSocket) -> Turn {
        loop {
            tokio::select! {
                biased;
                why = self.ends.come() => return Turn::End(why.to_owned()),
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(said))) => return Turn::Said(said),
                    // The library answers pings.
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Binary(_))) => return Turn::End("messages are JSON in text, not binary".to_owned()),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Turn::Gone,
                },
                handed = tokio::time::timeout(self.heartbeat, self.reader.next(EVENTS_A_WRITE)) => return match handed {
                    Ok(Ok(deliveries)) => Turn::Handed(deliveries),
                    Ok(Err(error)) => Turn::End(error.to_string()),
                    Err(_) => Turn::Heartbeat,
                },
            }
        }
    }

    fn hand(&mut self, delivery: &Delivery) -> Message {
        self.held.insert(delivery.position, delivery.delivery);
        Message::Text(text_of(delivery, self.form).into())
    }

    async fn hear(&mut self, said: &str) -> Message {
        let said = match Said::read(said) {
            Ok(said) => said,
            Err(problem) => return text(&json!({"error": problem.detail()})),
        };
        for position in said.settles() {
            self.held.remove(&position);
        }
        match said.tell(&self.reader).await {
            Ok(heard) => text(&json!({"heard": heard})),
            Err(error) => text(&json!({"error": error.to_string()})),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for (position, delivery) in self.held.drain() {
            // A reader that is gone has nothing to take back.
            let _ = self.reader.give_back(position, delivery, "the connection that had it ended", Some(0));
        }
    }
}

async fn send(socket: &mut WebSocket, messages: Vec<Message>) -> Result<(), axum::Error> {
    for message in messages {
        socket.feed(message).await?;
    }
    socket.flush().await
}

fn text(value: &serde_json::Value) -> Message {
    Message::Text(value.to_string().into())
}
