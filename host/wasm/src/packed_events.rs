//! Owns the packed form of events that many observers are handed: made once for all of them, and not once for each.
//! Leaves the layout to the model.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use trackside_model::{event::Event, packed};

/// Events whose packed form is kept: as many as observers may lag behind each other and still share it.
const PLACES: usize = 4_096;
/// Bytes of the largest packed form that is kept; making a larger one anew costs little beside handing it over.
const MOST_BYTES: usize = 4 << 10;

/// The packed forms of the newest events, each at the place that its sequence gives it.
pub(crate) struct PackedEvents(Box<[Mutex<Place>]>);

/// As long as the weak reference lives, no other event can have its address: it says for certain whose form this is.
type Place = Option<(Weak<Event>, Box<[u8]>)>;

impl Default for PackedEvents {
    fn default() -> Self {
        Self((0..PLACES).map(|_| Mutex::default()).collect())
    }
}

impl PackedEvents {
    /// A batch for an observer.
    pub(crate) fn batch(&self, events: &[Arc<Event>]) -> Vec<u8> {
        packed::batch_of(events.len(), |index, buffer| self.append(&events[index], buffer))
    }

    fn append(&self, event: &Arc<Event>, buffer: &mut Vec<u8>) {
        let place = usize::try_from(event.sequence_number).unwrap_or_default() % PLACES;
        let mut place = self.0[place].lock();
        if let Some((of, packed)) = &*place
            && std::ptr::eq(of.as_ptr(), Arc::as_ptr(event))
        {
            buffer.extend(packed);
            return;
        }
        let start = buffer.len();
        packed::push(buffer, event, None);
        let made = &buffer[start..];
        if made.len() <= MOST_BYTES {
            *place = Some((Arc::downgrade(event), made.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use trackside_model::{event::Incoming, json::Json, time::Timestamp};
    use uuid::Uuid;

    use super::*;

    fn event(sequence: u64, payload: &str) -> Arc<Event> {
        let incoming = Incoming {
            event_type: "order:placed".to_owned(),
            source_component: "shop".to_owned(),
            payload: Some(Json::trusted(payload)),
            ..Incoming::default()
        };
        let draft = incoming.into_draft(Timestamp(1), Uuid::from_u128(u128::from(sequence)), &Default::default()).unwrap();
        Arc::new(draft.into_event(sequence, Timestamp(2)))
    }

    #[test]
    fn a_batch_is_the_same_kept_and_made_anew() {
        let kept = PackedEvents::default();
        let large = format!("\"{}\"", "x".repeat(MOST_BYTES));
        // Two that share a place, one that is not kept, and one of the same sequence that is another event.
        let events = [event(1, "1"), event(1 + PLACES as u64, "22"), event(2, &large), event(1, "333")];
        for _ in 0..3 {
            for some in [&events[..], &events[..1], &events[1..3], &events[3..], &[]] {
                assert_eq!(kept.batch(some), packed::batch(some.iter().map(|event| &**event)));
            }
        }
    }

    #[test]
    fn a_place_belongs_to_an_event_and_not_to_an_address() {
        let kept = PackedEvents::default();
        for number in 0..1_000 {
            // Freed and made again, the next one may lie where the last one lay.
            let event = event(7, &number.to_string());
            assert_eq!(kept.batch(std::slice::from_ref(&event)), packed::batch([&*event].into_iter()));
        }
    }
}
