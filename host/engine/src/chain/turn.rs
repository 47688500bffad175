//! One handler's turn: asked about all events that it is next for in one call, where it takes that, and else about one after the other.
//! Who is next is `round`'s; breakers and the log are `calls`'.

use std::{sync::Arc, time::Instant};

use trackside_model::{
    control::{ChainEnd, DecisionPoint, Signal},
    event::EnvelopeLimits,
    json::Json,
    ports::{BatchTurn, BatchVerdicts, Fault, Usage},
};

use super::{
    millis,
    round::{Round, UnderWay},
};
use crate::{calls::NotCalled, clock, engine::Shared, publish::is_command, slot::Slot};

impl Shared {
    /// Asks this handler about the events that the round has chosen for it.
    pub(super) fn take_turn(self: &Arc<Self>, slot: &Arc<Slot>, round: &mut Round) {
        if round.chosen.len() > 1 && slot.info().batches {
            // Those that are left over are chosen again: it is still next for them.
            round.chosen.truncate(slot.batch());
            if self.ask_together(slot, round) {
                return;
            }
        }
        for place in std::mem::take(&mut round.chosen) {
            self.ask_alone(slot, round.event(place));
        }
    }

    fn ask_alone(self: &Arc<Self>, slot: &Arc<Slot>, event: &mut UnderWay) {
        let now = Instant::now();
        let left = event.left(now);
        let end = if left.is_zero() {
            let budget_ms = self.options.chain_budget_ms;
            let reason = format!("the chain's {budget_ms} ms were spent before its turn");
            event.asked.chain.not_asked(slot.handler(), &reason, budget_ms)
        } else {
            let context = event.context(now, slot.info().limits.timeout_ms.min(millis(left)));
            match self.check(slot, &event.subject, &context) {
                Err(not_called) => event.not_called(slot, &not_called),
                Ok(report) => {
                    self.checks.record(report.usage.duration_ns);
                    let answered = report.outcome.is_ok();
                    let end = self.answered(slot, event, report.outcome.as_ref().map(Signal::clone), report.usage, 1);
                    if answered && !report.outbox.is_untouched() {
                        event.asked.outboxes.push((slot.name().clone(), report.outbox));
                    }
                    end
                }
            }
        };
        event.step(end);
    }

    /// Asks about all that are chosen in one call. `false`: that came to nothing, and they are to be asked about one by one, so that only the
    /// one that a fault is about is answered by it, and what a call wants belongs to one event.
    fn ask_together(self: &Arc<Self>, slot: &Arc<Slot>, round: &mut Round) -> bool {
        let now = Instant::now();
        within(slot.info().limits.argument_bytes, round);
        let left = round.chosen().map(|event| event.left(now)).min().unwrap_or_default();
        if left.is_zero() || round.chosen.len() < 2 {
            return false;
        }
        let (batch, made_at) = round.batch(now);
        let remaining_ms = slot.info().limits.timeout_ms.min(millis(left));
        let turn = BatchTurn { now: clock::now(), since_ms: millis(now.saturating_duration_since(made_at)), remaining_ms };
        // Not let through: one by one, each is told why, or one of them is the probe.
        let Ok(report) = self.check_batch(slot, &batch, &turn) else { return false };
        match report.outcome {
            Ok(verdicts) if report.outbox.is_untouched() => {
                self.distribute(slot, round, verdicts, report.usage);
                true
            }
            _ => false,
        }
    }

    fn distribute(self: &Arc<Self>, slot: &Arc<Slot>, round: &mut Round, verdicts: BatchVerdicts, usage: Usage) {
        let chosen = std::mem::take(&mut round.chosen);
        let usage = usage.share(chosen.len());
        let batch = u32::try_from(chosen.len()).unwrap_or(u32::MAX);
        self.checks.record_many(usage.duration_ns, chosen.len() as u64);
        let mut verdicts = verdicts.into_iter().peekable();
        for (in_batch, &place) in chosen.iter().enumerate() {
            let event = round.event(place);
            let end = match verdicts.next_if(|(at, _)| *at == in_batch) {
                None => event.asked.chain.proceeded(slot.handler(), usage, batch),
                Some((_, signal)) => self.answered(slot, event, Ok(signal), usage, batch),
            };
            event.step(end);
        }
        // Its memory serves the next turn.
        round.chosen = chosen;
    }

    fn answered(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        event: &mut UnderWay,
        outcome: Result<Signal, &Fault>,
        usage: Usage,
        batch: u32,
    ) -> ChainEnd {
        let amends = matches!(outcome, Ok(Signal::Proceed(Some(_))));
        let (point, subject, limits) = (event.point, &event.subject, self.options.envelope);
        let end = event.asked.chain.answered(slot.handler(), outcome, usage, batch, |value| match point {
            // A command means what its sender wrote: a value in its place would be another command.
            DecisionPoint::Publish if is_command(&subject.event) => Err("nobody may replace what a command says".to_owned()),
            _ => acceptable(value, &limits),
        });
        if amends {
            event.amend();
        }
        end
    }
}

impl UnderWay {
    fn not_called(&mut self, slot: &Slot, why: &NotCalled) -> ChainEnd {
        match why {
            NotCalled::Quarantined { retry_after_ms } => self.asked.chain.not_asked(slot.handler(), "quarantined", *retry_after_ms),
            NotCalled::Bypassed(bypass) => {
                self.asked.chain.bypassed(slot.handler(), &format!("bypassed until {} by {}", bypass.until, bypass.by))
            }
        }
    }
}

/// Leaves out the last ones of the chosen events, as far as they are together more than a call may carry.
fn within(argument_bytes: u64, round: &mut Round) {
    let mut bytes = 0;
    let fitting = round.chosen().take_while(|event| {
        bytes += event.subject.packed().len() as u64;
        bytes <= argument_bytes
    });
    let fitting = fitting.count();
    round.chosen.truncate(fitting.max(1));
}

/// Whether a handler's value is within what an edge could have sent.
fn acceptable(value: &Json, limits: &EnvelopeLimits) -> Result<(), String> {
    Json::check(value.as_str(), limits.payload_bytes, limits.payload_depth).map(drop).map_err(|error| error.to_string())
}
