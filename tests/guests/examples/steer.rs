//! `steer`: a control handler whose signal is dictated by its settings, to test what each does at each decision point.
//! Leaves which events it gets to the operator's `[controls]`; it asks for every fact.
//!
//! | setting | meaning |
//! |---|---|
//! | `signal` | `proceed` (default), `amend`, `skip`, `retry`, `fallback`, `fail` or `error` |
//! | `points` | the decision points to give it at, such as `task-ready`; all if absent. Elsewhere it proceeds |
//! | `tasks` | the tasks to give it for; all if absent |
//! | `below_attempt` | give it only while fewer attempts than this were made |
//! | `reason` | the reason; `steered` if absent |
//! | `after_ms` | the wait of a `retry`; the task's own policy if absent |
//! | `value` | the value of an `amend` or a `fallback`; null if absent |

use serde::Deserialize;
use serde_json::Value;
use trackside_sdk::{Context, Control, Description, Event, Filter, Plugin, Point, Settings, Signal};

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Course {
    signal: Wanted,
    points: Option<Vec<String>>,
    tasks: Option<Vec<String>>,
    below_attempt: Option<u32>,
    reason: Option<String>,
    after_ms: Option<u64>,
    value: Value,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Wanted {
    #[default]
    Proceed,
    Amend,
    Skip,
    Retry,
    Fallback,
    Fail,
    Error,
}

static COURSE: Settings<Course> = Settings::new();

struct Steer;

impl Plugin for Steer {
    fn describe() -> Description {
        Description::new("steer").summary("Answers what its settings say.").controls(Filter::facts())
    }
}

impl Control for Steer {
    fn check(event: &Event, context: &Context) -> Signal {
        match COURSE.get() {
            Ok(course) if course.is_for(event, context) => course.signal(),
            Ok(_) => Signal::proceed(),
            Err(error) => Signal::error(error.message()),
        }
    }
}

trackside_sdk::export!(Steer: control);

impl Course {
    fn is_for(&self, event: &Event, context: &Context) -> bool {
        let point = match context.point {
            Point::Publish => "publish",
            Point::WorkflowSubmitted => "workflow-submitted",
            Point::TaskReady => "task-ready",
            Point::CandidateFound => "candidate-found",
            Point::TaskCompleted => "task-completed",
            Point::TaskFailed => "task-failed",
        };
        let listed = |list: &Option<Vec<String>>, one: &str| list.as_ref().is_none_or(|list| list.iter().any(|item| item == one));
        listed(&self.points, point)
            && listed(&self.tasks, event.task_id().unwrap_or_default())
            && self.below_attempt.is_none_or(|attempt| context.attempt < attempt)
    }

    fn signal(&self) -> Signal {
        let reason = self.reason.clone().unwrap_or_else(|| "steered".into());
        match self.signal {
            Wanted::Proceed => Signal::proceed(),
            Wanted::Amend => Signal::amend(&self.value),
            Wanted::Skip => Signal::skip(reason),
            Wanted::Retry => Signal::Retry { after_ms: self.after_ms, reason },
            Wanted::Fallback => Signal::fallback(&self.value, reason),
            Wanted::Fail => Signal::fail(reason),
            Wanted::Error => Signal::error(reason),
        }
    }
}
