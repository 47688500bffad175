//! Stretches of the log, read once for all observers that stand at the same place, and the batches made of them: one for all that want the
//! same of a stretch. What becomes of a batch is the reading's.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, OnceLock},
};

use parking_lot::Mutex;
use trackside_model::{
    event::{Event, Filter, Position, Text},
    ports::EventBatch,
};
use trackside_store::{ReadError, Store};

use crate::slot::Slot;

/// Bytes of events in a stretch at most, before their narration is expanded.
const BYTES: usize = 1 << 20;
/// Stretches that are kept for whoever comes next: as far as observers may lag behind each other and still share.
const KEPT: usize = 8;

/// The stretches that were read last.
#[derive(Debug, Default)]
pub(crate) struct Stretches(Mutex<VecDeque<Arc<Stretch>>>);

/// Events behind one place of the log, without gaps.
#[derive(Debug)]
pub(super) struct Stretch {
    after: u64,
    events: Vec<Arc<Event>>,
    /// Of all of them.
    whole: OnceLock<Arc<EventBatch>>,
    /// Who published them.
    sources: OnceLock<HashSet<Text>>,
    /// Of some of them, by their places.
    batches: Mutex<Vec<(Vec<usize>, Arc<EventBatch>)>>,
}

/// What an observer is handed of a stretch.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) batch: Arc<EventBatch>,
    /// How far it has come with it: behind what it does not want, too.
    pub(crate) through: Position,
}

impl Stretches {
    /// What lies behind `after`, at most so many events; `None`: nothing yet. One that another observer read may have fewer than there are by now,
    /// which costs the next look and no more.
    pub(super) fn read(&self, store: &Store, after: u64, most: usize) -> Result<Option<Arc<Stretch>>, ReadError> {
        if store.durable_head() <= after {
            return Ok(None);
        }
        if let Some(kept) = self.0.lock().iter().rev().find(|stretch| stretch.after == after) {
            return Ok(Some(kept.clone()));
        }
        let events = store.read(after, most, BYTES)?;
        if events.is_empty() {
            return Ok(None);
        }
        let stretch = Arc::new(Stretch::new(after, events));
        let mut kept = self.0.lock();
        kept.push_back(stretch.clone());
        // Freed after the lock: that takes longer than anybody should wait.
        let passed = if kept.len() > KEPT { kept.pop_front() } else { None };
        drop(kept);
        drop(passed);
        Ok(Some(stretch))
    }
}

impl Stretch {
    fn new(after: u64, events: Vec<Arc<Event>>) -> Self {
        Self { after, events, whole: OnceLock::new(), sources: OnceLock::new(), batches: Mutex::default() }
    }

    /// How many events it has.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The sequence of its last event.
    pub(super) fn last(&self) -> u64 {
        self.events.last().map_or(self.after, |event| event.sequence_number)
    }

    /// The events that a filter asks for, narration too if it names that.
    pub(crate) fn all(&self, filter: &Filter) -> Vec<Arc<Event>> {
        let (narrated, mut wanted) = (filter.names_narration(), Vec::new());
        for event in &self.events {
            if narrated && event.narration.parts() > 0 {
                wanted.extend(event.expand().filter(|event| filter.matches(event)).map(Arc::new));
            } else if filter.matches(event) {
                wanted.push(event.clone());
            }
        }
        wanted
    }

    /// The events, and the narration, that an observer's filter asks for, at most this many, and of no more bytes than its operator lets a call
    /// carry, but one at least; `None`: none of them. Never its own publishes, unless it names itself.
    pub(crate) fn wanted(&self, slot: &Slot, most: usize) -> Option<Wanted> {
        let filter = &slot.info().observes;
        let names_itself =
            filter.source_components.as_ref().is_some_and(|sources| sources.iter().any(|source| **source == *slot.info().name));
        let most_bytes = slot.info().limits.argument_bytes;
        if filter.is_every_fact()
            && self.events.len() <= most
            && self.whole().text_bytes() <= most_bytes
            && !self.sources().contains(&*slot.info().name)
        {
            return Some(Wanted { batch: self.whole().clone(), through: Position::end_of(self.last()) });
        }
        let own = |event: &Event| !names_itself && *event.source_component == *slot.info().name;
        if filter.names_narration() {
            return self.narrated(filter, most, most_bytes, own);
        }
        let wanted = self.events.iter().enumerate().filter(|(_, event)| !own(event) && filter.matches(event)).map(|(place, _)| place);
        let (mut places, mut bytes, mut through) = (Vec::<usize>::new(), 0, Position::end_of(self.last()));
        for place in wanted {
            bytes += self.events[place].text_bytes();
            match places.last() {
                Some(last) if places.len() >= most || bytes > most_bytes => {
                    through = self.events[*last].position();
                    break;
                }
                _ => places.push(place),
            }
        }
        Some(Wanted { batch: self.batch(places)?, through })
    }

    /// The same of an observer that asks for narration. A fact is taken whole, narration and all, so that a cursor is always behind a fact.
    fn narrated(&self, filter: &Filter, most: usize, most_bytes: u64, own: impl Fn(&Event) -> bool) -> Option<Wanted> {
        let mut wanted: Vec<Arc<Event>> = Vec::new();
        let (mut bytes, mut through) = (0, Position::end_of(self.last()));
        for event in self.events.iter().filter(|event| !own(event)) {
            let asked_for: Vec<Arc<Event>> = if event.narration.parts() > 0 {
                event.expand().filter(|event| filter.matches(event)).map(Arc::new).collect()
            } else {
                filter.matches(event).then(|| event.clone()).into_iter().collect()
            };
            bytes += asked_for.iter().map(|event| event.text_bytes()).sum::<u64>();
            if !wanted.is_empty() && !asked_for.is_empty() && (wanted.len() + asked_for.len() > most || bytes > most_bytes) {
                through = Position::end_of(event.sequence_number - 1);
                break;
            }
            wanted.extend(asked_for);
        }
        if wanted.is_empty() {
            return None;
        }
        Some(Wanted { batch: Arc::new(EventBatch::new(wanted)), through })
    }

    fn sources(&self) -> &HashSet<Text> {
        self.sources.get_or_init(|| self.events.iter().map(|event| event.source_component.clone()).collect())
    }

    fn whole(&self) -> &Arc<EventBatch> {
        self.whole.get_or_init(|| Arc::new(EventBatch::new(self.events.clone())))
    }

    fn batch(&self, places: Vec<usize>) -> Option<Arc<EventBatch>> {
        if places.is_empty() {
            return None;
        }
        if places.len() == self.events.len() {
            return Some(self.whole().clone());
        }
        let mut batches = self.batches.lock();
        if let Some((_, batch)) = batches.iter().find(|(as_before, _)| *as_before == places) {
            return Some(batch.clone());
        }
        let batch = Arc::new(EventBatch::new(places.iter().map(|&place| self.events[place].clone()).collect()));
        batches.push((places, batch.clone()));
        Some(batch)
    }
}
