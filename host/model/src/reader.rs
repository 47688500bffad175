//! A durable reader: what it has been handed, what of it is settled, and what it is to be handed next. Times are given, nothing is read or
//! written here: whoever drives it reads the log for it and keeps its state.

mod options;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

pub use self::options::{Order, ReaderError, ReaderOptions, check_name};
use crate::{
    event::{Position, Text},
    keeping::{Attempt, MOST_ATTEMPTS},
    time::Timestamp,
};

/// Events that a reader may hold beyond those in flight: of correlations whose turn has not come, and settled out of turn.
pub const MOST_HELD: usize = 1_024;
/// Bytes of events in a reader's hands from which on it takes no more.
pub const MOST_HELD_BYTES: u64 = 8 << 20;

/// One event in a reader's hands, with whatever its driver knows it by.
#[derive(Clone, Debug)]
struct Open<E> {
    event: E,
    bytes: u64,
    correlation_id: Text,
    /// Deliveries so far.
    deliveries: u32,
    /// What those that failed came to, the newest.
    failures: Vec<Attempt>,
    stand: Stand,
    /// Whether it is here because of a replay.
    replayed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// To be handed out then, or later.
    Waits(Timestamp),
    /// Handed out; to be settled by then.
    Leased(Timestamp),
}

/// An event that is handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed<E> {
    /// Its place, by which it is settled.
    pub position: Position,
    /// 1 for the first.
    pub delivery: u32,
    /// Whether it is handed out because of a replay.
    pub replayed: bool,
    /// The event.
    pub event: E,
}

/// An event that ran out of deliveries. It is settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dead<E> {
    /// Its place.
    pub position: Position,
    /// How often it was handed out.
    pub deliveries: u32,
    /// What each came to, the newest.
    pub failures: Vec<Attempt>,
    /// The event.
    pub event: E,
}

/// What of a reader outlives the host, besides its cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReaderMemory {
    /// Settled although something before it is not.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub ahead: BTreeSet<Place>,
    /// Behind the cursor, and handed out again because somebody wants it.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub again: BTreeSet<Place>,
    /// Those of them that are replayed.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub replayed: BTreeSet<Place>,
    /// Deliveries of what is not settled.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub deliveries: BTreeMap<Place, u32>,
}

/// A position as text, which is what a JSON object can have as a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Place(pub Position);

impl TryFrom<String> for Place {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.0.to_string()
    }
}

/// Where a reader stands.
#[derive(Debug)]
pub struct Reader<E> {
    options: ReaderOptions,
    /// Everything up to here has been looked at.
    looked: Position,
    /// Everything up to here is settled.
    cursor: Position,
    open: BTreeMap<Position, Open<E>>,
    open_bytes: u64,
    ahead: BTreeSet<Position>,
    /// What it had been handed before the host ended.
    before: BTreeMap<Position, u32>,
}

/// What a client says of an event that is not in its hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is settled now.
    Now,
    /// It had been settled, or was never handed out.
    Before,
}

impl<E: Clone> Reader<E> {
    /// A reader that goes on from what was kept of it.
    pub fn new(options: ReaderOptions, cursor: Position, memory: ReaderMemory) -> Self {
        let ahead = memory.ahead.into_iter().map(|place| place.0).filter(|position| *position > cursor).collect();
        // Nobody knows what became of what was out when the host ended: it is handed out once more at least.
        let most = options.deliveries.saturating_sub(1);
        let before = memory.deliveries.into_iter().map(|(place, deliveries)| (place.0, deliveries.min(most))).collect();
        Self { options, looked: cursor, cursor, open: BTreeMap::new(), open_bytes: 0, ahead, before }
    }

    /// How it reads.
    pub fn options(&self) -> &ReaderOptions {
        &self.options
    }

    /// Everything up to here is settled: what it may forget, and begins behind when it comes back.
    pub fn cursor(&self) -> Position {
        self.cursor
    }

    /// Events handed out and not settled.
    pub fn in_flight(&self) -> usize {
        self.open.values().filter(|open| matches!(open.stand, Stand::Leased(_))).count()
    }

    /// Events in its hands that wait to be handed out.
    pub fn waiting(&self) -> usize {
        self.open.len() - self.in_flight()
    }

    /// Events in its hands that are replayed.
    pub fn replaying(&self) -> usize {
        self.open.values().filter(|open| open.replayed).count()
    }

    /// What must be kept of it with its cursor.
    pub fn memory(&self) -> ReaderMemory {
        let open = self.open.range(after(self.cursor)..).map(|(position, open)| (*position, open.deliveries));
        let deliveries = self.before.iter().map(|(position, deliveries)| (*position, *deliveries)).chain(open);
        ReaderMemory {
            ahead: self.ahead.iter().copied().map(Place).collect(),
            again: self.open.range(..=self.cursor).map(|(position, _)| Place(*position)).collect(),
            replayed: self.open.iter().filter(|(_, open)| open.replayed).map(|(position, _)| Place(*position)).collect(),
            deliveries: deliveries
                .filter(|(_, deliveries)| *deliveries > 0)
                .map(|(position, deliveries)| (Place(position), deliveries))
                .collect(),
        }
    }

    /// How many more events it can take in.
    pub fn room(&self) -> usize {
        if self.open_bytes >= MOST_HELD_BYTES {
            return 0;
        }
        let most = usize::try_from(self.options.in_flight).unwrap_or(usize::MAX).saturating_add(MOST_HELD);
        most.saturating_sub(self.open.len() + self.ahead.len())
    }

    /// Whether it has something to hand out at once.
    pub fn has_ready(&self, now: Timestamp) -> bool {
        self.ready(now, 1).next().is_some()
    }

    /// Takes in the next event of the log that it wants.
    pub fn take(&mut self, position: Position, correlation_id: &Text, bytes: u64, event: E) {
        self.looked = self.looked.max(position);
        if position <= self.cursor || self.ahead.contains(&position) || self.open.contains_key(&position) {
            return;
        }
        let deliveries = self.before.remove(&position).unwrap_or(0);
        self.open_bytes += bytes;
        let open = Open {
            event,
            bytes,
            correlation_id: correlation_id.clone(),
            deliveries,
            failures: Vec::new(),
            stand: Stand::Waits(Timestamp(0)),
            replayed: false,
        };
        self.open.insert(position, open);
    }

    /// Takes an event in hand once more that it had settled. `false`: it has it.
    pub fn again(&mut self, position: Position, correlation_id: &Text, bytes: u64, event: E, replayed: bool) -> bool {
        if position > self.cursor || self.open.contains_key(&position) {
            return false;
        }
        self.open_bytes += bytes;
        let stand = Stand::Waits(Timestamp(0));
        let correlation_id = correlation_id.clone();
        let open = Open { event, bytes, correlation_id, deliveries: 0, failures: Vec::new(), stand, replayed };
        self.open.insert(position, open);
        true
    }

    /// Goes on behind what it does not want.
    pub fn pass(&mut self, position: Position) {
        self.looked = self.looked.max(position);
        self.settle_cursor();
    }

    /// Hands out what is ready, at most so many, in the log's order.
    pub fn hand_out(&mut self, now: Timestamp, most: usize) -> Vec<Handed<E>> {
        let free = usize::try_from(self.options.in_flight).unwrap_or(usize::MAX).saturating_sub(self.in_flight());
        let ready: Vec<Position> = self.ready(now, most.min(free)).collect();
        let lease = Stand::Leased(now.plus_ms(self.options.ack_wait_ms));
        let mut handed = Vec::with_capacity(ready.len());
        for position in ready {
            if let Some(open) = self.open.get_mut(&position) {
                open.stand = lease;
                open.deliveries += 1;
                handed.push(Handed { position, delivery: open.deliveries, replayed: open.replayed, event: open.event.clone() });
            }
        }
        handed
    }

    /// What may be handed out now, in order.
    fn ready(&self, now: Timestamp, most: usize) -> impl Iterator<Item = Position> {
        let mut blocked: HashSet<&str> = HashSet::new();
        let (order, in_flight) = (self.options.order, self.in_flight() > 0);
        let mut first = true;
        let ready = self.open.iter().filter_map(move |(position, open)| {
            let due = matches!(open.stand, Stand::Waits(until) if until <= now);
            let may = match order {
                Order::None => true,
                // Whatever of its correlation comes before it and is not settled stands in its way.
                Order::Correlation => blocked.insert(&open.correlation_id),
                Order::Log => std::mem::replace(&mut first, false) && !in_flight,
            };
            (due && may).then_some(*position)
        });
        ready.take(most)
    }

    /// Settles an event: it is done.
    pub fn acknowledge(&mut self, position: Position) -> Settled {
        match self.settle(position) {
            Some(_) => Settled::Now,
            None => Settled::Before,
        }
    }

    /// Gives an event back that could not be done: it is handed out again, after a while, unless it has been often enough. A word about a
    /// delivery that is not the last one counts for nothing.
    pub fn give_back(
        &mut self,
        position: Position,
        delivery: u32,
        now: Timestamp,
        retry_after_ms: Option<u64>,
        reason: &str,
    ) -> Option<Dead<E>> {
        let open = self.open.get(&position)?;
        if open.deliveries != delivery || !matches!(open.stand, Stand::Leased(_)) {
            return None;
        }
        self.failed(position, now, retry_after_ms, reason)
    }

    /// Gives an event more time. `false`: it is not out.
    pub fn extend(&mut self, position: Position, delivery: u32, now: Timestamp) -> bool {
        let until = now.plus_ms(self.options.ack_wait_ms);
        match self.open.get_mut(&position) {
            Some(open) if open.deliveries == delivery && matches!(open.stand, Stand::Leased(_)) => {
                open.stand = Stand::Leased(until);
                true
            }
            _ => false,
        }
    }

    /// Takes back what was handed out and not settled in time.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Dead<E>> {
        let late: Vec<Position> = self
            .open
            .iter()
            .filter(|(_, open)| matches!(open.stand, Stand::Leased(until) if until <= now))
            .map(|(position, _)| *position)
            .collect();
        let reason = format!("not acknowledged within {} ms", self.options.ack_wait_ms);
        late.into_iter().filter_map(|position| self.failed(position, now, None, &reason)).collect()
    }

    /// When time alone next changes what it may hand out: something becomes due, or a lease ends.
    pub fn next_change(&self) -> Option<Timestamp> {
        let times = self.open.values().map(|open| match open.stand {
            Stand::Waits(until) | Stand::Leased(until) => until,
        });
        times.filter(|time| time.0 > 0).min()
    }

    fn failed(&mut self, position: Position, now: Timestamp, retry_after_ms: Option<u64>, reason: &str) -> Option<Dead<E>> {
        let open = self.open.get_mut(&position)?;
        if open.failures.len() == MOST_ATTEMPTS {
            open.failures.remove(0);
        }
        open.failures.push(Attempt::new(open.deliveries, now, None, reason));
        if open.deliveries < self.options.deliveries {
            let pause = retry_after_ms.unwrap_or_else(|| self.options.pause_ms(open.deliveries));
            open.stand = Stand::Waits(now.plus_ms(pause.min(self.options.most_backoff_ms)));
            return None;
        }
        let open = self.settle(position)?;
        Some(Dead { position, deliveries: open.deliveries, failures: open.failures, event: open.event })
    }

    fn settle(&mut self, position: Position) -> Option<Open<E>> {
        let open = self.open.remove(&position)?;
        self.open_bytes -= open.bytes;
        if position > self.cursor {
            self.ahead.insert(position);
        }
        self.settle_cursor();
        Some(open)
    }

    /// The cursor goes as far as nothing is open behind it.
    fn settle_cursor(&mut self) {
        let through = match self.open.range(after(self.cursor)..).next() {
            Some((first, _)) => before(*first),
            None => self.looked,
        };
        self.cursor = self.cursor.max(through);
        self.ahead = self.ahead.split_off(&after(self.cursor));
        self.before.retain(|position, _| *position > self.cursor);
    }
}

/// The position just before this one.
fn before(position: Position) -> Position {
    match position.part {
        0 => Position::end_of(position.sequence.saturating_sub(1)),
        part => Position { part: part - 1, ..position },
    }
}

/// The position just behind this one.
fn after(position: Position) -> Position {
    match position.part {
        u32::MAX => Position { sequence: position.sequence + 1, part: 0 },
        part => Position { part: part + 1, ..position },
    }
}
