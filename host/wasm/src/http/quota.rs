//! Owns what the requests of one call may use together, and how far they have come.
//! Leaves where each byte is counted to `body`, and what is said about a limit to `permit`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::sync::watch;
use trackside_model::{plugin::Limits, ports::HttpUsage};

/// What a call's requests use, shared by all of them.
#[derive(Debug)]
pub(super) struct Quota {
    /// When the call's time is up.
    pub(super) until: Instant,
    most: Most,
    requests: AtomicU32,
    open: AtomicU32,
    sent: AtomicU64,
    received: AtomicU64,
    /// Whether the call is over: no request outlives it.
    over: watch::Sender<bool>,
}

#[derive(Debug)]
struct Most {
    requests: u32,
    concurrent: u32,
    request_bytes: u64,
    response_bytes: u64,
}

/// A request that is under way, until the end of its answer.
#[derive(Debug)]
pub(super) struct Open(Arc<Quota>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// A limit that was met: its name in the settings file, and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Met(pub(super) &'static str, pub(super) u64);

impl Quota {
    pub(super) fn new(limits: &Limits, until: Instant) -> Self {
        Self {
            until,
            most: Most {
                requests: limits.http_requests,
                concurrent: limits.http_concurrent,
                request_bytes: limits.http_request_bytes,
                response_bytes: limits.http_response_bytes,
            },
            requests: AtomicU32::new(0),
            open: AtomicU32::new(0),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            over: watch::Sender::new(false),
        }
    }

    /// Takes the place of one more request. A call's requests are asked for one after the other.
    pub(super) fn open(self: &Arc<Self>) -> Result<Open, Met> {
        if self.requests.load(Relaxed) >= self.most.requests {
            return Err(Met("http_requests", u64::from(self.most.requests)));
        }
        if self.open.load(Relaxed) >= self.most.concurrent {
            return Err(Met("http_concurrent", u64::from(self.most.concurrent)));
        }
        self.requests.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        Ok(Open(Arc::clone(self)))
    }

    /// Counts bytes of a request's body.
    pub(super) fn send(&self, bytes: usize) -> Result<(), Met> {
        let sent = self.sent.fetch_add(bytes as u64, Relaxed).saturating_add(bytes as u64);
        if sent > self.most.request_bytes { Err(Met("http_request_bytes", self.most.request_bytes)) } else { Ok(()) }
    }

    /// Counts bytes of an answer's body.
    pub(super) fn receive(&self, bytes: usize) -> Result<(), Met> {
        let received = self.received.fetch_add(bytes as u64, Relaxed).saturating_add(bytes as u64);
        if received > self.most.response_bytes { Err(Met("http_response_bytes", self.most.response_bytes)) } else { Ok(()) }
    }

    /// Ends what is still under way.
    pub(super) fn end(&self) -> HttpUsage {
        self.over.send_replace(true);
        HttpUsage {
            requests: self.requests.load(Relaxed),
            request_bytes: self.sent.load(Relaxed),
            response_bytes: self.received.load(Relaxed),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    /// Comes back when the call is over.
    pub(super) async fn over(&self) {
        // An error would mean that the sender is gone, which this borrows.
        let _ = self.over.subscribe().wait_for(|over| *over).await;
    }
}
