//! Owns the reading of `trackside:packed` buffers: one event, and a batch of them, seen in place without copying.
//! Leaves the meaning of the fields to `event`, and the layout itself to `wit/trackside-packed/packed.wit`, which it follows.

use std::cell::{Cell, RefCell};

/// Bytes of the fixed head: what stands before the first metadata end.
const HEAD_BYTES: usize = 76;
/// Where the ten ends of the fields stand in the head.
const ENDS: usize = 36;

/// The strings of an event, in the order in which they lie in the buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field {
    EventId,
    EventType,
    SourceComponent,
    CorrelationId,
    CausationId,
    WorkflowId,
    TaskId,
    ProviderId,
    Principal,
    Payload,
}

/// One packed event, borrowed from the host's buffer. Making one reads four bytes; a field costs its own bytes and no more.
///
/// The host writes these buffers, so a malformed one is the host's fault and ends the call: every access is checked and panics.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    head: &'a [u8; HEAD_BYTES],
    metadata_ends: &'a [u8],
    text: &'a [u8],
}

impl<'a> View<'a> {
    /// Sees the event that begins at the first of `bytes`. What follows it is left alone.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().unwrap_or_else(|| malformed());
        let metadata_bytes = u32_at(head, 32).checked_mul(8).unwrap_or_else(|| malformed());
        let (metadata_ends, text) = rest.split_at_checked(metadata_bytes).unwrap_or_else(|| malformed());
        View { head, metadata_ends, text }
    }

    pub(crate) fn sequence_number(self) -> u64 {
        u64_at(self.head, 0)
    }

    pub(crate) fn timestamp_ns(self) -> u64 {
        u64_at(self.head, 8)
    }

    pub(crate) fn recorded_at_ns(self) -> u64 {
        u64_at(self.head, 16)
    }

    pub(crate) fn part(self) -> u32 {
        u32_at(self.head, 24) as u32
    }

    /// The ordinal of the severity, 0 (debug) to 4 (critical).
    pub(crate) fn severity(self) -> u8 {
        self.head[28] & 0b111
    }

    /// A field that every event has.
    pub(crate) fn field(self, field: Field) -> &'a str {
        let index = field as usize;
        let start = if index == 0 { 0 } else { self.field_end(index - 1) };
        self.text_between(start, self.field_end(index))
    }

    /// A field that an event may lack.
    pub(crate) fn optional(self, field: Field) -> Option<&'a str> {
        // Bits 8 to 12 stand for causation, workflow, task, provider and principal, in the order of the fields.
        let bit = field as usize - Field::CausationId as usize;
        (self.head[29] & (1 << bit) != 0).then(|| self.field(field))
    }

    /// The metadata pairs, in the publisher's order.
    pub(crate) fn metadata(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut start = self.field_end(Field::Payload as usize);
        self.metadata_ends.chunks_exact(8).map(move |pair| {
            let (key_end, value_end) = (u32_at(pair, 0), u32_at(pair, 4));
            let pair = (self.text_between(start, key_end), self.text_between(key_end, value_end));
            start = value_end;
            pair
        })
    }

    fn field_end(self, index: usize) -> usize {
        u32_at(self.head, ENDS + 4 * index)
    }

    fn text_between(self, start: usize, end: usize) -> &'a str {
        let bytes = self.text.get(start..end).unwrap_or_else(|| malformed());
        std::str::from_utf8(bytes).unwrap_or_else(|_| malformed())
    }
}

/// Bytes of an event's place in a batch for a control handler.
const CHECK_PLACE_BYTES: usize = 16;

/// What is known about the decision on one event of a batch.
pub(crate) struct Asked<'a> {
    pub(crate) event: View<'a>,
    pub(crate) point: u8,
    pub(crate) origin: u8,
    pub(crate) attempt: u32,
    /// When the batch was made.
    pub(crate) elapsed_ms: u64,
}

/// The batch that is being judged, and which of its events is at hand.
struct UnderWay {
    buffer: Vec<u8>,
    place: Cell<usize>,
}

thread_local! {
    static UNDER_WAY: RefCell<Option<UnderWay>> = const { RefCell::new(None) };
}

/// Judges the events of a batch for a control handler in the order of its table; `judge` is given the place of each, too.
pub(crate) fn judge_each(buffer: Vec<u8>, mut judge: impl FnMut(u32, Asked<'_>)) {
    UNDER_WAY.set(Some(UnderWay { buffer, place: Cell::new(0) }));
    UNDER_WAY.with_borrow(|under_way| {
        let Some(UnderWay { buffer, place }) = under_way else { return };
        for (number, asked) in (0..).zip(asked(buffer)) {
            place.set(number as usize);
            judge(number, asked);
        }
    });
    UNDER_WAY.set(None);
}

/// Gives `tell` the id of the event that is being judged, while a batch is.
pub(crate) fn with_id_at_hand<T>(tell: impl FnOnce(Option<&str>) -> T) -> T {
    UNDER_WAY.with_borrow(|under_way| {
        let at_hand = under_way.as_ref().and_then(|UnderWay { buffer, place }| asked(buffer).nth(place.get()));
        tell(at_hand.map(|asked| asked.event.field(Field::EventId)))
    })
}

/// The events of a batch for a control handler, in the order of its table.
fn asked(buffer: &[u8]) -> impl Iterator<Item = Asked<'_>> {
    let (count, rest) = buffer.split_first_chunk::<4>().unwrap_or_else(|| malformed());
    let table_bytes = u32_at(count, 0).checked_mul(CHECK_PLACE_BYTES).unwrap_or_else(|| malformed());
    let table = rest.get(..table_bytes).unwrap_or_else(|| malformed());
    table.chunks_exact(CHECK_PLACE_BYTES).map(|place| Asked {
        event: View::new(buffer.get(u32_at(place, 0)..).unwrap_or_else(|| malformed())),
        attempt: u32_at(place, 4) as u32,
        elapsed_ms: u32_at(place, 8) as u64,
        point: place[12],
        origin: place[13],
    })
}

/// A batch of packed events: a count, that many offsets, then the events.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    buffer: &'a [u8],
    offsets: &'a [u8],
}

impl<'a> Batch<'a> {
    pub(crate) fn new(buffer: &'a [u8]) -> Self {
        let (count, rest) = buffer.split_first_chunk::<4>().unwrap_or_else(|| malformed());
        let offset_bytes = u32_at(count, 0).checked_mul(4).unwrap_or_else(|| malformed());
        let offsets = rest.get(..offset_bytes).unwrap_or_else(|| malformed());
        Batch { buffer, offsets }
    }

    pub(crate) fn len(self) -> usize {
        self.offsets.len() / 4
    }

    /// The event at `index`, which must be below `len`.
    pub(crate) fn get(self, index: usize) -> View<'a> {
        let offset = u32_at(self.offsets, 4 * index);
        View::new(self.buffer.get(offset..).unwrap_or_else(|| malformed()))
    }
}

/// The little-endian u32 at `offset`, as a size.
fn u32_at(bytes: &[u8], offset: usize) -> usize {
    match bytes.get(offset..).and_then(<[u8]>::first_chunk::<4>) {
        Some(chunk) => u32::from_le_bytes(*chunk) as usize,
        None => malformed(),
    }
}

/// The little-endian u64 at `offset`.
fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    match bytes.get(offset..).and_then(<[u8]>::first_chunk::<8>) {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => malformed(),
    }
}

#[cold]
#[track_caller]
fn malformed() -> ! {
    panic!("the host sent a malformed packed event")
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
