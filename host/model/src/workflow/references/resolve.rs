//! A template with its references replaced: values are cut out of the results' text as they stand, nothing is parsed whole.
//! Where results come from is the caller's.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Part, Piece, Reference, Source, Step, write_string};
use crate::{event::Text, json::Json, text::nearest, workflow::definition::MAX_PARAMETERS_BYTES};

/// One replacement, for the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Substitution {
    /// As it was written, with `${` and `}`.
    pub reference: Text,
    /// The task whose result it came from, or `workflow.input`.
    pub from: Text,
    /// What was taken of it, as a JSON pointer (RFC 6901); empty for all of it.
    pub pointer: String,
    /// What was put in, in bytes.
    pub bytes: usize,
}

/// A reference that found no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reference}: {problem}")]
pub struct ResolveError {
    /// As it was written.
    pub reference: Text,
    /// What was there instead.
    pub problem: String,
}

type Lookup<'a> = &'a dyn Fn(Source) -> Option<Json>;

pub(super) fn resolve(part: &Part, lookup: Lookup<'_>) -> Result<(Json, Vec<Substitution>), ResolveError> {
    if let Part::Literal(json) = part {
        return Ok((json.clone(), Vec::new()));
    }
    let mut resolving = Resolving { lookup, out: String::new(), substitutions: Vec::new() };
    resolving.write(part)?;
    Ok((Json::trusted(resolving.out), resolving.substitutions))
}

struct Resolving<'a> {
    lookup: Lookup<'a>,
    out: String,
    substitutions: Vec<Substitution>,
}

impl Resolving<'_> {
    fn write(&mut self, part: &Part) -> Result<(), ResolveError> {
        match part {
            Part::Literal(json) => self.out.push_str(json.as_str()),
            Part::Value(reference) => {
                let mut out = std::mem::take(&mut self.out);
                let inserted = self.insert(reference, &mut out, |out, value| out.push_str(value));
                self.out = out;
                inserted?;
            }
            Part::Text(pieces) => self.write_text(pieces)?,
            Part::List(parts) => {
                for (index, part) in parts.iter().enumerate() {
                    self.out.push(if index == 0 { '[' } else { ',' });
                    self.write(part)?;
                }
                self.out.push(']');
            }
            Part::Map(fields) => {
                for (index, (key, part)) in fields.iter().enumerate() {
                    self.out.push(if index == 0 { '{' } else { ',' });
                    write_string(&mut self.out, key);
                    self.out.push(':');
                    self.write(part)?;
                }
                self.out.push('}');
            }
        }
        Ok(())
    }

    fn write_text(&mut self, pieces: &[Piece]) -> Result<(), ResolveError> {
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Reference(reference) => self.insert(reference, &mut text, render)?,
            }
        }
        write_string(&mut self.out, &text);
        Ok(())
    }

    /// Puts the value of `reference` into `out` by `put`, and into the audit.
    fn insert(&mut self, reference: &Reference, out: &mut String, put: fn(&mut String, &str)) -> Result<(), ResolveError> {
        let fail = |problem: String| ResolveError { reference: reference.text.clone(), problem };
        let json = (self.lookup)(reference.source).ok_or_else(|| fail(format!("'{}' has no value yet", reference.from)))?;
        let (value, pointer) = pick(json.as_str(), reference).map_err(fail)?;
        if self.out.len() + out.len() + value.len() > MAX_PARAMETERS_BYTES {
            return Err(fail(format!("parameters grow past the {MAX_PARAMETERS_BYTES} bytes allowed")));
        }
        let before = out.len();
        put(out, value);
        let bytes = out.len() - before;
        self.substitutions.push(Substitution { reference: reference.text.clone(), from: reference.from.clone(), pointer, bytes });
        Ok(())
    }
}

/// Strings bare, everything else as compact JSON.
fn render(out: &mut String, value: &str) {
    match serde_json::from_str::<String>(value) {
        Ok(text) => out.push_str(&text),
        Err(_) => compact(out, value),
    }
}

/// Valid JSON without the white space between its parts.
fn compact(out: &mut String, json: &str) {
    let (mut in_string, mut escaped) = (false, false);
    for c in json.chars() {
        if in_string {
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            in_string = c == '"';
        }
        out.push(c);
    }
}

/// What the reference's path leads to inside of `json`, and the pointer that says the same; or what was there instead.
fn pick<'t>(json: &'t str, reference: &Reference) -> Result<(&'t str, String), String> {
    let mut value = json.trim();
    let mut pointer = String::new();
    for (at, step) in reference.path.iter().enumerate() {
        if value == "null" {
            break;
        }
        // Said only if something is wrong.
        let name = || match &reference.path[..at] {
            [] => format!("'{}'", reference.from),
            [.., Step::Field(name)] => format!("'{name}'"),
            [.., Step::Index(index)] => format!("element {index}"),
        };
        let next = match (step, value.as_bytes().first()) {
            (Step::Field(field), Some(b'{')) => pick_field(value, field),
            (Step::Field(field), Some(b'[')) if field.parse::<usize>().is_ok() => pick_element(value, field.parse().unwrap_or(usize::MAX)),
            (Step::Index(index), Some(b'[')) => pick_element(value, *index),
            (Step::Field(field), _) => Err(format!("is {}, which has no field '{field}'", kind_of(value))),
            (Step::Index(_), _) => Err(format!("is {}, not an array", kind_of(value))),
        };
        match next {
            Ok(next) => value = next,
            // Gleitzeit writes `${ID.result.x}` for what is `${ID.x}` here.
            Err(_) if at == 0 && reference.source != Source::Input && *step == Step::Field(Box::from("result")) => continue,
            Err(problem) => return Err(format!("{} {problem}", name())),
        }
        pointer.push('/');
        match step {
            Step::Field(field) => pointer.push_str(&field.replace('~', "~0").replace('/', "~1")),
            Step::Index(index) => pointer.push_str(&index.to_string()),
        }
    }
    Ok((value, pointer))
}

fn kind_of(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        _ => "a number",
    }
}

fn pick_field<'t>(object: &'t str, field: &str) -> Result<&'t str, String> {
    let found = serde_json::Deserializer::from_str(object).deserialize_map(FieldOf(field));
    match found {
        Ok(Some(value)) => Ok(value.get()),
        Ok(None) => Err(no_field(object, field)),
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

fn no_field(object: &str, field: &str) -> String {
    const MOST: usize = 12;
    let fields: std::collections::BTreeMap<String, IgnoredAny> = serde_json::from_str(object).unwrap_or_default();
    match nearest(field, fields.keys().map(String::as_str)) {
        Some(near) => format!("has no field '{field}'; did you mean '{near}'?"),
        None if fields.is_empty() => format!("has no field '{field}', nor any other"),
        None => {
            let names: Vec<&str> = fields.keys().map(String::as_str).take(MOST).collect();
            let more = if fields.len() > MOST { ", …" } else { "" };
            format!("has no field '{field}'; it has {}{more}", names.join(", "))
        }
    }
}

fn pick_element(array: &str, index: usize) -> Result<&str, String> {
    let found = serde_json::Deserializer::from_str(array).deserialize_seq(ElementAt(index));
    match found {
        Ok(Ok(value)) => Ok(value.get()),
        Ok(Err(1)) => Err("has 1 element".to_owned()),
        Ok(Err(count)) => Err(format!("has {count} elements")),
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

/// Looks for one field; of two with one name the last counts, as everywhere in JSON.
struct FieldOf<'f>(&'f str);

impl<'de> Visitor<'de> for FieldOf<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(KeyIs(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Compares a key without keeping it.
struct KeyIs<'f>(&'f str);

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyIs<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

/// Looks for one element; if there is none, how many there are.
struct ElementAt(usize);

impl<'de> Visitor<'de> for ElementAt {
    type Value = Result<&'de RawValue, usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        for before in 0..self.0 {
            if elements.next_element::<IgnoredAny>()?.is_none() {
                return Ok(Err(before));
            }
        }
        let found = elements.next_element()?.ok_or(self.0);
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}
