//! Owns a schema that has been read: its rules, one list a subschema, and where they refer to.
//! Leaves reading one to `compile`, and checking a value to `check`.

use regex_lite::Regex;
use serde_json::Value;
use std::collections::BTreeMap;

/// A schema with all its subschemas. They name each other by their place in it, so that one may refer to itself.
#[derive(Debug)]
pub(crate) struct Schema {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: Place,
}

/// Where a subschema stands.
pub(crate) type Place = usize;

/// A subschema: every rule of it holds.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug)]
pub(crate) enum Rule {
    Never,
    Types(Vec<Type>),
    OneOf(Vec<Value>),
    Minimum(f64),
    Maximum(f64),
    Above(f64),
    Below(f64),
    MultipleOf(f64),
    MinLength(usize),
    MaxLength(usize),
    Pattern(Regex),
    Items { prefix: Vec<Place>, rest: Option<Place> },
    MinItems(usize),
    MaxItems(usize),
    UniqueItems,
    Members { named: BTreeMap<String, Place>, matching: Vec<(Regex, Place)>, rest: Option<Place> },
    Names(Place),
    Required(Vec<String>),
    MinMembers(usize),
    MaxMembers(usize),
    All(Vec<Place>),
    Any(Vec<Place>),
    ExactlyOne(Vec<Place>),
    Not(Place),
    If { condition: Place, then: Option<Place>, otherwise: Option<Place> },
}

/// What a value may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Object,
    Array,
    Number,
    Integer,
    String,
}

impl Type {
    pub(crate) const ALL: [(&'static str, Type); 7] = [
        ("null", Type::Null),
        ("boolean", Type::Boolean),
        ("object", Type::Object),
        ("array", Type::Array),
        ("number", Type::Number),
        ("integer", Type::Integer),
        ("string", Type::String),
    ];

    pub(crate) fn name(self) -> &'static str {
        Type::ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }

    /// Whether a value is one.
    pub(crate) fn is_of(self, value: &Value) -> bool {
        match self {
            Type::Null => value.is_null(),
            Type::Boolean => value.is_boolean(),
            Type::Object => value.is_object(),
            Type::Array => value.is_array(),
            Type::Number => value.is_number(),
            // 1.0 is a whole number too.
            Type::Integer => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Type::String => value.is_string(),
        }
    }
}
