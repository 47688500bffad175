//! Events on their way through their chains side by side: which handler is next, and for which of them.
//! Asking it is `turn`'s.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use trackside_model::{
    control::{ChainEnd, CheckContext, DecisionPoint, Origin},
    json::Json,
    ports::{CheckBatch, Subject},
};

use super::{Asked, Asking, Tell, millis};
use crate::{clock, slot::Slot};

/// One event on its way.
pub(super) struct UnderWay {
    pub(super) subject: Arc<Subject<'static>>,
    pub(super) point: DecisionPoint,
    pub(super) asked: Asked,
    handlers: Vec<Arc<Slot>>,
    next: usize,
    attempt: u32,
    elapsed_ms: u64,
    origin: Origin,
    asked_at: Instant,
    /// When its chain's budget is spent.
    deadline: Instant,
    tell: Option<Tell>,
}

impl UnderWay {
    fn new(asking: Asking, tell: Tell, budget: Duration) -> Self {
        let Asking { handlers, event, point, attempt, elapsed_ms, origin, principal, asked_at } = asking;
        let asked = Asked::of(point, handlers.len());
        let (subject, deadline) = (Arc::new(Subject::owned(event, principal)), asked_at + budget);
        let mut new = Self { subject, point, asked, handlers, next: 0, attempt, elapsed_ms, origin, asked_at, deadline, tell: Some(tell) };
        new.tell_if_over();
        new
    }

    /// Who is to be asked next; nobody once the chain is over.
    fn next_handler(&self) -> Option<&Arc<Slot>> {
        self.handlers.get(self.next)
    }

    /// What is left of the budget.
    pub(super) fn left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// What a handler is told besides the event.
    pub(super) fn context(&self, now: Instant, remaining_ms: u64) -> CheckContext {
        CheckContext {
            point: self.point,
            attempt: self.attempt,
            now: clock::now(),
            elapsed_ms: self.elapsed_ms + millis(now.saturating_duration_since(self.asked_at)),
            remaining_ms,
            origin: self.origin,
            principal: self.subject.principal.clone(),
        }
    }

    /// Goes on to the next handler, or tells what the chain came to.
    pub(super) fn step(&mut self, end: ChainEnd) {
        match end {
            ChainEnd::GoOn => self.next += 1,
            ChainEnd::Ended => self.next = self.handlers.len(),
        }
        self.tell_if_over();
    }

    fn tell_if_over(&mut self) {
        if self.next >= self.handlers.len()
            && let Some(tell) = self.tell.take()
        {
            tell(std::mem::replace(&mut self.asked, Asked::of(self.point, 0)));
        }
    }

    /// Shows the next handlers what somebody has put in place of what the point is about.
    pub(super) fn amend(&mut self) {
        let event = &self.subject.event;
        let Some(payload) = self.asked.chain.amended().and_then(|value| with_amended(self.point, &event.payload, value)) else { return };
        let mut event = event.clone().into_owned();
        event.payload = payload;
        self.subject = Arc::new(Subject::owned(event, self.subject.principal.clone()));
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
    events: Vec<UnderWay>,
    /// Places of those that the chosen handler is to be asked about.
    pub(super) chosen: Vec<usize>,
    /// The last batch, which serves the next handler too if it is asked about the same.
    batch: Option<(Arc<CheckBatch>, Instant)>,
}

impl Round {
    pub(super) fn new(asked: impl Iterator<Item = (Asking, Tell)>, budget: Duration) -> Self {
        let events: Vec<UnderWay> = asked.map(|(asking, tell)| UnderWay::new(asking, tell, budget)).collect();
        let chosen = Vec::with_capacity(events.len());
        Self { events, chosen, batch: None }
    }

    /// The handler that comes first of those that are next for somebody, and for whom; `None` once all chains are over.
    pub(super) fn choose(&mut self) -> Option<Arc<Slot>> {
        let mut first: Option<&Arc<Slot>> = None;
        for slot in self.events.iter().filter_map(UnderWay::next_handler) {
            match first {
                Some(chosen) if Arc::ptr_eq(chosen, slot) || !slot.stands_before(chosen) => {}
                _ => first = Some(slot),
            }
        }
        let chosen = first?.clone();
        let is_next = |event: &UnderWay| event.next_handler().is_some_and(|slot| Arc::ptr_eq(slot, &chosen));
        self.chosen.clear();
        self.chosen.extend(self.events.iter().enumerate().filter(|(_, event)| is_next(event)).map(|(place, _)| place));
        Some(chosen)
    }

    /// One of the events.
    pub(super) fn event(&mut self, place: usize) -> &mut UnderWay {
        &mut self.events[place]
    }

    /// The chosen events.
    pub(super) fn chosen(&self) -> impl Iterator<Item = &UnderWay> {
        self.chosen.iter().map(|&place| &self.events[place])
    }

    /// The chosen events as one batch, and when it was made.
    pub(super) fn batch(&mut self, now: Instant) -> (Arc<CheckBatch>, Instant) {
        if let Some((batch, made_at)) = &self.batch
            && batch.asked().len() == self.chosen.len()
            && batch.asked().iter().zip(self.chosen()).all(|((subject, _), event)| Arc::ptr_eq(subject, &event.subject))
        {
            return (batch.clone(), *made_at);
        }
        let asked = self.chosen().map(|event| (event.subject.clone(), event.context(now, 0))).collect();
        let batch = (Arc::new(CheckBatch::new(asked)), now);
        self.batch.insert(batch).clone()
    }
}
