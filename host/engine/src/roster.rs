//! The roster: which plugin versions are in service, who is asked at which decision point, who offers which method.
//! An immutable snapshot, swapped in one step; loading plugins is the plugin host's, calling them `calls`'.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use trackside_model::{
    control::DecisionPoint,
    event::{Condition, Event, EventType, Filter, Pattern, QUICK_STEPS, Sight, Text, TypeIndex},
    ports::Guest,
    workflow::{Points, Provider},
};

use crate::slot::Slot;

const WORKFLOW_POINTS: [DecisionPoint; 5] = [
    DecisionPoint::WorkflowSubmitted,
    DecisionPoint::TaskReady,
    DecisionPoint::CandidateFound,
    DecisionPoint::TaskCompleted,
    DecisionPoint::TaskFailed,
];

/// The plugins in service, by name.
#[derive(Default)]
pub(crate) struct Roster {
    slots: BTreeMap<Text, Arc<Slot>>,
    /// In the order of the chain.
    control: Vec<Arc<Slot>>,
    filters: Vec<Filter>,
    index: TypeIndex,
    point_types: Vec<(DecisionPoint, EventType)>,
}

/// Who is to be asked about an event, in the order of the chain.
#[derive(Clone, Default)]
pub(crate) struct Handlers {
    slots: Vec<Arc<Slot>>,
    /// Places among them, ascending, of those whose condition has not been asked: that may take longer than others can wait for the thread of
    /// whoever wants to know.
    undecided: Vec<(usize, Condition)>,
}

impl Handlers {
    /// Whether nobody is to be asked, whatever conditions say.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Those that are in question.
    pub(crate) fn slots(&self) -> &[Arc<Slot>] {
        &self.slots
    }

    /// Whether a condition has still to be asked.
    pub(crate) fn is_undecided(&self) -> bool {
        !self.undecided.is_empty()
    }

    /// Asks what has not been asked, until the budget is spent: after that a condition counts as one that holds, and its handler's turn says what
    /// becomes of the event. Blocks: for guest threads only.
    pub(crate) fn decided(self, event: &Event, deadline: Instant) -> Vec<Arc<Slot>> {
        let Self { slots, undecided } = self;
        if undecided.is_empty() {
            return slots;
        }
        let sight = Sight::of(event);
        let does_not_hold = |when: &Condition| Instant::now() < deadline && !when.holds_in(&sight);
        let passed_over: Vec<usize> = undecided.iter().filter(|(_, when)| does_not_hold(when)).map(|(place, _)| *place).collect();
        let all = slots.into_iter().enumerate();
        all.filter(|(place, _)| passed_over.binary_search(place).is_err()).map(|(_, slot)| slot).collect()
    }
}

impl Roster {
    /// The same, with this one in service instead of another of its name.
    pub(crate) fn with(&self, slot: Arc<Slot>) -> Self {
        let mut slots = self.slots.clone();
        slots.insert(slot.info().name.clone(), slot);
        Self::of(slots)
    }

    /// The same without one.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut slots = self.slots.clone();
        slots.remove(name);
        Self::of(slots)
    }

    fn of(slots: BTreeMap<Text, Arc<Slot>>) -> Self {
        let mut control: Vec<Arc<Slot>> = slots.values().filter(|slot| slot.info().roles.control).cloned().collect();
        control.sort_by(|one, other| (one.info().priority, &one.info().name).cmp(&(other.info().priority, &other.info().name)));
        let filters: Vec<Filter> = control.iter().map(|slot| at_points(slot.info().controls.clone())).collect();
        let index = TypeIndex::new(&filters);
        let point_types = WORKFLOW_POINTS.iter().filter_map(|&point| Some((point, EventType::trusted(point.event_type()?)))).collect();
        Self { slots, control, filters, index, point_types }
    }

    /// A plugin by name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Slot>> {
        self.slots.get(name)
    }

    /// All, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.slots.values()
    }

    /// The handlers to be asked about this event. At a workflow's point the event has the point's type. Few steps are spent on conditions here.
    pub(crate) fn handlers(&self, event: &Event) -> Handlers {
        let (sight, mut left) = (Sight::of(event), QUICK_STEPS);
        let mut handlers = Handlers::default();
        for place in self.index.matching(&event.event_type).iter().map(|&place| place as usize) {
            let filter = &self.filters[place];
            if !filter.matches_envelope(event) {
                continue;
            }
            if let Some(when) = &filter.when {
                match when.holds_within(&sight, &mut left) {
                    Some(true) => {}
                    Some(false) => continue,
                    None => handlers.undecided.push((handlers.slots.len(), when.clone())),
                }
            }
            handlers.slots.push(self.control[place].clone());
        }
        handlers
    }

    /// The workflow's points at which somebody may want to be asked.
    pub(crate) fn points(&self) -> Points {
        let asked = |event_type: &EventType| !self.index.matching(event_type).is_empty();
        Points::of(self.point_types.iter().filter(|(_, event_type)| asked(event_type)).map(|(point, _)| *point))
    }

    /// The workers, as the assignment sees them.
    pub(crate) fn providers(&self) -> Vec<Provider> {
        let workers = self.slots.values().filter(|slot| slot.info().roles.worker);
        workers
            .map(|slot| {
                let info = slot.info();
                Provider {
                    provider_id: info.name.clone(),
                    version: info.short_version(),
                    methods: info.methods.iter().map(|method| method.name.clone()).collect(),
                    capacity: info.workers,
                    effect_class: info.effect_class,
                    timeout_ms: info.limits.timeout_ms,
                    allowed: slot.may_be_called(),
                }
            })
            .collect()
    }

    /// Every method that is offered.
    pub(crate) fn methods(&self) -> Vec<Text> {
        self.slots.values().flat_map(|slot| slot.info().methods.iter().map(|method| method.name.clone())).collect()
    }
}

/// In a control handler's filter `task:started` (HexAI's `NodeStarted`) means the point before it, where something can still be decided.
fn at_points(mut filter: Filter) -> Filter {
    if let Some(patterns) = &mut filter.event_types
        && patterns.iter().any(|pattern| pattern.as_str() == "task:started")
        && let Ok(ready) = Pattern::parse("task:ready")
    {
        patterns.push(ready);
    }
    filter
}

/// A plugin version that has just come into service.
pub(crate) fn slot_of(guest: Arc<dyn Guest>) -> Arc<Slot> {
    Arc::new(Slot::new(guest))
}
