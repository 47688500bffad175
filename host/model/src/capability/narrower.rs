//! Whether one filter, or pattern, wants nothing that another does not want. Where that cannot be told, the answer is no.

use crate::event::{Filter, Pattern};

/// Whether every event that passes `filter` passes `other` too.
pub(super) fn narrower(filter: &Filter, other: &Filter) -> bool {
    types(filter, other)
        && other.min_severity.is_none_or(|least| filter.min_severity.is_some_and(|severity| severity >= least))
        && list(filter.source_components.as_deref(), other.source_components.as_deref())
        && list(filter.correlation_ids.as_deref(), other.correlation_ids.as_deref())
        && list(filter.workflow_ids.as_deref(), other.workflow_ids.as_deref())
        && list(filter.task_ids.as_deref(), other.task_ids.as_deref())
        && list(filter.provider_ids.as_deref(), other.provider_ids.as_deref())
        && (other.when.is_none() || filter.when == other.when)
}

fn types(filter: &Filter, other: &Filter) -> bool {
    match (&filter.event_types, &other.event_types) {
        (None, None) => true,
        // Every fact, but no narration: that is had only by naming it.
        (Some(_), None) => !filter.names_narration(),
        (None, Some(wide)) => wide.iter().any(|pattern| pattern.as_str() == "**"),
        (Some(patterns), Some(wide)) => patterns.iter().all(|pattern| covered(pattern, wide)),
    }
}

fn list(list: Option<&[String]>, other: Option<&[String]>) -> bool {
    match (list, other) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(list), Some(other)) => list.iter().all(|item| other.contains(item)),
    }
}

/// Whether one of these patterns names every type that this one names.
pub(super) fn covered(pattern: &Pattern, wide: &[Pattern]) -> bool {
    wide.iter().any(|wide| covers(wide.as_str(), pattern.as_str()))
}

fn covers(wide: &str, pattern: &str) -> bool {
    if wide == "**" {
        return true;
    }
    let mut segments = pattern.split(':');
    for wide in wide.split(':') {
        let segment = segments.next();
        match (wide, segment) {
            // One segment or more, whatever they are.
            ("**", segment) => return segment.is_some(),
            ("*", Some(segment)) if segment != "**" => {}
            (wide, Some(segment)) if wide == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}
