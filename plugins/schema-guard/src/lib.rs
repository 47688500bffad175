//! `schema-guard`: a control handler that refuses events whose payload does not keep to a JSON Schema. It needs no grant.
//!
//! At a publish it answers `fail`, which names the place in the payload, what was expected and what stands there; elsewhere it proceeds.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `uncovered` | `pass` | events that come here and have no schema: `pass` or `fail` |
//! | `schemas` | none | by type pattern, as in `order:*`, a schema: a table, or a string of JSON; an event keeps to all whose pattern names its type |
//!
//! It is asked about no event until `[controls]` in its settings file names types. Schemas are of draft 2020-12, with these keywords and no others:
//! `type`, `enum`, `const`; `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf`; `minLength`, `maxLength`, `pattern`; `items`,
//! `prefixItems`, `minItems`, `maxItems`, `uniqueItems`; `properties`, `patternProperties`, `additionalProperties`, `propertyNames`, `required`,
//! `minProperties`, `maxProperties`; `allOf`, `anyOf`, `oneOf`, `not`, `if`, `then`, `else`; `$defs` and `definitions` at the top, and `$ref` to what
//! is in them. `title`, `description`, `default`, `examples`, `deprecated`, `readOnly`, `writeOnly`, `$comment`, and at the top `$schema` and `$id`, are
//! notes. Any other keyword is refused by name when the settings are read, never passed over. A `pattern` is a regular expression in the syntax
//! of Rust's `regex`, without look-around and back references, so that matching takes time linear in the text.

mod check;
mod compile;
mod keywords;
mod schema;

use schema::Schema;
use serde::Deserialize;
use serde_json::{Map, Value};
use trackside_policy_kit::{Configuration, Configured, TypePattern};
use trackside_sdk::{Context, Control, Description, Event, Filter, Plugin, Point, Signal};

struct SchemaGuard;

/// The settings as they are written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Raw {
    uncovered: Uncovered,
    schemas: Map<String, Value>,
}

impl Default for Raw {
    fn default() -> Self {
        Raw { uncovered: Uncovered::Pass, schemas: Map::new() }
    }
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Uncovered {
    Pass,
    Fail,
}

/// The settings, checked.
struct Schemas {
    uncovered: Uncovered,
    schemas: Vec<(TypePattern, Schema)>,
}

impl Configured for Schemas {
    type Raw = Raw;

    fn configured(raw: Raw) -> Result<Self, String> {
        let read = |(pattern, schema): (String, Value)| {
            let wrong = |error: String| format!("`schemas`: '{pattern}': {error}");
            let types = TypePattern::try_from(pattern.clone()).map_err(wrong)?;
            Ok((types, Schema::read(schema).map_err(wrong)?))
        };
        Ok(Schemas { uncovered: raw.uncovered, schemas: raw.schemas.into_iter().map(read).collect::<Result<_, String>>()? })
    }
}

static SCHEMAS: Configuration<Schemas> = Configuration::new();

impl Plugin for SchemaGuard {
    fn describe() -> Description {
        Description::new("schema-guard")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Refuses events whose payload does not keep to a JSON Schema.")
            .controls(Filter::nothing())
            .priority(40)
            .memoryless()
    }
}

impl Control for SchemaGuard {
    fn check(event: &Event, context: &Context) -> Signal {
        if context.point != Point::Publish {
            return Signal::proceed();
        }
        match SCHEMAS.get() {
            Ok(schemas) => judge(schemas, event),
            Err(error) => Signal::error(error.message()),
        }
    }
}

trackside_sdk::export!(SchemaGuard: control);

fn judge(schemas: &Schemas, event: &Event) -> Signal {
    let payload: Value = match event.payload() {
        Ok(payload) => payload,
        Err(error) => return Signal::error(error.message()),
    };
    let mut covered = false;
    for (_, schema) in schemas.schemas.iter().filter(|(pattern, _)| pattern.matches(event.event_type())) {
        covered = true;
        if let Err(wrong) = schema.check(&payload) {
            return Signal::fail(wrong.to_string());
        }
    }
    if !covered && schemas.uncovered == Uncovered::Fail {
        return Signal::fail(format!("there is no schema for {}", event.event_type()));
    }
    Signal::proceed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trackside_policy_kit::read;
    use trackside_sdk::EventBuf;

    fn judged(settings: Value, payload: Value) -> Signal {
        judge(&read(&settings).expect("these settings are right"), &EventBuf::new("order:placed").payload(payload).view())
    }

    #[test]
    fn an_event_keeps_to_every_schema_for_its_type() {
        let settings = json!({ "schemas": {
            "order:*": { "required": ["amount"] },
            "**": r#"{"properties": {"amount": {"minimum": 1}}}"#,
            "user:*": false,
        } });
        assert_eq!(judged(settings.clone(), json!({ "amount": 1 })), Signal::proceed());
        assert_eq!(judged(settings.clone(), json!({})), Signal::fail("payload: expected a member 'amount', found none"));
        assert_eq!(judged(settings, json!({ "amount": 0 })), Signal::fail("payload/amount: expected at least 1, found 0"));
    }

    #[test]
    fn events_without_a_schema_go_by_the_setting() {
        assert_eq!(judged(json!({}), json!({})), Signal::proceed());
        assert_eq!(judged(json!({ "uncovered": "fail" }), json!({})), Signal::fail("there is no schema for order:placed"));
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        for (settings, says) in [
            (json!({ "schemas": { "order": {} } }), "`schemas`: 'order': 'order' is no type pattern"),
            (json!({ "schemas": { "order:*": "{" } }), "`schemas`: 'order:*': "),
            (json!({ "schemas": { "order:*": { "format": "email" } } }), "`schemas`: 'order:*': #: keyword 'format' is not supported"),
            (json!({ "uncovered": "drop" }), "`uncovered`"),
            (json!({ "schema": {} }), "`schema`"),
        ] {
            let error = read::<Schemas>(&settings).err().expect("these settings are wrong");
            assert!(error.message().contains(says), "{error}");
        }
    }
}
