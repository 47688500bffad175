//! Parameters with references in them: `${fetch.items[0].name}` and the like, parsed once at submission.
//! Where results come from is the caller's; that a reference implies a dependency is the definition's to state.
//!
//! `${ID}` is a task's result and `${ID.path[0]["any key"]}` something inside it; `${task_ID_result}` is Gleitzeit's spelling of the
//! first, and wins only if no task is called `task_ID_result` itself. `${workflow.input.x}` comes with the submission. Pairs of `$`
//! before a brace stand for one: `$${` is the text `${`, and `$$${x}` a dollar sign before a value. Keys are text, never references.

mod read;
mod resolve;
#[cfg(test)]
mod tests;

use crate::{event::Text, json::Json};

pub use self::resolve::{ResolveError, Substitution};
use super::parse::{
    Errors,
    node::{Node, Place, Value},
    tasks::Names,
};

/// Parameters as they were submitted, with every reference known to lead somewhere.
#[derive(Clone, Debug)]
pub struct Template(Part);

/// Where a reference leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The result of the task at this place of the definition.
    Task(usize),
    /// What was given at submission.
    Input,
}

impl Source {
    /// The task's place, if it is one.
    pub fn task(self) -> Option<usize> {
        match self {
            Self::Task(place) => Some(place),
            Self::Input => None,
        }
    }
}

/// One reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// As it was written, with `${` and `}`.
    pub text: Text,
    /// Whose value.
    pub source: Source,
    /// The task's id, or `workflow.input`.
    pub from: Text,
    /// What inside of it.
    pub path: Box<[Step]>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A field of an object; digits also serve for an element of an array.
    Field(Box<str>),
    /// An element of an array, from 0.
    Index(usize),
}

#[derive(Clone, Debug)]
enum Part {
    /// JSON without references; shared by every attempt.
    Literal(Json),
    /// A string that is one reference: the value keeps its type.
    Value(Reference),
    /// A string with references inside: values are rendered as text.
    Text(Box<[Piece]>),
    List(Box<[Part]>),
    /// Sorted by key.
    Map(Box<[(Box<str>, Part)]>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Reference(Reference),
}

impl Template {
    /// Parameters that are what they are.
    pub fn literal(json: Json) -> Self {
        Self(Part::Literal(json))
    }

    /// Reads parameters; tells every reference that leads nowhere.
    pub(super) fn parse(node: &Node, names: &Names<'_>, place: &Place<'_>, errors: &mut Errors) -> Self {
        Self(part(node, names, place, errors))
    }

    /// Every reference, in the order of the canonical text.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        let mut found = Vec::new();
        self.0.collect(&mut found);
        found.into_iter()
    }

    /// Whether it is a single reference.
    pub fn is_one_reference(&self) -> bool {
        matches!(self.0, Part::Value(_))
    }

    /// The parameters with every reference replaced by what `lookup` gives for its source, and a record of each replacement.
    /// Without references the text is shared, not copied.
    ///
    /// A path that comes to null gives null, so that tasks behind a skipped one can run. `${ID.result}` is the result itself
    /// where that has no field `result`, as in Gleitzeit's files.
    ///
    /// # Errors
    /// [`ResolveError`] for the first reference that finds no value, or if the whole grows past
    /// [`MAX_PARAMETERS_BYTES`](super::definition::MAX_PARAMETERS_BYTES).
    pub fn resolve(&self, lookup: &dyn Fn(Source) -> Option<Json>) -> Result<(Json, Vec<Substitution>), ResolveError> {
        resolve::resolve(&self.0, lookup)
    }

    /// Appends the JSON text that reads back as this template.
    pub(super) fn write_source(&self, out: &mut String) {
        self.0.write_source(out);
    }
}

fn part(node: &Node, names: &Names<'_>, place: &Place<'_>, errors: &mut Errors) -> Part {
    match &node.value {
        Value::Null => Part::Literal(Json::null()),
        Value::Bool(value) => Part::Literal(Json::trusted(if *value { "true" } else { "false" })),
        Value::Number(text) => Part::Literal(Json::trusted(&**text)),
        Value::String(text) => {
            let pieces = read::pieces(text, names, |message| errors.push(node.line, place, message));
            string(pieces)
        }
        Value::List(items) => {
            let parts = items.iter().enumerate().map(|(index, item)| part(item, names, &Place::Index(place, index), errors));
            list(parts.collect())
        }
        Value::Map(entries) => {
            let fields = entries.iter().map(|entry| {
                let place = Place::Field(place, &entry.key);
                let key = key(&entry.key, names).unwrap_or_else(|message| {
                    errors.push(entry.line, &place, message);
                    Box::from("")
                });
                (key, part(&entry.node, names, &place, errors))
            });
            map(fields.collect())
        }
    }
}

fn key(text: &str, names: &Names<'_>) -> Result<Box<str>, String> {
    let pieces = read::pieces(text, names, |_| {});
    match <[Piece; 1]>::try_from(pieces) {
        Ok([Piece::Text(text)]) => Ok(text.into()),
        Err(pieces) if pieces.is_empty() => Ok(Box::from("")),
        _ => Err("references stand in values, not in keys; write $${ for the text '${'".to_owned()),
    }
}

fn string(mut pieces: Vec<Piece>) -> Part {
    match (pieces.pop(), pieces.is_empty()) {
        (None, _) => Part::Literal(Json::trusted("\"\"")),
        (Some(Piece::Reference(reference)), true) => Part::Value(reference),
        (Some(Piece::Text(text)), true) => {
            let mut json = String::with_capacity(text.len() + 2);
            write_string(&mut json, &text);
            Part::Literal(Json::trusted(json))
        }
        (Some(last), false) => {
            pieces.push(last);
            Part::Text(pieces.into())
        }
    }
}

/// What has no reference inside is one literal, however deep.
fn list(parts: Vec<Part>) -> Part {
    if !parts.iter().all(|part| matches!(part, Part::Literal(_))) {
        return Part::List(parts.into());
    }
    let mut json = String::from("[");
    for (index, part) in parts.iter().enumerate() {
        json.push_str(if index == 0 { "" } else { "," });
        part.write_literal(&mut json);
    }
    json.push(']');
    Part::Literal(Json::trusted(json))
}

fn map(mut fields: Vec<(Box<str>, Part)>) -> Part {
    fields.sort_by(|one, other| one.0.cmp(&other.0));
    if !fields.iter().all(|(_, part)| matches!(part, Part::Literal(_))) {
        return Part::Map(fields.into());
    }
    let mut json = String::from("{");
    for (index, (key, part)) in fields.iter().enumerate() {
        json.push_str(if index == 0 { "" } else { "," });
        write_string(&mut json, key);
        json.push(':');
        part.write_literal(&mut json);
    }
    json.push('}');
    Part::Literal(Json::trusted(json))
}

impl Part {
    fn write_literal(&self, out: &mut String) {
        if let Self::Literal(json) = self {
            out.push_str(json.as_str());
        }
    }

    fn collect<'a>(&'a self, found: &mut Vec<&'a Reference>) {
        match self {
            Self::Literal(_) => {}
            Self::Value(reference) => found.push(reference),
            Self::Text(pieces) => found.extend(pieces.iter().filter_map(|piece| match piece {
                Piece::Reference(reference) => Some(reference),
                Piece::Text(_) => None,
            })),
            Self::List(parts) => parts.iter().for_each(|part| part.collect(found)),
            Self::Map(fields) => fields.iter().for_each(|(_, part)| part.collect(found)),
        }
    }

    fn write_source(&self, out: &mut String) {
        match self {
            // In JSON text `$` and `{` stand next to each other only inside of strings.
            Self::Literal(json) => read::escape(out, json.as_str(), false),
            Self::Value(reference) => write_string(out, &reference.text),
            Self::Text(pieces) => {
                let mut text = String::new();
                for (index, piece) in pieces.iter().enumerate() {
                    match piece {
                        Piece::Text(plain) => read::escape(&mut text, plain, index + 1 < pieces.len()),
                        Piece::Reference(reference) => text.push_str(&reference.text),
                    }
                }
                write_string(out, &text);
            }
            Self::List(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    out.push(if index == 0 { '[' } else { ',' });
                    part.write_source(out);
                }
                out.push(']');
            }
            Self::Map(fields) => {
                for (index, (key, part)) in fields.iter().enumerate() {
                    out.push(if index == 0 { '{' } else { ',' });
                    let mut escaped = String::new();
                    read::escape(&mut escaped, key, false);
                    write_string(out, &escaped);
                    out.push(':');
                    part.write_source(out);
                }
                out.push('}');
            }
        }
    }
}

/// Appends `text` as a JSON string.
pub(super) fn write_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("a string is JSON"));
}
