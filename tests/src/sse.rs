//! A live stream of events, as a browser would read it.
//! From where it begins, and what must come, is said by the tests.

use std::{
    io::{self, BufRead},
    net::SocketAddr,
};

use serde_json::Value;

use crate::http::{self, Opened};

/// One event as it was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its position, for `Last-Event-ID`.
    pub id: String,
    /// The event.
    pub event: Value,
}

impl Sent {
    /// The event's type.
    pub fn event_type(&self) -> &str {
        self.event["event_type"].as_str().unwrap_or_default()
    }
}

/// A stream that is being read.
pub struct Stream {
    reader: Box<dyn BufRead + Send>,
}

impl Stream {
    /// Connects, and waits until the host has begun to answer: what is published from then on comes through.
    ///
    /// # Panics
    /// When the host does not stream.
    pub fn open(address: SocketAddr, path: &str, last_event_id: Option<&str>) -> Self {
        let headers: Vec<(&str, &str)> = last_event_id.map(|id| ("Last-Event-ID", id)).into_iter().collect();
        Self::of(http::open(address, "GET", path, &headers, b"").expect("the host answers"))
    }

    /// A stream whose head has been read.
    pub(crate) fn of((status, headers, reader): Opened) -> Self {
        let event_stream = headers.iter().any(|(name, value)| name == "content-type" && value == "text/event-stream");
        assert!(status == 200 && event_stream, "{status} {headers:?}");
        let mut stream = Self { reader };
        let greeting = stream.line().expect("the stream begins");
        assert!(greeting.starts_with(':'), "{greeting}");
        stream
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The next event; `None` when the stream has ended.
    ///
    /// # Panics
    /// When what comes is no event, or nothing comes.
    pub fn next_sent(&mut self) -> Option<Sent> {
        let (mut id, mut data) = (None, String::new());
        loop {
            let line = match self.line() {
                Ok(line) => line,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => panic!("the stream is silent"),
                Err(_) => return None,
            };
            match line.split_once(": ") {
                Some(("id", value)) => id = Some(value.to_owned()),
                Some(("data", value)) => data.push_str(value),
                _ if line.is_empty() && id.is_some() => {
                    let event = serde_json::from_str(&data).unwrap_or_else(|error| panic!("{error}: {data}"));
                    return Some(Sent { id: id.take()?, event });
                }
                _ => {}
            }
        }
    }

    /// Events up to the first that is the one, which is the last of them.
    ///
    /// # Panics
    /// When the stream ends or falls silent before.
    pub fn until(&mut self, what: &str, mut is_it: impl FnMut(&Sent) -> bool) -> Vec<Sent> {
        let mut all = Vec::new();
        loop {
            let sent = self.next_sent().unwrap_or_else(|| panic!("the stream ended before {what}"));
            all.push(sent);
            if is_it(&all[all.len() - 1]) {
                return all;
            }
        }
    }
}
