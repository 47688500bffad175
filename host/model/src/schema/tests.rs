//! What a schema refuses and how it says so, and that reading and asking come to an end. The door is tested where it stands.

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn schemas(texts: &[(&str, Value)]) -> Schemas {
    texts.iter().map(|(name, text)| Arc::new(Schema::compile(name, &text.to_string()).unwrap())).collect()
}

fn order() -> Value {
    json!({
        "type": "object",
        "required": ["amount"],
        "properties": {
            "amount": {"type": "number", "exclusiveMinimum": 0},
            "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
            "email": {"type": "string", "format": "email"}
        },
        "$defs": {"item": {"type": "object", "properties": {"sku": {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$"}}}}
    })
}

fn check(payload: Value, expected: Expect) {
    let checked = schemas(&[("order:placed", order())]).check(&EventType::trusted("order:placed"), &payload.into());
    expected.assert_eq(&checked.map_or_else(|violation| Rejection::from(violation).to_string(), |()| "fits".to_owned()));
}

#[test]
fn what_does_not_fit_is_named_on_both_sides_and_not_repeated() {
    check(json!({"amount": 1, "items": [{"sku": "AB12"}], "email": "a@example.com"}), expect!["fits"]);
    check(json!({}), expect![[r#"payload: "amount" is a required property (schema 'order:placed', rule /required)"#]]);
    check(
        json!({"amount": "secret"}),
        expect![[r#"payload/amount: value is not of type "number" (schema 'order:placed', rule /properties/amount/type)"#]],
    );
    check(
        json!({"amount": 1, "items": [{"sku": "AB12"}, {"sku": "x"}]}),
        expect![[
            r#"payload/items/1/sku: value does not match "^[A-Z]{2}[0-9]+$" (schema 'order:placed', rule /$defs/item/properties/sku/pattern)"#
        ]],
    );
    check(
        json!({"amount": 1, "email": "nobody"}),
        expect![[r#"payload/email: value is not a "email" (schema 'order:placed', rule /properties/email/format)"#]],
    );
}

#[test]
fn every_schema_about_a_type_holds_and_no_other() {
    let schemas = schemas(&[
        ("order:placed", json!({"required": ["a"]})),
        ("order:*", json!({"required": ["b"]})),
        ("several", json!({"x-event-types": ["cart:opened", "cart:closed"], "required": ["c"]})),
    ]);
    let fails = |event_type: &str, payload: Value| {
        schemas.check(&EventType::trusted(event_type), &payload.into()).err().map(|violation| violation.schema)
    };
    assert_eq!(fails("order:placed", json!({"a": 1, "b": 1})), None);
    assert_eq!(fails("order:placed", json!({"a": 1})).as_deref(), Some("order:*"));
    assert_eq!(fails("order:paid", json!({"a": 1})).as_deref(), Some("order:*"));
    assert_eq!(fails("cart:closed", json!({})).as_deref(), Some("several"));
    assert_eq!(fails("other:thing", json!(null)), None);
}

/// The same question about one value, twice in each of sixty definitions.
fn doubling(innermost: Value) -> Value {
    let mut schema = json!({"$ref": "#/$defs/d0", "$defs": {"d60": innermost}});
    for level in 0..60 {
        let next = format!("#/$defs/d{}", level + 1);
        schema["$defs"][format!("d{level}")] = json!({"allOf": [{"$ref": next}, {"$ref": next}]});
    }
    schema
}

fn refused(name: &str, text: &str, expected: Expect) {
    expected.assert_eq(&Schema::compile(name, text).map_or_else(|error| error.to_string(), |_| "taken".to_owned()));
}

#[test]
fn what_is_no_schema_is_named() {
    refused("a:b", "{", expect!["EOF while parsing an object at line 1 column 1"]);
    refused(
        "a:b",
        r#"{"properties": {"x": {"type": "nmuber"}}}"#,
        expect![[r#"at /properties/x/type: "nmuber" is not valid under any of the schemas listed in the 'anyOf' keyword"#]],
    );
    refused(
        "order",
        "{}",
        expect![[
            r#"type pattern 'order' is malformed: event type 'order' is one word; write 'component:action', for example 'order:happened'; name the file after a type or a pattern, such as order:placed.json, or list them in "x-event-types""#
        ]],
    );
    refused(
        "a:b",
        r#"{"x-event-types": []}"#,
        expect![[
            r#"x-event-types is not a list of types; name the file after a type or a pattern, such as order:placed.json, or list them in "x-event-types""#
        ]],
    );
    refused(
        "a:b",
        r#"{"x-event-types": [7]}"#,
        expect![[
            r#"'7' in x-event-types is not a type; name the file after a type or a pattern, such as order:placed.json, or list them in "x-event-types""#
        ]],
    );
    refused("task:completed", "{}", expect!["'task:completed' is the host's own, which gives it its form"]);
    refused(
        "a:b",
        r#"{"$ref": "https://example.com/order.json"}"#,
        expect![
            "at the top: Resource 'https://example.com/order.json' is not present in a registry and retrieving it failed: Retrieval is disabled, cannot fetch https://example.com/order.json"
        ],
    );
    refused(
        "a:b",
        r#"{"$ref": "file:///etc/passwd"}"#,
        expect![
            "at the top: Resource 'file:///etc/passwd' is not present in a registry and retrieving it failed: Retrieval is disabled, cannot fetch file:///etc/passwd"
        ],
    );
    refused("a:b", r#"{"pattern": "(a)\\1"}"#, expect![[r#"at /pattern: "(a)\\1" is not a "regex""#]]);
    refused("a:b", r#"{"pattern": "((a{100}){100}){100}"}"#, expect![[r#"at /pattern: "((a{100}){100}){100}" is not a "regex""#]]);
    let patterns = format!(r#"{{"allOf": [{}]}}"#, vec![r#"{"pattern": "a"}"#; MOST_SCHEMA_PATTERNS + 1].join(","));
    refused("a:b", &patterns, expect!["at /allOf/200/pattern: more regular expressions than the 200 that a schema may have"]);
    // Where asking, or looking for what is left over, would go on without end.
    refused(
        "a:b",
        &doubling(json!({"type": "string"})).to_string(),
        expect!["at the top: more than 10000 schemas are about one value here, each as often as it is referred to"],
    );
    refused(
        "a:b",
        &doubling(json!({})).to_string(),
        expect!["at the top: more than 10000 schemas are about one value here, each as often as it is referred to"],
    );
    let by_name = doubling(json!({})).to_string().replace("#/$defs/", "#");
    refused(
        "a:b",
        &(0..=60)
            .fold(by_name, |text, level| text.replace(&format!("\"d{level}\":{{"), &format!("\"d{level}\":{{\"$anchor\":\"d{level}\",")))
            .replace(",}", "}"),
        expect!["at the top: more than 10000 schemas are about one value here, each as often as it is referred to"],
    );
    let mut chain = json!({"$ref": "#/$defs/d0", "$defs": {"d600": {}}});
    for level in 0..600 {
        chain["$defs"][format!("d{level}")] = json!({"$ref": format!("#/$defs/d{}", level + 1)});
    }
    refused(
        "a:b",
        &chain.to_string(),
        expect!["at the top: schemas lead on from one to the next about the same value, more than 500 of them"],
    );
    refused(
        "a:b",
        r##"{"unevaluatedItems": false, "allOf": [{"anyOf": [{"$ref": "#/allOf/0"}]}]}"##,
        expect!["at the top: a schema leads back to itself about the same value"],
    );
    refused(
        "a:b",
        r##"{"$ref": "#/$defs/%61", "$defs": {"a": {}}}"##,
        expect!["at the top: '#/$defs/%61' is written with a %; give what it leads to a name that needs none"],
    );
    refused(
        "a:b",
        r##"{"$defs": {"x": {"$id": "y"}}}"##,
        expect!["at /$defs/x/$id: a schema is one document, without an identity within it; refer to its parts as #/$defs/NAME"],
    );
    let names = json!({"$id": "z", "properties": {"const": true, "a": {"$ref": "#/$defs/e"}, "$id": {"unevaluatedItems": false}}, "$defs": {"e": {}}});
    refused("a:b", &names.to_string(), expect!["taken"]);
}

#[test]
fn each_limit_is_reached() {
    let large = json!({"description": "x".repeat(SCHEMA_BYTES)}).to_string();
    assert!(matches!(Schema::compile("a:b", &large), Err(SchemaError::Json(JsonError::TooLarge { limit: SCHEMA_BYTES, .. }))));
    let deep = format!("{}{{}}{}", r#"{"not": "#.repeat(SCHEMA_DEPTH), "}".repeat(SCHEMA_DEPTH));
    assert!(matches!(Schema::compile("a:b", &deep), Err(SchemaError::Json(JsonError::TooDeep { limit: SCHEMA_DEPTH }))));
}

#[test]
fn a_pattern_that_would_explode_elsewhere_takes_its_time_by_the_length() {
    let schema = Schema::compile("a:b", r#"{"pattern": "^(a+)+$"}"#).unwrap();
    // With backtracking, thirty letters would take minutes, and these would never come to an end.
    assert!(schema.check(&json!(format!("{}!", "a".repeat(200_000))).into()).is_err());
}

/// What is said of a payload, in a few seconds at most; without a bound, these take from minutes to for ever.
fn soon(schema: Value, payload: Value, expected: Expect) {
    let schema = Schema::compile("a:b", &schema.to_string()).unwrap();
    let begun = std::time::Instant::now();
    let checked = schema.check(&payload.into());
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    expected.assert_eq(&checked.map_or_else(|violation| violation.to_string(), |()| "fits".to_owned()));
}

fn nested(levels: usize, innermost: Value) -> Value {
    (0..levels).fold(innermost, |within, _| json!({"next": within}))
}

#[test]
fn a_tree_is_asked_by_its_size() {
    let tree = json!({
        "type": "object",
        "required": ["value"],
        "properties": {"value": {"type": "integer"}, "left": {"$ref": "#"}, "right": {"$ref": "#"}, "others": {"items": {"$ref": "#"}}},
        "additionalProperties": false
    });
    fn grown(levels: usize) -> Value {
        match levels {
            0 => json!({"value": 0}),
            _ => json!({"value": levels, "left": grown(levels - 1), "right": grown(levels - 1), "others": [{"value": 1}]}),
        }
    }
    soon(tree.clone(), grown(13), expect!["fits"]);
    let mut deep = json!({"value": "x"});
    for level in 0..60 {
        deep = json!({"value": level, "left": deep});
    }
    let at = Schema::compile("a:b", &tree.to_string()).unwrap().check(&deep.into()).unwrap_err().at;
    assert_eq!(at, "/left".repeat(60) + "/value");
    // An alternative that is told by its first look is no reason to look twice.
    let expression = json!({"oneOf": [
        {"type": "number"},
        {"type": "object", "required": ["and"], "properties": {"and": {"type": "array", "items": {"$ref": "#"}}}},
        {"type": "object", "required": ["not"], "properties": {"not": {"$ref": "#"}}}
    ]});
    let mut deep = json!(1);
    for _ in 0..20 {
        deep = json!({"and": [{"not": deep}, 2]});
    }
    soon(expression, deep, expect!["fits"]);
}

#[test]
fn what_doubles_with_every_level_is_cut() {
    // Twice the same question about each level below.
    let twice = json!({"anyOf": [{"properties": {"next": {"$ref": "#"}}, "required": ["a"]}, {"properties": {"next": {"$ref": "#"}}, "required": ["b"]}]});
    soon(twice, nested(60, json!({})), expect!["payload: it does not fit, in more than 1000 ways (schema 'a:b', rule the top)"]);
    let fits_none = json!({"anyOf": [
        {"properties": {"next": {"$ref": "#"}}, "type": "object"},
        {"properties": {"next": {"$ref": "#"}}, "minProperties": 1}
    ]});
    soon(fits_none.clone(), nested(60, json!(1)), expect!["fits"]);
    soon(
        json!({"not": fits_none}),
        nested(60, json!(1)),
        expect![[
            r##"payload: {"anyOf":[{"properties":{"next":{"$ref":"#"}},"type":"object"},{"minProperties":1,"properties":{"next":{"$ref":"#"}}}]} is not allowed for value (schema 'a:b', rule /not)"##
        ]],
    );
    let dynamic = json!({"$dynamicAnchor": "node", "oneOf": [
        {"properties": {"next": {"$dynamicRef": "#node"}}, "required": ["a"]},
        {"properties": {"next": {"$dynamicRef": "#node"}}, "required": ["next"]}
    ]});
    soon(dynamic, nested(60, json!({})), expect!["payload: it does not fit, in more than 1000 ways (schema 'a:b', rule the top)"]);
    let unevaluated = json!({"properties": {"next": {"$ref": "#"}}, "anyOf": [
        {"properties": {"next": {"$ref": "#"}}, "required": ["a"]},
        {"properties": {"next": {"$ref": "#"}}}
    ], "unevaluatedProperties": false});
    soon(
        unevaluated,
        nested(60, json!({"x": 1})),
        expect![
            "payload/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next/next: Unevaluated properties are not allowed ('x' was unexpected) (schema 'a:b', rule /unevaluatedProperties)"
        ],
    );
    let many = json!({"unevaluatedProperties": false, "allOf": vec![json!({"properties": {"a": true}}); 900]});
    let names: serde_json::Map<_, _> = (0..50_000).map(|n| (format!("name{n}"), json!(true))).collect();
    soon(
        many,
        json!(names),
        expect![
            "payload: asking it takes more than the 100000 schema steps, and 8 for each byte, that a payload may cost (schema 'a:b', rule the top)"
        ],
    );
    let draft7 = json!({"$schema": "http://json-schema.org/draft-07/schema#", "anyOf": [
        {"properties": {"next": {"$ref": "#"}}, "required": ["a"]},
        {"properties": {"next": {"$ref": "#"}}, "required": ["b"]}
    ]});
    soon(draft7, nested(60, json!({})), expect!["payload: it does not fit, in more than 1000 ways (schema 'a:b', rule the top)"]);
}

#[test]
fn what_is_large_on_both_sides_is_cut() {
    let many = |n: usize| json!(vec![json!({}); n]);
    let names: serde_json::Map<_, _> = (0..5_000).map(|n| (format!("name{n}"), json!(true))).collect();
    soon(json!({"items": {"properties": names}}), many(200_000), expect!["fits"]);
    let uniques = json!({"allOf": vec![json!({"uniqueItems": true}); 5_000]});
    soon(
        uniques,
        json!((0..100_000).collect::<Vec<_>>()),
        expect![
            "payload: asking it takes more than the 100000 schema steps, and 8 for each byte, that a payload may cost (schema 'a:b', rule the top)"
        ],
    );
    let patterns: serde_json::Map<_, _> = (0..MOST_SCHEMA_PATTERNS).map(|n| (format!("^k{n}.*x$"), json!(true))).collect();
    let keys: serde_json::Map<_, _> = (0..60_000).map(|n| (format!("k{n}"), json!(1))).collect();
    soon(
        json!({"patternProperties": patterns}),
        json!(keys),
        expect![
            "payload: asking it takes more than the 100000 schema steps, and 8 for each byte, that a payload may cost (schema 'a:b', rule the top)"
        ],
    );
    let one_of = json!({"items": {"enum": (0..20_000).map(|n| json!({"n": n})).collect::<Vec<_>>()}});
    soon(
        one_of,
        json!(vec![json!({"n": 30_000}); 60_000]),
        expect![[r#"payload/0: value is not one of {"n":0}, {"n":1} or 19998 other candidates (schema 'a:b', rule /items/enum)"#]],
    );
}

#[test]
fn all_schemas_about_a_type_share_the_steps() {
    let slow = json!({"items": {"allOf": vec![json!({"minimum": 0}); 5]}});
    let payload: Json = json!(vec![1; 5_000]).into();
    let named = |n: usize| -> Schemas {
        (0..n).map(|n| Arc::new(Schema::compile("a:*", &slow.to_string()).map(|schema| (n, schema).1).unwrap())).collect()
    };
    let event_type = EventType::trusted("a:b");
    assert_eq!(named(1).check(&event_type, &payload), Ok(()));
    let cut = named(200).check(&event_type, &payload).unwrap_err();
    assert!(cut.message.contains("schema steps"), "{cut}");
    // What one asking leaves is nothing to the next.
    assert_eq!(named(1).check(&event_type, &payload), Ok(()));
}

proptest! {
    #[test]
    fn compiling_and_checking_are_total(schema in "\\{(\"(type|pattern|minimum|items|enum|\\$ref)\":(\"[a-z#/(*]{0,8}\"|[0-9]{1,3}|\\{\\}|\\[\\]),?){0,3}\\}", payload in "[0-9]{1,3}|\"[a-z]{0,5}\"|\\[1\\]|\\{\\}") {
        if let Ok(schema) = Schema::compile("a:b", &schema.replace(",}", "}")) {
            let _ = schema.check(&Json::trusted(payload));
        }
    }
}
