//! From the text of a definition to a [`Definition`], or to everything that is wrong with it.
//! The languages, the fields and the graph have a file each; templates inside parameters are `references`'.

mod fields;
mod graph;
mod json;
pub(super) mod node;
#[cfg(test)]
mod property_tests;
mod scalar;
pub(super) mod tasks;
#[cfg(test)]
mod tests;
mod yaml;

use std::{collections::HashSet, fmt};

pub use self::scalar::duration_ms;
use self::{
    fields::Fields,
    node::{Node, Place, Value},
};
use super::definition::{Definition, DefinitionError, Format, MAX_DEFINITION_ERRORS, MAX_ID_BYTES};
use crate::{event::Text, plugin::Digest};

const FIELDS: [&str; 7] = ["name", "description", "version", "timeout", "wait_for_provider", "tasks", WAIT_FOR_COMPLETION];
/// In Gleitzeit's files it tells its client to wait; here `--wait` does, so that it changes nothing.
const WAIT_FOR_COMPLETION: &str = "wait_for_completion";

/// Reads `text`, of whatever length. Where it is known which methods are `offered`, one that is not is an error like the others.
pub(super) fn definition(text: &str, format: Format, offered: Option<&HashSet<&str>>) -> Result<Definition, Vec<DefinitionError>> {
    let mut errors = Errors::default();
    let text = text.trim_start_matches('\u{feff}');
    let root = match format {
        Format::Yaml => yaml::read(text, &mut errors),
        Format::Json => json::read(text, &mut errors),
    };
    let definition = root.and_then(|root| {
        root.report_duplicate_keys(&Place::Root, &mut errors);
        workflow(&root, offered, &mut errors)
    });
    match (definition, errors.is_empty()) {
        (Some(definition), true) => Ok(definition),
        _ => Err(errors.into_sorted()),
    }
}

fn workflow(root: &Node, offered: Option<&HashSet<&str>>, errors: &mut Errors) -> Option<Definition> {
    let place = Place::Root;
    let fields = Fields::read(root, &place, &FIELDS, errors)?;
    let name = fields.text("name", errors).unwrap_or("unnamed");
    if name.len() > MAX_ID_BYTES {
        errors.push(root.line, &Place::Field(&place, "name"), too_long(name.len()));
    }
    let description = fields.text("description", errors).unwrap_or_default().to_owned();
    let version = fields.text("version", errors).unwrap_or_default().to_owned();
    let timeout_ms = fields.timeout_ms("timeout", errors);
    let wait_for_provider = fields.boolean("wait_for_provider", errors).unwrap_or(false);
    let _ = fields.boolean(WAIT_FOR_COMPLETION, errors);
    let (tasks, method_lines) = match fields.get(&["tasks"], errors).map(|entry| &entry.node) {
        Some(Node { value: Value::List(items), line }) => tasks::read(items, *line, errors),
        Some(other) => {
            errors.push(other.line, &Place::Field(&place, "tasks"), format!("is {}; a list of tasks goes here", other.kind()));
            return None;
        }
        None => {
            errors.push(root.line, &Place::Field(&place, "tasks"), "is missing; a workflow has a list of tasks");
            return None;
        }
    };
    if let Some(offered) = offered.filter(|_| !wait_for_provider) {
        tasks::check_methods(&tasks, &method_lines, offered, errors);
    }
    if !errors.is_empty() {
        return None;
    }
    let dependencies: Vec<&[usize]> = tasks.iter().map(|task| &*task.dependencies).collect();
    let dependents = graph::dependents(&dependencies);
    let waves = graph::waves(&dependencies, &dependents);
    let mut definition = Definition {
        name: Text::from(name),
        description,
        version,
        timeout_ms,
        wait_for_provider,
        tasks,
        digest: Digest([0; 32]),
        method_lines,
        dependents,
        waves,
    };
    definition.digest = Digest::of(definition.canonical_json().as_bytes());
    Some(definition)
}

fn too_long(bytes: usize) -> String {
    format!("has {bytes} bytes; at most {MAX_ID_BYTES} are allowed")
}

/// Everything that is wrong, as it is found.
#[derive(Debug, Default)]
pub(super) struct Errors {
    found: Vec<DefinitionError>,
    untold: usize,
}

impl Errors {
    pub(super) fn push(&mut self, line: u32, place: &Place<'_>, message: impl fmt::Display) {
        if self.has_room() {
            let message = message.to_string();
            self.found.push(DefinitionError { line: Some(line as usize), place: place.to_string(), message });
        }
    }

    fn push_whole(&mut self, line: Option<usize>, message: String) {
        if self.has_room() {
            self.found.push(DefinitionError { line, place: String::new(), message });
        }
    }

    /// Counts an error, and says whether it is still told.
    fn has_room(&mut self) -> bool {
        let room = self.found.len() < MAX_DEFINITION_ERRORS;
        self.untold += usize::from(!room);
        room
    }

    fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    fn into_sorted(mut self) -> Vec<DefinitionError> {
        self.found.sort_by_key(|error| error.line.unwrap_or(usize::MAX));
        if self.untold > 0 {
            let message = format!("and {} more errors", self.untold);
            self.found.push(DefinitionError { line: None, place: String::new(), message });
        }
        self.found
    }
}
