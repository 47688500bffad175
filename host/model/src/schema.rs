//! JSON Schemas for payloads: which types each is about, and whether a payload fits. They are self-contained: nothing outside of a schema's own
//! text is ever fetched. What asking may cost is counted by `counted`; what a text may hold is looked at in `places`. Where the texts come from is
//! `host/server`'s; asking at the door the engine's.

mod counted;
mod places;

use std::{collections::HashMap, fmt, sync::Arc};

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use self::{
    counted::{Counting, Cut, Left, MOST_TOLD},
    places::Places,
};
pub use self::{
    counted::{SCHEMA_STEPS, SCHEMA_STEPS_A_BYTE},
    places::{MOST_SCHEMA_PATTERNS, MOST_SCHEMAS_ABOUT_ONE},
};
use crate::{
    catalogue::{self, Owner},
    event::{EventType, FilterError, Pattern, Rejection, Text},
    json::{Json, JsonError},
    plugin::Digest,
};

/// Bytes of a schema's text at most.
pub const SCHEMA_BYTES: usize = 256 << 10;
/// Levels of a schema's text at most.
pub const SCHEMA_DEPTH: usize = 64;
/// Schemas at most that are in force together.
pub const MOST_SCHEMAS: usize = 1_000;
/// Bytes that a regular expression in a schema takes when it is compiled, about, and as many for what it remembers as it goes.
pub const SCHEMA_PATTERN_BYTES: usize = 1 << 20;
/// Characters of a message about a payload at most.
const MOST_MESSAGE: usize = 400;
/// Where a schema says itself which types it is about.
const TYPES: &str = "x-event-types";

/// A schema that can be asked.
pub struct Schema {
    name: Text,
    patterns: Vec<Pattern>,
    text: Json,
    digest: Digest,
    places: Places,
    validator: Validator<Counting>,
}

/// Why a text is not taken as a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is no JSON, or more than is allowed.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// It is about no types.
    #[error("{0}; name the file after a type or a pattern, such as order:placed.json, or list them in \"x-event-types\"")]
    Types(String),
    /// It is about types that are not the operator's to describe.
    #[error("'{0}' is the host's own, which gives it its form")]
    Owned(String),
    /// It is JSON, but no schema that this host takes.
    #[error("at {at}: {message}")]
    Schema {
        /// Where in the schema.
        at: String,
        /// What is wrong there.
        message: String,
    },
}

impl From<FilterError> for SchemaError {
    fn from(error: FilterError) -> Self {
        Self::Types(error.to_string())
    }
}

impl Schema {
    /// Compiles a schema that is about the type or pattern it is called by, unless it says otherwise itself.
    ///
    /// # Errors
    /// [`SchemaError`], by what is wrong with it.
    pub fn compile(name: &str, text: &str) -> Result<Self, SchemaError> {
        let text = Json::check(text, SCHEMA_BYTES, SCHEMA_DEPTH)?;
        let value = text.to_value();
        let patterns = patterns_of(name, &value)?;
        // In linear time, whatever the text that is matched: no look-around and no references back.
        let expressions = PatternOptions::regex().size_limit(SCHEMA_PATTERN_BYTES).dfa_size_limit(SCHEMA_PATTERN_BYTES);
        let places = places::check(&value)?;
        let options = jsonschema::options_for::<Counting>().offline().should_validate_formats(true).with_pattern_options(expressions);
        let validator = options
            .build(&value)
            .map_err(|error| SchemaError::Schema { at: pointer(error.instance_path().as_str()), message: shortened(&error.to_string()) })?;
        let digest = Digest::of(text.as_str().as_bytes());
        Ok(Self { name: Text::from(name), patterns, text, digest, places, validator })
    }

    /// What it is called by.
    pub fn name(&self) -> &Text {
        &self.name
    }

    /// Which types it is about.
    pub fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// As it was written.
    pub fn text(&self) -> &Json {
        &self.text
    }

    /// SHA-256 of its text.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a payload fits that may still cost so much.
    fn check_within(&self, payload: &Value, left: &Left) -> Result<(), Violation> {
        left.match_names_with(self.places.name_patterns);
        let asked = left.ask(payload, |payload| self.validator.validate(payload).map_err(|error| self.violation(&error)));
        let whole = |message: String| Violation { schema: self.name.clone(), at: String::new(), rule: String::new(), message };
        asked.unwrap_or_else(|cut| {
            Err(whole(match cut {
                Cut::Steps => {
                    format!("asking it takes more than the {SCHEMA_STEPS} schema steps, and {SCHEMA_STEPS_A_BYTE} for each byte, that a payload may cost")
                }
                Cut::Ways => format!("it does not fit, in more than {MOST_TOLD} ways"),
            }))
        })
    }

    fn violation(&self, error: &ValidationError<'_>) -> Violation {
        Violation {
            schema: self.name.clone(),
            at: error.instance_path().as_str().to_owned(),
            rule: error.schema_path().as_str().to_owned(),
            // What the payload holds is not repeated: messages go where payloads must not.
            message: shortened(&error.masked().to_string()),
        }
    }

    /// Whether a payload fits.
    ///
    /// # Errors
    /// [`Violation`], the first that is found.
    pub fn check(&self, payload: &Json) -> Result<(), Violation> {
        self.check_within(&payload.to_value(), &Left::for_bytes(payload.as_str().len()))
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("name", &self.name).field("digest", &self.digest).finish_non_exhaustive()
    }
}

fn patterns_of(name: &str, schema: &Value) -> Result<Vec<Pattern>, SchemaError> {
    let patterns = match schema.get(TYPES) {
        None => vec![Pattern::parse(name)?],
        Some(Value::Array(types)) if !types.is_empty() => {
            let pattern = |listed: &Value| match listed.as_str() {
                Some(text) => Ok(Pattern::parse(text)?),
                None => Err(SchemaError::Types(format!("'{listed}' in {TYPES} is not a type"))),
            };
            types.iter().map(pattern).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(SchemaError::Types(format!("{TYPES} is not a list of types"))),
    };
    let owned = |pattern: &&Pattern| pattern.exact().and_then(catalogue::entry).is_some_and(|entry| entry.owner != Owner::Open);
    match patterns.iter().find(owned) {
        Some(owned) => Err(SchemaError::Owned(owned.as_str().to_owned())),
        None => Ok(patterns),
    }
}

fn pointer(path: &str) -> String {
    if path.is_empty() { "the top".to_owned() } else { path.to_owned() }
}

fn shortened(message: &str) -> String {
    match message.char_indices().nth(MOST_MESSAGE) {
        None => message.to_owned(),
        Some((end, _)) => format!("{}…", &message[..end]),
    }
}

/// What of a payload does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("payload{at}: {message} (schema '{schema}', rule {})", pointer(.rule))]
pub struct Violation {
    /// The schema's name.
    pub schema: Text,
    /// Where in the payload, as a JSON pointer; empty for the whole.
    pub at: String,
    /// Where in the schema.
    pub rule: String,
    /// What does not fit.
    pub message: String,
}

impl From<Violation> for Rejection {
    fn from(violation: Violation) -> Self {
        let Violation { schema, at, rule, message } = violation;
        Self::malformed(format!("payload{at}"), format!("{message} (schema '{schema}', rule {})", pointer(&rule)))
    }
}

/// All schemas that are in force together. A payload must fit each that is about its type, and all of them share the steps that it may cost.
#[derive(Debug, Default)]
pub struct Schemas {
    exact: HashMap<String, Vec<Arc<Schema>>>,
    patterns: Vec<(Pattern, Arc<Schema>)>,
}

impl FromIterator<Arc<Schema>> for Schemas {
    fn from_iter<I: IntoIterator<Item = Arc<Schema>>>(schemas: I) -> Self {
        let mut all = Self::default();
        for schema in schemas {
            for pattern in schema.patterns() {
                match pattern.exact() {
                    Some(event_type) => all.exact.entry(event_type.to_owned()).or_default().push(schema.clone()),
                    None => all.patterns.push((pattern.clone(), schema.clone())),
                }
            }
        }
        all
    }
}

impl Schemas {
    /// Those that are about a type.
    fn about(&self, event_type: &EventType) -> impl Iterator<Item = &Arc<Schema>> {
        let exact = self.exact.get(event_type.as_str()).into_iter().flatten();
        let patterns = self.patterns.iter().filter(|(pattern, _)| pattern.matches(event_type)).map(|(_, schema)| schema);
        exact.chain(patterns)
    }

    /// Whether a payload of this type fits them all. One that no schema is about is not looked into.
    ///
    /// # Errors
    /// The first [`Violation`] that is found.
    pub fn check(&self, event_type: &EventType, payload: &Json) -> Result<(), Violation> {
        let mut schemas = self.about(event_type).peekable();
        if schemas.peek().is_none() {
            return Ok(());
        }
        let (value, left) = (payload.to_value(), Left::for_bytes(payload.as_str().len()));
        schemas.try_for_each(|schema| schema.check_within(&value, &left))
    }
}

#[cfg(test)]
mod tests;
