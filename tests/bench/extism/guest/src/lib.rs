//! The test guest `minimal` as an Extism plugin: fails a task named `refused` and proceeds with every other. JSON in, JSON out.

use extism_pdk::{FnResult, Json, plugin_fn};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
struct Event {
    task_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Signal {
    Proceed,
    Fail(&'static str),
}

#[plugin_fn]
pub fn check(Json(event): Json<Event>) -> FnResult<Json<Signal>> {
    Ok(Json(match event.task_id.as_deref() {
        Some("refused") => Signal::Fail("refused by its name"),
        _ => Signal::Proceed,
    }))
}
