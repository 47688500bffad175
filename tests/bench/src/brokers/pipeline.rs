//! Connections that keep many requests under way: each is filled up as soon as answers have come, as a good client does.
//! What is said is the broker's own.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::publish::per_second;

const READ_BYTES: usize = 64 << 10;
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How a broker is spoken to.
pub(super) trait Protocol: Sync {
    /// Connections with which it is fastest, of those that were tried.
    fn connections(&self) -> usize;
    /// Done once, on a connection of its own, before anything is measured.
    fn prepare(&self, stream: TcpStream) -> Result<()>;
    /// What a connection says first.
    fn greet(&self, stream: &mut TcpStream, connection: usize) -> Result<()>;
    /// Writes the request that stores event `number`.
    fn request(&self, into: &mut Vec<u8>, connection: usize, number: usize);
    /// What the broker has answered so far.
    fn replies(&self, bytes: &[u8]) -> Result<Replies>;
}

/// What stands in the bytes that came.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// Events that are acknowledged.
    pub(super) answers: usize,
    /// Bytes that are done with.
    pub(super) used: usize,
    /// What is to be said to them.
    pub(super) say: Vec<u8>,
}

/// A connection of a publisher.
pub(super) struct Connection {
    protocol: &'static dyn Protocol,
    number: usize,
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    pub(super) fn open(protocol: &'static dyn Protocol, address: SocketAddr, number: usize) -> Result<Self> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LONGEST_WAIT))?;
        protocol.greet(&mut stream, number)?;
        Ok(Self { protocol, number, stream, unread: Vec::new() })
    }

    /// Publishes `count` events, never more than `in_flight` unanswered.
    fn publish(&mut self, in_flight: usize, first: usize, count: usize) -> Result<()> {
        let (mut sent, mut answered) = (0, 0);
        let (mut requests, mut read) = (Vec::new(), vec![0; READ_BYTES]);
        while answered < count {
            requests.clear();
            while sent < count && sent - answered < in_flight {
                self.protocol.request(&mut requests, self.number, first + sent);
                sent += 1;
            }
            self.stream.write_all(&requests)?;
            let length = self.stream.read(&mut read).context("the broker does not answer")?;
            ensure!(length > 0, "the broker has hung up");
            self.unread.extend_from_slice(&read[..length]);
            let replies = self.protocol.replies(&self.unread)?;
            self.unread.drain(..replies.used);
            self.stream.write_all(&replies.say)?;
            answered += replies.answers;
        }
        Ok(())
    }
}

/// Events a second, on all connections at a time.
pub(super) fn rate(connections: &mut [Connection], in_flight: usize, first: usize, count: usize) -> Result<f64> {
    let (each, share) = (in_flight / connections.len(), count / connections.len());
    let published = share * connections.len();
    let begun = Instant::now();
    thread::scope(|scope| {
        let publishers: Vec<_> = (0..)
            .zip(connections)
            .map(|(number, connection)| scope.spawn(move || connection.publish(each, first + number * share, share)))
            .collect();
        publishers.into_iter().try_for_each(|publisher| publisher.join().ok().context("a publisher panicked")?)
    })?;
    Ok(per_second(published, begun))
}
