//! Owns what a guest writes to its standard output and error: kept within bytes until the call hands it on as log lines.
//! Leaves the lines to `log`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

/// Bytes that one write may have, as in WASI's own streams.
const WRITE_BYTES: usize = 64 << 10;
/// Bytes of the last words that go into a fault's message.
const LAST_WORDS_BYTES: usize = 512;

/// Both streams of an instance.
#[derive(Clone, Debug)]
pub(crate) struct Stdio(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whether there is anything to take: asked after every call, so without the lock.
    written: AtomicBool,
    kept: Mutex<Kept>,
    most: usize,
}

#[derive(Debug, Default)]
struct Kept {
    out: Vec<u8>,
    err: Vec<u8>,
}

/// What was written since the last time.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Stdio {
    /// Streams that keep `most` bytes each; more is dropped.
    pub(crate) fn new(most: u64) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Self(Arc::new(Shared { written: AtomicBool::new(false), kept: Mutex::default(), most }))
    }

    pub(crate) fn out(&self) -> Pipe {
        Pipe { stdio: self.clone(), is_err: false }
    }

    pub(crate) fn err(&self) -> Pipe {
        Pipe { stdio: self.clone(), is_err: true }
    }

    fn write(&self, is_err: bool, bytes: &[u8]) {
        let mut kept = self.0.kept.lock();
        let stream = if is_err { &mut kept.err } else { &mut kept.out };
        let room = self.0.most.saturating_sub(stream.len());
        stream.extend(&bytes[..bytes.len().min(room)]);
        self.0.written.store(true, Ordering::Release);
    }

    pub(crate) fn take(&self) -> Option<Written> {
        if !self.0.written.swap(false, Ordering::Acquire) {
            return None;
        }
        let kept = std::mem::take(&mut *self.0.kept.lock());
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Some(Written { out: text(kept.out), err: text(kept.err) })
    }

    /// The end of what is on standard error, in one line: where toolchains write why they stop.
    pub(crate) fn last_words(&self) -> Option<String> {
        if !self.0.written.load(Ordering::Acquire) {
            return None;
        }
        let kept = self.0.kept.lock();
        let text = String::from_utf8_lossy(&kept.err);
        let mut lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("note: ")).collect();
        let last = lines.split_off(lines.len().saturating_sub(2)).join(" ");
        (!last.is_empty()).then(|| super::log::cut(&last, LAST_WORDS_BYTES).to_owned())
    }
}

/// One of the streams, as WASI sees it. Always ready, never blocks.
#[derive(Clone, Debug)]
pub(crate) struct Pipe {
    stdio: Stdio,
    is_err: bool,
}

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Pipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Pipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.stdio.write(self.is_err, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_kept_within_its_bytes() {
        let stdio = Stdio::new(8);
        assert!(stdio.take().is_none());
        stdio.out().write(Bytes::from_static(b"hello, world")).unwrap();
        stdio.err().write(Bytes::from_static(b"oh no")).unwrap();
        let written = stdio.take().unwrap();
        assert_eq!((written.out.as_str(), written.err.as_str()), ("hello, w", "oh no"));
        assert!(stdio.take().is_none());
    }

    #[test]
    fn last_words_are_the_reason() {
        let stdio = Stdio::new(1_000);
        stdio
            .err()
            .write(Bytes::from_static(b"\nthread 'main' panicked at src/lib.rs:5:9:\nboom\nnote: run with RUST_BACKTRACE\n"))
            .unwrap();
        assert_eq!(stdio.last_words().unwrap(), "thread 'main' panicked at src/lib.rs:5:9: boom");
    }
}
