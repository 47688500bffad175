//! `sim`: a worker for trials. It echoes, waits, fails for a while and fails for good, as its parameters tell it.
//! It has no settings; `sim/sleep` needs the `timers` grant, without which its first wait is a fault that names it.
//!
//! | method | parameters | does |
//! |---|---|---|
//! | `sim/echo` | anything | gives its parameters back |
//! | `sim/sleep` | `ms` | waits that long, then says for how long |
//! | `sim/flaky` | `fail_first`, `message`?, `result`? | fails retryably until the attempt is above `fail_first`, then gives `result` |
//! | `sim/fail` | `retryable`?, `message`?, `code`?, `retry_after_ms`? | fails |

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use trackside_sdk::{Description, Failure, Method, Methods, Plugin, Task, Worker};

struct Sim;

impl Plugin for Sim {
    fn describe() -> Description {
        Description::new("sim")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("A worker for trials: echoes, waits, and fails as it is told.")
            .memoryless()
    }
}

impl Worker for Sim {
    fn methods() -> Methods {
        Methods::new()
            .with(Method::raw("sim/echo", "Gives its parameters back.", echo))
            .with(
                Method::new("sim/sleep", "Waits, then says for how long.", sleep)
                    .parameters(json!({
                        "type": "object",
                        "properties": { "ms": { "type": "integer", "minimum": 0, "description": "how long to wait" } },
                        "required": ["ms"],
                        "additionalProperties": false
                    }))
                    .returns(json!({
                        "type": "object",
                        "properties": { "slept_ms": { "type": "integer", "minimum": 0 } },
                        "required": ["slept_ms"]
                    })),
            )
            .with(Method::new("sim/flaky", "Fails retryably for the first attempts, then gives a result.", flaky).parameters(json!({
                "type": "object",
                "properties": {
                    "fail_first": { "type": "integer", "minimum": 0, "description": "how many attempts fail" },
                    "message": { "type": "string", "description": "what the failures say" },
                    "result": { "description": "what the first good attempt gives; by default an object with the number of attempts" }
                },
                "required": ["fail_first"],
                "additionalProperties": false
            })))
            .with(Method::new("sim/fail", "Fails.", fail).parameters(json!({
                "type": "object",
                "properties": {
                    "retryable": { "type": "boolean", "default": false },
                    "message": { "type": "string" },
                    "code": { "type": "string" },
                    "retry_after_ms": { "type": "integer", "minimum": 0 }
                },
                "additionalProperties": false
            })))
    }
}

trackside_sdk::export!(Sim: worker);

/// Gives the parameters back as they came, down to the spacing.
fn echo(task: &Task) -> Result<String, Failure> {
    Ok(task.parameters.clone())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sleep {
    ms: u64,
}

#[derive(Serialize, Debug, PartialEq)]
struct Slept {
    slept_ms: u64,
}

fn sleep(parameters: Sleep, _task: &Task) -> Result<Slept, Failure> {
    std::thread::sleep(Duration::from_millis(parameters.ms));
    Ok(Slept { slept_ms: parameters.ms })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flaky {
    fail_first: u32,
    #[serde(default = "flaky_message")]
    message: String,
    result: Option<Value>,
}

fn flaky_message() -> String {
    "not yet".into()
}

fn flaky(parameters: Flaky, task: &Task) -> Result<Value, Failure> {
    if task.attempt <= parameters.fail_first {
        let message = format!("{} (attempt {} of {} that fail)", parameters.message, task.attempt, parameters.fail_first);
        return Err(Failure::retryable(message).code("flaky"));
    }
    Ok(parameters.result.unwrap_or_else(|| json!({ "attempts": task.attempt })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fail {
    #[serde(default)]
    retryable: bool,
    #[serde(default = "fail_message")]
    message: String,
    code: Option<String>,
    retry_after_ms: Option<u64>,
}

fn fail_message() -> String {
    "told to fail".into()
}

fn fail(parameters: Fail, _task: &Task) -> Result<Value, Failure> {
    let mut failure = if parameters.retryable { Failure::retryable(parameters.message) } else { Failure::permanent(parameters.message) };
    if let Some(code) = parameters.code {
        failure = failure.code(code);
    }
    if let Some(retry_after_ms) = parameters.retry_after_ms {
        failure = failure.retry_after_ms(retry_after_ms);
    }
    Err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(method: &str, attempt: u32, parameters: Value) -> Result<Value, Failure> {
        let mut task = Task::new(method, parameters);
        task.attempt = attempt;
        Sim::methods().run(&task).map(|text| serde_json::from_str(&text).expect("results are JSON"))
    }

    #[test]
    fn echo_gives_any_parameters_back() {
        for parameters in [json!(null), json!({ "a": [1, 2.5, "é"] }), json!("text")] {
            assert_eq!(run("sim/echo", 1, parameters.clone()), Ok(parameters));
        }
    }

    #[test]
    fn sleep_waits_for_as_long_as_it_says() {
        let start = std::time::Instant::now();
        assert_eq!(run("sim/sleep", 1, json!({ "ms": 20 })), Ok(json!({ "slept_ms": 20 })));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn flaky_fails_retryably_until_it_has_failed_often_enough() {
        for attempt in 1..=2 {
            let failure = run("sim/flaky", attempt, json!({ "fail_first": 2 })).expect_err("the first two fail");
            assert!(failure.is_retryable());
            assert_eq!(failure.code_text(), Some("flaky"));
        }
        assert_eq!(run("sim/flaky", 3, json!({ "fail_first": 2 })), Ok(json!({ "attempts": 3 })));
        assert_eq!(run("sim/flaky", 1, json!({ "fail_first": 0, "result": [1] })), Ok(json!([1])));
    }

    #[test]
    fn fail_fails_as_told() {
        let failure = run("sim/fail", 1, json!({})).expect_err("it fails");
        assert!(!failure.is_retryable());
        let failure = run("sim/fail", 1, json!({ "retryable": true, "code": "busy", "message": "later" })).expect_err("it fails");
        assert!(failure.is_retryable());
        assert_eq!((failure.code_text(), failure.message()), (Some("busy"), "later"));
    }

    #[test]
    fn parameters_of_the_wrong_shape_name_the_field() {
        let failure = run("sim/sleep", 1, json!({ "millis": 3 })).expect_err("there is no such parameter");
        assert_eq!(failure.code_text(), Some("invalid-parameters"));
        assert!(failure.message().contains("millis"), "{}", failure.message());
    }
}
