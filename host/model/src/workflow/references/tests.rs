//! Templates as data: parameters over three tasks and an input, and what they resolve to, with the audit or the error.
//! Properties: nothing panics, literals are untouched, and source text reads back.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::workflow::definition::{Definition, Format};

/// Tasks that parameters may name; the one under test is called `it`.
const IDS: [&str; 6] = ["fetch", "task_fetch_result", "abc", "abc_result", "skipped", "later"];

fn template(parameters: &serde_json::Value) -> Result<Template, String> {
    let mut tasks: Vec<_> = IDS.iter().map(|id| serde_json::json!({ "id": id, "method": "m/x" })).collect();
    tasks.push(serde_json::json!({ "id": "it", "method": "m/x", "parameters": { "p": parameters } }));
    let text = serde_json::json!({ "tasks": tasks }).to_string();
    let mut definition = Definition::parse(&text, Format::Json)
        .map_err(|errors| errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>().join("\n"))?;
    Ok(definition.tasks.remove(IDS.len()).parameters)
}

fn results(source: Source) -> Option<Json> {
    Some(Json::trusted(match source {
        Source::Task(0) => r#"{"items": [{"n": 1.50}, "two"], "a.b": {"}": true}, "m~/": 3, "text": "a \"q\""}"#,
        Source::Task(1) => r#""the task of that name""#,
        Source::Task(2) => "[10, 20]",
        Source::Task(3) => r#"{"result": {"x": "own"}, "x": "outer"}"#,
        Source::Task(4) => "null",
        Source::Task(_) => return None,
        Source::Input => r#"{"who": "Ada", "n": 7}"#,
    }))
}

/// What `parameters` resolve to, each replacement behind it; or what is wrong.
#[expect(clippy::needless_pass_by_value, reason = "expectations read as values")]
fn check(parameters: serde_json::Value, expected: Expect) {
    let shown = match template(&parameters).map(|template| template.resolve(&results)) {
        Err(message) => format!("refused: {message}"),
        Ok(Err(error)) => format!("error: {error}"),
        Ok(Ok((json, substitutions))) => {
            let audit = substitutions.iter().map(|it| format!("\n{} = {} {:?} {} bytes", it.reference, it.from, it.pointer, it.bytes));
            format!("{json}{}", audit.collect::<String>())
        }
    };
    expected.assert_eq(&shown);
}

fn one(text: &str, expected: Expect) {
    check(text.into(), expected);
}

#[test]
fn a_whole_string_keeps_its_type() {
    one(
        "${fetch.items}",
        expect![[r#"
        {"p":[{"n": 1.50}, "two"]}
        ${fetch.items} = fetch "/items" 20 bytes"#]],
    );
    one(
        "${fetch.items[0].n}",
        expect![[r#"
        {"p":1.50}
        ${fetch.items[0].n} = fetch "/items/0/n" 4 bytes"#]],
    );
    one(
        "${fetch.items.0.n}",
        expect![[r#"
        {"p":1.50}
        ${fetch.items.0.n} = fetch "/items/0/n" 4 bytes"#]],
    );
    one(
        "${ fetch.text }",
        expect![[r#"
        {"p":"a \"q\""}
        ${ fetch.text } = fetch "/text" 9 bytes"#]],
    );
    one(
        "${workflow.input}",
        expect![[r#"
        {"p":{"who": "Ada", "n": 7}}
        ${workflow.input} = workflow.input "" 22 bytes"#]],
    );
    one(
        "${workflow.input.n}",
        expect![[r#"
        {"p":7}
        ${workflow.input.n} = workflow.input "/n" 1 bytes"#]],
    );
    one(
        "${fetch[\"a.b\"]['}']}",
        expect![[r#"
        {"p":true}
        ${fetch["a.b"]['}']} = fetch "/a.b/}" 4 bytes"#]],
    );
    one(
        "${fetch.m~/}",
        expect![[r#"
        {"p":3}
        ${fetch.m~/} = fetch "/m~0~1" 1 bytes"#]],
    );
}

#[test]
fn inside_a_string_it_is_text() {
    one(
        "for ${workflow.input.who}: ${fetch.items}, ${fetch.text}!",
        expect![[r#"
        {"p":"for Ada: [{\"n\":1.50},\"two\"], a \"q\"!"}
        ${workflow.input.who} = workflow.input "/who" 3 bytes
        ${fetch.items} = fetch "/items" 18 bytes
        ${fetch.text} = fetch "/text" 5 bytes"#]],
    );
    one(
        "${abc}${abc}",
        expect![[r#"
        {"p":"[10,20][10,20]"}
        ${abc} = abc "" 7 bytes
        ${abc} = abc "" 7 bytes"#]],
    );
}

#[test]
fn the_longest_known_id_wins() {
    one(
        "${task_fetch_result}",
        expect![[r#"
        {"p":"the task of that name"}
        ${task_fetch_result} = task_fetch_result "" 23 bytes"#]],
    );
    one(
        "${task_abc_result}",
        expect![[r#"
        {"p":[10, 20]}
        ${task_abc_result} = abc "" 8 bytes"#]],
    );
    one(
        "${task_abc_result_result.x}",
        expect![[r#"
        {"p":"outer"}
        ${task_abc_result_result.x} = abc_result "/x" 7 bytes"#]],
    );
    one(
        "${task_abc_result[1]}",
        expect![[r#"
        {"p":20}
        ${task_abc_result[1]} = abc "/1" 2 bytes"#]],
    );
}

#[test]
fn result_is_the_result_unless_there_is_a_field_of_that_name() {
    one(
        "${fetch.result.items[1]}",
        expect![[r#"
        {"p":"two"}
        ${fetch.result.items[1]} = fetch "/items/1" 5 bytes"#]],
    );
    one(
        "${abc.result}",
        expect![[r#"
        {"p":[10, 20]}
        ${abc.result} = abc "" 8 bytes"#]],
    );
    one(
        "${abc_result.result.x}",
        expect![[r#"
        {"p":"own"}
        ${abc_result.result.x} = abc_result "/result/x" 5 bytes"#]],
    );
    one("${workflow.input.result}", expect!["error: ${workflow.input.result}: 'workflow.input' has no field 'result'; it has n, who"]);
}

#[test]
fn pairs_of_dollars_before_a_brace_are_text() {
    one(
        "$${fetch} $$${abc[0]} $$$${ $ $$ {} $5 ${abc[1]}$",
        expect![[r#"
        {"p":"${fetch} $10 $${ $ $$ {} $5 20$"}
        ${abc[0]} = abc "/0" 2 bytes
        ${abc[1]} = abc "/1" 2 bytes"#]],
    );
    check(serde_json::json!({ "$${k}": "$${v}", "$": "$" }), expect![[r#"{"p":{"$":"$","${k}":"${v}"}}"#]]);
}

#[test]
fn a_path_into_null_is_null() {
    one(
        "${skipped.any.thing[3]}",
        expect![[r#"
        {"p":null}
        ${skipped.any.thing[3]} = skipped "" 4 bytes"#]],
    );
    one(
        "<${skipped.x}>",
        expect![[r#"
        {"p":"<null>"}
        ${skipped.x} = skipped "" 4 bytes"#]],
    );
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    one("${fetch.items[3]}", expect!["error: ${fetch.items[3]}: 'items' has 2 elements"]);
    one("${fetch.itms}", expect!["error: ${fetch.itms}: 'fetch' has no field 'itms'; did you mean 'items'?"]);
    one("${fetch.items[0].zzz}", expect!["error: ${fetch.items[0].zzz}: element 0 has no field 'zzz'; it has n"]);
    one("${fetch.items.name}", expect!["error: ${fetch.items.name}: 'items' is an array, which has no field 'name'"]);
    one("${fetch.text.length}", expect!["error: ${fetch.text.length}: 'text' is a string, which has no field 'length'"]);
    one("${fetch.items[1][0]}", expect!["error: ${fetch.items[1][0]}: element 1 is a string, not an array"]);
    one("${abc.x}", expect!["error: ${abc.x}: 'abc' is an array, which has no field 'x'"]);
    one("${later}", expect!["error: ${later}: 'later' has no value yet"]);
}

#[test]
fn references_to_nothing_are_refused() {
    one("${fetsh.x}", expect!["refused: ${fetsh.x}: no task 'fetsh'; did you mean 'fetch'? ($${ stands for the text ${)"]);
    one(
        "${task_fetsh_result}",
        expect!["refused: ${task_fetsh_result}: no task 'fetsh'; did you mean 'fetch'? ($${ stands for the text ${)"],
    );
    one(
        "a ${} b ${.x} c ${HOME} d ${fetch..x}",
        expect![[r#"
            refused: ${}: a name is missing; write ${ID} or ${ID.field}
            ${.x}: a name is missing; write ${ID} or ${ID.field}
            ${HOME}: no task 'HOME' ($${ stands for the text ${)
            ${fetch..x}: a name is missing; write ${ID} or ${ID.field}"#]],
    );
    one("${fetch[}", expect!["refused: ${fetch[}: ']' is missing"]);
    one("${fetch[1]x}", expect!["refused: ${fetch[1]x}: 'x' stands where '.', '[' or '}' goes"]);
    one("${fetch['x}", expect!["refused: ${fetch['x}: a quote in brackets has no end"]);
    one("${fetch[-1]}", expect!["refused: ${fetch[-1]}: a number, or a name in quotes, goes into brackets"]);
    one("${workflow}", expect!["refused: ${workflow}: a workflow has only its input; write ${workflow.input.NAME}"]);
    one("${workflow.output}", expect!["refused: ${workflow.output}: a workflow has only its input; write ${workflow.input.NAME}"]);
    one("${fetch", expect!["refused: ${fetch: the closing brace is missing"]);
    check(serde_json::json!({ "${fetch}": 1 }), expect!["refused: references stand in values, not in keys; write $${ for the text '${'"]);
}

#[test]
fn parameters_without_references_are_shared() {
    let template = template(&serde_json::json!({ "a": [1, { "b": "$${c}" }] })).unwrap();
    let (one, _) = template.resolve(&results).unwrap();
    let (other, audit) = template.resolve(&results).unwrap();
    assert_eq!(one.as_str(), r#"{"p":{"a":[1,{"b":"${c}"}]}}"#);
    assert!(std::ptr::eq(one.as_str(), other.as_str()), "one text for every attempt");
    assert!(audit.is_empty());
}

#[test]
fn references_may_not_add_up_without_end() {
    let template = template(&serde_json::json!(vec!["${fetch}"; 65])).unwrap();
    let large = Json::from_value(&"x".repeat(1 << 20));
    let error = template.resolve(&|_| Some(large.clone())).unwrap_err();
    expect!["${fetch}: parameters grow past the 67108864 bytes allowed"].assert_eq(&error.to_string());
}

#[test]
fn references_are_listed() {
    let template = template(&serde_json::json!({ "b": "${abc}", "a": ["x ${workflow.input.n} ${fetch.y}"], "c": 1 })).unwrap();
    let found: Vec<_> = template.references().map(|reference| (&*reference.text, reference.source)).collect();
    assert_eq!(found, [("${workflow.input.n}", Source::Input), ("${fetch.y}", Source::Task(0)), ("${abc}", Source::Task(2))]);
}

fn texts() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("$".to_owned()),
        Just("{".to_owned()),
        Just("${".to_owned()),
        "\\$\\{(fetch|abc|skipped|workflow\\.input|later)((\\.[a-z]{1,3})|\\[[0-2]\\]){0,3}\\}",
        "\\PC{0,4}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_panics_and_what_resolves_is_json(texts in prop::collection::vec(texts(), 0..4)) {
        if let Ok(template) = template(&serde_json::json!(texts))
            && let Ok((json, audit)) = template.resolve(&results)
        {
            prop_assert!(serde_json::from_str::<serde_json::Value>(json.as_str()).is_ok());
            prop_assert_eq!(audit.len(), template.references().count());
        }
    }

    #[test]
    fn text_is_escaped_and_read_back(text in "[a${} ]{0,12}") {
        let mut escaped = String::new();
        read::escape(&mut escaped, &text, false);
        let template = template(&serde_json::json!(escaped)).map_err(TestCaseError::fail)?;
        let (json, _) = template.resolve(&results).unwrap();
        prop_assert_eq!(&json.to_value()["p"], &serde_json::json!(text));
    }

    #[test]
    fn the_source_reads_back(texts in prop::collection::vec(texts(), 0..4)) {
        if let Ok(template) = template(&serde_json::json!(texts)) {
            let mut source = String::new();
            template.write_source(&mut source);
            let value: serde_json::Value = serde_json::from_str(&source).unwrap();
            let again = self::template(&value["p"]).map_err(TestCaseError::fail)?;
            let (mut one, mut other) = (template.references(), again.references());
            prop_assert!(one.by_ref().eq(other.by_ref()));
            prop_assert_eq!(template.resolve(&results), again.resolve(&results));
        }
    }

    #[test]
    fn any_value_is_found_or_named(value in "[\\[\\]{}\",:0-9a-z ]{0,20}", path in "(\\.[a-z]|\\[[0-3]\\]){1,4}") {
        let template = template(&serde_json::json!(format!("${{fetch{path}}}"))).map_err(TestCaseError::fail)?;
        // Not even text that is no JSON, which the store would never give.
        let _ = template.resolve(&|_| Some(Json::trusted(&*value)));
    }
}
