//! The type index: from an event's type to the filters whose type condition it passes, without asking the others.
//! The other conditions of those few are asked by whoever holds the filters.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use super::{EventType, Filter};

/// Types remembered at most; past it the answer is found anew each time, so that a publisher of random types grows nothing.
const MAX_REMEMBERED_TYPES: usize = 4_096;

/// Which of a fixed list of filters name a type. Asking costs one look-up, whatever the number of filters.
#[derive(Debug, Default)]
pub struct TypeIndex {
    filters: Vec<Option<Vec<super::Pattern>>>,
    remembered: RwLock<HashMap<EventType, Arc<[u32]>>>,
}

impl TypeIndex {
    /// An index over these filters, which keep their places.
    pub fn new<'a>(filters: impl IntoIterator<Item = &'a Filter>) -> Self {
        let filters = filters.into_iter().map(|filter| filter.event_types.clone()).collect();
        Self { filters, remembered: RwLock::default() }
    }

    /// The places, ascending, of the filters that this type passes.
    pub fn matching(&self, event_type: &EventType) -> Arc<[u32]> {
        if let Ok(remembered) = self.remembered.read()
            && let Some(places) = remembered.get(event_type)
        {
            return places.clone();
        }
        let names = |patterns: &Option<Vec<super::Pattern>>| {
            patterns.as_ref().is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(event_type)))
        };
        let places: Arc<[u32]> = (0..).zip(&self.filters).filter(|(_, patterns)| names(patterns)).map(|(place, _)| place).collect();
        if let Ok(mut remembered) = self.remembered.write()
            && remembered.len() < MAX_REMEMBERED_TYPES
        {
            remembered.insert(event_type.clone(), places.clone());
        }
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_as_the_filters_do_and_stays_bounded() {
        let filters = [
            Filter::types(["task:*"]).unwrap(),
            Filter::default(),
            Filter::types(["*:failed", "a:b"]).unwrap(),
            Filter { event_types: Some(Vec::new()), ..Filter::default() },
        ];
        let index = TypeIndex::new(&filters);
        for number in 0..MAX_REMEMBERED_TYPES + 10 {
            let event_type = EventType::parse(&format!("task:x{number}")).unwrap();
            assert_eq!(&*index.matching(&event_type), [0, 1]);
        }
        assert_eq!(&*index.matching(&EventType::parse("task:failed").unwrap()), [0, 1, 2]);
        assert_eq!(index.remembered.read().unwrap().len(), MAX_REMEMBERED_TYPES);
    }
}
