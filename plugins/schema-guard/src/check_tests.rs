//! Every keyword, with a value that keeps to it and one that does not, and the words for what is wrong.

use super::*;
use serde_json::json;

fn said(schema: Value, value: Value) -> String {
    let schema = Schema::read(schema).expect("a schema");
    schema.check(&value).err().map_or_else(|| "right".to_owned(), |wrong| wrong.to_string())
}

#[test]
fn each_keyword_tells_right_from_wrong() {
    for (schema, right, wrong) in [
        (json!({ "type": "integer" }), json!(1.0), json!(1.5)),
        (json!({ "type": ["string", "null"] }), json!(null), json!(false)),
        (json!({ "enum": ["a", 1] }), json!(1.0), json!("b")),
        (json!({ "const": { "a": [1] } }), json!({ "a": [1.0] }), json!({ "a": [2] })),
        (json!({ "minimum": 1 }), json!(1), json!(0.9)),
        (json!({ "maximum": 1 }), json!(1), json!(1.1)),
        (json!({ "exclusiveMinimum": 1 }), json!(1.1), json!(1)),
        (json!({ "exclusiveMaximum": 1 }), json!(0.9), json!(1)),
        (json!({ "multipleOf": 0.1 }), json!(0.3), json!(0.35)),
        (json!({ "minLength": 2 }), json!("üü"), json!("ü")),
        (json!({ "maxLength": 2 }), json!("üü"), json!("abc")),
        (json!({ "pattern": r"^[A-Z]{2}\d+$" }), json!("AB1"), json!("AB")),
        (json!({ "items": { "type": "string" } }), json!(["a"]), json!(["a", 1])),
        (json!({ "prefixItems": [{ "type": "string" }], "items": { "type": "number" } }), json!(["a", 1]), json!([1, 1])),
        (json!({ "prefixItems": [{ "type": "string" }], "items": false }), json!(["a"]), json!(["a", 1])),
        (json!({ "minItems": 1 }), json!([1]), json!([])),
        (json!({ "maxItems": 1 }), json!([1]), json!([1, 2])),
        (json!({ "uniqueItems": true }), json!([1, "1", 2]), json!([1, 2, 1.0])),
        (json!({ "properties": { "a": { "type": "number" } } }), json!({ "b": "x" }), json!({ "a": "x" })),
        (json!({ "patternProperties": { "^x-": { "type": "string" } } }), json!({ "y": 1 }), json!({ "x-a": 1 })),
        (
            json!({ "properties": { "a": {} }, "patternProperties": { "^x-": {} }, "additionalProperties": false }),
            json!({ "a": 1, "x-b": 1 }),
            json!({ "c": 1 }),
        ),
        (json!({ "propertyNames": { "maxLength": 2 } }), json!({ "ab": 1 }), json!({ "abc": 1 })),
        (json!({ "required": ["a", "b"] }), json!({ "a": null, "b": 1 }), json!({ "a": 1 })),
        (json!({ "minProperties": 1 }), json!({ "a": 1 }), json!({})),
        (json!({ "maxProperties": 1 }), json!({ "a": 1 }), json!({ "a": 1, "b": 1 })),
        (json!({ "allOf": [{ "minimum": 1 }, { "maximum": 2 }] }), json!(2), json!(3)),
        (json!({ "anyOf": [{ "type": "string" }, { "minimum": 5 }] }), json!(5), json!(4)),
        (json!({ "oneOf": [{ "minimum": 1 }, { "maximum": 5 }] }), json!(9), json!(3)),
        (json!({ "oneOf": [{ "minimum": 9 }, { "type": "string" }] }), json!(10), json!(3)),
        (json!({ "not": { "type": "null" } }), json!(1), json!(null)),
        (json!({ "if": { "type": "string" }, "then": { "minLength": 1 }, "else": { "minimum": 1 } }), json!("a"), json!(0)),
        (json!({ "if": { "type": "string" }, "then": { "minLength": 1 } }), json!(0), json!("")),
        (json!({ "$ref": "#/$defs/d", "$defs": { "d": { "type": "string" } } }), json!("a"), json!(1)),
        (
            json!({ "properties": { "more": { "$ref": "#" } }, "maxProperties": 1 }),
            json!({ "more": { "more": {} } }),
            json!({ "more": { "a": 1, "b": 2 } }),
        ),
    ] {
        assert_eq!(said(schema.clone(), right.clone()), "right", "{schema} on {right}");
        assert_ne!(said(schema.clone(), wrong.clone()), "right", "{schema} on {wrong}");
    }
    assert_eq!((said(json!(true), json!(1)).as_str(), said(json!(false), json!(1)) != "right"), ("right", true));
}

#[test]
fn rules_for_one_type_say_nothing_about_another() {
    let schema = json!({ "minimum": 1, "minLength": 1, "minItems": 1, "minProperties": 1, "required": ["a"], "pattern": "a" });
    for value in [json!(true), json!(null)] {
        assert_eq!(said(schema.clone(), value), "right");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let item = json!({ "required": ["sku"], "properties": { "sku": { "pattern": "^[a-z]+$" }, "n": { "type": "integer" } } });
    let schema = json!({ "type": "object", "required": ["items"], "properties": { "items": { "items": item } } });
    let long = "x".repeat(100);
    for (value, expected) in [
        (json!([1, 2]), "payload: expected object, found array of 2"),
        (json!({ "a": 1, "b": 2 }), "payload: expected a member 'items', found a, b"),
        (json!({ "items": [{ "sku": "tea" }, { "sku": "T" }] }), "payload/items/1/sku: expected text that matches ^[a-z]+$, found \"T\""),
        (json!({ "items": [{ "sku": "tea", "n": long }] }), &format!("payload/items/0/n: expected integer, found \"{}…", &long[..59])),
    ] {
        assert_eq!(said(schema.clone(), value), expected);
    }
    let choice = json!({ "anyOf": [{ "required": ["a"] }, { "type": "string" }] });
    let expected = "payload: expected one of 2 alternatives to hold, the first of which says at this place: a member 'a', found none";
    assert_eq!(said(choice, json!({})), expected);
    assert_eq!(said(json!({ "oneOf": [true, true] }), json!(1)), "payload: expected one of 2 alternatives to hold, found 2 that do");
    let escaped = said(json!({ "properties": { "a/b~c": false } }), json!({ "a/b~c": 1 }));
    assert_eq!(escaped, "payload/a~1b~0c: expected nothing to stand here, found 1");
}
