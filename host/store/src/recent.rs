//! The ids of the newest events, so that an id can be settled without the file while its event is new.
//! What is older than the floor is looked up in the file.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use uuid::Uuid;

/// Ids remembered besides those that wait for the disk.
const REMEMBERED_IDS: usize = 32_768;

/// Ids of all events behind a floor.
#[derive(Debug)]
pub(crate) struct RecentIds {
    /// Every event behind this sequence is here.
    floor: u64,
    order: VecDeque<Uuid>,
    sequences: HashMap<Uuid, u64, RandomState>,
}

impl RecentIds {
    pub(crate) fn new(floor: u64) -> Self {
        Self { floor, order: VecDeque::new(), sequences: HashMap::default() }
    }

    /// Events up to here may be missing.
    pub(crate) fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn get(&self, event_id: &Uuid) -> Option<u64> {
        self.sequences.get(event_id).copied()
    }

    /// Takes the next event's id.
    pub(crate) fn push(&mut self, event_id: Uuid, sequence: u64) {
        debug_assert_eq!(sequence, self.floor + self.order.len() as u64 + 1, "ids come in the log's order");
        self.order.push_back(event_id);
        self.sequences.insert(event_id, sequence);
    }

    /// Forgets the oldest beyond the bound, as far as they are durable.
    pub(crate) fn trim(&mut self, durable: u64) {
        while self.order.len() > REMEMBERED_IDS && self.floor < durable {
            let Some(oldest) = self.order.pop_front() else { break };
            self.floor += 1;
            // An id that was forgotten may have come again since.
            if self.sequences.get(&oldest) == Some(&self.floor) {
                self.sequences.remove(&oldest);
            }
        }
    }

    /// Forgets ids of events that are no longer in the log, nor remembered there.
    pub(crate) fn forget(&mut self, event_ids: &[Uuid]) {
        for event_id in event_ids {
            self.sequences.remove(event_id);
        }
    }

    /// Forgets everything behind `durable`: it will never be.
    pub(crate) fn cut(&mut self, durable: u64) {
        while self.floor + self.order.len() as u64 > durable {
            let Some(newest) = self.order.pop_back() else { break };
            self.sequences.remove(&newest);
        }
    }
}
