//! A crowd of clients that read event streams, on one thread: each reads what comes and counts the events, as cheaply as it can, because the
//! processor that it uses is missing to the host that is measured.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, ensure};
use tokio::{sync::Notify, task::LocalSet};

use crate::http::Client;

const READ_BYTES: usize = 256 << 10;
const LONGEST: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_micros(200);

/// Clients that read until this is dropped.
pub(crate) struct Crowd {
    seen: Arc<AtomicUsize>,
    leave: Arc<Notify>,
    reading: Option<JoinHandle<Result<()>>>,
}

impl Crowd {
    /// So many clients of a host, each with a stream of what the query asks for.
    ///
    /// # Errors
    /// If the host does not open all of them.
    pub(crate) fn of_streams(address: SocketAddr, query: &str, clients: usize) -> Result<Self> {
        let open = |_| {
            let mut client = Client::connect(address)?;
            client.stream(query)?;
            client.into_socket()
        };
        Self::reading((0..clients).map(open).collect::<Result<_>>()?)
    }

    /// Clients that read from these sockets.
    ///
    /// # Errors
    /// If a thread is not to be had.
    pub(crate) fn reading(sockets: Vec<TcpStream>) -> Result<Self> {
        let (seen, leave) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (counted, told) = (seen.clone(), leave.clone());
        let reading = thread::Builder::new().name("crowd".to_owned()).spawn(move || read_all(sockets, &counted, &told))?;
        Ok(Self { seen, leave, reading: Some(reading) })
    }

    /// Events that all of them together have read.
    pub(crate) fn seen(&self) -> usize {
        self.seen.load(Relaxed)
    }

    /// Waits until they have read so many.
    ///
    /// # Errors
    /// If they do not.
    pub(crate) fn wait_for(&self, events: usize) -> Result<()> {
        let begun = Instant::now();
        while self.seen() < events {
            ensure!(begun.elapsed() < LONGEST, "of {events} events the clients have read {}", self.seen());
            // Seldom, because looking is processor time too.
            thread::sleep(LOOK);
        }
        ensure!(self.seen() == events, "the clients have read {} events where there were {events}", self.seen());
        Ok(())
    }

    /// They leave.
    ///
    /// # Errors
    /// If one of them lost its stream before.
    pub(crate) fn leave(mut self) -> Result<()> {
        self.leave.notify_one();
        self.reading.take().map_or(Ok(()), |reading| reading.join().map_err(|_| anyhow!("the clients panicked"))?)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.leave.notify_one();
        if let Some(reading) = self.reading.take() {
            // What went wrong with them has been told by whoever waited for them.
            let _ = reading.join();
        }
    }
}

fn read_all(sockets: Vec<TcpStream>, seen: &Arc<AtomicUsize>, leave: &Notify) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let local = LocalSet::new();
    let lost: Rc<std::cell::RefCell<Option<io::Error>>> = Rc::default();
    let buffer = Rc::new(std::cell::RefCell::new(vec![0; READ_BYTES]));
    for socket in sockets {
        let (seen, lost, buffer) = (seen.clone(), lost.clone(), buffer.clone());
        local.spawn_local(async move {
            let ended = read(socket, &buffer, &seen).await;
            lost.borrow_mut().get_or_insert(ended);
        });
    }
    local.block_on(&runtime, leave.notified());
    let lost = lost.borrow_mut().take();
    lost.map_or(Ok(()), |error| Err(anyhow!("a client lost its stream: {error}")))
}

/// Until the stream ends, which it should not.
async fn read(socket: TcpStream, buffer: &std::cell::RefCell<Vec<u8>>, seen: &AtomicUsize) -> io::Error {
    let opened = socket.set_nonblocking(true).and_then(|()| tokio::net::TcpStream::from_std(socket));
    let socket = match opened {
        Ok(socket) => socket,
        Err(error) => return error,
    };
    let mut counted = Counted::default();
    loop {
        if let Err(error) = socket.readable().await {
            return error;
        }
        let mut buffer = buffer.borrow_mut();
        match socket.try_read(&mut buffer) {
            Ok(0) => return io::ErrorKind::UnexpectedEof.into(),
            Ok(length) => {
                seen.fetch_add(counted.take(&buffer[..length]), Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return error,
        }
    }
}

/// Where a stream has been cut, between two reads.
#[derive(Debug, Default)]
struct Counted {
    /// What came last did not end its line.
    within_line: bool,
}

impl Counted {
    /// Events whose first line begins in these bytes. That line alone begins with an `i`: it is `id: POSITION`; what else may stand at the
    /// beginning of a line is `data`, `event`, a comment, and the length of a piece in hexadecimal.
    fn take(&mut self, bytes: &[u8]) -> usize {
        let mut events = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            events += usize::from(!self.within_line && line[0] == b'i');
            self.within_line = line.last() != Some(&b'\n');
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_counted_wherever_the_stream_is_cut() {
        let stream = b"2a\r\nid: 7\ndata: {\"id\":\"i\"}\n\n\r\n3d\r\nid: 8\ndata: {}\n\nid: 9\ndata: {}\n\n\r\n: heartbeat\n\n";
        for cut in 0..=stream.len() {
            let mut counted = Counted::default();
            assert_eq!(counted.take(&stream[..cut]) + counted.take(&stream[cut..]), 3, "cut at {cut}");
        }
    }
}
