//! The ring: the newest durable events in memory, for readers near the head.
//! A reader that fell behind it reads the file; the bounds are the options'.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::RwLock;
use trackside_model::event::Event;

/// The newest durable events, without gaps but those that retention made.
#[derive(Debug)]
pub(crate) struct Ring {
    max_events: usize,
    max_bytes: usize,
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The sequence of the oldest place.
    first: u64,
    /// Each with its bytes; `None`: trimmed.
    events: VecDeque<(Option<Arc<Event>>, usize)>,
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
            if kept.events.is_empty() {
                kept.first = event.sequence_number;
            }
            kept.events.push_back((Some(event.clone()), bytes));
        }
        while kept.events.len() > self.max_events || kept.bytes > self.max_bytes {
            let Some((oldest, bytes)) = kept.events.pop_front() else { break };
            kept.bytes -= bytes;
            kept.first += 1;
            passed.push(oldest);
        }
        drop(kept);
    }

    /// Events behind `after`, at most `max_events` and about `max_bytes` of them but at least one; `None` if the ring does not reach back so far.
    pub(crate) fn read(&self, after: u64, max_events: usize, max_bytes: usize) -> Option<Vec<Arc<Event>>> {
        let kept = self.kept.read();
        if kept.events.is_empty() {
            return None;
        }
        let skip = usize::try_from((after + 1).checked_sub(kept.first)?).ok()?;
        let mut taken = 0;
        let fits = |(_, bytes): &(&Arc<Event>, usize)| {
            let is_first = taken == 0;
            taken += bytes;
            is_first || taken <= max_bytes
        };
        let there = kept.events.iter().skip(skip).filter_map(|(event, bytes)| Some((event.as_ref()?, *bytes)));
        Some(there.take(max_events).take_while(fits).map(|(event, _)| event.clone()).collect())
    }

    /// The event at this place, if the ring has it.
    pub(crate) fn get(&self, sequence: u64) -> Option<Arc<Event>> {
        let kept = self.kept.read();
        let place = usize::try_from(sequence.checked_sub(kept.first)?).ok()?;
        kept.events.get(place)?.0.clone()
    }

    /// Lets go of events that are no longer in the log.
    pub(crate) fn forget(&self, sequences: impl Iterator<Item = u64>) {
        let mut kept = self.kept.write();
        for sequence in sequences {
            let place = sequence.checked_sub(kept.first).and_then(|place| usize::try_from(place).ok());
            let Some(entry) = place.and_then(|place| kept.events.get_mut(place)) else { continue };
            let (_, bytes) = std::mem::take(entry);
            kept.bytes -= bytes;
        }
    }
}

/// About what an event takes in memory, in bytes.
pub(crate) fn event_bytes(event: &Event) -> usize {
    const ENVELOPE: usize = 364;
    const METADATA: usize = 48;
    let texts = usize::try_from(event.text_bytes()).unwrap_or(usize::MAX);
    ENVELOPE + texts + event.narration.as_str().map_or(0, str::len) + METADATA * event.metadata.len()
}
