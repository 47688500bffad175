//! What stands where in a schema's text: its regular expressions, and how many schemas are about one value, which can double with each reference.
//! What is too much is refused here, before the text is compiled. What asking costs is counted by `counted`.

use std::collections::HashMap;

use serde_json::Value;

use super::SchemaError;

/// Regular expressions in a schema at most.
pub const MOST_SCHEMA_PATTERNS: usize = 200;
/// Schemas at most that are about one value, each as often as it is referred to.
pub const MOST_SCHEMAS_ABOUT_ONE: u64 = 10_000;

/// Schemas at most that lead on from one to the next about the same value.
const MOST_DEPTH: usize = 500;
/// Keywords for what nothing else has been about: to find that out, the validator goes through every schema that is about the same value.
const LEFT_OVER: [&str; 2] = ["unevaluatedProperties", "unevaluatedItems"];

/// Looks through a schema.
///
/// # Errors
/// [`SchemaError::Schema`] for what is too much.
pub(super) fn check(schema: &Value) -> Result<Places, SchemaError> {
    let mut walk = Walk::default();
    walk.enter(schema)?;
    let Walk { names, places, found, .. } = walk;
    let asks_what_is_left = found.iter().any(|(_, schema)| LEFT_OVER.iter().any(|keyword| schema.get(keyword).is_some()));
    let mut about = About { root: schema, names, asks_what_is_left, depth: 0, known: HashMap::new() };
    for (at, schema) in found {
        let count = about.count(schema).map_err(|message| refused(&*at, message))?;
        if count > MOST_SCHEMAS_ABOUT_ONE {
            let most = MOST_SCHEMAS_ABOUT_ONE;
            return Err(refused(at, format!("more than {most} schemas are about one value here, each as often as it is referred to")));
        }
    }
    Ok(places)
}

/// What was found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    patterns: usize,
    /// Expressions at most with which each name in an object is matched.
    pub(super) name_patterns: usize,
}

fn refused(at: impl Into<String>, message: impl Into<String>) -> SchemaError {
    SchemaError::Schema { at: at.into(), message: message.into() }
}

/// Goes through all of a schema once, as deep as the text, which has a limit.
#[derive(Default)]
struct Walk<'a> {
    at: String,
    places: Places,
    /// Whatever may be a schema, with its place. A reference can make one of anything.
    found: Vec<(String, &'a Value)>,
    /// What references by a name lead to.
    names: HashMap<&'a str, &'a Value>,
}

impl<'a> Walk<'a> {
    fn enter(&mut self, value: &'a Value) -> Result<(), SchemaError> {
        match value {
            Value::Object(entries) => {
                self.found.push((if self.at.is_empty() { "the top".to_owned() } else { self.at.clone() }, value));
                for (key, below) in entries {
                    let length = self.step(key);
                    self.check_keyword(value, key, below)?;
                    self.enter(below)?;
                    self.at.truncate(length);
                }
            }
            Value::Array(items) => {
                for (index, below) in items.iter().enumerate() {
                    let length = self.step(&index.to_string());
                    self.enter(below)?;
                    self.at.truncate(length);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn step(&mut self, key: &str) -> usize {
        let length = self.at.len();
        self.at.push('/');
        self.at.push_str(&key.replace('~', "~0").replace('/', "~1"));
        length
    }

    fn check_keyword(&mut self, schema: &'a Value, keyword: &str, value: &'a Value) -> Result<(), SchemaError> {
        match (keyword, value) {
            ("pattern", Value::String(_)) => self.places.patterns += 1,
            ("patternProperties", Value::Object(named)) => {
                self.places.patterns += named.len();
                self.places.name_patterns = self.places.name_patterns.max(named.len());
            }
            ("$anchor" | "$dynamicAnchor", Value::String(name)) => drop(self.names.insert(name, schema)),
            // References from there on would be about another document.
            ("$id" | "id", Value::String(_)) if self.at.len() > keyword.len() + 1 => {
                return Err(refused(
                    &*self.at,
                    "a schema is one document, without an identity within it; refer to its parts as #/$defs/NAME",
                ));
            }
            _ => {}
        }
        if self.places.patterns > MOST_SCHEMA_PATTERNS {
            let message = format!("more regular expressions than the {MOST_SCHEMA_PATTERNS} that a schema may have");
            return Err(refused(&*self.at, message));
        }
        Ok(())
    }
}

/// How many schemas are about the same value as one of them is.
struct About<'a> {
    root: &'a Value,
    names: HashMap<&'a str, &'a Value>,
    asks_what_is_left: bool,
    /// How far the one at hand is from where the counting began.
    depth: usize,
    /// By where it stands in memory; none while it is being found out.
    known: HashMap<*const Value, Option<u64>>,
}

impl<'a> About<'a> {
    fn count(&mut self, schema: &'a Value) -> Result<u64, String> {
        match self.known.get(&std::ptr::from_ref(schema)) {
            Some(Some(known)) => return Ok(*known),
            // The validator sees that it has been there with this value; not so where it looks for what is left over.
            Some(None) if self.asks_what_is_left => return Err("a schema leads back to itself about the same value".to_owned()),
            Some(None) => return Ok(1),
            None => {}
        }
        if self.depth >= MOST_DEPTH {
            return Err(format!("schemas lead on from one to the next about the same value, more than {MOST_DEPTH} of them"));
        }
        self.depth += 1;
        self.known.insert(schema, None);
        let mut count: u64 = 1;
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            let below: Vec<&'a Value> = match (&**keyword, value) {
                ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => all.iter().collect(),
                ("if" | "then" | "else" | "not", one) => vec![one],
                ("dependentSchemas" | "dependencies", Value::Object(named)) => named.values().collect(),
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference)) => self.referred(reference)?.into_iter().collect(),
                _ => Vec::new(),
            };
            for schema in below {
                count = count.saturating_add(self.count(schema)?);
            }
        }
        self.depth -= 1;
        self.known.insert(schema, Some(count));
        Ok(count)
    }

    /// What a reference leads to; `None`: to no part of this document.
    fn referred(&self, reference: &str) -> Result<Option<&'a Value>, String> {
        let Some((_, fragment)) = reference.split_once('#') else { return Ok(None) };
        if fragment.contains('%') {
            return Err(format!("'{reference}' is written with a %; give what it leads to a name that needs none"));
        }
        let by_place = fragment.is_empty() || fragment.starts_with('/');
        Ok(if by_place { self.root.pointer(fragment) } else { self.names.get(fragment).copied() })
    }
}
