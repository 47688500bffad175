//! Events on their way through their chains side by side: which handler is next, and for which of them. Those that have come the same way
//! so far are one cohort, with one chain and in the end one decision record. Asking is `turn`'s.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use trackside_model::{
    control::{Chain, ChainEnd, CheckContext, DecisionPoint, Origin},
    event::Text,
    json::Json,
    ports::{CheckBatch, Outbox, Subject},
};

use super::{Asked, Asking, Tell, millis};
use crate::{clock, slot::Slot};

/// One event on its way.
pub(super) struct Member {
    pub(super) subject: Arc<Subject<'static>>,
    /// Of the handlers that answered, in order.
    pub(super) outboxes: Vec<(Text, Outbox)>,
    attempt: u32,
    elapsed_ms: u64,
    origin: Origin,
    asked_at: Instant,
    /// When its chain's budget is spent.
    deadline: Instant,
    tell: Tell,
}

impl Member {
    /// What is left of the budget.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// What a handler is told besides the event.
    pub(super) fn context(&self, point: DecisionPoint, now: Instant, remaining_ms: u64) -> CheckContext {
        CheckContext {
            point,
            attempt: self.attempt,
            now: clock::now(),
            elapsed_ms: self.elapsed_ms + millis(now.saturating_duration_since(self.asked_at)),
            remaining_ms,
            origin: self.origin,
            principal: self.subject.principal.clone(),
        }
    }
}

/// Events that are to be asked of the same handlers, and that those before have let through in the same calls. One that a handler says
/// something else about goes on alone.
pub(super) struct Cohort {
    pub(super) chain: Chain,
    pub(super) point: DecisionPoint,
    pub(super) members: Vec<Member>,
    handlers: Arc<[Arc<Slot>]>,
    next: usize,
}

impl Cohort {
    fn next_handler(&self) -> Option<&Arc<Slot>> {
        self.handlers.get(self.next)
    }

    /// Another cohort that has come as far, of these of its events.
    pub(super) fn apart(&self, members: Vec<Member>) -> Self {
        Self { chain: self.chain.clone(), point: self.point, members, handlers: self.handlers.clone(), next: self.next }
    }

    /// The same for each of them. One that is alone already stays what it is: nothing is copied.
    pub(super) fn each(mut self) -> impl Iterator<Item = Self> {
        let others = self.members.split_off(self.members.len().min(1));
        let apart: Vec<Self> = others.into_iter().map(|member| self.apart(vec![member])).collect();
        std::iter::once(self).chain(apart)
    }

    /// Shows the next handlers what somebody has put in place of what the point is about.
    pub(super) fn amend(&mut self) {
        let Some(value) = self.chain.amended() else { return };
        for member in &mut self.members {
            let event = &member.subject.event;
            if let Some(payload) = with_amended(self.point, &event.payload, value) {
                let mut event = event.clone().into_owned();
                event.payload = payload;
                member.subject = Arc::new(Subject::owned(event, member.subject.principal.clone()));
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

/// The events that one guest thread has taken.
pub(super) struct Round {
    cohorts: Vec<Cohort>,
    /// The last batch, which serves the next handler too if it is asked about the same.
    batch: Option<(Arc<CheckBatch>, Instant)>,
}

impl Round {
    pub(super) fn new(asked: impl Iterator<Item = (Asking, Tell)>, budget: Duration) -> Self {
        let mut round = Self { cohorts: Vec::new(), batch: None };
        for (asking, tell) in asked {
            round.join(asking, tell, budget);
        }
        for cohort in std::mem::take(&mut round.cohorts) {
            round.put(cohort);
        }
        round
    }

    fn join(&mut self, asking: Asking, tell: Tell, budget: Duration) {
        let Asking { handlers, event, point, attempt, elapsed_ms, origin, principal, asked_at } = asking;
        let deadline = asked_at + budget;
        let handlers = handlers.decided(&event, deadline);
        let subject = Arc::new(Subject::owned(event, principal));
        let member = Member { subject, outboxes: Vec::new(), attempt, elapsed_ms, origin, asked_at, deadline, tell };
        let same = |cohort: &&mut Cohort| {
            let mut pairs = cohort.handlers.iter().zip(&handlers);
            cohort.point == point && cohort.handlers.len() == handlers.len() && pairs.all(|(one, other)| Arc::ptr_eq(one, other))
        };
        match self.cohorts.iter_mut().find(same) {
            Some(cohort) => cohort.members.push(member),
            None => self.cohorts.push(Cohort {
                chain: Chain::with_capacity(point, handlers.len()),
                point,
                members: vec![member],
                handlers: handlers.into(),
                next: 0,
            }),
        }
    }

    /// The handler that comes first of those that are next for somebody, and those that it is next for; `None` once all chains are over.
    pub(super) fn choose(&mut self) -> Option<(Arc<Slot>, Vec<Cohort>)> {
        let mut first: Option<&Arc<Slot>> = None;
        for slot in self.cohorts.iter().filter_map(Cohort::next_handler) {
            match first {
                Some(chosen) if Arc::ptr_eq(chosen, slot) || !slot.stands_before(chosen) => {}
                _ => first = Some(slot),
            }
        }
        let slot = first?.clone();
        let chosen = self.cohorts.extract_if(.., |cohort| cohort.next_handler().is_some_and(|next| Arc::ptr_eq(next, &slot)));
        let chosen = chosen.collect();
        Some((slot, chosen))
    }

    /// Has a cohort whose handler was asked go on to the next one; where there is none, tells its members what their chain came to.
    pub(super) fn step(&mut self, mut cohort: Cohort, end: ChainEnd) {
        match end {
            ChainEnd::GoOn => cohort.next += 1,
            ChainEnd::Ended => cohort.next = cohort.handlers.len(),
        }
        self.put(cohort);
    }

    /// Has a cohort wait for its next handler.
    pub(super) fn put(&mut self, cohort: Cohort) {
        if cohort.next_handler().is_some() {
            self.cohorts.push(cohort);
            return;
        }
        let (verdict, record) = cohort.chain.conclude();
        for Member { outboxes, tell, .. } in cohort.members {
            tell(Asked { verdict: verdict.clone(), record: record.clone(), outboxes });
        }
    }

    /// These events as one batch, and when it was made.
    pub(super) fn batch(&mut self, cohorts: &[Cohort], now: Instant) -> (Arc<CheckBatch>, Instant) {
        let members = || cohorts.iter().flat_map(|cohort| cohort.members.iter().map(|member| (cohort.point, member)));
        if let Some((batch, made_at)) = &self.batch
            && batch.asked().len() == members().count()
            && batch.asked().iter().zip(members()).all(|((subject, _), (_, member))| Arc::ptr_eq(subject, &member.subject))
        {
            return (batch.clone(), *made_at);
        }
        let asked = members().map(|(point, member)| (member.subject.clone(), member.context(point, now, 0))).collect();
        self.batch.insert((Arc::new(CheckBatch::new(asked)), now)).clone()
    }
}
