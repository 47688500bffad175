//! `historian`: a worker that looks into the log and schedules events, and tells what it was answered.
//!
//! `historian/look` takes `{types?, after?, limit?, pages?, when?}` and gives, for each page, the places and types of its events, and where
//! the next one begins. `historian/plan` takes `{drafts: [{event_type, after_ms?, at_ns?, key?}], cancel?: [id, …]}`, where the id `#0` is
//! the first one planned by the same call.

use serde::Deserialize;
use serde_json::{Value, json};
use trackside_sdk::{Description, Draft, Failure, Filter, Method, Methods, Plugin, Task, Worker, events, schedule};

struct Historian;

impl Plugin for Historian {
    fn describe() -> Description {
        Description::new("historian").summary("Looks into the log and schedules events.")
    }
}

impl Worker for Historian {
    fn methods() -> Methods {
        Methods::new().with(Method::new("historian/look", "Looks into the log.", look)).with(Method::new(
            "historian/plan",
            "Schedules events, and takes them back.",
            plan,
        ))
    }
}

trackside_sdk::export!(Historian: worker);

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Look {
    types: Option<Vec<String>>,
    after: Option<u64>,
    limit: Option<u32>,
    pages: Option<u32>,
    when: Option<String>,
}

fn look(wanted: Look, _task: &Task) -> Result<Value, Failure> {
    let mut filter = wanted.types.map_or_else(Filter::facts, Filter::types);
    if let Some(when) = &wanted.when {
        filter = filter.when(when);
    }
    let mut after = wanted.after;
    let mut pages = Vec::new();
    for _ in 0..wanted.pages.unwrap_or(1) {
        let page = match events::query(&filter, after, wanted.limit.unwrap_or(100)) {
            Ok(page) => page,
            Err(refusal) => return Ok(json!({ "refused": format!("{refusal:?}") })),
        };
        let seen: Vec<Value> = page.events.iter().map(|event| json!([event.view().sequence_number(), event.view().event_type()])).collect();
        pages.push(json!({ "events": seen, "next": page.next }));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(json!({ "pages": pages }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Planned {
    event_type: String,
    after_ms: Option<u64>,
    at_ns: Option<u64>,
    key: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Plan {
    drafts: Vec<Planned>,
    cancel: Vec<String>,
}

fn plan(wanted: Plan, _task: &Task) -> Result<Value, Failure> {
    let mut answers = Vec::new();
    for planned in wanted.drafts {
        let mut draft = Draft::new(planned.event_type);
        if let Some(key) = planned.key {
            draft = draft.key(key);
        }
        let answer = match planned.at_ns {
            Some(at_ns) => schedule::at_ns(at_ns, &draft),
            None => schedule::after_ms(planned.after_ms.unwrap_or(0), &draft),
        };
        answers.push(answer.unwrap_or_else(|refusal| format!("{refusal:?}")));
    }
    let taken_back: Vec<Value> = wanted
        .cancel
        .iter()
        .map(|id| {
            let named = id.strip_prefix('#').and_then(|place| answers.get(place.parse::<usize>().ok()?)).unwrap_or(id);
            schedule::cancel(named).map_or_else(|refusal| json!(format!("{refusal:?}")), |waited| json!(waited))
        })
        .collect();
    Ok(json!({ "planned": answers, "cancelled": taken_back }))
}
