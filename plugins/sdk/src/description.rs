//! Owns what a plugin says of itself: `Plugin`, `Description`, `Filter` and `Trigger`.
//! Leaves the methods of a worker to `worker`, and what the operator's settings make of it to the host.

use crate::bindings::description::exports::trackside::plugin::description as wit;
use crate::bindings::host::trackside::plugin::types;
use crate::{Methods, Severity};

/// What every plugin is: something with a description.
pub trait Plugin {
    /// Called once when the plugin is loaded, with no grants and a short deadline. The operator's settings win over all of it.
    fn describe() -> Description;
}

/// What a plugin says of itself.
///
/// ```
/// use trackside_sdk::{Description, Filter};
/// let description = Description::new("retry-policy")
///     .version("1.2.0")
///     .summary("Backs off before a failed task is tried again.")
///     .controls(Filter::types(["task:failed"]))
///     .priority(50);
/// ```
#[derive(Debug)]
pub struct Description(wit::About);

impl Description {
    /// A description with this display name, and nothing else said. (A plugin is identified by its file's name.)
    #[must_use]
    pub fn new(name: &str) -> Self {
        Description(wit::About {
            name: name.into(),
            version: String::new(),
            summary: String::new(),
            observes: None,
            controls: None,
            priority: None,
            critical: false,
            memoryless: false,
            methods: Vec::new(),
            triggers: Vec::new(),
        })
    }

    /// The author's version, for display: `env!("CARGO_PKG_VERSION")` says the crate's. (The host's own is the digest of the file.)
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        self.0.version = version.into();
        self
    }

    /// One sentence for listings.
    #[must_use]
    pub fn summary(mut self, summary: &str) -> Self {
        self.0.summary = summary.into();
        self
    }

    /// Which events its observer gets. Unsaid: every fact, no narration.
    #[must_use]
    pub fn observes(mut self, filter: Filter) -> Self {
        self.0.observes = Some(filter.0);
        self
    }

    /// Which events its control handler judges. Unsaid: every fact, no narration.
    #[must_use]
    pub fn controls(mut self, filter: Filter) -> Self {
        self.0.controls = Some(filter.0);
        self
    }

    /// Place in the control chain: lower is earlier. 100 if unsaid.
    #[must_use]
    pub fn priority(mut self, priority: i32) -> Self {
        self.0.priority = Some(priority);
        self
    }

    /// Work must hold while this control handler cannot answer.
    #[must_use]
    pub fn critical(mut self) -> Self {
        self.0.critical = true;
        self
    }

    /// Nothing that it keeps in memory between calls changes an answer. The host spot-checks it.
    #[must_use]
    pub fn memoryless(mut self) -> Self {
        self.0.memoryless = true;
        self
    }

    /// An event that starts a one-task workflow.
    #[must_use]
    pub fn trigger(mut self, trigger: Trigger) -> Self {
        self.0.triggers.push(trigger.0);
        self
    }

    pub(crate) fn with_methods(mut self, methods: &Methods) -> Self {
        self.0.methods = methods.iter().map(|method| method.about()).collect();
        self
    }

    pub(crate) fn into_wit(self) -> wit::About {
        self.0
    }
}

/// Which events a plugin wants. Every condition that is given must hold; an empty list never does.
#[derive(Clone, Debug)]
pub struct Filter(types::Filter);

/// A list of strings for a filter's condition.
fn list<S: Into<String>>(values: impl IntoIterator<Item = S>) -> Option<Vec<String>> {
    Some(values.into_iter().map(Into::into).collect())
}

impl Filter {
    /// Every fact, and no narration.
    #[must_use]
    pub fn facts() -> Self {
        Filter(types::Filter {
            event_types: None,
            min_severity: None,
            source_components: None,
            correlation_ids: None,
            workflow_ids: None,
            task_ids: None,
            provider_ids: None,
            when: None,
        })
    }

    /// Events whose type matches one of these patterns: `task:*` (one segment), `task:**` (any depth), `*:failed`, `**`.
    /// Narration is among them.
    #[must_use]
    pub fn types<S: Into<String>>(patterns: impl IntoIterator<Item = S>) -> Self {
        let mut filter = Filter::facts();
        filter.0.event_types = list(patterns);
        filter
    }

    /// No event at all: for a plugin whose operator must say what it gets.
    #[must_use]
    pub fn nothing() -> Self {
        Filter::types(Vec::<String>::new())
    }

    /// Of this severity or a higher one.
    #[must_use]
    pub fn min_severity(mut self, severity: Severity) -> Self {
        self.0.min_severity = Some(severity.into_wit());
        self
    }

    /// Published by one of these.
    #[must_use]
    pub fn source_components<S: Into<String>>(mut self, sources: impl IntoIterator<Item = S>) -> Self {
        self.0.source_components = list(sources);
        self
    }

    /// With one of these correlations.
    #[must_use]
    pub fn correlation_ids<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.0.correlation_ids = list(ids);
        self
    }

    /// Of one of these workflows.
    #[must_use]
    pub fn workflow_ids<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.0.workflow_ids = list(ids);
        self
    }

    /// About one of these tasks.
    #[must_use]
    pub fn task_ids<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.0.task_ids = list(ids);
        self
    }

    /// About one of these providers.
    #[must_use]
    pub fn provider_ids<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.0.provider_ids = list(ids);
        self
    }

    /// For which this holds: CEL over `event`, the JSON envelope, payload included, such as `event.payload.amount > 100`.
    #[must_use]
    pub fn when(mut self, expression: &str) -> Self {
        self.0.when = Some(expression.into());
        self
    }

    pub(crate) fn as_wit(&self) -> &types::Filter {
        &self.0
    }
}

/// An event that starts a one-task workflow of a method, this plugin's or another's.
#[derive(Debug)]
pub struct Trigger(wit::Trigger);

impl Trigger {
    /// Each matching event starts `method`, with the JSON envelope as its `event` parameter.
    #[must_use]
    pub fn new(filter: Filter, method: &str) -> Self {
        Trigger(wit::Trigger { filter: filter.0, method: method.into(), debounce_ms: None, throttle_ms: None, batch_max: None })
    }

    /// Wait until no further event has come for this long.
    #[must_use]
    pub fn debounce_ms(mut self, debounce_ms: u64) -> Self {
        self.0.debounce_ms = Some(debounce_ms);
        self
    }

    /// At most one start in this long.
    #[must_use]
    pub fn throttle_ms(mut self, throttle_ms: u64) -> Self {
        self.0.throttle_ms = Some(throttle_ms);
        self
    }

    /// Up to this many events a start; above 1 they come as the `events` parameter.
    #[must_use]
    pub fn batch_max(mut self, batch_max: u32) -> Self {
        self.0.batch_max = Some(batch_max);
        self
    }
}
