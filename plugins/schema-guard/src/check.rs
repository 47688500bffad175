//! Owns checking a value: the first rule that does not hold, with its place in the value, what was expected and what was found.
//! Leaves the rules' reading to `compile`.

use crate::schema::{Place, Rule, Schema, Type};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt};

/// Bytes of a value that are shown.
const SHOWN_BYTES: usize = 60;

/// What a value does not keep to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// A JSON pointer.
    at: String,
    expected: String,
    found: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "payload{}: expected {}, found {}", self.at, self.expected, self.found)
    }
}

impl Schema {
    /// Checks a value.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub(crate) fn check(&self, value: &Value) -> Result<(), Wrong> {
        self.check_at(self.root, value, "")
    }

    fn check_at(&self, place: Place, value: &Value, at: &str) -> Result<(), Wrong> {
        self.nodes[place].rules.iter().try_for_each(|rule| self.keeps_to(rule, value, at))
    }

    fn holds(&self, place: Place, value: &Value) -> bool {
        self.check_at(place, value, "").is_ok()
    }

    fn keeps_to(&self, rule: &Rule, value: &Value, at: &str) -> Result<(), Wrong> {
        match (rule, value) {
            (Rule::Items { prefix, rest }, Value::Array(items)) => items.iter().enumerate().try_for_each(|(index, item)| {
                prefix.get(index).or(rest.as_ref()).map_or(Ok(()), |place| self.check_at(*place, item, &format!("{at}/{index}")))
            }),
            (Rule::Members { .. } | Rule::Names(_), Value::Object(members)) => self.members_keep_to(rule, members, at),
            (Rule::Required(names), Value::Object(members)) => has_all(names, members, at),
            (Rule::All(_) | Rule::Any(_) | Rule::ExactlyOne(_) | Rule::Not(_) | Rule::If { .. }, _) => self.combination(rule, value, at),
            _ => match complaint(rule, value) {
                Some(expected) => Err(Wrong { at: at.to_owned(), expected, found: shown(value) }),
                None => Ok(()),
            },
        }
    }

    fn members_keep_to(&self, rule: &Rule, members: &Map<String, Value>, at: &str) -> Result<(), Wrong> {
        for (name, member) in members {
            let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            match rule {
                Rule::Names(place) => self.check_at(*place, &Value::from(name.as_str()), &at)?,
                Rule::Members { named, matching, rest } => {
                    let matched = matching.iter().filter(|(pattern, _)| pattern.is_match(name)).map(|(_, place)| place);
                    let places: Vec<&Place> = named.get(name).into_iter().chain(matched).collect();
                    let rest = rest.iter().filter(|_| places.is_empty());
                    places.iter().copied().chain(rest).try_for_each(|place| self.check_at(*place, member, &at))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn combination(&self, rule: &Rule, value: &Value, at: &str) -> Result<(), Wrong> {
        match rule {
            Rule::All(places) => places.iter().try_for_each(|place| self.check_at(*place, value, at)),
            Rule::Any(places) => self.any_of(places, value, at),
            Rule::ExactlyOne(places) => match places.iter().filter(|place| self.holds(**place, value)).count() {
                0 => self.any_of(places, value, at),
                1 => Ok(()),
                many => {
                    let expected = format!("one of {} alternatives to hold", places.len());
                    Err(Wrong { at: at.to_owned(), expected, found: format!("{many} that do") })
                }
            },
            Rule::Not(place) if self.holds(*place, value) => {
                Err(Wrong { at: at.to_owned(), expected: "what is under `not` to be wrong".into(), found: shown(value) })
            }
            Rule::If { condition, then, otherwise } => {
                let branch = if self.holds(*condition, value) { then } else { otherwise };
                branch.map_or(Ok(()), |place| self.check_at(place, value, at))
            }
            _ => Ok(()),
        }
    }

    /// With one alternative its own complaint is the best there is; with more, that none holds, and why not the first.
    fn any_of(&self, places: &[Place], value: &Value, at: &str) -> Result<(), Wrong> {
        let mut first = None;
        for place in places {
            match self.check_at(*place, value, at) {
                Ok(()) => return Ok(()),
                Err(wrong) => first = first.or(Some(wrong)),
            }
        }
        let Some(first) = first else { return Ok(()) };
        if places.len() == 1 {
            return Err(first);
        }
        let expected =
            format!("one of {} alternatives to hold, the first of which says at {}: {}", places.len(), pointer(&first.at), first.expected);
        Err(Wrong { at: at.to_owned(), expected, found: first.found })
    }
}

fn pointer(at: &str) -> &str {
    if at.is_empty() { "this place" } else { at }
}

/// Numbers by their value: 1 is 1.0, in whatever they stand.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other)),
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
        }
        (one, other) => one == other,
    }
}

/// By their text first, which finds most; numbers that are written in two ways are found one by one.
fn are_unique(items: &[Value]) -> bool {
    let mut texts = BTreeSet::new();
    if !items.iter().all(|item| texts.insert(item.to_string())) {
        return false;
    }
    let whole = |item: &&Value| !(item.is_string() || item.is_boolean() || item.is_null() || item.is_i64() || item.is_u64());
    let rest: Vec<&Value> = items.iter().filter(whole).collect();
    rest.iter().all(|one| items.iter().filter(|other| same(one, other)).count() == 1)
}

/// What a rule about a value alone expects, where the value does not keep to it.
fn complaint(rule: &Rule, value: &Value) -> Option<String> {
    match (rule, value) {
        (Rule::Never, _) => Some("nothing to stand here".into()),
        (Rule::Types(types), value) if !types.iter().any(|one| one.is_of(value)) => {
            Some(types.iter().map(|one| one.name()).collect::<Vec<_>>().join(" or "))
        }
        (Rule::OneOf(values), value) if !values.iter().any(|one| same(one, value)) => {
            Some(values.iter().map(shown).collect::<Vec<_>>().join(" or "))
        }
        (rule, Value::Number(number)) => number_complaint(rule, number.as_f64().unwrap_or(f64::NAN)),
        (rule, Value::String(text)) => string_complaint(rule, text),
        (Rule::MinItems(least), Value::Array(items)) if items.len() < *least => Some(format!("at least {least} items")),
        (Rule::MaxItems(most), Value::Array(items)) if items.len() > *most => Some(format!("at most {most} items")),
        (Rule::UniqueItems, Value::Array(items)) if !are_unique(items) => Some("items that differ from each other".into()),
        (Rule::MinMembers(least), Value::Object(members)) if members.len() < *least => Some(format!("at least {least} members")),
        (Rule::MaxMembers(most), Value::Object(members)) if members.len() > *most => Some(format!("at most {most} members")),
        _ => None,
    }
}

fn has_all(names: &[String], members: &Map<String, Value>, at: &str) -> Result<(), Wrong> {
    let Some(missing) = names.iter().find(|name| !members.contains_key(*name)) else { return Ok(()) };
    let there: Vec<&str> = members.keys().map(String::as_str).collect();
    let found = if there.is_empty() { "none".to_owned() } else { clipped(&there.join(", ")) };
    Err(Wrong { at: at.to_owned(), expected: format!("a member '{missing}'"), found })
}

fn number_complaint(rule: &Rule, number: f64) -> Option<String> {
    match rule {
        Rule::Minimum(least) if number < *least => Some(format!("at least {least}")),
        Rule::Maximum(most) if number > *most => Some(format!("at most {most}")),
        Rule::Above(bound) if number <= *bound => Some(format!("more than {bound}")),
        Rule::Below(bound) if number >= *bound => Some(format!("less than {bound}")),
        Rule::MultipleOf(step) if !is_multiple(number, *step) => Some(format!("a multiple of {step}")),
        _ => None,
    }
}

/// Within what a double can tell: 0.3 is a multiple of 0.1.
fn is_multiple(number: f64, step: f64) -> bool {
    let times = number / step;
    (times - times.round()).abs() <= times.abs().max(1.0) * 1e-12
}

fn string_complaint(rule: &Rule, text: &str) -> Option<String> {
    match rule {
        Rule::MinLength(least) if text.chars().count() < *least => Some(format!("at least {least} characters")),
        Rule::MaxLength(most) if text.chars().count() > *most => Some(format!("at most {most} characters")),
        Rule::Pattern(pattern) if !pattern.is_match(text) => Some(format!("text that matches {}", pattern.as_str())),
        _ => None,
    }
}

/// A value as it is shown: what it is, where it is more than a word.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => Type::Object.name().to_owned(),
        Value::Array(items) => format!("array of {}", items.len()),
        value => clipped(&value.to_string()),
    }
}

fn clipped(text: &str) -> String {
    if text.len() <= SHOWN_BYTES {
        return text.to_owned();
    }
    let end = (0..=SHOWN_BYTES).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
