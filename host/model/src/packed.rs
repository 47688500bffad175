//! The packed form of events and of batches of them (`wit/trackside-packed`): one buffer that a whole chain shares.
//! The layout is written down in the WIT; the SDK holds the reading half, and a differential test holds the two together.

use crate::{control::CheckContext, event::Event};

const HEADER_BYTES: usize = 76;
/// Bytes of a batch's count.
const COUNT_BYTES: usize = 4;
/// Bytes of an event's place in the table of a batch for a control handler.
const CHECK_PLACE_BYTES: usize = 16;

/// One event.
pub fn event(event: &Event, principal: Option<&str>) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(HEADER_BYTES + 160 + event.payload.as_str().len());
    push(&mut buffer, event, principal);
    buffer
}

/// A batch for an observer: a count, the offset of each event, the events.
pub fn batch<'a>(events: impl ExactSizeIterator<Item = &'a Event>) -> Vec<u8> {
    let count = events.len();
    let mut buffer = Vec::with_capacity(COUNT_BYTES + count * 512);
    buffer.extend(as_u32(count).to_le_bytes());
    buffer.resize(COUNT_BYTES + 4 * count, 0);
    for (index, event) in events.enumerate() {
        let offset = as_u32(buffer.len());
        buffer[COUNT_BYTES + 4 * index..][..4].copy_from_slice(&offset.to_le_bytes());
        push(&mut buffer, event, None);
        buffer.resize(buffer.len().next_multiple_of(4), 0);
    }
    buffer
}

/// A batch for a control handler: a count, the place of each event with what is known about its decision, the events, packed before.
pub fn checks<'a>(asked: impl ExactSizeIterator<Item = (&'a [u8], &'a CheckContext)> + Clone) -> Vec<u8> {
    let bodies_at = COUNT_BYTES + CHECK_PLACE_BYTES * asked.len();
    let bodies: usize = asked.clone().map(|(event, _)| event.len().next_multiple_of(4)).sum();
    let mut buffer = Vec::with_capacity(bodies_at + bodies);
    buffer.extend(as_u32(asked.len()).to_le_bytes());
    let mut offset = bodies_at;
    for (event, context) in asked.clone() {
        buffer.extend(as_u32(offset).to_le_bytes());
        buffer.extend(context.attempt.to_le_bytes());
        buffer.extend(u32::try_from(context.elapsed_ms).unwrap_or(u32::MAX).to_le_bytes());
        buffer.extend([context.point.ordinal(), context.origin.ordinal(), 0, 0]);
        offset += event.len().next_multiple_of(4);
    }
    for (event, _) in asked {
        buffer.extend(event);
        buffer.resize(buffer.len().next_multiple_of(4), 0);
    }
    buffer
}

/// Bytes of such a batch besides its events', padding included.
pub fn checks_table_bytes(count: usize) -> u64 {
    (COUNT_BYTES + (CHECK_PLACE_BYTES + 3) * count) as u64
}

fn as_u32(number: usize) -> u32 {
    u32::try_from(number).expect("the argument limit keeps buffers below 4 GiB")
}

/// Appends one event.
fn push(buffer: &mut Vec<u8>, event: &Event, principal: Option<&str>) {
    let start = buffer.len();
    let id = event.event_id.hyphenated();
    let mut id_text = uuid::Uuid::encode_buffer();
    let optional =
        [event.causation_id.as_deref(), event.workflow_id.as_deref(), event.task_id.as_deref(), event.provider_id.as_deref(), principal];
    let mut flags = event.severity as u32;
    for (bit, field) in (8..).zip(optional) {
        flags |= u32::from(field.is_some()) << bit;
    }
    buffer.extend(event.sequence_number.to_le_bytes());
    buffer.extend(event.timestamp.0.to_le_bytes());
    buffer.extend(event.recorded_at.0.to_le_bytes());
    buffer.extend(event.part.to_le_bytes());
    buffer.extend(flags.to_le_bytes());
    buffer.extend(as_u32(event.metadata.len()).to_le_bytes());
    let strings_at = start + HEADER_BYTES + 8 * event.metadata.len();
    buffer.resize(strings_at, 0);
    let fixed = [&*id.encode_lower(&mut id_text), &event.event_type, &event.source_component, &event.correlation_id];
    let strings = fixed
        .into_iter()
        .chain(optional.into_iter().map(Option::unwrap_or_default))
        .chain([event.payload.as_str()])
        .chain(event.metadata.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]));
    for (index, text) in strings.enumerate() {
        buffer.extend(text.as_bytes());
        let end = as_u32(buffer.len() - strings_at);
        let at = start + 36 + 4 * index;
        buffer[at..at + 4].copy_from_slice(&end.to_le_bytes());
    }
}
