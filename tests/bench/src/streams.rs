//! Event streams over HTTP, of a host in a process of its own: how soon a client has an event that was published, how many events a second a
//! thousand clients are sent, and what a thousand that wait for something else cost a publisher.

use std::{
    cell::Cell,
    io::Write as _,
    net::{SocketAddr, TcpListener, TcpStream},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

use crate::{
    Effort,
    crowd::Crowd,
    disk::Probe,
    events,
    http::Client,
    publish::per_second,
    report::{Figure, Target},
    samples::{interleave, us},
    start::{Place, Running, program},
};

const CLIENTS: usize = 1_000;
/// Events that a publisher sends in one body.
const EVENTS_A_BODY: usize = 2_000;

/// The figures of streams.
///
/// # Errors
/// If an event is not appended, or does not reach a client.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let mut figures = to_client(effort)?;
    figures.extend(frames(effort)?);
    figures.extend(idle(effort)?);
    Ok(figures)
}

/// A host in a process of its own, and a publisher.
struct Side {
    /// Dropped before its folder is.
    host: Running,
    address: SocketAddr,
    publisher: Client,
    place: Place,
}

impl Side {
    fn new() -> Result<Self> {
        let place = Place::new(&program()?, &[])?;
        let (host, address) = place.start_settled()?;
        Ok(Self { host, address, publisher: Client::connect(address)?, place })
    }
}

/// From writing the request to the event at a client that waits for it.
fn to_client(effort: Effort) -> Result<Vec<Figure>> {
    let rounds = effort.of(3_000, 400);
    eprintln!("  {rounds} publishes, until a client of a stream has the event");
    let mut side = Side::new()?;
    let mut probe = Probe::new(side.place.folder())?;
    let mut client = Client::connect(side.address)?;
    client.stream("type=order:placed")?;
    let mut number = 0;
    let mut seen = Vec::new();
    let [sync, seen_us] = interleave(
        rounds,
        [&mut || probe.sync_us(), &mut || {
            number += 1;
            let event = events::json("order:placed", number);
            seen.clear();
            let took_us = us(|| {
                side.publisher.send("POST /v1/events", "application/json", &event)?;
                client.piece(&mut seen).map(drop)
            })?;
            let (status, answer) = side.publisher.answer()?;
            ensure!(status == 201, "an event was not appended: {answer}");
            let order = format!("order-{number:010}");
            ensure!(String::from_utf8_lossy(&seen).contains(&order), "the client has the event that was published");
            Ok(took_us)
        }],
    )?;
    side.host.stop()?;
    let beside = "µs: a bare fdatasync";
    Ok(vec![Figure::new("publish_to_sse_p50", "µs", seen_us, beside, sync).target(Target::RatioAtMost(2.5))])
}

/// Events that a thousand clients are sent, all of which want all of them, beside the same bytes from a bare loop.
fn frames(effort: Effort) -> Result<Vec<Figure>> {
    let (rounds, events) = (effort.of(9, 3), effort.of(2_000, 500));
    eprintln!("  {rounds} rounds of {events} events to each of {CLIENTS} clients");
    let mut side = Side::new()?;
    let crowd = Crowd::of_streams(side.address, "type=order:placed", CLIENTS)?;
    let bare = Bare::new()?;
    let first = Cell::new(0);
    let [sent, bare_sent] = interleave(
        rounds,
        [
            &mut || {
                let body = events::ndjson("order:placed", first.replace(first.get() + events), events);
                let wanted = crowd.seen() + events * CLIENTS;
                let begun = Instant::now();
                side.publisher.publish_all(&body)?;
                crowd.wait_for(wanted)?;
                Ok(per_second(events * CLIENTS, begun))
            },
            &mut || bare.send(events),
        ],
    )?;
    crowd.leave()?;
    side.host.stop()?;
    let beside = "frames/s: the same bytes, written to as many sockets by a bare loop";
    Ok(vec![Figure::new("sse_frames_1000", "frames/s", sent, beside, bare_sent).target(Target::AtLeast(300_000.0))])
}

/// What a publisher is slowed down by a thousand streams that wait for something else.
fn idle(effort: Effort) -> Result<Vec<Figure>> {
    let (rounds, bodies) = (effort.of(3_000, 400), effort.of(30, 6));
    eprintln!("  {rounds} publishes alone, {bodies} times {EVENTS_A_BODY} together, with {CLIENTS} idle streams and without");
    let (mut watched, mut unwatched) = (Side::new()?, Side::new()?);
    let crowd = Crowd::of_streams(watched.address, "type=never:comes", CLIENTS)?;
    let number = Cell::new(0);
    let next = |count: usize| number.replace(number.get() + count);
    let one = |side: &mut Side| {
        let event = events::json("order:placed", next(1));
        us(|| side.publisher.publish(&event))
    };
    let [with, without] = interleave(rounds, [&mut || one(&mut watched), &mut || one(&mut unwatched)])?;
    let together = |side: &mut Side| {
        let body = events::ndjson("order:placed", next(EVENTS_A_BODY), EVENTS_A_BODY);
        let begun = Instant::now();
        side.publisher.publish_all(&body)?;
        Ok(per_second(EVENTS_A_BODY, begun))
    };
    let [rate_with, rate_without] = interleave(bodies, [&mut || together(&mut watched), &mut || together(&mut unwatched)])?;
    ensure!(crowd.seen() == 0, "nobody is sent what he did not ask for");
    crowd.leave()?;
    watched.host.stop()?;
    unwatched.host.stop()?;
    Ok(vec![
        Figure::new("publish_beside_1000_idle_streams", "µs", with, "µs: without streams", without).target(Target::RatioAtMost(1.2)),
        Figure::new("publish_rate_beside_1000_idle_streams", "events/s", rate_with, "events/s: without streams", rate_without)
            .target(Target::RatioAtLeast(0.83)),
    ])
}

/// A loop that writes to as many sockets, and clients that read them.
struct Bare {
    crowd: Crowd,
    sockets: Vec<TcpStream>,
}

impl Bare {
    fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (mut sockets, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..CLIENTS {
            clients.push(TcpStream::connect(address)?);
            let (socket, _) = listener.accept()?;
            socket.set_nodelay(true)?;
            sockets.push(socket);
        }
        Ok(Self { crowd: Crowd::reading(clients)?, sockets })
    }

    /// Frames a second, a hundred in a write.
    fn send(&self, events: usize) -> Result<f64> {
        const FRAMES_A_WRITE: usize = 100;
        let frame = |number| format!("id: {number}\ndata: {}\n\n", events::envelope(number));
        let block: String = (0..FRAMES_A_WRITE).map(frame).collect();
        let wanted = self.crowd.seen() + events / FRAMES_A_WRITE * FRAMES_A_WRITE * CLIENTS;
        let begun = Instant::now();
        for _ in 0..events / FRAMES_A_WRITE {
            for mut socket in &self.sockets {
                socket.write_all(block.as_bytes()).context("a client of the bare loop has left")?;
            }
        }
        self.crowd.wait_for(wanted)?;
        Ok(per_second(events / FRAMES_A_WRITE * FRAMES_A_WRITE * CLIENTS, begun))
    }
}
