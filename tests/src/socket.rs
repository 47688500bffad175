//! A WebSocket to a host, as a client has one. What must come over it is said by the tests.

use std::{
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;
use tungstenite::{ClientRequestBuilder, Message, WebSocket, http::Uri};

/// How long a message may be on its way: far longer than any is.
const LONGEST: Duration = Duration::from_secs(60);

/// An open WebSocket.
pub struct Socket(WebSocket<TcpStream>);

impl Socket {
    /// Connects.
    ///
    /// # Panics
    /// When the host does not take it.
    pub fn open(address: SocketAddr, path: &str) -> Self {
        Self::open_with(address, ClientRequestBuilder::new(uri(address, path)))
    }

    /// The same, as who shows this token.
    ///
    /// # Panics
    /// When the host does not take it.
    pub fn open_as(address: SocketAddr, path: &str, token: &str) -> Self {
        Self::open_with(address, ClientRequestBuilder::new(uri(address, path)).with_header("Authorization", format!("Bearer {token}")))
    }

    fn open_with(address: SocketAddr, request: ClientRequestBuilder) -> Self {
        let stream = TcpStream::connect(address).expect("the host listens");
        stream.set_read_timeout(Some(LONGEST)).expect("a timeout");
        let (socket, _) = tungstenite::client(request, stream).expect("the host opens a WebSocket");
        Self(socket)
    }

    /// The next message; `None`: the host has closed.
    ///
    /// # Panics
    /// When nothing comes, or something that is no JSON.
    pub fn next_message(&mut self) -> Option<Value> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).expect("a message is JSON")),
                Ok(Message::Close(_)) | Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => return None,
                Ok(_) => {}
                Err(error) => panic!("the WebSocket broke: {error}"),
            }
        }
    }

    /// Says something.
    ///
    /// # Panics
    /// When the host is gone.
    pub fn say(&mut self, message: &Value) {
        self.0.send(Message::Text(message.to_string().into())).expect("the host listens");
    }
}

fn uri(address: SocketAddr, path: &str) -> Uri {
    format!("ws://{address}{path}").parse().expect("a path is part of an address")
}
