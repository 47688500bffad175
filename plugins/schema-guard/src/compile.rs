//! Owns reading a schema: every keyword becomes a rule, a note, or a complaint with its place.
//! Leaves checking values to `check`.

use crate::keywords;
use crate::schema::{Node, Place, Rule, Schema, Type};
use regex_lite::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Subschemas that a schema has at the most.
const MOST_NODES: usize = 10_000;
/// How deep subschemas stand in each other at the most.
const MOST_DEPTH: usize = 64;

impl Schema {
    /// Reads a schema: a table, `true` or `false`, or JSON text.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn read(schema: Value) -> Result<Self, String> {
        let schema = match schema {
            Value::String(text) => serde_json::from_str(&text).map_err(|error| format!("it is no JSON: {error}"))?,
            schema => schema,
        };
        let mut reader = Reader { nodes: Vec::new(), named: BTreeMap::new() };
        reader.reserve_named(&schema)?;
        let root = reader.read(&schema, "#", 0)?;
        reader.read_named(&schema)?;
        let schema = Schema { nodes: reader.nodes, root };
        schema.refuse_circles()?;
        Ok(schema)
    }

    /// A subschema that leads back to itself about the same value says nothing, and checking it would never end.
    fn refuse_circles(&self) -> Result<(), String> {
        // 0: not looked at, 1: on the way, 2: done.
        let mut state = vec![0_u8; self.nodes.len()];
        for start in 0..self.nodes.len() {
            let mut way = vec![(start, self.same_value(start))];
            while let Some((place, next)) = way.last_mut() {
                state[*place] = state[*place].max(1);
                match next.pop() {
                    Some(to) if state[to] == 1 => return Err("a `$ref` leads back to itself without going into the value".into()),
                    Some(to) if state[to] == 0 => {
                        let further = self.same_value(to);
                        way.push((to, further));
                    }
                    Some(_) => {}
                    None => {
                        state[*place] = 2;
                        way.pop();
                    }
                }
            }
        }
        Ok(())
    }

    /// The subschemas that are about the same value as this one.
    fn same_value(&self, place: Place) -> Vec<Place> {
        let of_rule = |rule: &Rule| match rule {
            Rule::All(places) | Rule::Any(places) | Rule::ExactlyOne(places) => places.clone(),
            Rule::Not(place) => vec![*place],
            Rule::If { condition, then, otherwise } => [Some(*condition), *then, *otherwise].into_iter().flatten().collect(),
            _ => Vec::new(),
        };
        self.nodes[place].rules.iter().flat_map(of_rule).collect()
    }
}

struct Reader {
    nodes: Vec<Node>,
    /// By their pointer, what `$ref` may name.
    named: BTreeMap<String, Place>,
}

/// The subschemas at the top that have names, with their pointers.
fn named_schemas(schema: &Value) -> Result<Vec<(String, &Value)>, String> {
    let mut named = Vec::new();
    for keyword in ["$defs", "definitions"] {
        let Some(schemas) = schema.get(keyword) else { continue };
        let schemas = schemas.as_object().ok_or_else(|| format!("#/{keyword}: expected an object of schemas"))?;
        named.extend(schemas.iter().map(|(name, schema)| (format!("#/{keyword}/{name}"), schema)));
    }
    Ok(named)
}

impl Reader {
    /// Gives them their places, so that they can be referred to before they have been read.
    fn reserve_named(&mut self, schema: &Value) -> Result<(), String> {
        for (pointer, _) in named_schemas(schema)? {
            let place = self.reserve()?;
            self.named.insert(pointer, place);
        }
        Ok(())
    }

    fn read_named(&mut self, schema: &Value) -> Result<(), String> {
        for (pointer, schema) in named_schemas(schema)? {
            let rules = self.rules(schema, &pointer, 1)?;
            let place = self.named[&pointer];
            self.nodes[place].rules = rules;
        }
        Ok(())
    }

    fn reserve(&mut self) -> Result<Place, String> {
        if self.nodes.len() == MOST_NODES {
            return Err(format!("more than {MOST_NODES} subschemas"));
        }
        self.nodes.push(Node::default());
        Ok(self.nodes.len() - 1)
    }

    fn read(&mut self, schema: &Value, at: &str, depth: usize) -> Result<Place, String> {
        let place = self.reserve()?;
        self.nodes[place].rules = self.rules(schema, at, depth)?;
        Ok(place)
    }

    fn rules(&mut self, schema: &Value, at: &str, depth: usize) -> Result<Vec<Rule>, String> {
        if depth > MOST_DEPTH {
            return Err(format!("{at}: subschemas stand in each other more than {MOST_DEPTH} deep"));
        }
        let keywords = match schema {
            Value::Bool(true) => return Ok(Vec::new()),
            Value::Bool(false) => return Ok(vec![Rule::Never]),
            Value::Object(keywords) => keywords,
            other => return Err(format!("{at}: expected a schema, an object or a boolean, found {other}")),
        };
        if let Some(complaint) = keywords.keys().find_map(|keyword| keywords::complaint(keyword, depth == 0)) {
            return Err(format!("{at}: {complaint}"));
        }
        let mut object = Keywords { reader: self, keywords, at, depth };
        let mut rules = object.of_any_value()?;
        rules.extend(object.of_numbers()?);
        rules.extend(object.of_strings()?);
        rules.extend(object.of_arrays()?);
        rules.extend(object.of_objects()?);
        rules.extend(object.of_combinations()?);
        Ok(rules)
    }
}

/// A keyword, and the rule that it makes of its value.
type Kind<'a, T> = (&'a str, fn(T) -> Rule);

/// The keywords of one subschema.
struct Keywords<'a> {
    reader: &'a mut Reader,
    keywords: &'a Map<String, Value>,
    at: &'a str,
    depth: usize,
}

impl Keywords<'_> {
    fn of_any_value(&mut self) -> Result<Vec<Rule>, String> {
        let mut rules = Vec::new();
        if let Some(types) = self.keywords.get("type") {
            let names = if types.is_array() { self.list("type")? } else { vec![types] };
            let type_of = |name: &&Value| Type::ALL.iter().find(|(known, _)| name.as_str() == Some(known)).map(|(_, one)| *one);
            let types: Option<Vec<Type>> = names.iter().map(type_of).collect();
            rules.push(Rule::Types(types.ok_or_else(|| self.expected("type", "null, boolean, object, array, number, integer or string"))?));
        }
        if self.keywords.contains_key("enum") {
            rules.push(Rule::OneOf(self.list("enum")?.into_iter().cloned().collect()));
        }
        rules.extend(self.keywords.get("const").map(|value| Rule::OneOf(vec![value.clone()])));
        Ok(rules)
    }

    fn of_numbers(&mut self) -> Result<Vec<Rule>, String> {
        let kinds: [Kind<'_, f64>; 5] = [
            ("minimum", Rule::Minimum),
            ("maximum", Rule::Maximum),
            ("exclusiveMinimum", Rule::Above),
            ("exclusiveMaximum", Rule::Below),
            ("multipleOf", Rule::MultipleOf),
        ];
        let mut rules = Vec::new();
        for (keyword, rule) in kinds {
            let Some(value) = self.keywords.get(keyword) else { continue };
            let number = value.as_f64().filter(|number| keyword != "multipleOf" || *number > 0.0);
            rules.push(rule(number.ok_or_else(|| self.expected(keyword, "a number, above 0 for multipleOf"))?));
        }
        Ok(rules)
    }

    fn of_strings(&mut self) -> Result<Vec<Rule>, String> {
        let mut rules = self.counts([("minLength", Rule::MinLength), ("maxLength", Rule::MaxLength)])?;
        if let Some(pattern) = self.keywords.get("pattern") {
            let text = pattern.as_str().ok_or_else(|| self.expected("pattern", "a regular expression"))?;
            rules.push(Rule::Pattern(self.regex(text)?));
        }
        Ok(rules)
    }

    fn of_arrays(&mut self) -> Result<Vec<Rule>, String> {
        let mut rules = self.counts([("minItems", Rule::MinItems), ("maxItems", Rule::MaxItems)])?;
        let prefix = if self.keywords.contains_key("prefixItems") { self.schemas("prefixItems")? } else { Vec::new() };
        let rest = self.schema("items")?;
        if !prefix.is_empty() || rest.is_some() {
            rules.push(Rule::Items { prefix, rest });
        }
        match self.keywords.get("uniqueItems") {
            None | Some(Value::Bool(false)) => {}
            Some(Value::Bool(true)) => rules.push(Rule::UniqueItems),
            Some(_) => return Err(self.expected("uniqueItems", "true or false")),
        }
        Ok(rules)
    }

    fn of_objects(&mut self) -> Result<Vec<Rule>, String> {
        let mut rules = self.counts([("minProperties", Rule::MinMembers), ("maxProperties", Rule::MaxMembers)])?;
        let named: BTreeMap<String, Place> = self.schemas_by_name("properties")?.into_iter().collect();
        let mut matching = Vec::new();
        for (pattern, place) in self.schemas_by_name("patternProperties")? {
            matching.push((self.regex(&pattern)?, place));
        }
        let rest = self.schema("additionalProperties")?;
        if !named.is_empty() || !matching.is_empty() || rest.is_some() {
            rules.push(Rule::Members { named, matching, rest });
        }
        rules.extend(self.schema("propertyNames")?.map(Rule::Names));
        if self.keywords.contains_key("required") {
            let names: Option<Vec<String>> = self.list("required")?.into_iter().map(|name| name.as_str().map(str::to_owned)).collect();
            rules.push(Rule::Required(names.ok_or_else(|| self.expected("required", "a list of names"))?));
        }
        Ok(rules)
    }

    fn of_combinations(&mut self) -> Result<Vec<Rule>, String> {
        let mut rules = Vec::new();
        if let Some(pointer) = self.keywords.get("$ref") {
            let place = pointer.as_str().and_then(|pointer| match pointer {
                // The root is the first to be read after those that have names.
                "#" => Some(self.reader.named.len()),
                pointer => self.reader.named.get(pointer).copied(),
            });
            rules.push(Rule::All(vec![place.ok_or_else(|| self.expected("$ref", "'#', or '#/$defs/NAME' of a schema that is there"))?]));
        }
        let kinds: [Kind<'_, Vec<Place>>; 3] = [("allOf", Rule::All), ("anyOf", Rule::Any), ("oneOf", Rule::ExactlyOne)];
        for (keyword, rule) in kinds {
            if self.keywords.contains_key(keyword) {
                rules.push(rule(self.schemas(keyword)?));
            }
        }
        rules.extend(self.schema("not")?.map(Rule::Not));
        let (condition, then, otherwise) = (self.schema("if")?, self.schema("then")?, self.schema("else")?);
        match condition {
            Some(condition) => rules.push(Rule::If { condition, then, otherwise }),
            None if then.is_some() || otherwise.is_some() => {
                return Err(format!("{}: `then` and `else` say nothing without `if`", self.at));
            }
            None => {}
        }
        Ok(rules)
    }

    fn counts<const N: usize>(&self, kinds: [Kind<'_, usize>; N]) -> Result<Vec<Rule>, String> {
        let mut rules = Vec::new();
        for (keyword, rule) in kinds {
            let Some(value) = self.keywords.get(keyword) else { continue };
            let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
            rules.push(rule(count.ok_or_else(|| self.expected(keyword, "a whole number, 0 or more"))?));
        }
        Ok(rules)
    }

    fn list(&self, keyword: &str) -> Result<Vec<&Value>, String> {
        let list = self.keywords.get(keyword).and_then(Value::as_array).filter(|list| !list.is_empty() || keyword == "required");
        Ok(list.ok_or_else(|| self.expected(keyword, "a list with something in it"))?.iter().collect())
    }

    fn schema(&mut self, keyword: &str) -> Result<Option<Place>, String> {
        let Some(schema) = self.keywords.get(keyword) else { return Ok(None) };
        self.reader.read(schema, &format!("{}/{keyword}", self.at), self.depth + 1).map(Some)
    }

    fn schemas(&mut self, keyword: &str) -> Result<Vec<Place>, String> {
        let schemas: Vec<Value> = self.list(keyword)?.into_iter().cloned().collect();
        let at = |place: usize| format!("{}/{keyword}/{place}", self.at);
        schemas.iter().enumerate().map(|(place, schema)| self.reader.read(schema, &at(place), self.depth + 1)).collect()
    }

    fn schemas_by_name(&mut self, keyword: &str) -> Result<Vec<(String, Place)>, String> {
        let Some(schemas) = self.keywords.get(keyword) else { return Ok(Vec::new()) };
        let schemas = schemas.as_object().ok_or_else(|| self.expected(keyword, "an object of schemas"))?;
        let at = |name: &str| format!("{}/{keyword}/{name}", self.at);
        schemas.iter().map(|(name, schema)| Ok((name.clone(), self.reader.read(schema, &at(name), self.depth + 1)?))).collect()
    }

    fn regex(&self, pattern: &str) -> Result<Regex, String> {
        Regex::new(pattern).map_err(|error| format!("{}: '{pattern}' is no regular expression: {error}", self.at))
    }

    fn expected(&self, keyword: &str, what: &str) -> String {
        format!("{}/{keyword}: expected {what}", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrong(schema: Value) -> String {
        Schema::read(schema.clone()).err().unwrap_or_else(|| panic!("{schema} is wrong"))
    }

    #[test]
    fn keywords_that_are_not_kept_to_are_refused_wherever_they_stand() {
        for (schema, says) in [
            (json!({ "format": "email" }), "#: keyword 'format' is not supported; a `pattern` can say it"),
            (json!({ "properties": { "a": { "contains": {} } } }), "#/properties/a: keyword 'contains' is not supported"),
            (json!({ "allOf": [{}, { "$dynamicRef": "#" }] }), "#/allOf/1: keyword '$dynamicRef' is not supported"),
            (json!({ "$defs": { "d": { "requierd": [] } } }), "#/$defs/d: keyword 'requierd' is not supported"),
            (json!({ "items": { "$id": "x" } }), "#/items: keyword '$id' is supported at the top of a schema only"),
        ] {
            assert!(wrong(schema).starts_with(says), "{says}");
        }
    }

    #[test]
    fn malformed_schemas_are_refused_with_their_place() {
        for (schema, says) in [
            (json!(1), "#: expected a schema"),
            (json!({ "type": "text" }), "#/type: expected null, boolean"),
            (json!({ "minLength": -1 }), "#/minLength: expected a whole number"),
            (json!({ "multipleOf": 0 }), "#/multipleOf: expected a number"),
            (json!({ "pattern": "(" }), "#: '(' is no regular expression"),
            (json!({ "anyOf": [] }), "#/anyOf: expected a list"),
            (json!({ "required": [1] }), "#/required: expected a list of names"),
            (json!({ "$ref": "#/$defs/nobody" }), "#/$ref: expected '#', or"),
            (json!({ "$ref": "https://example.com/s" }), "#/$ref: expected"),
            (json!({ "then": {} }), "#: `then` and `else` say nothing without `if`"),
            (
                json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "anyOf": [{ "$ref": "#/$defs/a" }] } } }),
                "a `$ref` leads back to itself",
            ),
            (json!({ "not": { "$ref": "#" } }), "a `$ref` leads back to itself"),
        ] {
            let wrong = wrong(schema);
            assert!(wrong.starts_with(says), "{wrong}");
        }
        let deep = (0..70).fold(json!({}), |inner, _| json!({ "items": inner }));
        assert!(wrong(deep).contains("more than 64 deep"));
    }

    #[test]
    fn notes_are_let_pass() {
        let notes = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "order", "title": "Order",
            "properties": { "a": { "description": "d", "default": 1, "examples": [1], "deprecated": true, "$comment": "c" } },
        });
        assert!(Schema::read(notes).is_ok());
    }
}
