//! Owns requests of plugins to the world outside: which go out, to which address, and how much of it a call may use.
//! Leaves what the grants mean to the model, and what a guest sees of it all to `linker`.

mod address;
mod body;
mod client;
mod permit;
mod quota;
mod send;

use hyper::{Request, Response};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpHooks, p2::bindings::http::types::ErrorCode};

pub use self::client::OutgoingError;
pub(crate) use self::{client::Client, permit::asked};
use self::{permit::Permit, quota::Quota};
use std::sync::Arc;

/// What a request that goes out becomes: the answer, and what keeps its connection going meanwhile.
type Answer = (Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// Bytes of a request's or an answer's headers, as they are kept.
const HEADER_BYTES: usize = 64 << 10;

/// What an instance has of HTTP.
pub(crate) struct Http {
    pub(crate) ctx: WasiHttpCtx,
    pub(crate) sender: Sender,
}

impl Http {
    pub(crate) fn new() -> Self {
        let mut ctx = WasiHttpCtx::new();
        ctx.set_field_size_limit(HEADER_BYTES);
        Self { ctx, sender: Sender::default() }
    }
}

/// What stands behind the bindings of an instance: sends what has a permit, and nothing else.
#[derive(Default)]
pub(crate) struct Sender {
    /// What the call at hand has used, once it has asked for anything.
    quota: Option<Arc<Quota>>,
    /// For the request that is handed over next.
    next: Option<Permit>,
}

impl WasiHttpHooks for Sender {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _read: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Answer, Error>> + Send> {
        match self.next.take() {
            Some(permit) => Box::new(send::send(permit, request)),
            None => Box::new(std::future::ready(Err(Error::HttpRequestDenied))),
        }
    }

    fn p2_error_from_hyper(&mut self, error: &hyper::Error) -> ErrorCode {
        send::code_of_hyper(error)
    }

    fn p2_error_from_connect(&mut self, error: &std::io::Error) -> ErrorCode {
        client::code_of_connect(error)
    }

    fn p2_error_from_tls(&mut self, error: &std::io::Error) -> ErrorCode {
        client::code_of_tls(error)
    }
}

/// What an answer that breaks off in its body is to the guest.
pub(crate) fn code_of_body(error: &Error) -> Option<ErrorCode> {
    match error {
        Error::HttpResponseBodySize(bytes) => Some(ErrorCode::HttpResponseBodySize(*bytes)),
        Error::HttpResponseTimeout => Some(ErrorCode::HttpResponseTimeout),
        Error::ConnectionReadTimeout => Some(ErrorCode::ConnectionReadTimeout),
        Error::ConnectionTerminated => Some(ErrorCode::ConnectionTerminated),
        Error::Hyper(error) => Some(send::code_of_hyper(error)),
        _ => None,
    }
}
