//! One handler's turn: asked about all events that it is next for in one call, where it takes that, and else about one after the other.
//! Who is next is `round`'s; breakers and the log are `calls`'.

use std::{sync::Arc, time::Instant};

use trackside_model::{
    control::{Chain, ChainEnd, DecisionPoint, Signal},
    event::EnvelopeLimits,
    json::Json,
    ports::{BatchTurn, BatchVerdicts, Fault, Usage},
};

use super::{
    millis,
    round::{Cohort, Member, Round},
};
use crate::{calls::NotCalled, clock, engine::Shared, publish::is_command, slot::Slot};

impl Shared {
    /// Asks this handler about the events of these cohorts, for all of which it is next.
    pub(super) fn take_turn(self: &Arc<Self>, slot: &Arc<Slot>, mut cohorts: Vec<Cohort>, round: &mut Round) {
        if slot.info().batches && cohorts.iter().map(|cohort| cohort.members.len()).sum::<usize>() > 1 {
            match self.ask_together(slot, cohorts, round) {
                Ok(()) => return,
                Err(not_answered) => cohorts = not_answered,
            }
        }
        for cohort in cohorts.into_iter().flat_map(Cohort::each) {
            self.ask_alone(slot, cohort, round);
        }
    }

    /// `cohort` has one member.
    fn ask_alone(self: &Arc<Self>, slot: &Arc<Slot>, mut cohort: Cohort, round: &mut Round) {
        let now = Instant::now();
        let Cohort { chain, point, members, .. } = &mut cohort;
        let Some(member) = members.first_mut() else { return };
        let left_ms = millis(member.left(now));
        let end = if left_ms == 0 {
            let budget_ms = self.options.chain_budget_ms;
            let reason = format!("the chain's {budget_ms} ms were spent before its turn");
            chain.not_asked(slot.handler(), &reason, budget_ms)
        } else {
            let context = member.context(*point, now, slot.info().limits.timeout_ms.min(left_ms));
            match self.check(slot, &member.subject, &context) {
                Err(not_called) => not_called_by(slot, chain, &not_called),
                Ok(report) => {
                    self.checks.record(report.usage.duration_ns);
                    if report.outcome.is_ok() && !report.outbox.is_untouched() {
                        member.outboxes.push((slot.name().clone(), report.outbox));
                    }
                    self.answered(slot, &mut cohort, report.outcome, report.usage, 1)
                }
            }
        };
        round.step(cohort, end);
    }

    /// Asks about as many as a call may be about, all at once; the others wait for its next turn. Gives back those that were not answered: they
    /// are to be asked about one by one, so that only the one that a fault is about is answered by it, and what a call wants belongs to one
    /// event.
    fn ask_together(self: &Arc<Self>, slot: &Arc<Slot>, cohorts: Vec<Cohort>, round: &mut Round) -> Result<(), Vec<Cohort>> {
        let now = Instant::now();
        let (cohorts, waiting) = divide(cohorts, slot.batch(), slot.info().limits.argument_bytes);
        waiting.into_iter().for_each(|cohort| round.put(cohort));
        let members = || cohorts.iter().flat_map(|cohort| &cohort.members);
        let left = members().map(|member| member.left(now)).min().unwrap_or_default();
        // Nobody's call is to be shorter for its company: who has less left than the handler may take goes alone.
        let remaining_ms = slot.info().limits.timeout_ms;
        if millis(left) < remaining_ms || members().count() < 2 {
            return Err(cohorts);
        }
        let (batch, made_at) = round.batch(&cohorts, now);
        let turn = BatchTurn { now: clock::now(), since_ms: millis(now.saturating_duration_since(made_at)), remaining_ms };
        // Not let through: one by one, each is told why, or one of them is the probe.
        let Ok(report) = self.check_batch(slot, &batch, &turn) else { return Err(cohorts) };
        match report.outcome {
            Ok(verdicts) if report.outbox.is_untouched() => {
                self.distribute(slot, cohorts, verdicts, report.usage, round);
                Ok(())
            }
            _ => Err(cohorts),
        }
    }

    fn distribute(self: &Arc<Self>, slot: &Arc<Slot>, cohorts: Vec<Cohort>, verdicts: BatchVerdicts, usage: Usage, round: &mut Round) {
        let count: usize = cohorts.iter().map(|cohort| cohort.members.len()).sum();
        let (usage, batch) = (usage.share(count), u32::try_from(count).unwrap_or(u32::MAX));
        self.checks.record_many(usage.duration_ns, count as u64);
        let mut verdicts = verdicts.into_iter().peekable();
        let mut first = 0;
        for mut cohort in cohorts {
            let behind = first + cohort.members.len();
            // From the last one on, so that the places of those before stay what they are.
            let own: Vec<(usize, Signal)> = std::iter::from_fn(|| verdicts.next_if(|(place, _)| *place < behind)).collect();
            let apart: Vec<(Cohort, Signal)> = own
                .into_iter()
                .rev()
                .map(|(place, signal)| {
                    let member = cohort.members.remove(place - first);
                    (cohort.apart(vec![member]), signal)
                })
                .collect();
            first = behind;
            if !cohort.members.is_empty() {
                let end = cohort.chain.proceeded(slot.handler(), usage, batch);
                round.step(cohort, end);
            }
            for (mut cohort, signal) in apart.into_iter().rev() {
                let end = self.answered(slot, &mut cohort, Ok(signal), usage, batch);
                round.step(cohort, end);
            }
        }
    }

    /// Takes an answer about a cohort's one member.
    fn answered(
        self: &Arc<Self>,
        slot: &Arc<Slot>,
        cohort: &mut Cohort,
        outcome: Result<Signal, Fault>,
        usage: Usage,
        batch: u32,
    ) -> ChainEnd {
        let amends = matches!(outcome, Ok(Signal::Proceed(Some(_))));
        let Cohort { chain, point, members, .. } = cohort;
        let of_command = *point == DecisionPoint::Publish && members.first().is_some_and(|member| is_command(&member.subject.event));
        let end = chain.answered(slot.handler(), outcome, usage, batch, |value| match of_command {
            // A command means what its sender wrote: a value in its place would be another command.
            true => Err("nobody may replace what a command says".to_owned()),
            false => acceptable(value, &self.options.envelope),
        });
        if amends {
            cohort.amend();
        }
        end
    }
}

fn not_called_by(slot: &Slot, chain: &mut Chain, why: &NotCalled) -> ChainEnd {
    match why {
        NotCalled::Quarantined { retry_after_ms } => chain.not_asked(slot.handler(), "quarantined", *retry_after_ms),
        NotCalled::Bypassed(bypass) => chain.bypassed(slot.handler(), &format!("bypassed until {} by {}", bypass.until, bypass.by)),
    }
}

/// As many events, from the first on, as one call may be about and carry, and the others.
fn divide(cohorts: Vec<Cohort>, most: usize, argument_bytes: u64) -> (Vec<Cohort>, Vec<Cohort>) {
    let (mut count, mut bytes) = (0, 0);
    let mut fits = |member: &Member| {
        count += 1;
        bytes += member.subject.packed().len() as u64;
        count == 1 || (count <= most && bytes <= argument_bytes)
    };
    let (mut now, mut later) = (Vec::with_capacity(cohorts.len()), Vec::new());
    for mut cohort in cohorts {
        let fitting = cohort.members.iter().take_while(|member| fits(member)).count();
        let waiting = cohort.members.split_off(fitting);
        if !waiting.is_empty() {
            later.push(cohort.apart(waiting));
        }
        if !cohort.members.is_empty() {
            now.push(cohort);
        }
    }
    (now, later)
}

/// Whether a handler's value is within what an edge could have sent.
fn acceptable(value: &Json, limits: &EnvelopeLimits) -> Result<(), String> {
    Json::check(value.as_str(), limits.payload_bytes, limits.payload_depth).map(drop).map_err(|error| error.to_string())
}
