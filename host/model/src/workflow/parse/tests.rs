//! Definitions as data: a text, and its canonical form or what is wrong with it.
//! What holds for every text is `property_tests`'.

use expect_test::{Expect, expect};

use crate::workflow::definition::{Definition, Format};

/// The canonical form of `text`, or every error.
#[expect(clippy::needless_pass_by_value, reason = "expectations read as values")]
fn check_as(format: Format, text: &str, expected: Expect) {
    let shown = match Definition::parse(text, format) {
        Ok(definition) => {
            let canonical = definition.canonical_json();
            let again = Definition::from_canonical(&canonical).expect("canonical text reads back");
            assert_eq!(again.canonical_json(), canonical);
            assert_eq!(again.digest, definition.digest);
            canonical.replace("{\"id\"", "\n{\"id\"")
        }
        Err(errors) => errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
    };
    expected.assert_eq(&shown);
}

fn check(yaml: &str, expected: Expect) {
    check_as(Format::Yaml, yaml, expected);
}

fn check_json(json: &str, expected: Expect) {
    check_as(Format::Json, json, expected);
}

#[test]
fn a_file_with_everything() {
    check(
        r#"
name: Digest   # what it is for
description: |
  Two
  lines
version: 1.10
timeout: 1h30m
wait_for_provider: true
tasks:
  - id: list
    name: List the files
    method: files/list
    priority: urgent
    parameters: { path: /in, deep: yes, more: [1, 0x10, .5, -1.0, 1e3, null, ~, "", True] }
    timeout: 2.5
    retry: 4
  - id: read-all
    method: files/read
    priority: 7
    dependencies: [list]
    parameters:
      first: ${list.items[0]["odd key"]}
      text: "${task_list_result} and $${HOME} of ${workflow.input.who}"
    retry: { attempts: 5, initial_delay: 0.25, multiplier: 1.5, max_delay: 1m, jitter: false }
  - { id: done, method: sim/echo }
"#,
        expect![[r#"
            {"name":"Digest","description":"Two\nlines\n","version":"1.10","timeout":"5400000ms","wait_for_provider":true,"tasks":[
            {"id":"list","name":"List the files","method":"files/list","priority":100,"parameters":{"deep":"yes","more":[1,16,0.5,-1.0,1e3,null,null,"",true],"path":"/in"},"timeout":"2500ms","retry":{"max_attempts":4,"base_delay":"1000ms","factor":2,"max_delay":"60000ms","jitter":true}},
            {"id":"read-all","method":"files/read","priority":7,"dependencies":["list"],"parameters":{"first":"${list.items[0][\"odd key\"]}","text":"${task_list_result} and $${HOME} of ${workflow.input.who}"},"retry":{"max_attempts":5,"base_delay":"250ms","factor":1.5,"max_delay":"60000ms","jitter":false}},
            {"id":"done","method":"sim/echo","parameters":{}}]}"#]],
    );
}

#[test]
fn gleitzeits_own_files_run() {
    check(
        r#"
name: "Test Retry Workflow"
timeout: 60
wait_for_completion: true
tasks:
  - name: "generate"
    protocol: "llm/v1"
    method: "llm/chat"
    priority: "high"
    params:
      messages:
        - role: "user"
          content: "Five numbers"
    retry_config:
      max_attempts: 3
      backoff_strategy: "fixed"
      base_delay: 2
      max_delay: 10
  - name: "summary"
    protocol: "llm/v1"
    method: "llm/chat"
    dependencies: ["generate"]
    params:
      prompt: "Sum up: ${generate.result.content}"
"#,
        expect![[r#"
            {"name":"Test Retry Workflow","timeout":"60000ms","tasks":[
            {"id":"generate","method":"llm/chat","priority":75,"parameters":{"messages":[{"content":"Five numbers","role":"user"}]},"retry":{"max_attempts":3,"base_delay":"2000ms","factor":1,"max_delay":"10000ms","jitter":true}},
            {"id":"summary","method":"llm/chat","dependencies":["generate"],"parameters":{"prompt":"Sum up: ${generate.result.content}"}}]}"#]],
    );
}

#[test]
fn json_means_the_same_and_keeps_numbers_and_escapes() {
    check_json(
        r#"{"name": "n", "tasks": [
            {"id": "a", "method": "m/x", "parameters": {"big": 12345678901234567890123, "exact": 0.10, "text": "\u00e9\n\"$${", "😀": []}}
        ]}"#,
        expect![[r#"
            {"name":"n","tasks":[
            {"id":"a","method":"m/x","parameters":{"big":12345678901234567890123,"exact":0.10,"text":"é\n\"$${","😀":[]}}]}"#]],
    );
}

#[test]
fn every_error_is_told_at_once_with_its_line() {
    let expected = expect![[r#"
        line 2: unknown field 'tiemout'; did you mean 'timeout'?
        line 6: tasks[0].dependencies: no task 'fetsh'; did you mean 'fetch'?
        line 7: tasks[0].timeout: 'soon' is not a duration; write seconds, or a text such as "500ms", "30s", "5m", "1h30m"
        line 8: tasks[1].id: 'fetch' is the id of tasks[0] already, on line 4
        line 9: tasks[1].method: 'noslash' is not a method; write 'namespace/name', such as 'text/summary'
        line 10: tasks[1].priority: 'highest' is not one of low, normal, high, urgent, nor a whole number
        line 11: tasks[1].parameters.a: ${fetchh.x}: no task 'fetchh'; did you mean 'fetch'? ($${ stands for the text ${)
        line 11: tasks[1].parameters.b: ${workflow.x}: a workflow has only its input; write ${workflow.input.NAME}
        line 11: tasks[1].parameters.c: ${fetch: the closing brace is missing
        line 11: tasks[1].parameters.d: ${}: a name is missing; write ${ID} or ${ID.field}
        line 11: tasks[1].parameters.e: ${fetch.x[y]}: a number, or a name in quotes, goes into brackets
        line 11: tasks[1].parameters.${fetch}: references stand in values, not in keys; write $${ for the text '${'
        line 12: tasks[2].id: 'workflow' is reserved, for ${workflow.input}
        line 13: tasks[2].retry: unknown field 'jitters'; did you mean 'jitter'?
        line 13: tasks[2].retry.max_attempts: a whole number from 1 to 1000 goes here
        line 13: tasks[2].retry.factor: a number from 1 to 100 goes here
        line 14: tasks[2].method: is an array; a string goes here
        line 15: tasks[3]: has no id
        line 16: tasks[3].parameters: is a number; an object, or one reference, goes here
        line 17: tasks[4]: is a string; a task goes here, with id, method and parameters
        line 18: tasks[5].id: 'a b' is not an id; letters, digits, '_' and '-' are
        line 19: tasks[5].dependencies: is a string; a list of task ids goes here
        line 21: tasks[5].timeout: is no time at all; leave it out for no limit
        line 22: tasks[5]: unknown field 'wait'; known are id, name, method, priority, dependencies, parameters, params, timeout, retry, retry_config, protocol, depends_on"#]];
    check(
        r"name: n
tiemout: 5
tasks:
  - id: fetch
    method: files/read
    dependencies: [fetsh]
    timeout: soon
  - id: fetch
    method: noslash
    priority: highest
    parameters: { a: '${fetchh.x}', b: '${workflow.x}', c: '${fetch', d: '${}', e: '${fetch.x[y]}', '${fetch}': 1 }
  - id: workflow
    retry: { max_attempts: 0, factor: fast, jitters: true }
    method: [a]
  - method: a/b
    parameters: 5
  - just text
  - id: a b
    dependencies: fetch
    method: a/b
    timeout: 0
    wait: 1
",
        expected,
    );
}

#[test]
fn errors_in_json_have_lines_too() {
    check_json(
        "\n{\"name\": [],\n \"tasks\": [\n  {\"id\": \"a\",\n   \"method\": \"m/x\",\n   \"dependencies\": [\n     \"b\"],\n   \"id\": \"c\", \"parameters\": {\"x\": 1e999}}]}",
        expect![[r#"
            line 2: name: is an array; a string goes here
            line 7: tasks[0].dependencies: no task 'b'
            line 8: 1e999: number out of range
            line 8: tasks[0]: 'id' stands here twice"#]],
    );
    check_json("\n\n{\"tasks\": [}", expect!["line 3: not JSON: expected value at column 12"]);
    check_json(&"[".repeat(65), expect!["nested deeper than the 64 levels allowed"]);
    check_json(
        r#"{"tasks": [{"id": "\ud800", "method": "a/b"}]}"#,
        expect![[r#"
        line 1: "\ud800": unexpected end of hex escape
        line 1: tasks[0].id: '' is not an id; letters, digits, '_' and '-' are"#]],
    );
}

#[test]
fn cycles_are_named_one_for_each_knot() {
    check(
        "tasks:
- { id: a, method: m/x, dependencies: [c] }
- { id: b, method: m/x, parameters: { x: '${a}' } }
- { id: c, method: m/x, dependencies: [b, d] }
- { id: d, method: m/x }
- { id: self, method: m/x, parameters: { x: '${self}' } }
- { id: behind, method: m/x, dependencies: [self, a] }
",
        expect![[r#"
            line 2: tasks[0].dependencies: depends on itself: a → c → b → a
            line 6: tasks[4].dependencies: depends on itself: self → self"#]],
    );
    let ring: String = (0..20).map(|at| format!("- {{ id: t{at}, method: m/x, dependencies: [t{}] }}\n", (at + 1) % 20)).collect();
    check(
        &format!("tasks:\n{ring}"),
        expect![
            "line 2: tasks[0].dependencies: depends on itself: t0 → t1 → t2 → t3 → t4 → t5 → t6 → t7 → t8 → t9 → t10 → t11 → … → t0 (20 tasks)"
        ],
    );
}

#[test]
fn what_is_no_definition_is_said_so() {
    check("", expect!["there is nothing here; a workflow has a list of tasks"]);
    check("# nothing", expect!["there is nothing here; a workflow has a list of tasks"]);
    check(
        "just text",
        expect![
            "line 1: the definition is a string; an object goes here, with name, description, version, timeout, wait_for_provider, tasks, wait_for_completion"
        ],
    );
    check("tasks: []", expect!["line 1: tasks: is empty; a workflow has one task at least"]);
    check("tasks: {a: 1}", expect!["line 1: tasks: is an object; a list of tasks goes here"]);
    check("name: x", expect!["line 1: tasks: is missing; a workflow has a list of tasks"]);
    check(
        "tasks:\n  - id: a\n   method: b",
        expect!["line 3: not YAML: while parsing a block collection, did not find expected '-' indicator at column 4"],
    );
    check("a: 'open", expect!["line 1: not YAML: while scanning a quoted scalar, found unexpected end of stream at column 4"]);
    check("tasks: [{id: a, method: m/x}]\n---\nname: second", expect!["line 2: a second document begins here; a file holds one workflow"]);
    check(&format!("x: {}", "[".repeat(70)), expect!["line 1: nested deeper than the 64 levels allowed"]);
    check(&format!("x: {}", "[".repeat(700)), expect!["line 1: not YAML: recursion limit exceeded at column 259"]);
    check(
        "tasks:\n- id: a\n  method: m/x\n  parameters: {v: .nan, w: !!set {}, x: !mine 1, ? [k] : 1}",
        expect![[r#"
        line 4: .nan: JSON has no such number; quote it if it is text
        line 4: the tag !!set means nothing here; leave it out
        line 4: the tag !mine means nothing here; leave it out
        line 4: an object or array cannot be a key here; keys are text"#]],
    );
}

#[test]
fn anchors_and_merges_are_followed_within_a_bound() {
    check(
        "
tasks:
- &first
  id: a
  method: m/x
  parameters: &p { x: 1, y: [2] }
  retry: &r { attempts: 2 }
- { <<: *first, id: b, parameters: { <<: [*p], x: 3, again: *p }, retry: *r }
",
        expect![[r#"
            {"name":"unnamed","tasks":[
            {"id":"a","method":"m/x","parameters":{"x":1,"y":[2]},"retry":{"max_attempts":2,"base_delay":"1000ms","factor":2,"max_delay":"60000ms","jitter":true}},
            {"id":"b","method":"m/x","parameters":{"again":{"x":1,"y":[2]},"x":3,"y":[2]},"retry":{"max_attempts":2,"base_delay":"1000ms","factor":2,"max_delay":"60000ms","jitter":true}}]}"#]],
    );
    let laughs: String =
        (1..12).map(|level| format!("l{level}: &l{level} [{}]\n", vec![format!("*l{}", level - 1); 10].join(", "))).collect();
    check(
        &format!("l0: &l0 haha\n{laughs}"),
        expect!["line 7: anchors and aliases repeat more than the 67108864 bytes that a definition may have"],
    );
    check("a: &a [*a]", expect!["line 1: this alias stands inside of what it repeats"]);
    check(
        "a: &a [1]\nb: {<<: *a}",
        expect![[r#"
        line 1: unknown field 'a'; known are name, description, version, timeout, wait_for_provider, tasks, wait_for_completion
        line 1: tasks: is missing; a workflow has a list of tasks
        line 2: '<<' merges objects; this is a number
        line 2: unknown field 'b'; known are name, description, version, timeout, wait_for_provider, tasks, wait_for_completion"#]],
    );
    check("a: *nobody", expect!["line 1: not YAML: while parsing node, found unknown anchor at column 4"]);
}

#[test]
fn text_that_begins_with_a_brace_is_json() {
    let guessed = ["{}", "\u{feff}\n {", "tasks:", "- {", ""].map(Format::guess);
    assert_eq!(guessed, [Format::Json, Format::Json, Format::Yaml, Format::Yaml, Format::Yaml]);
    check_json(
        "\u{feff}{\"tasks\": [{\"id\": \"a\", \"method\": \"m/x\"}]}",
        expect![[r#"
        {"name":"unnamed","tasks":[
        {"id":"a","method":"m/x","parameters":{}}]}"#]],
    );
    check(
        "\u{feff}tasks:\n- {id: a, method: m/x}",
        expect![[r#"
        {"name":"unnamed","tasks":[
        {"id":"a","method":"m/x","parameters":{}}]}"#]],
    );
}

#[test]
fn methods_without_a_provider_are_told_with_the_nearest() {
    let text = "tasks:\n- id: a\n  method: files/lst\n- {id: b, method: files/list}\n- id: c\n\n  method: x/y\n";
    let told = |text: &str, offered: &[&str]| {
        let definition = Definition::parse(text, Format::Yaml).unwrap();
        definition.check_methods(offered.iter().copied()).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    expect![[r#"
        line 3: tasks[0].method: no provider offers 'files/lst'; did you mean 'files/list'?
        line 7: tasks[2].method: no provider offers 'x/y'; offered are files/list, files/read"#]]
    .assert_eq(&told(text, &["files/list", "files/read"]));
    expect!["line 1: tasks[0].method: no provider offers 'x/y'; none is loaded. Add one, or set wait_for_provider"]
        .assert_eq(&told("tasks: [{id: a, method: x/y}]", &[]));
    assert_eq!(told(&format!("wait_for_provider: true\n{text}"), &[]), "");
}

#[test]
fn errors_have_a_limit_and_suggestions_a_budget() {
    let tasks: String = (0..3_000).map(|at| format!("- {{ id: task{at}, method: m/x, dependencies: [tosk{at}] }}\n")).collect();
    let errors = Definition::parse(&format!("tasks:\n{tasks}"), Format::Yaml).unwrap_err();
    assert_eq!(errors.len(), super::MAX_DEFINITION_ERRORS + 1);
    expect!["and 2000 more errors"].assert_eq(&errors[errors.len() - 1].to_string());
    expect!["line 2: tasks[0].dependencies: no task 'tosk0'; did you mean 'task0'?"].assert_eq(&errors[0].to_string());
}

#[test]
fn waves_and_dependents_follow_from_dependencies() {
    let text = "tasks:\n- {id: a, method: m/x}\n- {id: d, method: m/x, dependencies: [b, c]}\n- {id: b, method: m/x, parameters: {x: '${a}'}}\n- {id: c, method: m/x, dependencies: [a, b]}\n";
    let definition = Definition::parse(text, Format::Yaml).unwrap();
    assert_eq!(definition.waves(), [0, 3, 1, 2]);
    assert_eq!(definition.wave(1), 3);
    assert_eq!(definition.dependents(), [vec![2, 3], vec![], vec![1, 3], vec![1]]);
}

#[test]
fn ten_thousand_tasks_are_read_in_time_that_grows_with_them() {
    let text = |tasks: usize| {
        let mut text = String::from("name: large\ntasks:\n");
        for at in 0..tasks {
            text.push_str(&format!("  - id: task-{at}\n    method: sim/echo\n    parameters:\n      text: before\n"));
            if at > 0 {
                text.push_str(&format!("      from: ${{task-{}.x}}\n    dependencies: [task-{}]\n", at / 2, at - 1));
            }
        }
        text
    };
    let began = std::time::Instant::now();
    let definition = Definition::parse(&text(10_000), Format::Yaml).unwrap();
    let yaml = began.elapsed();
    let canonical = definition.canonical_json();
    let began = std::time::Instant::now();
    assert_eq!(Definition::from_canonical(&canonical).unwrap().digest, definition.digest);
    let json = began.elapsed();
    assert_eq!(definition.waves()[9_999], 9_999);
    println!("10,000 tasks: YAML {yaml:?}, JSON {json:?}");
    // Far above what it takes, far below what anything quadratic would.
    assert!(yaml.as_secs() < 5 && json.as_secs() < 5);
}
