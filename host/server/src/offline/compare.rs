//! Whether what a call came to is what was expected: in part, where an author names what must hold, or whole, as a snapshot has it.
//! What is compared is JSON that others have made.

use serde::Serialize;
use serde_json::Value;

/// A place where two values differ. `None`: there is nothing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Difference {
    /// The way to it, as in `publishes[0].payload.amount`.
    pub(crate) at: String,
    /// What was expected.
    pub(crate) expected: Option<Value>,
    /// What there is.
    pub(crate) actual: Option<Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    /// What is named must hold; `null` stands for what is not there.
    Partly,
    /// Everything, on both sides.
    Wholly,
}

/// Where what is expected does not hold. Of an object only the members that are named count, of a list every item.
pub(crate) fn of_partial(expected: &Value, actual: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare(How::Partly, "", Some(expected), Some(actual), &mut differences);
    differences
}

/// Where two values differ.
pub(crate) fn of_exact(expected: &Value, actual: &Value) -> Vec<Difference> {
    let mut differences = Vec::new();
    compare(How::Wholly, "", Some(expected), Some(actual), &mut differences);
    differences
}

fn compare(how: How, at: &str, expected: Option<&Value>, actual: Option<&Value>, differences: &mut Vec<Difference>) {
    match (expected, actual) {
        (None, None) => {}
        (Some(Value::Null), None) if how == How::Partly => {}
        (Some(Value::Object(expected)), Some(Value::Object(actual))) => {
            for (name, value) in expected {
                compare(how, &member(at, name), Some(value), actual.get(name), differences);
            }
            let unexpected = actual.iter().filter(|(name, _)| how == How::Wholly && !expected.contains_key(*name));
            for (name, value) in unexpected {
                compare(how, &member(at, name), None, Some(value), differences);
            }
        }
        (Some(Value::Array(expected)), Some(Value::Array(actual))) => {
            for index in 0..expected.len().max(actual.len()) {
                compare(how, &format!("{at}[{index}]"), expected.get(index), actual.get(index), differences);
            }
        }
        (Some(Value::Number(one)), Some(Value::Number(other))) if one.as_f64() == other.as_f64() => {}
        (Some(one), Some(other)) if one == other => {}
        (expected, actual) => {
            differences.push(Difference { at: at.to_owned(), expected: expected.cloned(), actual: actual.cloned() });
        }
    }
}

fn member(at: &str, name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    match (at, plain) {
        ("", true) => name.to_owned(),
        (at, true) => format!("{at}.{name}"),
        (at, false) => format!("{at}[{name:?}]"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(differences: Vec<Difference>) -> Vec<String> {
        differences.into_iter().map(|difference| difference.at).collect()
    }

    #[test]
    fn what_is_not_named_does_not_count_and_null_is_nothing() {
        let actual = json!({"signal": "fail", "reason": "late", "kv": {"a/b": "1"}, "list": [{"x": 1, "y": 2}]});
        for expected in [json!({}), json!({"signal": "fail", "value": null}), json!({"kv": {"a/b": "1", "c": null}, "list": [{"x": 1.0}]})]
        {
            assert_eq!(of_partial(&expected, &actual), [], "{expected}");
        }
        let wrong = json!({"signal": "skip", "reason": null, "kv": {"a/b": "2"}, "list": [{"x": 2}, 3], "value": 1});
        assert_eq!(places(of_partial(&wrong, &actual)), ["kv[\"a/b\"]", "list[0].x", "list[1]", "reason", "signal", "value"]);
        assert_eq!(places(of_partial(&json!({"list": []}), &actual)), ["list[0]"], "every item of a list counts");
    }

    #[test]
    fn a_snapshot_counts_on_both_sides() {
        assert_eq!(of_exact(&json!({"a": [1, {"b": 2}]}), &json!({"a": [1, {"b": 2}]})), []);
        assert_eq!(places(of_exact(&json!({"a": 1, "b": null}), &json!({"a": 1, "c": {}}))), ["b", "c"]);
    }
}
