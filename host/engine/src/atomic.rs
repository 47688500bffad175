//! Several events at once, all of them or none: each passes identity and chain as it does alone, and they are appended in one commit.
//! What stands against one of them stands against all.

use std::sync::Arc;

use trackside_model::{
    control::{Admitted, DecisionRecord},
    event::{Incoming, Rejection},
};
use trackside_store::{AppendError, Batch, Entry, Flush, Ticket};

use crate::{
    answer::{Answer, Caller, Outcome},
    clock,
    engine::Shared,
    identity::{Claim, Original},
    outbox,
    publish::{AtDoor, Judged, MOST_RERUNS, answer_of, is_command, notice_of},
    schemas,
};

/// What became of events that were published together.
#[derive(Clone, Debug)]
pub enum Together {
    /// They are in the log, durable, each with its answer, in order: appended now, or all of them before.
    All(Vec<Answer>),
    /// None of them is: this one stood against it.
    None {
        /// Its place, from 0.
        place: usize,
        /// Why.
        answer: Box<Answer>,
    },
}

/// Stands against all.
type Against = (usize, Box<Answer>);

impl Shared {
    /// Publishes all of these, or none. Takes one place among the publishes that are under way.
    pub(crate) async fn publish_together(self: &Arc<Self>, incoming: Vec<Incoming>, caller: Caller) -> Together {
        match self.together(incoming, caller).await {
            Ok(answers) => Together::All(answers),
            Err((place, answer)) => Together::None { place, answer },
        }
    }

    async fn together(self: &Arc<Self>, incoming: Vec<Incoming>, caller: Caller) -> Result<Vec<Answer>, Against> {
        if incoming.is_empty() {
            return Ok(Vec::new());
        }
        let Ok(_slot) = self.slots.try_acquire() else {
            let reason = format!("{} publishes are under way, which is the most at a time", self.options.publish_slots);
            return Err((0, Box::new(Answer::busy(reason, 50))));
        };
        if self.stopping.is_set() {
            return Err((0, Box::new(Answer::stopping())));
        }
        let mut doors = Vec::with_capacity(incoming.len());
        for (place, incoming) in incoming.into_iter().enumerate() {
            doors
                .push(self.at_door_together(incoming, caller.clone()).map_err(|rejection| (place, Box::new(Answer::rejected(rejection))))?);
        }
        let claims = match self.identify_together(&doors).await? {
            Identified::New(claims) => claims,
            Identified::Before(answers) => return Ok(answers),
        };
        for (place, at_door) in doors.iter().enumerate() {
            schemas::check_sent(&self.schemas.load(), &at_door.draft)
                .map_err(|rejection| (place, Box::new(Answer::rejected(rejection))))?;
        }
        for _ in 0..=MOST_RERUNS {
            let judged = futures_util::future::join_all(doors.iter().map(|at_door| self.judge(at_door))).await;
            let judged = judged.into_iter().enumerate().map(|(place, judged)| judged.map_err(|answer| (place, Box::new(answer))));
            let judged = self.all_passed(&doors, judged.collect::<Result<_, _>>()?).await?;
            match self.append_together(&doors, judged) {
                Ok(appended) => return self.settle_together(&doors, claims, appended).await,
                Err(AppendError::Conflict { .. }) => {}
                Err(error) => return Err(self.not_appended_together(&doors, &error).await),
            }
        }
        Err((0, Box::new(Answer::busy(crate::publish::CHANGED_UNDER_HANDLERS, 50))))
    }

    fn at_door_together(&self, incoming: Incoming, caller: Caller) -> Result<AtDoor, Rejection> {
        let at_door = self.admit(incoming, caller)?;
        if is_command(&at_door.draft) {
            let message = format!("'{}' is a command, which goes alone; publish the others together without it", at_door.draft.event_type);
            return Err(Rejection::malformed("event_type", message));
        }
        Ok(at_door)
    }

    /// Claims the right to publish each, in the order of their keys: of two batches that have events in common, one waits for the other.
    async fn identify_together(self: &Arc<Self>, doors: &[AtDoor]) -> Result<Identified, Against> {
        let mut order: Vec<usize> = (0..doors.len()).collect();
        order.sort_by_key(|&place| doors[place].key(&self.identity));
        if let Some(twins) = order.windows(2).find(|pair| {
            let key = doors[pair[0]].key(&self.identity);
            key.is_some() && key == doors[pair[1]].key(&self.identity)
        }) {
            let what = "stands twice in what is to be published together; give each an event_id of its own";
            return Err((twins[0].max(twins[1]), Box::new(Answer::rejected(Rejection::malformed("", what)))));
        }
        let mut claims: Vec<Option<Claim>> = doors.iter().map(|_| None).collect();
        let mut before: Vec<Option<Answer>> = doors.iter().map(|_| None).collect();
        for place in order {
            match self.identify(&doors[place]).await {
                Ok(claim) => claims[place] = claim,
                Err(answer) if answer.outcome == Outcome::Duplicate => before[place] = Some(answer),
                Err(answer) => return Err((place, Box::new(answer))),
            }
        }
        match before.iter().position(Option::is_some) {
            None => Ok(Identified::New(claims)),
            Some(_) if before.iter().all(Option::is_some) => Ok(Identified::Before(before.into_iter().flatten().collect())),
            Some(place) => Err((place, Box::new(partly(before.swap_remove(place))))),
        }
    }

    /// What is to be appended, if the chain let all of them through. What it says against one is told to the log; nothing else happens.
    async fn all_passed(&self, doors: &[AtDoor], judged: Vec<Judged>) -> Result<Vec<Judged>, Against> {
        let Some(place) = judged.iter().position(|judged| judged.passed.is_err()) else { return Ok(judged) };
        let (at_door, Judged { verdict, record, .. }) = (&doors[place], &judged[place]);
        let mut answer = Answer { event_id: Some(at_door.draft.event_id), ..answer_of(verdict) };
        if let Some(told) = notice_of(verdict, &at_door.draft) {
            let decisions: Vec<Arc<DecisionRecord>> = record.iter().cloned().collect();
            let batch = Batch::of([Entry::fresh(Admitted::notice(told)).decided(decisions)]);
            match self.store.append(batch, Flush::Now) {
                Ok(appended) => answer.sequence_number = appended.events.first().map(|event| event.sequence_number),
                Err(error) => return Err((place, Box::new(Answer::not_appended(&error, at_door.draft.event_id)))),
            }
        }
        Err((place, Box::new(answer)))
    }

    fn append_together(&self, doors: &[AtDoor], judged: Vec<Judged>) -> Result<Vec<(Answer, Original)>, AppendError> {
        let mut batch = Batch::default();
        let mut answers = Vec::with_capacity(doors.len());
        let mut places = Vec::with_capacity(doors.len());
        for (at_door, Judged { passed, verdict, record, outboxes }) in doors.iter().zip(judged) {
            outbox::release(&mut batch, outboxes, &at_door.draft, at_door.hops);
            batch.expected.extend(at_door.expected.clone());
            answers.push(Answer {
                event_id: Some(at_door.draft.event_id),
                workflow_id: at_door.draft.workflow_id.clone(),
                ..answer_of(&verdict)
            });
            places.push(batch.events.len());
            let Ok(passed) = passed else { unreachable!("all of them passed") };
            let admitted = Admitted::passed(passed);
            let entry = if at_door.given_id.is_some() { Entry::given(admitted) } else { Entry::fresh(admitted) };
            batch.events.push(entry.decided(record.into_iter().collect()));
            batch.events.extend(notice_of(&verdict, &at_door.draft).map(|told| Entry::fresh(Admitted::notice(told))));
        }
        let appended = self.store.append(batch, Flush::Now)?;
        let settled = answers.into_iter().zip(doors).zip(places).map(|((mut answer, at_door), place)| {
            let sequence_number = appended.events[place].sequence_number;
            answer.sequence_number = Some(sequence_number);
            let event_id = at_door.draft.event_id;
            (answer, Original { event_id, sequence_number, ticket: appended.ticket.clone(), content: at_door.content() })
        });
        Ok(settled.collect())
    }

    /// Answers after the commit.
    async fn settle_together(
        &self,
        doors: &[AtDoor],
        claims: Vec<Option<Claim>>,
        appended: Vec<(Answer, Original)>,
    ) -> Result<Vec<Answer>, Against> {
        let now = clock::now();
        let ticket: Option<Ticket> = appended.first().map(|(_, original)| original.ticket.clone());
        let mut answers = Vec::with_capacity(appended.len());
        for ((answer, original), claim) in appended.into_iter().zip(claims) {
            if let Some(claim) = claim {
                claim.settle(original, now);
            }
            answers.push(answer);
        }
        match ticket {
            Some(ticket) => match ticket.durable().await {
                Ok(()) => Ok(answers),
                Err(poisoned) => Err((0, Box::new(Answer::unknown(poisoned.to_string(), doors[0].draft.event_id)))),
            },
            None => Ok(answers),
        }
    }

    async fn not_appended_together(&self, doors: &[AtDoor], error: &AppendError) -> Against {
        match error {
            // Appended by somebody who knows the id from elsewhere, a moment ago.
            AppendError::Duplicate { found, .. } => {
                let place = doors.iter().position(|at_door| at_door.draft.event_id == found.event_id).unwrap_or(0);
                let answer = self.twin_of(&doors[place], found).await;
                (place, Box::new(if answer.outcome == Outcome::Duplicate { partly(Some(answer)) } else { answer }))
            }
            AppendError::Unexpected { expected, .. } => {
                let place = doors.iter().position(|at_door| at_door.expected.as_ref() == Some(expected)).unwrap_or(0);
                (place, Box::new(Answer::not_appended(error, doors[place].draft.event_id)))
            }
            other => (0, Box::new(Answer::not_appended(other, doors[0].draft.event_id))),
        }
    }
}

/// Whether events that come together came before.
enum Identified {
    /// None of them, with the right to publish each.
    New(Vec<Option<Claim>>),
    /// All of them.
    Before(Vec<Answer>),
}

/// Some of what comes together is in the log, and some is not.
fn partly(duplicate: Option<Answer>) -> Answer {
    let sequence = duplicate.as_ref().and_then(|answer| answer.sequence_number).unwrap_or_default();
    let reason = format!(
        "it is in the log already, as number {sequence}, and others are not; events that go together are all new, or all sent again"
    );
    let answer = Answer { event_id: duplicate.and_then(|answer| answer.event_id), ..Answer::new(Outcome::Refused) };
    Answer { reason: Some(reason), conflict: true, ..answer }
}
