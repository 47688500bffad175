//! The tree of a correlation: which event followed from which, when, and how long all that followed from it took.
//! Reading the events is the edges', showing the tree too.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;
use trackside_model::event::Event;

/// An event at its place in the tree.
#[derive(Clone, Debug, Serialize)]
pub struct Traced {
    /// The event.
    pub event: Event,
    /// How many events stand above it; 0: what it follows from is not among them.
    pub depth: usize,
    /// Milliseconds from the first event's timestamp to its own.
    pub offset_ms: f64,
    /// Milliseconds from its timestamp to that of the last event that followed from it; 0 if none did.
    pub took_ms: f64,
    /// What control handlers decided about it: a decision record for each point.
    pub decisions: Value,
    /// Whether it is the last of those that follow from the same one.
    #[serde(skip)]
    pub is_last: bool,
}

/// Puts events in the order of their tree, causes before effects, each with what followed from it behind it.
pub fn tree(events: Vec<(Event, Value)>) -> Vec<Traced> {
    let places: HashMap<String, usize> = events.iter().enumerate().map(|(place, (event, _))| (event.event_id.to_string(), place)).collect();
    let mut effects: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
    let mut roots = Vec::new();
    for (place, (event, _)) in events.iter().enumerate() {
        let cause = event.causation_id.as_deref().and_then(|cause| places.get(cause)).copied();
        // A cause stands before its effect in the log: whatever claims otherwise is no effect of it.
        match cause.filter(|cause| *cause < place) {
            Some(cause) => effects[cause].push(place),
            None => roots.push(place),
        }
    }
    let begun = events.iter().map(|(event, _)| event.timestamp.0).min().unwrap_or_default();
    let mut last: Vec<u64> = events.iter().map(|(event, _)| event.timestamp.0).collect();
    for place in (0..events.len()).rev() {
        last[place] = effects[place].iter().map(|effect| last[*effect]).fold(last[place], u64::max);
    }
    let mut waiting: Vec<(usize, usize, bool)> = with_last(&roots).map(|(root, is_last)| (root, 0, is_last)).collect();
    let mut order = Vec::with_capacity(events.len());
    while let Some((place, depth, is_last)) = waiting.pop() {
        order.push((place, depth, is_last));
        waiting.extend(with_last(&effects[place]).map(|(effect, is_last)| (effect, depth + 1, is_last)));
    }
    let mut events: Vec<Option<(Event, Value)>> = events.into_iter().map(Some).collect();
    let ms = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e6;
    let traced = order.into_iter().filter_map(|(place, depth, is_last)| {
        let (event, decisions) = events[place].take()?;
        let (offset_ms, took_ms) = (ms(begun, event.timestamp.0), ms(event.timestamp.0, last[place]));
        Some(Traced { event, depth, offset_ms, took_ms, decisions, is_last })
    });
    traced.collect()
}

/// From the last one on, which is marked: what waits is taken from its end.
fn with_last(places: &[usize]) -> impl Iterator<Item = (usize, bool)> {
    let marks = std::iter::once(true).chain(std::iter::repeat(false));
    places.iter().rev().copied().zip(marks)
}

#[cfg(test)]
mod tests {
    use trackside_model::{event::Incoming, time::Timestamp};
    use uuid::Uuid;

    use super::*;

    fn event(number: u128, cause: Option<u128>, at_ms: u64) -> (Event, Value) {
        let incoming = Incoming {
            event_type: "a:b".to_owned(),
            source_component: "test".to_owned(),
            correlation_id: Some("c".to_owned()),
            causation_id: cause.map(|cause| Uuid::from_u128(cause).to_string()),
            timestamp: Some(Timestamp(at_ms * 1_000_000)),
            ..Incoming::default()
        };
        let draft = incoming.into_draft(Timestamp(1), Uuid::from_u128(number), &Default::default()).unwrap();
        (draft.into_event(u64::try_from(number).unwrap(), Timestamp(at_ms * 1_000_000)), Value::Null)
    }

    fn shown(events: Vec<(Event, Value)>) -> Vec<String> {
        let line = |traced: Traced| {
            let end = if traced.is_last { "." } else { "" };
            format!("{}{} +{} {}{end}", "-".repeat(traced.depth), traced.event.sequence_number, traced.offset_ms, traced.took_ms)
        };
        tree(events).into_iter().map(line).collect()
    }

    #[test]
    fn effects_stand_behind_their_causes() {
        let events = vec![event(1, None, 10), event(2, Some(1), 12), event(3, Some(1), 15), event(4, Some(2), 20), event(5, None, 11)];
        assert_eq!(shown(events), ["1 +0 10", "-2 +2 8", "--4 +10 0.", "-3 +5 0.", "5 +1 0."]);
    }

    #[test]
    fn what_claims_to_follow_from_itself_or_from_later_stands_alone() {
        assert_eq!(shown(vec![event(1, Some(1), 0), event(2, Some(3), 0), event(3, Some(99), 0)]), ["1 +0 0", "2 +0 0", "3 +0 0."]);
        assert!(shown(Vec::new()).is_empty());
    }

    #[test]
    fn a_long_chain_is_no_matter() {
        let events: Vec<_> = (1..=20_000).map(|number| event(number, Some(number - 1).filter(|cause| *cause > 0), 0)).collect();
        assert_eq!(tree(events).last().map(|traced| traced.depth), Some(19_999));
    }
}
