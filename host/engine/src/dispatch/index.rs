//! From an event to the seats that may want it, without asking the others: each stands under the narrowest condition of its filter.
//! Whether a seat does want it is its filter's to say.

use std::collections::HashMap;

use trackside_model::event::{Event, Filter, Pattern};

/// Which of many filters may want an event.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_workflow: HashMap<String, Vec<u64>>,
    by_correlation: HashMap<String, Vec<u64>>,
    by_type: HashMap<String, Vec<u64>>,
    /// By the first segment of a pattern.
    by_component: HashMap<String, Vec<u64>>,
    /// Whose conditions name none of these.
    others: Vec<u64>,
}

/// Under what a filter stands.
enum Place<'a> {
    Workflow(&'a str),
    Correlation(&'a str),
    Type(&'a str),
    Component(&'a str),
    Other,
}

impl Index {
    /// Adds a filter under its number.
    pub(super) fn add(&mut self, number: u64, filter: &Filter) {
        for place in places(filter) {
            let at = self.at(&place);
            // Two patterns of one filter may stand at one place.
            if at.last() != Some(&number) {
                at.push(number);
            }
        }
    }

    /// Takes it out.
    pub(super) fn remove(&mut self, number: u64, filter: &Filter) {
        for place in places(filter) {
            let at = self.at(&place);
            at.retain(|other| *other != number);
            if at.is_empty() {
                match place {
                    Place::Workflow(id) => drop(self.by_workflow.remove(id)),
                    Place::Correlation(id) => drop(self.by_correlation.remove(id)),
                    Place::Type(name) => drop(self.by_type.remove(name)),
                    Place::Component(name) => drop(self.by_component.remove(name)),
                    Place::Other => {}
                }
            }
        }
    }

    /// The numbers of the filters that may want the event, each once.
    pub(super) fn candidates(&self, event: &Event, found: &mut Vec<u64>) {
        found.clear();
        found.extend(&self.others);
        let named = [
            self.by_type.get(event.event_type.as_str()),
            self.by_component.get(event.event_type.component()),
            self.by_correlation.get(&*event.correlation_id),
            event.workflow_id.as_deref().and_then(|id| self.by_workflow.get(id)),
        ];
        named.into_iter().flatten().for_each(|numbers| found.extend(numbers));
        found.sort_unstable();
        found.dedup();
    }

    fn at(&mut self, place: &Place<'_>) -> &mut Vec<u64> {
        match place {
            Place::Workflow(id) => self.by_workflow.entry((*id).to_owned()).or_default(),
            Place::Correlation(id) => self.by_correlation.entry((*id).to_owned()).or_default(),
            Place::Type(name) => self.by_type.entry((*name).to_owned()).or_default(),
            Place::Component(name) => self.by_component.entry((*name).to_owned()).or_default(),
            Place::Other => &mut self.others,
        }
    }
}

fn places(filter: &Filter) -> Vec<Place<'_>> {
    if let Some(ids) = &filter.workflow_ids {
        return ids.iter().map(|id| Place::Workflow(id)).collect();
    }
    if let Some(ids) = &filter.correlation_ids {
        return ids.iter().map(|id| Place::Correlation(id)).collect();
    }
    let Some(patterns) = &filter.event_types else { return vec![Place::Other] };
    patterns.iter().map(of_pattern).collect()
}

fn of_pattern(pattern: &Pattern) -> Place<'_> {
    if let Some(name) = pattern.exact() {
        return Place::Type(name);
    }
    match pattern.as_str().split_once(':') {
        Some((first, _)) if first != "*" => Place::Component(first),
        _ => Place::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(event_type: &str, workflow: Option<&str>, correlation: &str) -> Event {
        let mut event = serde_json::json!({"event_id": "0198f2b4-0000-7000-8000-000000000001", "event_type": event_type,
            "timestamp": "2026-01-31T10:30:00Z", "recorded_at": "2026-01-31T10:30:00Z", "sequence_number": 1, "source_component": "s",
            "correlation_id": correlation, "severity": "info", "payload": {}});
        if let Some(workflow) = workflow {
            event["workflow_id"] = workflow.into();
        }
        serde_json::from_value(event).unwrap()
    }

    /// Every filter that matches is among the candidates, whatever else is.
    #[test]
    fn nobody_who_wants_an_event_is_passed_over() {
        let of = |value: serde_json::Value| serde_json::from_value::<Filter>(value).unwrap();
        let filters = [
            Filter::default(),
            of(serde_json::json!({"event_types": ["task:*", "task:ready", "*:failed"]})),
            of(serde_json::json!({"event_types": ["task:**"], "workflow_ids": ["w1", "w2"]})),
            of(serde_json::json!({"correlation_ids": ["c1"]})),
            of(serde_json::json!({"event_types": []})),
            of(serde_json::json!({"event_types": ["order:placed"], "min_severity": "error"})),
            of(serde_json::json!({"event_types": ["order:placed", "order:paid"]})),
            of(serde_json::json!({"event_types": ["**"], "source_components": ["s"]})),
        ];
        let mut index = Index::default();
        (0..).zip(&filters).for_each(|(number, filter)| index.add(number, filter));
        let mut found = Vec::new();
        let events = [
            event("task:ready", Some("w1"), "c1"),
            event("task:failed", None, "c2"),
            event("order:placed", Some("w2"), "c1"),
            event("order:paid", None, "c"),
            event("a:b:c", Some("w3"), "c"),
        ];
        for event in &events {
            index.candidates(event, &mut found);
            assert!(found.is_sorted_by(|one, other| one < other), "{found:?}");
            for (number, filter) in (0..).zip(&filters) {
                assert!(!filter.matches(event) || found.contains(&number), "{number} wants {}", event.event_type);
            }
        }
        index.candidates(&event("order:paid", None, "c"), &mut found);
        assert_eq!(found, [0, 1, 6, 7], "who stands elsewhere is not asked; a pattern without a first segment stands nowhere");
        (0..).zip(&filters).for_each(|(number, filter)| index.remove(number, filter));
        index.candidates(&events[0], &mut found);
        assert!(found.is_empty() && index.by_type.is_empty() && index.by_workflow.is_empty() && index.by_component.is_empty());
    }
}
