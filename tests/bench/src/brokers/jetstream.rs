//! NATS JetStream: a stream in files, published to with a subject for the acknowledgement.
//! How many messages are under way is `pipeline`'s.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};

use super::pipeline::{Protocol, Replies};
use crate::events;

/// Where it keeps its stream, and whether it syncs each message; if not, it is left as it comes.
pub(super) fn configuration(port: u16, folder: &Path, synced: bool) -> String {
    let sync = if synced { "sync_interval: always" } else { "" };
    format!("listen: 127.0.0.1:{port}\njetstream {{\n  store_dir: \"{}\"\n  {sync}\n}}\n", folder.join("stream").display())
}

/// Its protocol.
pub(super) struct JetStream;

/// What a client says first. `verbose` is off: an answer to each message would be one more than the acknowledgement.
const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\"version\":\"1\",\"protocol\":1}\r\n";

impl Protocol for JetStream {
    fn connections(&self) -> usize {
        4
    }

    /// Makes the stream.
    fn prepare(&self, mut stream: TcpStream) -> Result<()> {
        let body = r#"{"name":"EVENTS","subjects":["order.>"],"storage":"file"}"#;
        let made = format!("{CONNECT}SUB _INBOX.made 1\r\nPUB $JS.API.STREAM.CREATE.EVENTS _INBOX.made {}\r\n{body}\r\n", body.len());
        stream.write_all(made.as_bytes())?;
        let mut told = BufReader::new(stream);
        loop {
            let mut line = String::new();
            ensure!(told.read_line(&mut line)? > 0, "NATS has hung up");
            if let Some(length) = line.strip_prefix("MSG ").and_then(|head| head.trim_end().rsplit(' ').next()) {
                let mut answer = vec![0; length.parse()?];
                told.read_exact(&mut answer)?;
                let answer: serde_json::Value = serde_json::from_slice(&answer)?;
                ensure!(answer.get("error").is_none(), "JetStream makes no stream: {answer}");
                return Ok(());
            }
        }
    }

    fn greet(&self, stream: &mut TcpStream, connection: usize) -> Result<()> {
        Ok(write!(stream, "{CONNECT}SUB _INBOX.bench.{connection} 1\r\n")?)
    }

    fn request(&self, into: &mut Vec<u8>, connection: usize, number: usize) {
        let payload = events::payload(number);
        // Writing to memory does not fail.
        let _ = write!(into, "PUB order.placed _INBOX.bench.{connection} {}\r\n{payload}\r\n", payload.len());
    }

    /// An acknowledgement is `MSG SUBJECT SUBSCRIPTION LENGTH`, then JSON with the sequence.
    fn replies(&self, bytes: &[u8]) -> Result<Replies> {
        let mut replies = Replies::default();
        loop {
            let rest = &bytes[replies.used..];
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return Ok(replies) };
            let line = std::str::from_utf8(&rest[..end])?.trim_end();
            if line.starts_with("MSG ") {
                let length: usize = line.rsplit(' ').next().context("a message has a length")?.parse()?;
                let Some(body) = rest.get(end + 1..end + 1 + length + 2) else { return Ok(replies) };
                let body = String::from_utf8_lossy(body);
                ensure!(body.contains("\"seq\":"), "JetStream refuses: {body}");
                replies.answers += 1;
                replies.used += end + 1 + length + 2;
                continue;
            }
            match line {
                "PING" => replies.say.extend_from_slice(b"PONG\r\n"),
                "PONG" | "+OK" => {}
                info if info.starts_with("INFO ") => {}
                other => bail!("NATS says {other}"),
            }
            replies.used += end + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_acknowledgements_are_counted_and_pings_answered() {
        let told = b"INFO {}\r\nPING\r\nMSG _INBOX.bench.0 1 9\r\n{\"seq\":1}\r\nMSG _INBOX.bench.0 1 9\r\n{\"seq\"";
        let replies = JetStream.replies(told).unwrap();
        assert_eq!((replies.answers, replies.say.as_slice()), (1, b"PONG\r\n".as_slice()));
        assert_eq!(&told[replies.used..], b"MSG _INBOX.bench.0 1 9\r\n{\"seq\"");
        assert!(JetStream.replies(b"MSG _INBOX.bench.0 1 12\r\n{\"error\":{}}\r\n").is_err());
        assert!(JetStream.replies(b"-ERR 'x'\r\n").is_err());
    }
}
