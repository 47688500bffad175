//! Owns what conditions see of an event and its decision: the names, and their values in CEL.
//! Leaves the conditions to `rule`.

use cel::{Context as Variables, Env, Value};
use serde_json::Value as Json;
use std::{collections::HashMap, sync::Arc};
use trackside_policy_kit::{Facts, envelope_text};
use trackside_sdk::{Context, Event, Point};

/// Read only if a condition names it.
pub(crate) const PAYLOAD: &str = "payload";

/// Everything that a condition can name.
pub(crate) const NAMES: [&str; 12] = [
    "event_type",
    "source",
    "principal",
    "origin",
    "point",
    "severity",
    "correlation_id",
    "metadata",
    "method",
    "workflow",
    "provider",
    PAYLOAD,
];

/// An event and its decision.
pub(crate) struct Subject<'a> {
    facts: Facts<'a>,
    point: Point,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(event: &'a Event<'a>, context: &'a Context<'a>) -> Self {
        Subject { facts: Facts::of_decision(event, context), point: context.point }
    }

    /// Every name with its value.
    pub(crate) fn context(&self, env: &Arc<Env>, with_payload: bool) -> Variables<'static, 'static> {
        let event = self.facts.event;
        // At a publish the payload is the publisher's: what it says of methods and workflows is not the host's word.
        let of_task = |pointer: &str| match self.point {
            Point::Publish => "",
            _ => self.facts.text_at(pointer).unwrap_or_default(),
        };
        let texts = [
            ("event_type", event.event_type()),
            ("source", event.source_component()),
            ("principal", envelope_text("principal", &self.facts)),
            ("origin", envelope_text("origin", &self.facts)),
            ("point", point_name(self.point)),
            ("severity", envelope_text("severity", &self.facts)),
            ("correlation_id", event.correlation_id()),
            ("method", of_task("/method")),
            ("workflow", of_task("/workflow/name")),
            ("provider", event.provider_id().unwrap_or_default()),
        ];
        let mut variables = Variables::with_env(Arc::clone(env));
        for (name, text) in texts {
            variables.add_variable_from_value(name, text.to_owned());
        }
        let metadata: HashMap<String, String> =
            event.metadata_pairs().into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        variables.add_variable_from_value("metadata", metadata);
        if with_payload {
            variables.add_variable_from_value(PAYLOAD, to_cel(self.facts.payload()));
        }
        variables
    }
}

fn point_name(point: Point) -> &'static str {
    match point {
        Point::Publish => "publish",
        Point::WorkflowSubmitted => "workflow_submitted",
        Point::TaskReady => "task_ready",
        Point::CandidateFound => "candidate_found",
        Point::TaskCompleted => "task_completed",
        Point::TaskFailed => "task_failed",
    }
}

/// JSON in CEL. Whole numbers are ints wherever they fit, as they are written in conditions.
fn to_cel(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::UInt(number),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::Array(items) => Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Json::Object(members) => {
            let members: HashMap<String, Value> = members.iter().map(|(name, value)| (name.clone(), to_cel(value))).collect();
            members.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::Rule;
    use serde_json::json;
    use trackside_sdk::{EventBuf, Origin};

    fn holds(when: &str, point: Point) -> bool {
        let event = EventBuf::new("task:ready")
            .source_component("execution_engine")
            .provider_id("llm-eu")
            .metadata("tenant", "acme")
            .payload(json!({ "method": "llm/chat", "workflow": { "name": "nightly" }, "parameters": { "n": 20, "x": 1.5, "tags": ["a", null] } }));
        let (event, context) = (event.view(), Context { principal: Some("ann"), origin: Origin::Cli, ..Context::at(point) });
        let env = Arc::new(Env::stdlib());
        let rule = Rule::read("r".into(), when, &env).expect("a condition");
        rule.holds(&Subject::new(&event, &context).context(&env, rule.wants_payload())).expect("it can be evaluated")
    }

    #[test]
    fn conditions_see_the_event_and_the_decision() {
        for when in [
            "event_type == 'task:ready' && source == 'execution_engine' && severity == 'info'",
            "principal == 'ann' && origin == 'cli' && point == 'task_ready'",
            "method.startsWith('llm/') && workflow == 'nightly' && provider in ['llm-eu', 'llm-us']",
            "metadata.tenant == 'acme' && !('other' in metadata) && metadata['tenant'].endsWith('me')",
            "payload.parameters.n == 20 && payload.parameters.n > 19.5 && payload.parameters.x < 2.0",
            "size(payload.parameters.tags) == 2 && payload.parameters.tags[1] == null",
            "payload.parameters.tags.exists(tag, tag == 'a')",
        ] {
            assert!(holds(when, Point::TaskReady), "{when}");
        }
    }

    #[test]
    fn a_publisher_cannot_pretend_to_be_a_task() {
        assert!(holds("method == '' && workflow == ''", Point::Publish));
    }
}
