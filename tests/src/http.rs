//! An HTTP client small enough to send what no decent client would: wrong hosts, half a body, no length at all. One request a connection.
//! Which answers are right is said by the tests.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use serde_json::Value;

use crate::wait::PATIENCE;

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The whole body, its chunks put together.
    pub body: Vec<u8>,
}

impl Response {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as one JSON value.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}\n{self}"))
    }

    /// The body as one JSON value a line.
    ///
    /// # Panics
    /// When a line is none.
    pub fn json_lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// The body as one JSON value, of an answer that must have this status.
    ///
    /// # Panics
    /// When it has another.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self}");
        self.json()
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.text())
    }
}

/// Asks, and reads the whole answer. `headers` are sent as they are; Host, Content-Length and Connection come with the request unless
/// they are among them.
///
/// # Errors
/// If the connection cannot be made, or breaks before the answer is whole.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Response> {
    whole(open(address, method, path, headers, body)?)
}

/// Reads the body to its end.
pub(crate) fn whole((status, headers, mut reader): Opened) -> io::Result<Response> {
    let mut body = Vec::new();
    reader.read_to_end(&mut body)?;
    Ok(Response { status, headers, body })
}

/// The head of an answer, and its body, which is still to be read.
pub(crate) type Opened = (u16, Vec<(String, String)>, Box<dyn BufRead + Send>);

/// What a request goes over.
trait Connection: Read + Write + Send {}

impl<C: Read + Write + Send> Connection for C {}

/// Asks, and reads the answer's head; its body is still to be read.
pub(crate) fn open(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Opened> {
    ask(Box::new(connect(address)?), address, method, path, headers, body)
}

/// The same over TLS, to a host that this client trusts.
pub(crate) fn open_tls(
    client: &Arc<ClientConfig>,
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Opened> {
    let session = ClientConnection::new(client.clone(), ServerName::from(address.ip())).map_err(io::Error::other)?;
    ask(Box::new(StreamOwned::new(session, connect(address)?)), address, method, path, headers, body)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let connection = TcpStream::connect(address)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    Ok(connection)
}

fn ask(
    mut connection: Box<dyn Connection>,
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Opened> {
    let mut head = format!("{method} {path} HTTP/1.1\r\n");
    let own = [("Host", address.to_string()), ("Content-Length", body.len().to_string()), ("Connection", "close".to_owned())];
    for (name, value) in &own {
        if !headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    connection.write_all(head.as_bytes())?;
    // A host that refuses a large body may close before it has read all of it; its answer is there all the same.
    let _ = connection.write_all(body);
    read_head(BufReader::new(connection))
}

fn read_head(mut reader: BufReader<Box<dyn Connection>>) -> io::Result<Opened> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::UnexpectedEof, what.to_owned());
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| broken(&format!("no status in '{line}'")))?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            if line.trim_end().is_empty() && line.ends_with('\n') {
                break;
            }
            return Err(broken("the head broke off"));
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let chunked = header(&headers, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let length: Option<u64> = header(&headers, "content-length").and_then(|length| length.parse().ok());
    let body: Box<dyn BufRead + Send> = match (chunked, length) {
        (true, _) => Box::new(BufReader::new(Chunks { reader, left: 0, begun: false, ended: false })),
        (false, Some(length)) => Box::new(BufReader::new(Whole { left: length, reader })),
        (false, None) => Box::new(reader),
    };
    Ok((status, headers, body))
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

/// A body of a known length: one that ends early is an error, not an end.
struct Whole {
    reader: BufReader<Box<dyn Connection>>,
    left: u64,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.reader.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// A body in chunks, read as one.
struct Chunks {
    reader: BufReader<Box<dyn Connection>>,
    left: usize,
    begun: bool,
    ended: bool,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        if self.left == 0 {
            self.next_chunk()?;
            if self.ended {
                return Ok(0);
            }
        }
        let most = buffer.len().min(self.left);
        let read = self.reader.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read;
        Ok(read)
    }
}

impl Chunks {
    fn next_chunk(&mut self) -> io::Result<()> {
        let mut line = String::new();
        if self.begun {
            self.reader.read_line(&mut line)?;
            line.clear();
        }
        self.begun = true;
        self.reader.read_line(&mut line)?;
        if line.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let digits = line.trim_end().split(';').next().unwrap_or_default();
        self.left = usize::from_str_radix(digits, 16).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.ended = self.left == 0;
        Ok(())
    }
}
