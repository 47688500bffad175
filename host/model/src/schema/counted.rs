//! A payload that counts how often a schema looks at it. Recursive schemas, and those that try one alternative after the other, can take time that
//! doubles with each level of a payload; so each look is a step, and who has used up the steps that a payload is worth gets no further.
//! What a schema means is its parent's.

use std::{
    borrow::Cow,
    cell::Cell,
    ops::ControlFlow,
    panic::{self, AssertUnwindSafe},
    slice,
};

use jsonschema::{
    JsonType,
    json::{self, Array, Json, Node, NodeIdentity, Object},
};
use serde_json::{Map, Number, Value, map};

/// Steps that a payload may cost besides those that its bytes are worth.
pub const SCHEMA_STEPS: u64 = 100_000;
/// Steps that each byte of a payload is worth.
pub const SCHEMA_STEPS_A_BYTE: u64 = 8;
/// Places at most that are kept of a payload to tell what is wrong there, where alternatives failed in many ways.
pub(super) const MOST_TOLD: u64 = 1_000;
/// Bytes of a text that are looked at in one step.
const STEP_BYTES: usize = 64;

/// Why an asking was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// It took more steps than it may.
    Steps,
    /// It does not fit, in more ways than are told.
    Ways,
}

/// What may still be used up.
pub(super) struct Left {
    steps: Cell<u64>,
    told: Cell<u64>,
    /// Steps of each look at a name in an object.
    a_name: Cell<u64>,
}

impl Left {
    /// What a payload of so many bytes may cost.
    pub(super) fn for_bytes(bytes: usize) -> Self {
        let steps = SCHEMA_STEPS + SCHEMA_STEPS_A_BYTE * bytes as u64;
        Self { steps: Cell::new(steps), told: Cell::new(MOST_TOLD), a_name: Cell::new(1) }
    }

    /// From now on, each name in an object is matched with so many expressions.
    pub(super) fn match_names_with(&self, patterns: usize) {
        self.a_name.set(1 + patterns as u64);
    }

    /// Asks about a payload, until an answer is there or the steps are used up.
    ///
    /// # Errors
    /// The [`Cut`].
    pub(super) fn ask<'a, T>(&'a self, payload: &'a Value, ask: impl FnOnce(Counted<'a>) -> T) -> Result<T, Cut> {
        // The validator has no limits, and no way out of an asking but to unwind. It keeps nothing between two of them, so that nothing is left half
        // done; and no message is printed, for this is no panic.
        let asked = panic::catch_unwind(AssertUnwindSafe(|| ask(Counted { value: payload, left: Some(self) })));
        asked.map_err(|thrown| match thrown.downcast::<Cut>() {
            Ok(cut) => *cut,
            Err(other) => panic::resume_unwind(other),
        })
    }
}

fn take(from: &Cell<u64>, steps: u64, cut: Cut) {
    match from.get().checked_sub(steps) {
        Some(left) => from.set(left),
        None => panic::resume_unwind(Box::new(cut)),
    }
}

/// A value of a payload, as the validator sees it.
#[derive(Clone, Copy)]
pub(super) struct Counted<'a> {
    value: &'a Value,
    /// Absent for a name that is looked at by itself, which its object has counted.
    left: Option<&'a Left>,
}

impl<'a> Counted<'a> {
    fn steps(&self, steps: u64) {
        if let Some(left) = self.left {
            take(&left.steps, steps, Cut::Steps);
        }
    }

    fn beside(&self, value: &'a Value) -> Self {
        Self { value, left: self.left }
    }
}

fn of_text(text: &str) -> u64 {
    1 + (text.len() / STEP_BYTES) as u64
}

/// Steps of going through all of a value.
fn of_all(value: &Value) -> u64 {
    match value {
        Value::String(text) => of_text(text),
        Value::Array(items) => 1 + items.iter().map(of_all).sum::<u64>(),
        Value::Object(entries) => 1 + entries.iter().map(|(key, value)| of_text(key) + of_all(value)).sum::<u64>(),
        _ => 1,
    }
}

/// The representation: serde's values, counted.
pub(super) struct Counting;

impl Json for Counting {
    type Node<'a> = Counted<'a>;
    type PreparedKey = String;
    type StringBuffer = ();
    const KEYS_PER_LOOKUP: usize = 2;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Counted<'_>) -> T) -> T {
        f(Counted { value: &Value::from(string), left: None })
    }
}

impl<'a> Node<'a, Counting> for Counted<'a> {
    type Object = CountedObject<'a>;
    type Array = CountedArray<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<CountedObject<'a>> {
        self.steps(1);
        self.value.as_object().map(|entries| CountedObject { entries, of: *self })
    }

    fn as_array(&self) -> Option<CountedArray<'a>> {
        self.steps(1);
        self.value.as_array().map(|items| CountedArray { items, of: *self })
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        let text = self.value.as_str();
        self.steps(text.map_or(1, of_text));
        text.map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<&'a Number> {
        self.steps(1);
        self.value.as_number()
    }

    fn as_boolean(&self) -> Option<bool> {
        self.steps(1);
        self.value.as_bool()
    }

    fn is_null(&self) -> bool {
        self.steps(1);
        self.value.is_null()
    }

    fn json_type(&self) -> JsonType {
        self.steps(1);
        <&Value as Node<'_, json::SerdeJson>>::json_type(&self.value)
    }

    fn string_length(&self) -> Option<u64> {
        self.as_string().map(|text| text.chars().count() as u64)
    }

    fn equals_value(&self, expected: &Value) -> bool {
        self.steps(of_all(self.value));
        json::cmp::equal(self.value, expected)
    }

    /// Asked for where something is wrong, to be kept with it.
    fn to_value(&self) -> Cow<'a, Value> {
        self.steps(1);
        if let Some(left) = self.left {
            take(&left.told, 1, Cut::Ways);
        }
        Cow::Borrowed(self.value)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        self.steps(1);
        Some(NodeIdentity::new(std::ptr::from_ref(self.value) as usize))
    }
}

/// An object of a payload.
pub(super) struct CountedObject<'a> {
    entries: &'a Map<String, Value>,
    of: Counted<'a>,
}

impl<'a> Object<'a, Counting> for CountedObject<'a> {
    type Node = Counted<'a>;
    type MemberName = &'a str;
    type MembersIter = Members<'a>;

    fn len(&self) -> usize {
        self.entries.len()
    }

    fn get(&self, key: &String) -> Option<Counted<'a>> {
        self.of.steps(1);
        self.entries.get(key).map(|value| self.of.beside(value))
    }

    fn members(&self) -> Members<'a> {
        Members { entries: self.entries.iter(), of: self.of }
    }

    fn try_for_each_name_node<B>(&self, (): &mut (), mut f: impl FnMut(Counted<'_>) -> ControlFlow<B>) -> ControlFlow<B> {
        self.entries.keys().try_for_each(|name| f(Counted { value: &Value::from(name.as_str()), left: self.of.left }))
    }
}

/// The members of an object, one after the other.
pub(super) struct Members<'a> {
    entries: map::Iter<'a>,
    of: Counted<'a>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Counted<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.entries.next()?;
        self.of.steps(of_text(name) * self.of.left.map_or(1, |left| left.a_name.get()));
        Some((name, self.of.beside(value)))
    }
}

/// An array of a payload.
pub(super) struct CountedArray<'a> {
    items: &'a [Value],
    of: Counted<'a>,
}

impl<'a> Array<'a, Counting> for CountedArray<'a> {
    type Node = Counted<'a>;
    type ElementsIter = Elements<'a>;

    fn len(&self) -> usize {
        self.items.len()
    }

    fn elements(&self) -> Elements<'a> {
        Elements { items: self.items.iter(), of: self.of }
    }

    fn is_unique(&self) -> bool {
        self.of.steps(of_all(self.of.value));
        json::unique::is_unique(self.items)
    }
}

/// The items of an array, one after the other.
pub(super) struct Elements<'a> {
    items: slice::Iter<'a, Value>,
    of: Counted<'a>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Counted<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.items.next()?;
        self.of.steps(1);
        Some(self.of.beside(value))
    }
}
