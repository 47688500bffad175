//! The chain: handlers are asked in order until one says something other than proceed.
//! Sans-IO: the driver calls the guests and tells the chain each report; the chain says whether to go on, and at last the verdict.

use super::{Check, DecisionPoint, DecisionRecord, Passed, Signal};
use crate::{
    event::{Draft, Text},
    json::Json,
    plugin::{OnFault, PluginInfo},
    ports::CallReport,
};

/// Whether the driver asks the next handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainEnd {
    /// Ask the next one, if there is one.
    GoOn,
    /// The verdict is there.
    Ended,
}

/// What the chain came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Everybody proceeded. Holds the amended value, if somebody amended.
    Proceed(Option<Json>),
    /// Somebody else than proceed; names who.
    Signal {
        /// The plugin that ended the chain.
        by: Text,
        /// What it said; never `Proceed`.
        signal: Signal,
    },
    /// A handler whose faults stop the work has faulted, or is quarantined.
    Held {
        /// The plugin.
        by: Text,
        /// The fault.
        reason: String,
        /// When asking again may help, in milliseconds.
        retry_after_ms: u64,
    },
}

/// A chain under way.
#[derive(Debug)]
pub struct Chain {
    amended: Option<Json>,
    verdict: Option<Verdict>,
    record: DecisionRecord,
}

impl Chain {
    /// A chain at a point, nobody asked yet.
    pub fn new(point: DecisionPoint) -> Self {
        Self { amended: None, verdict: None, record: DecisionRecord { point, checks: Vec::new(), ended_by: None } }
    }

    /// Takes one handler's report. An amendment that is refused by `accept` is a malformed answer, which counts as a fault.
    pub fn answered(
        &mut self,
        plugin: &PluginInfo,
        report: &CallReport<Signal>,
        accept: impl FnOnce(&Json) -> Result<(), String>,
    ) -> ChainEnd {
        let outcome = match &report.outcome {
            Ok(Signal::Proceed(Some(value)) | Signal::Fallback { value, .. }) => {
                accept(value).map_err(|error| format!("malformed answer: {error}"))
            }
            Ok(_) => Ok(()),
            Err(fault) => Err(fault.to_string()),
        };
        let mut check = self.check_of(plugin, report);
        match (outcome, &report.outcome) {
            (Ok(()), Ok(Signal::Proceed(value))) => {
                check.amended = value.is_some();
                if value.is_some() {
                    self.amended.clone_from(value);
                }
            }
            (Ok(()), Ok(signal)) => self.verdict = Some(Verdict::Signal { by: plugin.name.clone(), signal: signal.clone() }),
            (Err(reason), _) => {
                check.answer = Text::from("fault");
                check.reason = Some(reason.clone());
                self.faulted(plugin, reason, plugin.breaker.backoff_ms);
            }
            (Ok(()), Err(_)) => unreachable!("an outcome without fault has a signal"),
        }
        self.push(check)
    }

    /// Passes over a handler that is not asked, because it is quarantined or the budget is spent. `on_fault` decides what that means.
    pub fn not_asked(&mut self, plugin: &PluginInfo, reason: &str, retry_after_ms: u64) -> ChainEnd {
        self.faulted(plugin, reason.to_owned(), retry_after_ms);
        self.push(unasked(plugin, "not_asked", reason))
    }

    /// Passes over a handler that an operator has bypassed: the chain goes on, whatever `on_fault` says.
    pub fn bypassed(&mut self, plugin: &PluginInfo, reason: &str) -> ChainEnd {
        self.push(unasked(plugin, "bypassed", reason))
    }

    fn faulted(&mut self, plugin: &PluginInfo, reason: String, retry_after_ms: u64) {
        if plugin.on_fault == OnFault::Fail {
            self.verdict = Some(Verdict::Held { by: plugin.name.clone(), reason, retry_after_ms });
        }
    }

    fn check_of(&self, plugin: &PluginInfo, report: &CallReport<Signal>) -> Check {
        let (answer, reason) = match &report.outcome {
            Ok(signal) => (signal.name(), signal.reason().map(str::to_owned)),
            Err(fault) => ("fault", Some(fault.to_string())),
        };
        Check {
            plugin: plugin.name.clone(),
            version: plugin.short_version(),
            settings: plugin.short_settings(),
            answer: Text::from(answer),
            reason,
            amended: false,
            duration_ns: report.usage.duration_ns,
            fuel: report.usage.fuel,
        }
    }

    fn push(&mut self, check: Check) -> ChainEnd {
        let plugin = check.plugin.clone();
        self.record.checks.push(check);
        match self.verdict {
            Some(_) => {
                self.record.ended_by = Some(plugin);
                ChainEnd::Ended
            }
            None => ChainEnd::GoOn,
        }
    }

    /// The value that the next handler must see in place of the original, once somebody has amended it.
    pub fn amended(&self) -> Option<&Json> {
        self.amended.as_ref()
    }

    /// Whether another value takes the original's place, as far as the chain has come.
    pub fn replaces(&self) -> bool {
        self.amended.is_some() || matches!(self.verdict, Some(Verdict::Signal { signal: Signal::Fallback { .. }, .. }))
    }

    /// The verdict and the record; no record where nobody looked.
    pub fn conclude(self) -> (Verdict, Option<DecisionRecord>) {
        let record = (!self.record.checks.is_empty()).then_some(self.record);
        (self.verdict.unwrap_or(Verdict::Proceed(self.amended)), record)
    }

    /// The same at `Publish`, with the permission to append: for a proceed, and for a fallback, which replaces the payload.
    pub fn conclude_publish(self, draft: Draft) -> (Verdict, Option<DecisionRecord>, Result<Passed, Draft>) {
        let (verdict, record) = self.conclude();
        let passed = match &verdict {
            Verdict::Proceed(None) => Ok(Passed::new(draft)),
            Verdict::Proceed(Some(value)) | Verdict::Signal { signal: Signal::Fallback { value, .. }, .. } => {
                Ok(Passed::new(draft.with_payload(value.clone())))
            }
            _ => Err(draft),
        };
        (verdict, record, passed)
    }
}

/// A look that was not taken, and why.
fn unasked(plugin: &PluginInfo, answer: &str, reason: &str) -> Check {
    Check {
        plugin: plugin.name.clone(),
        version: plugin.short_version(),
        settings: plugin.short_settings(),
        answer: Text::from(answer),
        reason: Some(reason.to_owned()),
        amended: false,
        duration_ns: 0,
        fuel: 0,
    }
}
