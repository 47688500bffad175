//! The chain: handlers are asked in order until one says something other than proceed.
//! Sans-IO: the driver calls the guests and tells the chain each report; the chain says whether to go on, and at last the verdict.

use std::sync::Arc;

use super::{Check, CheckAnswer, CheckedBy, DecisionPoint, DecisionRecord, Passed, Signal};
use crate::{
    event::{Draft, Text},
    json::Json,
    plugin::{OnFault, PluginInfo},
    ports::{Fault, Usage},
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

/// One version of a control handler, as a chain knows it.
#[derive(Clone, Debug)]
pub struct Handler {
    by: Arc<CheckedBy>,
    on_fault: OnFault,
    backoff_ms: u64,
}

impl Handler {
    /// This plugin's.
    pub fn of(plugin: &PluginInfo) -> Self {
        Self { by: Arc::new(CheckedBy::of(plugin)), on_fault: plugin.on_fault, backoff_ms: plugin.breaker.backoff_ms }
    }
}

/// A chain under way: of one event, or of several that have come the same way so far, none of which was amended.
#[derive(Clone, Debug)]
pub struct Chain {
    amended: Option<Json>,
    verdict: Option<Verdict>,
    record: DecisionRecord,
}

impl Chain {
    /// A chain at a point, nobody asked yet.
    pub fn new(point: DecisionPoint) -> Self {
        Self::with_capacity(point, 0)
    }

    /// The same, with room for as many looks as there are handlers.
    pub fn with_capacity(point: DecisionPoint, handlers: usize) -> Self {
        Self { amended: None, verdict: None, record: DecisionRecord { point, checks: Vec::with_capacity(handlers), ended_by: None } }
    }

    /// Takes a plain proceed, by far the most frequent answer: nothing of it has to be looked at.
    pub fn proceeded(&mut self, handler: &Handler, usage: Usage, batch: u32) -> ChainEnd {
        let Usage { duration_ns, fuel, .. } = usage;
        let by = Arc::clone(&handler.by);
        self.push(Check { by, answer: CheckAnswer::Proceed, reason: None, amended: false, batch, duration_ns, fuel })
    }

    /// Takes one handler's answer, or its fault. `batch` events were judged in the same call. An amendment that is refused by `accept` is a
    /// malformed answer, which counts as a fault.
    pub fn answered(
        &mut self,
        handler: &Handler,
        outcome: Result<Signal, Fault>,
        usage: Usage,
        batch: u32,
        accept: impl FnOnce(&Json) -> Result<(), String>,
    ) -> ChainEnd {
        let outcome = match outcome {
            Ok(Signal::Proceed(None)) => return self.proceeded(handler, usage, batch),
            Ok(signal) => match &signal {
                Signal::Proceed(Some(value)) | Signal::Fallback { value, .. } => {
                    accept(value).map(|()| signal).map_err(|error| format!("malformed answer: {error}"))
                }
                _ => Ok(signal),
            },
            Err(fault) => Err(fault.to_string()),
        };
        let answer = outcome.as_ref().map_or(CheckAnswer::Fault, CheckAnswer::from);
        let reason = outcome.as_ref().map_or_else(|fault| Some(fault.as_str()), Signal::reason).map(Box::from);
        let amended = matches!(outcome, Ok(Signal::Proceed(Some(_))));
        match outcome {
            Ok(Signal::Proceed(value)) => self.amended = value,
            Ok(signal) => self.verdict = Some(Verdict::Signal { by: handler.by.plugin.clone(), signal }),
            Err(reason) => self.faulted(handler, reason, handler.backoff_ms),
        }
        let Usage { duration_ns, fuel, .. } = usage;
        self.push(Check { by: Arc::clone(&handler.by), answer, reason, amended, batch, duration_ns, fuel })
    }

    /// Passes over a handler that is not asked, because it is quarantined or the budget is spent. `on_fault` decides what that means.
    pub fn not_asked(&mut self, handler: &Handler, reason: &str, retry_after_ms: u64) -> ChainEnd {
        self.faulted(handler, reason.to_owned(), retry_after_ms);
        self.push(unasked(handler, CheckAnswer::NotAsked, reason))
    }

    /// Passes over a handler that an operator has bypassed: the chain goes on, whatever `on_fault` says.
    pub fn bypassed(&mut self, handler: &Handler, reason: &str) -> ChainEnd {
        self.push(unasked(handler, CheckAnswer::Bypassed, reason))
    }

    fn faulted(&mut self, handler: &Handler, reason: String, retry_after_ms: u64) {
        if handler.on_fault == OnFault::Fail {
            self.verdict = Some(Verdict::Held { by: handler.by.plugin.clone(), reason, retry_after_ms });
        }
    }

    fn push(&mut self, check: Check) -> ChainEnd {
        let end = match self.verdict {
            Some(_) => {
                self.record.ended_by = Some(check.by.plugin.clone());
                ChainEnd::Ended
            }
            None => ChainEnd::GoOn,
        };
        self.record.checks.push(check);
        end
    }

    /// The value that the next handler must see in place of the original, once somebody has amended it.
    pub fn amended(&self) -> Option<&Json> {
        self.amended.as_ref()
    }

    /// The verdict and the record; no record where nobody looked.
    pub fn conclude(self) -> (Verdict, Option<Arc<DecisionRecord>>) {
        let record = (!self.record.checks.is_empty()).then(|| Arc::new(self.record));
        (self.verdict.unwrap_or(Verdict::Proceed(self.amended)), record)
    }
}

impl Verdict {
    /// Whether another value takes the original's place.
    pub fn replaces(&self) -> bool {
        matches!(self, Self::Proceed(Some(_)) | Self::Signal { signal: Signal::Fallback { .. }, .. })
    }

    /// At `Publish`, the permission to append: for a proceed, and for a fallback, which replaces the payload.
    ///
    /// # Errors
    /// The draft, if it is not to be appended.
    pub fn let_through(&self, draft: Draft) -> Result<Passed, Draft> {
        match self {
            Self::Proceed(None) => Ok(Passed::new(draft)),
            Self::Proceed(Some(value)) | Self::Signal { signal: Signal::Fallback { value, .. }, .. } => {
                Ok(Passed::new(draft.with_payload(value.clone())))
            }
            _ => Err(draft),
        }
    }
}

/// A look that was not taken, and why.
fn unasked(handler: &Handler, answer: CheckAnswer, reason: &str) -> Check {
    let by = Arc::clone(&handler.by);
    Check { by, answer, reason: Some(Box::from(reason)), amended: false, batch: 1, duration_ns: 0, fuel: 0 }
}
