//! The chain driver: asks the handlers of one event in turn, inside the chain's budget, on a guest thread.
//! What an answer means for the chain is the model's `Chain`; what the verdict means is the asker's.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use trackside_model::{
    control::{Chain, ChainEnd, CheckContext, DecisionPoint, DecisionRecord, Origin, Verdict},
    event::{EnvelopeLimits, Event, Text},
    json::Json,
    ports::{Outbox, Subject},
};

use crate::{calls::NotCalled, clock, engine::Shared, publish::is_command, slot::Slot};

/// What a chain is asked about.
#[derive(Clone)]
pub(crate) struct Asking {
    pub(crate) handlers: Vec<Arc<Slot>>,
    pub(crate) event: Event,
    pub(crate) point: DecisionPoint,
    pub(crate) attempt: u32,
    pub(crate) elapsed_ms: u64,
    pub(crate) origin: Origin,
    pub(crate) principal: Option<Text>,
    /// When the chain was asked for: waiting for a thread is part of the budget.
    pub(crate) asked_at: Instant,
}

/// What a chain came to.
pub(crate) struct Asked {
    pub(crate) chain: Chain,
    /// Of the handlers that answered, in order.
    pub(crate) outboxes: Vec<(Text, Outbox)>,
}

impl Asked {
    /// A chain that nobody was asked in.
    pub(crate) fn nobody(point: DecisionPoint) -> Self {
        Self { chain: Chain::new(point), outboxes: Vec::new() }
    }

    pub(crate) fn conclude(self) -> (Verdict, Option<DecisionRecord>, Vec<(Text, Outbox)>) {
        let (verdict, record) = self.chain.conclude();
        (verdict, record, self.outboxes)
    }
}

impl Shared {
    /// Asks them all, in order, until one ends the chain. Blocks: for guest threads only.
    pub(crate) fn ask(self: &Arc<Self>, asking: Asking) -> Asked {
        let Asking { handlers, mut event, point, attempt, elapsed_ms, origin, principal, asked_at } = asking;
        let budget = Duration::from_millis(self.options.chain_budget_ms);
        let mut asked = Asked::nobody(point);
        let mut pending = handlers.iter().peekable();
        while pending.peek().is_some() {
            // One subject serves until somebody amends the event: the packed form is made once for all who share it.
            let subject = Subject::new(&event, principal.as_deref());
            let mut amended = None;
            for slot in pending.by_ref() {
                let left = budget.saturating_sub(asked_at.elapsed());
                let context = CheckContext {
                    point,
                    attempt,
                    now: clock::now(),
                    elapsed_ms: elapsed_ms + millis(asked_at.elapsed()),
                    remaining_ms: slot.info().limits.timeout_ms.min(millis(left)),
                    origin,
                    principal: principal.clone(),
                };
                let end = self.ask_one(slot, &subject, &context, left.is_zero(), &mut asked);
                if end == ChainEnd::Ended {
                    return asked;
                }
                if let Some(payload) = asked.chain.amended().and_then(|value| with_amended(point, &event.payload, value)) {
                    amended = Some(payload);
                    break;
                }
            }
            match amended {
                Some(payload) => event.payload = payload,
                None => break,
            }
        }
        asked
    }

    fn ask_one(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        subject: &Subject<'_>,
        context: &CheckContext,
        spent: bool,
        asked: &mut Asked,
    ) -> ChainEnd {
        if spent {
            let reason = format!("the chain's {} ms were spent before its turn", self.options.chain_budget_ms);
            return asked.chain.not_asked(slot.info(), &reason, self.options.chain_budget_ms);
        }
        match self.check(slot, subject, context) {
            Err(NotCalled::Quarantined { retry_after_ms }) => asked.chain.not_asked(slot.info(), "quarantined", retry_after_ms),
            Err(NotCalled::Bypassed(bypass)) => {
                asked.chain.bypassed(slot.info(), &format!("bypassed until {} by {}", bypass.until, bypass.by))
            }
            Ok(report) => {
                self.checks.record(report.usage.duration_ns);
                let limits = self.options.envelope;
                let end = asked.chain.answered(slot.info(), &report, |value| match context.point {
                    // A command means what its sender wrote: a value in its place would be another command.
                    DecisionPoint::Publish if is_command(subject.event) => Err("nobody may replace what a command says".to_owned()),
                    _ => acceptable(value, &limits),
                });
                if report.outcome.is_ok() && !(report.outbox.is_empty() && report.outbox.kv_reads.is_empty()) {
                    asked.outboxes.push((slot.name().clone(), report.outbox));
                }
                end
            }
        }
    }
}

/// What the next handler sees once somebody has amended what the point is about; `None` where it sees that already, or nothing can be amended.
fn with_amended(point: DecisionPoint, payload: &Json, value: &Json) -> Option<Json> {
    let place = match point {
        DecisionPoint::Publish => return (value != payload).then(|| value.clone()),
        DecisionPoint::WorkflowSubmitted => "/workflow/input",
        DecisionPoint::TaskReady => "/parameters",
        DecisionPoint::TaskCompleted => "/result",
        DecisionPoint::CandidateFound | DecisionPoint::TaskFailed => return None,
    };
    let (mut amended, value) = (payload.to_value(), value.to_value());
    let seen = amended.pointer_mut(place).filter(|seen| **seen != value)?;
    *seen = value;
    Some(Json::from(amended))
}

/// Whether a handler's value is within what an edge could have sent.
fn acceptable(value: &Json, limits: &EnvelopeLimits) -> Result<(), String> {
    Json::check(value.as_str(), limits.payload_bytes, limits.payload_depth).map(drop).map_err(|error| error.to_string())
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
