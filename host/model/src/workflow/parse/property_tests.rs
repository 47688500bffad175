//! What holds for every definition: any DAG parses, canonical text reads back as itself, JSON reads as YAML does, nothing panics.
//! Single texts and messages are `tests`'.

use proptest::prelude::*;

use crate::workflow::definition::{Definition, Format};

/// A DAG: for each task, which earlier ones it depends on, and whether by a reference.
fn dags() -> impl Strategy<Value = Vec<Vec<(prop::sample::Index, bool)>>> {
    prop::collection::vec(prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..4), 1..40)
}

proptest! {
    #[test]
    fn any_dag_parses_and_its_waves_hold(dag in dags(), text in "\\PC*") {
        let mut tasks = Vec::new();
        let mut expected = Vec::new();
        for (place, edges) in dag.iter().enumerate() {
            let edges: Vec<(usize, bool)> = edges.iter().filter(|_| place > 0).map(|(to, by)| (to.index(place), *by)).collect();
            let stated: Vec<String> = edges.iter().filter(|edge| !edge.1).map(|edge| format!("t{}", edge.0)).collect();
            let implied: Vec<String> = edges.iter().filter(|edge| edge.1).map(|edge| format!("${{t{}.a[0]}}", edge.0)).collect();
            let parameters = serde_json::json!({ "refs": implied, "text": text.replace("${", "$${") });
            tasks.push(serde_json::json!({ "id": format!("t{place}"), "method": "m/x", "dependencies": stated, "parameters": parameters }));
            let mut sorted: Vec<usize> = edges.iter().map(|edge| edge.0).collect();
            sorted.sort_unstable();
            sorted.dedup();
            expected.push(sorted);
        }
        let json = serde_json::json!({ "name": text, "tasks": tasks }).to_string();
        prop_assume!(text.len() <= super::MAX_ID_BYTES && !text.contains("$$"));
        let definition = Definition::parse(&json, Format::Json).map_err(|errors| TestCaseError::fail(format!("{errors:?}")))?;
        let waves = definition.waves();
        for (place, task) in definition.tasks.iter().enumerate() {
            prop_assert_eq!(&task.dependencies, &expected[place]);
            prop_assert_eq!(waves[place], task.dependencies.iter().map(|dependency| waves[*dependency] + 1).max().unwrap_or(0));
        }
        let canonical = definition.canonical_json();
        let again = Definition::from_canonical(&canonical).unwrap();
        prop_assert_eq!(again.canonical_json(), canonical);
    }

    /// JSON is YAML, so what both readers take they take alike.
    #[test]
    fn json_reads_the_same_as_yaml(value in values()) {
        let json = serde_json::json!({ "tasks": [{ "id": "a", "method": "m/x", "parameters": { "v": value } }] });
        let text = serde_json::to_string_pretty(&json).unwrap();
        let one = Definition::parse(&text, Format::Json).unwrap();
        let other = Definition::parse(&text, Format::Yaml).map_err(|errors| TestCaseError::fail(format!("{text} {errors:?}")))?;
        prop_assert_eq!(one.canonical_json(), other.canonical_json());
    }

    /// Nothing that anybody sends takes the host down.
    #[test]
    fn no_text_panics(begun in any::<bool>(), text in "(!x |&a |\\*a|[-:{}\\[\\]&*!|>'\"%@`,#? \n\ta0$.<~]|- id: b\n|\\PC){0,12}") {
        let text = if begun { format!("tasks:\n- id: a\n  method: m/x\n  parameters: {text}") } else { text };
        for format in [Format::Yaml, Format::Json, Format::guess(&text)] {
            if let Ok(definition) = Definition::parse(&text, format) {
                prop_assert!(Definition::from_canonical(&definition.canonical_json()).is_ok());
            }
        }
    }
}

fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e6..1e6).prop_map(|number: f64| number.into()),
        "[ -#%-~\u{e9}\n\t]{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map("[a-z :#-]{0,6}", inner, 0..5).prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
