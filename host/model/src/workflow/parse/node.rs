//! The tree that YAML and JSON become: JSON's types, numbers as written, and the line of everything.
//! What the fields mean is left to the readers.

use std::{collections::HashSet, fmt, fmt::Write as _};

use super::Errors;

/// A value and where it begins.
#[derive(Clone, Debug)]
pub(in crate::workflow) struct Node {
    /// From 1.
    pub(in crate::workflow) line: u32,
    pub(in crate::workflow) value: Value,
}

/// JSON's types. Numbers are JSON text, so that nothing is lost on the way through.
#[derive(Clone, Debug)]
pub(in crate::workflow) enum Value {
    Null,
    Bool(bool),
    Number(Box<str>),
    String(Box<str>),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One field, in the order of the text.
#[derive(Clone, Debug)]
pub(in crate::workflow) struct Entry {
    pub(in crate::workflow) key: Box<str>,
    /// Of the key.
    pub(in crate::workflow) line: u32,
    pub(in crate::workflow) node: Node,
}

impl Node {
    /// With its article, for messages.
    pub(in crate::workflow) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::List(_) => "an array",
            Value::Map(_) => "an object",
        }
    }

    /// Tells every key that stands twice in one object.
    pub(super) fn report_duplicate_keys(&self, place: &Place<'_>, errors: &mut Errors) {
        match &self.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.report_duplicate_keys(&Place::Index(place, index), errors);
                }
            }
            Value::Map(entries) => {
                let mut seen = HashSet::with_capacity(entries.len());
                for entry in entries {
                    if !seen.insert(&*entry.key) {
                        errors.push(entry.line, place, format!("'{}' stands here twice", entry.key));
                    }
                    entry.node.report_duplicate_keys(&Place::Field(place, &entry.key), errors);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Where in the tree a reader is; text only if something is wrong there.
pub(in crate::workflow) enum Place<'a> {
    Root,
    Field(&'a Place<'a>, &'a str),
    Index(&'a Place<'a>, usize),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Index(parent, index) => {
                parent.fmt(f)?;
                f.write_char('[')?;
                write!(f, "{index}]")
            }
        }
    }
}
