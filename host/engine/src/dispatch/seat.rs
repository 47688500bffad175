//! A seat: where a reader at the head of the log waits, and where what it wants is put down for it. It holds a bounded number of events; a
//! reader that lets it fill up goes back to reading the log, and misses nothing.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::Notify;
use trackside_model::event::{Filter, Position};

use super::frame::Frame;

/// Events that wait at a seat, at most.
const MOST_EVENTS: usize = 512;
/// Bytes of events that wait at a seat, at most, though one event may always.
const MOST_BYTES: u64 = 1 << 20;

/// A reader at the head of the log.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Without its condition in CEL, which may take its time: the reader asks that itself.
    pub(super) filter: Filter,
    /// Whether it sees narration.
    pub(super) narration: bool,
    /// Where the reader was when it sat down.
    after: Position,
    waiting: Mutex<Waiting>,
    woken: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Arc<Frame>>,
    bytes: u64,
    /// Nothing more is put down here: read the log.
    over: bool,
}

/// What a seat has for its reader.
pub(crate) enum Served {
    /// The next events that it wants.
    Frames(Vec<Arc<Frame>>),
    /// Nothing more comes here; what follows is in the log.
    Over,
}

impl Seat {
    pub(super) fn new(filter: &Filter, narration: bool, after: Position) -> Self {
        let filter = Filter { when: None, ..filter.clone() };
        Self { filter, narration, after, waiting: Mutex::default(), woken: Notify::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.lock().frames.is_empty()
    }

    /// Puts an event down that passes the filter. `false`: there is no room, and the seat is given up.
    pub(super) fn put(&self, frame: &Arc<Frame>) -> bool {
        if frame.position() <= self.after {
            return true;
        }
        let bytes = frame.event().text_bytes();
        let mut waiting = self.waiting.lock();
        let first = waiting.frames.is_empty();
        if !first && (waiting.frames.len() >= MOST_EVENTS || waiting.bytes + bytes > MOST_BYTES) {
            waiting.over = true;
        } else {
            waiting.bytes += bytes;
            waiting.frames.push_back(frame.clone());
        }
        let kept = !waiting.over;
        drop(waiting);
        // Whoever has something lying there has been woken.
        if first {
            self.woken.notify_one();
        }
        kept
    }

    /// Sends the reader back to the log.
    pub(super) fn give_up(&self) {
        self.waiting.lock().over = true;
        self.woken.notify_one();
    }

    /// What lies here, as soon as something does. Cancelling the wait loses nothing.
    pub(crate) async fn served(&self) -> Served {
        loop {
            {
                let mut waiting = self.waiting.lock();
                if !waiting.frames.is_empty() {
                    waiting.bytes = 0;
                    return Served::Frames(std::mem::take(&mut waiting.frames).into());
                }
                if waiting.over {
                    return Served::Over;
                }
            }
            self.woken.notified().await;
        }
    }
}
