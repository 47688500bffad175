//! Owns one request on its way: connected, with its secrets filled in, sent, and answered, each within its time.
//! Leaves whether it may go out to `permit`, and its bodies to `body`.

use std::{future::pending, pin::pin, sync::Arc, time::Duration};

use http_body_util::BodyExt as _;
use hyper::{
    Request, Uri,
    client::conn::http1,
    header::{CONNECTION, HeaderMap, HeaderValue},
};
use tokio::time::{Instant, timeout_at};
use trackside_model::event::trace::{Carried, TRACE_PARENT, TRACE_STATE};
use wasmtime_wasi_http::{Error, WasiBody, io::TokioIo, p2::bindings::http::types::ErrorCode};

use super::{
    Answer, HEADER_BYTES,
    body::{Coming, Going},
    client::Unreached,
    permit::{Permit, not_granted},
};

/// How far a request may go past its call's deadline, so that the deadline is what ends the call.
const PAST_DEADLINE: Duration = Duration::from_millis(2);
/// Headers of an answer.
const MOST_HEADERS: usize = 256;

/// Sends a request that has a permit. What it waits for ends with the call.
pub(super) async fn send(permit: Permit, request: Request<WasiBody>) -> Result<Answer, Error> {
    let quota = Arc::clone(&permit.quota);
    tokio::select! {
        biased;
        () = quota.over() => Err(Error::ConnectionTerminated),
        answer = send_in_time(permit, request) => answer,
    }
}

async fn send_in_time(permit: Permit, mut request: Request<WasiBody>) -> Result<Answer, Error> {
    let Permit { core, asked, private, patience, trace, quota, open } = permit;
    let now = Instant::now();
    let within = |ms: u64, patience: Option<Duration>| {
        let limit = Duration::from_millis(ms);
        now + patience.map_or(limit, |patience| patience.min(limit))
    };
    let until = within(core.limits.http_timeout_ms, None).min(Instant::from_std(quota.until) + PAST_DEADLINE);

    let connected = within(core.limits.http_connect_ms, patience.connect_timeout).min(until);
    let stream = match timeout_at(connected, core.client.connect(&asked, private)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(Unreached::NotGranted)) => {
            not_granted(&core, &asked, true);
            return Err(Error::DestinationIpProhibited);
        }
        Ok(Err(Unreached::Failed(error))) => {
            tracing::debug!(plugin = &*core.name, "{} was not reached: {error}", asked.place());
            return Err(error);
        }
        Err(_) => return Err(Error::ConnectionTimeout),
    };
    let handshake = http1::Builder::new().max_headers(MOST_HEADERS).max_buf_size(HEADER_BYTES).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await?;

    to_origin_form(&mut request)?;
    if let Some(trace) = trace {
        carry(trace, request.headers_mut());
    }
    core.secrets.fill_in(&asked, request.headers_mut());
    let request = request.map(|body| Going { body, core: Arc::clone(&core), quota: Arc::clone(&quota) });
    let mut connection = Some(Box::pin(connection));
    let answer = {
        let mut answer = pin!(sender.send_request(request));
        let driven = async {
            match &mut connection {
                Some(running) => running.await,
                None => pending().await,
            }
        };
        let first = within(core.limits.http_timeout_ms, patience.first_byte_timeout).min(until);
        let answered = timeout_at(first, async {
            tokio::select! {
                biased;
                answer = &mut answer => (answer, true),
                ended = driven => match ended {
                    // The connection has come to its end with the answer.
                    Ok(()) => (answer.await, false),
                    Err(error) => (Err(error), false),
                },
            }
        });
        match answered.await {
            Ok((answer, goes_on)) => {
                if !goes_on {
                    connection = None;
                }
                answer.map_err(of_hyper)?
            }
            Err(_) if first < until => return Err(Error::ConnectionReadTimeout),
            Err(_) => return Err(Error::HttpResponseTimeout),
        }
    };
    let kept = Arc::clone(&quota);
    let answer = answer.map(|body| Coming::new(body, (core, quota, open), until, patience.between_bytes_timeout).boxed_unsync());
    let keeps_going = async move {
        let Some(connection) = connection else { return Ok(()) };
        tokio::select! {
            biased;
            () = kept.over() => Ok(()),
            ended = connection => ended.map_err(Error::from),
        }
    };
    Ok((answer, Box::new(keeps_going)))
}

/// Only the path stands in the first line of a request to its origin; where it goes to is a header. One request a connection.
fn to_origin_form(request: &mut Request<WasiBody>) -> Result<(), Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse::<Uri>().map_err(|_| Error::HttpRequestUriInvalid)?;
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(())
}

/// Has a request continue a trace, unless the guest has it continue another.
fn carry(trace: Carried, headers: &mut HeaderMap) {
    if headers.contains_key(TRACE_PARENT) {
        return;
    }
    // Both are text in ASCII wherever a host has taken them.
    let carried = [(TRACE_PARENT, Some(trace.parent)), (TRACE_STATE, trace.state)];
    for (name, value) in carried {
        // What a guest noted of a trace that it does not name is of none.
        headers.remove(name);
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(name, value);
        }
    }
}

/// What went wrong while a request was sent: the host's own reason, if it was the host that stopped it.
fn of_hyper(error: hyper::Error) -> Error {
    let own = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<Error>());
    match own {
        Some(Error::HttpRequestBodySize(bytes)) => Error::HttpRequestBodySize(*bytes),
        _ => Error::Hyper(error),
    }
}

/// What is not as HTTP says, to a guest.
pub(super) fn code_of_hyper(error: &hyper::Error) -> ErrorCode {
    if error.is_incomplete_message() {
        return ErrorCode::HttpResponseIncomplete;
    }
    if error.is_parse_too_large() {
        return ErrorCode::HttpResponseHeaderSectionSize(u32::try_from(HEADER_BYTES).ok());
    }
    if error.is_canceled() || error.is_closed() || error.is_body_write_aborted() {
        return ErrorCode::ConnectionTerminated;
    }
    let io = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    if io.is_some() { ErrorCode::ConnectionTerminated } else { ErrorCode::HttpProtocolError }
}
