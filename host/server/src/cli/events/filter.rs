//! The flags that say which events a verb is about, and the pairs that they become.
//! What the pairs mean is `params`'.

use clap::Args;

use super::Pairs;

/// Which events.
#[derive(Args)]
pub(super) struct FilterArgs {
    /// Types or patterns: `task:completed`, `task:*`, `*:failed`; several with commas, or by repeating it.
    #[arg(long = "type", value_name = "PATTERN")]
    pub(super) types: Vec<String>,
    /// At least this severity: debug, info, warning, error, critical.
    #[arg(long)]
    pub(super) severity: Option<String>,
    /// From these sources.
    #[arg(long)]
    pub(super) source: Vec<String>,
    /// Of these correlations.
    #[arg(long)]
    pub(super) correlation_id: Vec<String>,
    /// Of these workflows.
    #[arg(long, alias = "workflow")]
    pub(super) workflow_id: Vec<String>,
    /// Of these tasks.
    #[arg(long, alias = "task")]
    pub(super) task_id: Vec<String>,
    /// Of these providers.
    #[arg(long, alias = "provider")]
    pub(super) provider_id: Vec<String>,
    /// For which this holds, in CEL: `event.payload.amount > 100`.
    #[arg(long, value_name = "CONDITION")]
    pub(super) when: Option<String>,
    /// Recorded then or later: 2026-01-31T10:30:00Z.
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Recorded before then.
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
}

impl FilterArgs {
    /// As they stand in a query.
    pub(super) fn pairs(&self) -> Pairs {
        let mut pairs = Pairs::new();
        let lists = [
            ("type", &self.types),
            ("source", &self.source),
            ("correlation_id", &self.correlation_id),
            ("workflow_id", &self.workflow_id),
            ("task_id", &self.task_id),
            ("provider_id", &self.provider_id),
        ];
        for (name, values) in lists {
            pairs.extend(values.iter().map(|value| (name.to_owned(), value.clone())));
        }
        for (name, value) in [("severity", &self.severity), ("when", &self.when), ("since", &self.since), ("until", &self.until)] {
            pairs.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
        }
        pairs
    }
}
