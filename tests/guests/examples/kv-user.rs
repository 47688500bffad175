//! `kv-user`: a worker that does a list of operations on its `kv` and ends the call as it is told: to test the space and the outbox.
//! Leaves counting by an observer to `neighbour`.
//!
//! `kv-user/run` takes `{"operations": […], "then": "ok" | "fail" | "trap"}` and gives a list with what each operation gave: a value, or
//! `{"refused": reason}`. Operations are `{"get": key}`, `{"set": [key, text]}`, `{"set_for_ms": [key, text, ms]}`, `{"delete": key}`,
//! `{"increment": [key, by]}`, `{"swap": [key, expected, text]}` (null: absent), `{"keys": prefix}` and `{"fill": [key, bytes]}`.

use serde::Deserialize;
use serde_json::{Value, json};
use trackside_sdk::{Description, Failure, Method, Methods, Plugin, Task, Worker, kv};

struct KvUser;

impl Plugin for KvUser {
    fn describe() -> Description {
        Description::new("kv-user").summary("Uses its key-value space as it is told.")
    }
}

impl Worker for KvUser {
    fn methods() -> Methods {
        Methods::new().with(Method::new("kv-user/run", "Does operations on its key-value space.", run))
    }
}

trackside_sdk::export!(KvUser: worker);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Orders {
    operations: Vec<Operation>,
    #[serde(default)]
    then: Then,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Then {
    #[default]
    Ok,
    Fail,
    Trap,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Get(String),
    Set(String, String),
    SetForMs(String, String, u64),
    Delete(String),
    Increment(String, i64),
    Swap(String, Option<String>, Option<String>),
    Keys(String),
    Fill(String, usize),
}

fn run(orders: Orders, _task: &Task) -> Result<Vec<Value>, Failure> {
    let gave = |operation| perform(operation).unwrap_or_else(|refusal| json!({ "refused": format!("{refusal:?}") }));
    let given: Vec<Value> = orders.operations.into_iter().map(gave).collect();
    match orders.then {
        Then::Ok => Ok(given),
        Then::Fail => Err(Failure::retryable("told to fail").details(given)),
        Then::Trap => std::process::abort(),
    }
}

fn perform(operation: Operation) -> Result<Value, kv::Refusal> {
    Ok(match operation {
        Operation::Get(key) => json!(kv::get_text(&key)?),
        Operation::Set(key, text) => json!(kv::set(&key, text)?),
        Operation::SetForMs(key, text, ttl_ms) => json!(kv::set_for_ms(&key, text, ttl_ms)?),
        Operation::Delete(key) => json!(kv::delete(&key)?),
        Operation::Increment(key, by) => json!(kv::increment(&key, by)?),
        Operation::Swap(key, expected, text) => {
            json!(kv::compare_and_swap(&key, expected.as_deref().map(str::as_bytes), text.as_deref().map(str::as_bytes))?)
        }
        Operation::Keys(prefix) => json!(kv::keys(&prefix, None, 1_000)?),
        Operation::Fill(key, bytes) => json!(kv::set(&key, vec![b'k'; bytes])?),
    })
}
