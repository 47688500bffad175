//! The ring: the newest durable events in memory, for readers near the head.
//! A reader that fell behind it reads the file; the bounds are the options'.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::RwLock;
use trackside_model::event::Event;

/// The newest durable events, without gaps.
#[derive(Debug)]
pub(crate) struct Ring {
    max_events: usize,
    max_bytes: usize,
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Each with its bytes.
    events: VecDeque<(Arc<Event>, usize)>,
    bytes: usize,
}

impl Ring {
    pub(crate) fn new(max_events: usize, max_bytes: usize) -> Self {
        Self { max_events, max_bytes, kept: RwLock::default() }
    }

    /// Takes the events that have just become durable, in order.
    pub(crate) fn push(&self, events: &[Arc<Event>]) {
        // Dropped after the lock: freeing a thousand events takes longer than a reader should wait.
        let mut passed = Vec::new();
        let mut kept = self.kept.write();
        for event in events {
            let bytes = event_bytes(event);
            kept.bytes += bytes;
            kept.events.push_back((event.clone(), bytes));
        }
        while kept.events.len() > self.max_events || kept.bytes > self.max_bytes {
            let Some((oldest, bytes)) = kept.events.pop_front() else { break };
            kept.bytes -= bytes;
            passed.push(oldest);
        }
        drop(kept);
    }

    /// Events behind `after`, at most `max_events` and about `max_bytes` of them but at least one; `None` if the ring does not reach back so far.
    pub(crate) fn read(&self, after: u64, max_events: usize, max_bytes: usize) -> Option<Vec<Arc<Event>>> {
        let kept = self.kept.read();
        let (first, _) = kept.events.front()?;
        let skip = usize::try_from((after + 1).checked_sub(first.sequence_number)?).ok()?;
        let mut taken = 0;
        let fits = |(_, bytes): &&(Arc<Event>, usize)| {
            let is_first = taken == 0;
            taken += bytes;
            is_first || taken <= max_bytes
        };
        Some(kept.events.iter().skip(skip).take(max_events).take_while(fits).map(|(event, _)| event.clone()).collect())
    }

    /// The event at this place, if the ring has it.
    pub(crate) fn get(&self, sequence: u64) -> Option<Arc<Event>> {
        let kept = self.kept.read();
        let (first, _) = kept.events.front()?;
        let place = usize::try_from(sequence.checked_sub(first.sequence_number)?).ok()?;
        kept.events.get(place).map(|(event, _)| event.clone())
    }
}

/// About what an event takes in memory, in bytes.
pub(crate) fn event_bytes(event: &Event) -> usize {
    const ENVELOPE: usize = 364;
    const METADATA: usize = 48;
    let texts = usize::try_from(event.text_bytes()).unwrap_or(usize::MAX);
    ENVELOPE + texts + event.narration.as_str().map_or(0, str::len) + METADATA * event.metadata.len()
}
