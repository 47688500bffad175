//! What was said and must be so: every event that the log has shown, every answer that was given. Held against the log after each restart.

use std::collections::{BTreeMap, BTreeSet};

use trackside_model::{
    event::{Event, Position},
    keeping::{Gap, TRIMMED, TrimmedEvents},
};
use trackside_store::{Store, log_path, verify};
use uuid::Uuid;

use crate::guests::{COUNTED, is_hopeless, number};

/// An event as the log has shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) event_id: Uuid,
    pub(crate) event_type: String,
    pub(crate) source: String,
    pub(crate) number: i64,
    pub(crate) hopeless: bool,
}

impl Shown {
    fn of(event: &Event) -> Self {
        Self {
            event_id: event.event_id,
            event_type: event.event_type.to_string(),
            source: event.source_component.to_string(),
            number: number(event),
            hopeless: is_hopeless(event),
        }
    }

    pub(crate) fn is_counted(&self) -> bool {
        COUNTED.iter().any(|pattern| self.event_type.starts_with(pattern.trim_end_matches('*')))
    }

    pub(crate) fn is_order_or_row(&self) -> bool {
        self.event_type.starts_with("order:") || self.event_type.starts_with("row:")
    }
}

/// The books of one disk.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// All that the log has ever shown after a restart, what was trimmed since included.
    pub(crate) shown: BTreeMap<u64, Shown>,
    /// What publishers were told.
    pub(crate) acknowledged: BTreeMap<u64, Uuid>,
    /// What the durable reader's client was told to be settled.
    pub(crate) settled: BTreeSet<Position>,
    /// What it has acknowledged and not been answered.
    pub(crate) perhaps_settled: BTreeSet<Position>,
}

impl Books {
    /// Holds the books against a log that has just been opened, before anybody writes to it.
    pub(crate) fn compare(&mut self, store: &Store, data_dir: &std::path::Path) {
        let head = store.durable_head();
        let trimmed = store.trimmed(0, head, usize::MAX >> 1).unwrap();
        let is_trimmed = |sequence: u64| trimmed.iter().any(|gap| gap.from <= sequence && sequence <= gap.to);
        let there = read(store);
        for (sequence, event) in &there {
            let now = Shown::of(event);
            let before = self.shown.entry(*sequence).or_insert_with(|| now.clone());
            assert_eq!(*before, now, "event {sequence} is another than it was");
        }
        for (sequence, shown) in &self.shown {
            assert!(there.contains_key(sequence) || is_trimmed(*sequence), "event {sequence} was in the log: {shown:?}");
            assert!(!is_trimmed(*sequence) || shown.event_type == "noise:made", "event {sequence} was not to be trimmed: {shown:?}");
        }
        for (sequence, event_id) in &self.acknowledged {
            match self.shown.get(sequence) {
                Some(shown) => assert_eq!(shown.event_id, *event_id, "event {sequence} was acknowledged as another one"),
                None => assert!(is_trimmed(*sequence), "event {sequence} ({event_id}) was acknowledged, and the log ends with {head}"),
            }
        }
        self.nothing_twice();
        told_of_every_gap(&there, &trimmed);
        self.spaces_are_what_follows(store);
        verify(&log_path(data_dir), |_, _| ()).unwrap();
    }

    /// Each client numbers what it sends.
    fn nothing_twice(&self) {
        let mut seen = BTreeMap::new();
        for (sequence, shown) in self.shown.iter().filter(|(_, shown)| shown.number > 0) {
            if let Some(other) = seen.insert((&shown.source, &shown.event_type, shown.number), sequence) {
                panic!("event {other} is in the log again as {sequence}: {shown:?}");
            }
        }
        let ids: BTreeSet<Uuid> = self.shown.values().map(|shown| shown.event_id).collect();
        assert_eq!(ids.len(), self.shown.len(), "an id is there twice");
    }

    /// Each observer's numbers are those of the events up to its cursor.
    fn spaces_are_what_follows(&self, store: &Store) {
        let cursor = |name: &str| store.cursor(name).unwrap().unwrap_or_default().sequence;
        let stored = |plugin: &str, key: &str| -> i64 {
            let value = store.kv_get(plugin, key).unwrap().value;
            value.map_or(0, |value| String::from_utf8(value).unwrap().parse().unwrap())
        };
        let behind = cursor("observer/ledger");
        let counted: Vec<&Shown> = self.shown.range(..=behind).map(|(_, shown)| shown).filter(|shown| shown.is_counted()).collect();
        let sum: i64 = counted.iter().map(|shown| shown.number).sum();
        assert_eq!(stored("ledger", "count"), counted.len() as i64, "events that the ledger has counted up to {behind}");
        assert_eq!(stored("ledger", "sum"), sum, "the sum of the ledger up to {behind}");
        let behind = cursor("observer/neighbour");
        let counted = self.shown.range(..=behind).filter(|(_, shown)| shown.is_counted()).count();
        assert_eq!(stored("neighbour", "seen"), counted as i64, "events that the component has counted up to {behind}");
        let behind = cursor("observer/grumbler");
        let taken = self.shown.range(..=behind).filter(|(_, shown)| shown.is_order_or_row() && !shown.hopeless).count();
        assert_eq!(stored("grumbler", "count"), taken as i64, "events that the grumbler has counted up to {behind}");
    }
}

/// All events of a log.
pub(crate) fn read(store: &Store) -> BTreeMap<u64, std::sync::Arc<Event>> {
    let mut there = BTreeMap::new();
    loop {
        let after = there.last_key_value().map_or(0, |(sequence, _)| *sequence);
        let page = store.read(after, 1_000, 4 << 20).unwrap();
        if page.is_empty() {
            return there;
        }
        there.extend(page.into_iter().map(|event| (event.sequence_number, event)));
    }
}

/// What is gone is what the log says is gone.
fn told_of_every_gap(there: &BTreeMap<u64, std::sync::Arc<Event>>, trimmed: &[Gap]) {
    let mut told = BTreeSet::new();
    for event in there.values().filter(|event| &*event.event_type == TRIMMED) {
        let payload: TrimmedEvents = serde_json::from_str(event.payload.as_str()).unwrap();
        for gap in payload.ranges {
            assert!((gap.from..=gap.to).all(|sequence| told.insert(sequence)), "told twice to be trimmed: {gap:?}");
        }
    }
    let noted: BTreeSet<u64> = trimmed.iter().flat_map(|gap| gap.from..=gap.to).collect();
    assert_eq!(noted, told, "what is noted as trimmed, and what the log tells of it");
}
