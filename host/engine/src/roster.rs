//! The roster: which plugin versions are in service, who is asked at which decision point, who offers which method.
//! An immutable snapshot, swapped in one step; loading plugins is the plugin host's, calling them `calls`'.

use std::{collections::BTreeMap, sync::Arc};

use trackside_model::{
    control::DecisionPoint,
    event::{Event, EventType, Filter, Pattern, Text, TypeIndex},
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

    /// The handlers to be asked about this event, in order. At a workflow's point the event has the point's type.
    pub(crate) fn handlers(&self, event: &Event) -> Vec<Arc<Slot>> {
        let matching = self.index.matching(&event.event_type);
        let matching = matching.iter().map(|&place| place as usize);
        matching.filter(|&place| self.filters[place].matches_rest(event)).map(|place| self.control[place].clone()).collect()
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
