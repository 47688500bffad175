//! HTTP as a plain client speaks it: one connection that is kept, requests in one write, answers by their length or in pieces.
//! What is asked is the parts' own.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

const LONGEST: Duration = Duration::from_secs(60);

/// A connection to a host.
pub(crate) struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens there.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LONGEST))?;
        Ok(Self { address, stream: BufReader::with_capacity(64 << 10, stream) })
    }

    /// Sends a request, and gives the status and the body of its answer.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) fn ask(&mut self, what: &str, media: &str, body: &str) -> Result<(u16, String)> {
        self.send(what, media, body)?;
        self.answer()
    }

    /// Publishes an event in JSON.
    ///
    /// # Errors
    /// If it is not appended.
    pub(crate) fn publish(&mut self, event: &str) -> Result<()> {
        let (status, answer) = self.ask("POST /v1/events", "application/json", event)?;
        ensure!(status == 201, "an event was not appended: {status} {answer}");
        Ok(())
    }

    /// Publishes events in NDJSON. The host answers while it reads: answers are read on another thread, so that neither waits for the other.
    ///
    /// # Errors
    /// If one of them is not appended.
    pub(crate) fn publish_all(&mut self, events: &str) -> Result<()> {
        let writer = self.stream.get_ref().try_clone()?;
        std::thread::scope(|scope| {
            let address = self.address;
            let sent = scope.spawn(move || send(&writer, address, "POST /v1/events", "application/x-ndjson", events));
            let (status, answer) = self.answer()?;
            sent.join().ok().context("the sender panicked")??;
            ensure!(status == 200, "events were not taken: {status} {answer}");
            match answer.lines().find(|line| !line.contains(r#""outcome":"appended""#)) {
                Some(other) => bail!("an event was not appended: {other}"),
                None => Ok(()),
            }
        })
    }

    /// Sends a request, whose answer is yet to be read.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) fn send(&mut self, what: &str, media: &str, body: &str) -> Result<()> {
        send(self.stream.get_ref(), self.address, what, media, body)
    }

    /// Reads the next answer.
    ///
    /// # Errors
    /// If the connection breaks, or this is no answer.
    pub(crate) fn answer(&mut self) -> Result<(u16, String)> {
        let (status, length) = self.head()?;
        let mut body = Vec::new();
        match length {
            Some(length) => {
                body.resize(length, 0);
                self.stream.read_exact(&mut body)?;
            }
            None => while self.piece(&mut body)? > 0 {},
        }
        Ok((status, String::from_utf8(body)?))
    }

    /// Opens an event stream, and waits for its first line.
    ///
    /// # Errors
    /// If the host opens none.
    pub(crate) fn stream(&mut self, query: &str) -> Result<()> {
        self.send(&format!("GET /v1/events/stream?{query}"), "", "")?;
        let (status, _) = self.head()?;
        ensure!(status == 200, "the host opens no stream: {status}");
        self.piece(&mut Vec::new())?;
        Ok(())
    }

    /// The socket of a stream, of which all that came so far has been read.
    ///
    /// # Errors
    /// If something of it would be lost.
    pub(crate) fn into_socket(self) -> Result<TcpStream> {
        ensure!(self.stream.buffer().is_empty(), "the stream has begun already");
        Ok(self.stream.into_inner())
    }

    /// Adds the next piece of an answer that comes in pieces; its length.
    ///
    /// # Errors
    /// If the connection breaks.
    pub(crate) fn piece(&mut self, into: &mut Vec<u8>) -> Result<usize> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim_end(), 16).with_context(|| format!("'{line}' is no length of a piece"))?;
        let before = into.len();
        into.resize(before + length + 2, 0);
        self.stream.read_exact(&mut into[before..])?;
        into.truncate(before + length);
        Ok(length)
    }

    /// The status, and the length if the answer has one.
    fn head(&mut self) -> Result<(u16, Option<usize>)> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).with_context(|| format!("'{line}' is no answer"))?.parse()?;
        let mut length = None;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { return Ok((status, length)) };
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse()?);
            }
        }
    }
}

/// In one write, as far as the socket takes it.
fn send(mut stream: &TcpStream, address: SocketAddr, what: &str, media: &str, body: &str) -> Result<()> {
    let kind = if media.is_empty() { String::new() } else { format!("Content-Type: {media}\r\nContent-Length: {}\r\n", body.len()) };
    let request = format!("{what} HTTP/1.1\r\nHost: {address}\r\n{kind}\r\n{body}");
    Ok(stream.write_all(request.as_bytes())?)
}
