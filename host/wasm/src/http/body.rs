//! Owns the bodies of requests and answers as they pass: counted, and ended at a limit, at the deadline, or with the call.
//! Leaves what the limits are to `quota`.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use super::quota::{Open, Quota};
use crate::state::Core;

/// A request's body, as the guest writes it.
pub(super) struct Going {
    pub(super) body: WasiBody,
    pub(super) core: Arc<Core>,
    pub(super) quota: Arc<Quota>,
}

impl Body for Going {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Err(met) = self.quota.send(data.len())
        {
            self.core.cut(met.0, met.1);
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(met.1)))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body, as it comes.
pub(super) struct Coming {
    body: Option<Incoming>,
    core: Arc<Core>,
    quota: Arc<Quota>,
    /// When the whole answer must be here.
    until: Pin<Box<Sleep>>,
    /// When the next piece must be here, and how long each may take.
    next: Option<(Pin<Box<Sleep>>, Duration)>,
    _open: Open,
}

impl Coming {
    pub(super) fn new(
        body: Incoming,
        (core, quota, open): (Arc<Core>, Arc<Quota>, Open),
        until: Instant,
        between: Option<Duration>,
    ) -> Self {
        let next = between.map(|between| (Box::pin(tokio::time::sleep(between)), between));
        Self { body: Some(body), core, quota, until: Box::pin(tokio::time::sleep_until(until)), next, _open: open }
    }

    /// What ends it before its end, if anything does.
    fn cut(&mut self, context: &mut Context<'_>) -> Option<Error> {
        if self.until.as_mut().poll(context).is_ready() {
            return Some(Error::HttpResponseTimeout);
        }
        let (next, _) = self.next.as_mut()?;
        next.as_mut().poll(context).is_ready().then_some(Error::ConnectionReadTimeout)
    }
}

impl Body for Coming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let over = self.quota.is_over();
        let Some(body) = self.body.as_mut().filter(|_| !over) else {
            return Poll::Ready(if over { Some(Err(Error::ConnectionTerminated)) } else { None });
        };
        let frame = match Pin::new(body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                let Some(error) = self.cut(context) else { return Poll::Pending };
                self.body = None;
                return Poll::Ready(Some(Err(error)));
            }
        };
        if let Some((next, between)) = &mut self.next {
            next.as_mut().reset(Instant::now() + *between);
        }
        let met = match &frame {
            Some(Ok(frame)) => frame.data_ref().and_then(|data| self.quota.receive(data.len()).err()),
            _ => None,
        };
        if let Some(met) = met {
            self.core.cut(met.0, met.1);
            self.body = None;
            return Poll::Ready(Some(Err(Error::HttpResponseBodySize(Some(met.1)))));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Error::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}
