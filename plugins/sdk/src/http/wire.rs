//! Owns the way of a request through `wasi:http`, and of its answer back.
//! Leaves what both are to an author to the module above.

use super::url::Url;
use super::{Error, Request, Response};
use crate::bindings::http::wasi::http::outgoing_handler;
use crate::bindings::http::wasi::http::types::{
    ErrorCode, Fields, FutureIncomingResponse, IncomingBody, Method, OutgoingBody, OutgoingRequest, RequestOptions, Scheme, http_error_code,
};
use crate::bindings::http::wasi::io::streams::{OutputStream, StreamError};

/// Bytes that are read at a time.
const READ_BYTES: u64 = 64 << 10;

/// A request that is under way. Dropped, it is given up.
#[must_use = "without `wait` the answer is given up"]
pub struct Pending(FutureIncomingResponse);

pub(super) fn start(request: &Request) -> Result<Pending, Error> {
    let url = Url::parse(&request.url)?;
    let outgoing = OutgoingRequest::new(headers(request)?);
    let invalid = |what: &str, text: &str| Error::Invalid(format!("{what} '{text}'"));
    outgoing.set_method(&method(&request.method)).map_err(|()| invalid("method", &request.method))?;
    outgoing.set_scheme(Some(if url.plain { &Scheme::Http } else { &Scheme::Https })).map_err(|()| invalid("URL", &request.url))?;
    outgoing.set_authority(Some(url.authority)).map_err(|()| invalid("host", url.authority))?;
    let path = Some(url.path_with_query).filter(|path| !path.is_empty());
    outgoing.set_path_with_query(path).map_err(|()| invalid("path", url.path_with_query))?;
    let body = if request.body.is_empty() { None } else { Some(outgoing.body().map_err(|()| invalid("content-length of", &request.url))?) };
    let future = outgoing_handler::handle(outgoing, options(request)?).map_err(of_code)?;
    if let Some(body) = body {
        write(body, &request.body);
    }
    Ok(Pending(future))
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    }
}

fn headers(request: &Request) -> Result<Fields, Error> {
    let headers = Fields::new();
    let has_length = request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = ("content-length".to_owned(), request.body.len().to_string().into_bytes());
    let takes_a_body = !request.body.is_empty() || ["POST", "PUT", "PATCH"].contains(&request.method.as_str());
    let length = (takes_a_body && !has_length).then_some(&length);
    for (name, value) in request.headers.iter().chain(length) {
        headers.append(name, value).map_err(|error| Error::Invalid(format!("header '{name}': {error}")))?;
    }
    Ok(headers)
}

fn options(request: &Request) -> Result<Option<RequestOptions>, Error> {
    let Some(timeout_ms) = request.timeout_ms else { return Ok(None) };
    let timeout_ns = Some(timeout_ms.saturating_mul(1_000_000));
    let options = RequestOptions::new();
    let set = [
        options.set_connect_timeout(timeout_ns),
        options.set_first_byte_timeout(timeout_ns),
        options.set_between_bytes_timeout(timeout_ns),
    ];
    if set.iter().any(Result::is_err) {
        return Err(Error::Invalid("this host knows no timeouts".to_owned()));
    }
    Ok(Some(options))
}

/// Writes the body. If that fails, the answer says why.
fn write(body: OutgoingBody, mut rest: &[u8]) {
    if let Ok(stream) = body.write() {
        while !rest.is_empty() {
            match room(&stream) {
                Some(room) => {
                    let (now, later) = rest.split_at(room.min(rest.len()));
                    if stream.write(now).is_err() {
                        return;
                    }
                    rest = later;
                }
                None => return,
            }
        }
    }
    let _ = OutgoingBody::finish(body, None);
}

/// How many bytes it takes now, waiting until it takes some; `None`: none any more.
fn room(stream: &OutputStream) -> Option<usize> {
    loop {
        match stream.check_write() {
            Ok(0) => stream.subscribe().block(),
            Ok(room) => return Some(usize::try_from(room).unwrap_or(usize::MAX)),
            Err(_) => return None,
        }
    }
}

impl Pending {
    /// Waits for the whole answer.
    ///
    /// # Errors
    /// [`Error`], if there is none.
    pub fn wait(self) -> Result<Response, Error> {
        self.0.subscribe().block();
        let again = || Error::Broken("the host gives no answer".to_owned());
        let answer = self.0.get().ok_or_else(again)?.map_err(|()| again())?.map_err(of_code)?;
        let status = answer.status();
        let headers = answer.headers().entries();
        let body = read(&answer.consume().map_err(|()| again())?)?;
        Ok(Response { status, headers, body })
    }
}

fn read(body: &IncomingBody) -> Result<Vec<u8>, Error> {
    let Ok(stream) = body.stream() else { return Ok(Vec::new()) };
    let mut whole = Vec::new();
    loop {
        match stream.blocking_read(READ_BYTES) {
            Ok(piece) => whole.extend_from_slice(&piece),
            Err(StreamError::Closed) => return Ok(whole),
            Err(StreamError::LastOperationFailed(error)) => {
                return Err(http_error_code(&error).map_or_else(|| Error::Broken(error.to_debug_string()), of_code));
            }
        }
    }
}

fn of_code(code: ErrorCode) -> Error {
    match code {
        ErrorCode::HttpRequestDenied => Error::NotGranted,
        ErrorCode::DestinationIpProhibited => Error::PrivateAddress,
        ErrorCode::ConnectionLimitReached => Error::TooMany,
        ErrorCode::HttpRequestBodySize(_) => Error::RequestTooLarge,
        ErrorCode::HttpResponseBodySize(_) => Error::ResponseTooLarge,
        ErrorCode::HttpRequestUriInvalid => Error::Invalid("URL".to_owned()),
        ErrorCode::HttpRequestMethodInvalid => Error::Invalid("method".to_owned()),
        ErrorCode::DnsTimeout | ErrorCode::ConnectionTimeout | ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => {
            Error::Timeout
        }
        ErrorCode::DnsError(error) => Error::Unreachable(error.rcode.unwrap_or_else(|| "its name is not known".to_owned())),
        ErrorCode::ConnectionRefused => Error::Unreachable("it takes no connection".to_owned()),
        ErrorCode::DestinationNotFound | ErrorCode::DestinationUnavailable | ErrorCode::DestinationIpUnroutable => {
            Error::Unreachable("there is no way to it".to_owned())
        }
        ErrorCode::TlsCertificateError => Error::Tls("its certificate is not trusted".to_owned()),
        ErrorCode::TlsAlertReceived(alert) => Error::Tls(alert.alert_message.unwrap_or_else(|| "it sent an alert".to_owned())),
        ErrorCode::TlsProtocolError | ErrorCode::ConfigurationError => Error::Tls("it could not be set up".to_owned()),
        other => Error::Broken(format!("{other:?}")),
    }
}
