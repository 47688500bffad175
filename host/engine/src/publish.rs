//! The one door: every draft from an edge or a plugin comes through `publish`.
//! What the handlers say is the chain's, what is durable the store's; commands go on to the workflow loop.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use serde_json::json;
use tokio::sync::oneshot;
use trackside_model::{
    catalogue::{self, Owner},
    control::{Admitted, DecisionPoint, DecisionRecord, Notice, Origin, Passed, Signal, Verdict},
    event::{Draft, Event, HOPS, Incoming, Metadata, Rejection, RejectionKind, Text},
    ports::Outbox,
};
use trackside_store::{AppendError, Batch, Entry, Expected, Flush, Found, Line, Remains};
use uuid::Uuid;

use crate::{
    answer::{Answer, Caller, Outcome},
    chain::{Asked, Asking},
    clock,
    engine::Shared,
    identity::{
        Claim, Claimed, Identity, Key, Original, SENT_CONTENT, hex, is_trace_of,
        sha2_key::{self, ContentKey},
    },
    outbox, schemas,
};

/// Times that a chain is run again because what a handler had read in its kv was changed under it.
pub(crate) const MOST_RERUNS: u32 = 3;
/// Why a chain that was run as often as that has no verdict.
pub(crate) const CHANGED_UNDER_HANDLERS: &str = "what a control handler had read changed under it, time and again";
/// Keys of the metadata that the host writes.
const HOST_METADATA: [&str; 3] = [HOPS, crate::identity::SENT_CONTENT, outbox::PLUGIN_VERSION];

/// A draft at the door: valid, with what the door must know besides.
pub(crate) struct AtDoor {
    pub(crate) draft: Draft,
    /// The id that the publisher gave, which is its identity.
    pub(crate) given_id: Option<Uuid>,
    pub(crate) given_correlation: bool,
    pub(crate) caller: Caller,
    /// What the last event of its workflow or correlation must be.
    pub(crate) expected: Option<Expected>,
    /// The outbox row that it comes from, to be deleted with the append.
    pub(crate) outbox_row: Option<u64>,
    /// Publishes by plugins that led here.
    pub(crate) hops: u32,
    /// The digest of the draft's content, once somebody has asked for it: it takes as long as all else at the door together.
    pub(crate) content: OnceLock<ContentKey>,
}

/// What the chain made of a draft.
pub(crate) struct Judged {
    pub(crate) passed: Result<Passed, Draft>,
    pub(crate) verdict: Verdict,
    pub(crate) record: Option<Arc<DecisionRecord>>,
    pub(crate) outboxes: Vec<(Text, Outbox)>,
}

impl Shared {
    /// Publishes one event.
    pub(crate) async fn publish(self: &Arc<Self>, incoming: Incoming, caller: Caller) -> Answer {
        let Ok(_slot) = self.slots.try_acquire() else {
            return Answer::busy(format!("{} publishes are under way, which is the most at a time", self.options.publish_slots), 50);
        };
        match self.admit(incoming, caller) {
            Ok(at_door) => self.enter(at_door).await,
            Err(rejection) => Answer::rejected(rejection),
        }
    }

    /// Normalises and checks.
    pub(crate) fn admit(&self, mut incoming: Incoming, caller: Caller) -> Result<AtDoor, Rejection> {
        incoming.metadata = without_the_hosts(incoming.metadata);
        self.name_as_in_the_log(&mut incoming);
        let (given_id, given_correlation) = (incoming.event_id, incoming.correlation_id.is_some());
        let expected = incoming.expected_sequence;
        if self.roster.load().get(&incoming.source_component).is_some() {
            let message = format!("'{}' is a plugin of this host; publish under a name of your own", incoming.source_component);
            return Err(Rejection { kind: RejectionKind::Forbidden, field: "source_component".to_owned(), message });
        }
        let draft = incoming.into_draft(clock::now(), clock::fresh_id(), &self.options.envelope)?;
        let line = || match &draft.workflow_id {
            Some(workflow_id) => Line::Workflow(workflow_id.clone()),
            None => Line::Correlation(draft.correlation_id.clone()),
        };
        let expected = expected.map(|sequence| Expected { line: line(), sequence });
        Ok(AtDoor { draft, given_id, given_correlation, caller, expected, outbox_row: None, hops: 0, content: OnceLock::new() })
    }

    /// Puts the type in place of a name that the operator has it known by.
    pub(crate) fn name_as_in_the_log(&self, incoming: &mut Incoming) {
        if let Some(event_type) = self.options.aliases.of(&incoming.event_type) {
            incoming.event_type = event_type.to_string();
        }
    }

    /// Identity → schemas → chain → append; the answer goes out after the commit.
    pub(crate) async fn enter(self: &Arc<Self>, at_door: AtDoor) -> Answer {
        if self.stopping.is_set() {
            return Answer::stopping();
        }
        if is_command(&at_door.draft) {
            // Apart, so that the future of every other publish, which is copied into its caller's, is not as large as a command's.
            return Box::pin(self.command(at_door)).await;
        }
        let claim = match self.identify(&at_door).await {
            Ok(claim) => claim,
            Err(answer) => return answer,
        };
        if let Err(rejection) = schemas::check_sent(&self.schemas.load(), &at_door.draft) {
            return Answer::rejected(rejection);
        }
        for _ in 0..=MOST_RERUNS {
            let judged = match self.judge(&at_door).await {
                Ok(judged) => judged,
                Err(answer) => return answer,
            };
            match self.append_judged(&at_door, judged) {
                Ok((answer, original)) => return self.reply(answer, original, claim).await,
                Err(AppendError::Conflict { .. }) => {}
                Err(AppendError::Duplicate { found, .. }) => return self.twin_of(&at_door, &found).await,
                Err(error) => return Answer::not_appended(&error, at_door.draft.event_id),
            }
        }
        Answer::busy(CHANGED_UNDER_HANDLERS, 50)
    }

    /// Settles whether this is the first of its kind.
    pub(crate) async fn identify(self: &Arc<Self>, at_door: &AtDoor) -> Result<Option<Claim>, Answer> {
        let Some(key) = at_door.key(&self.identity) else { return Ok(None) };
        let window_ms = self.identity.window_ms(&at_door.draft.event_type);
        loop {
            let original = match self.identity.claim(key, window_ms, clock::now()) {
                Claimed::First(claim) => {
                    let Some(id) = at_door.given_id else { return Ok(Some(claim)) };
                    return match self.store.find(&id).map_err(|error| Answer::unknown(error.to_string(), id))? {
                        Some(found) => Err(self.twin_of(at_door, &found).await),
                        None => Ok(Some(claim)),
                    };
                }
                Claimed::Twin(original) => original,
                Claimed::Wait(told) => match told.await {
                    Ok(Some(original)) => original,
                    // The twin came to nothing: this one may be the first.
                    Ok(None) | Err(_) => continue,
                },
            };
            if original.content != at_door.content() {
                return Err(Answer::conflict(original.event_id));
            }
            return Err(match original.ticket.durable().await {
                Ok(()) => Answer::duplicate(original.sequence_number, original.event_id, at_door.draft.workflow_id.clone()),
                Err(poisoned) => Answer::unknown(poisoned.to_string(), original.event_id),
            });
        }
    }

    /// The answer to an id that the log already has: told once it is durable.
    pub(crate) async fn twin_of(&self, at_door: &AtDoor, found: &Found) -> Answer {
        let draft = &at_door.draft;
        let same = match &found.event {
            Remains::Whole(event) => {
                event.event_type == draft.event_type
                    && event.source_component == draft.source_component
                    && same_content(event, draft, at_door.given_correlation)
            }
            Remains::Trimmed(trace) => is_trace_of(trace, draft, at_door.given_correlation),
        };
        if !same {
            return Answer::conflict(found.event_id);
        }
        match found.ticket.durable().await {
            Ok(()) => Answer::duplicate(found.sequence, found.event_id, found.event().and_then(|event| event.workflow_id.clone())),
            Err(poisoned) => Answer::unknown(poisoned.to_string(), found.event_id),
        }
    }

    /// Asks the control handlers, and looks whether what they made of the payload fits.
    pub(crate) async fn judge(self: &Arc<Self>, at_door: &AtDoor) -> Result<Judged, Answer> {
        let Asked { verdict, record, outboxes } = self.ask_about(at_door).await?;
        let verdict = schemas::fitting(&self.schemas.load(), &at_door.draft, verdict, record.as_deref());
        let mut draft = at_door.draft.clone();
        if verdict.replaces() {
            // Who repeats the event sends what he sent before, and not what stands in the log.
            draft = draft.with_metadata(SENT_CONTENT, hex(&at_door.content()));
        }
        let passed = verdict.let_through(draft);
        Ok(Judged { passed, verdict, record, outboxes })
    }

    /// Asks the control handlers whose filter it passes.
    pub(crate) async fn ask_about(self: &Arc<Self>, at_door: &AtDoor) -> Result<Asked, Answer> {
        let handlers = self.roster.load().handlers(&at_door.draft);
        if handlers.is_empty() {
            return Ok(Asked::nobody());
        }
        let asking = Asking {
            handlers,
            event: (*at_door.draft).clone(),
            point: DecisionPoint::Publish,
            attempt: 0,
            elapsed_ms: 0,
            origin: at_door.caller.origin,
            principal: at_door.caller.principal.clone(),
            asked_at: Instant::now(),
        };
        let (tell, told) = oneshot::channel();
        self.ask(asking, Box::new(move |asked| drop(tell.send(asked)))).map_err(|error| Answer::busy(error.to_string(), 50))?;
        // A thread tells everybody whose question it has taken.
        told.await.map_err(|_| Answer::busy("the host could not ask its control handlers", 50))
    }

    /// Appends what was let through, or what is to be told of it; the answer holds once the ticket is durable.
    pub(crate) fn append_judged(&self, at_door: &AtDoor, judged: Judged) -> Result<(Answer, Option<Original>), AppendError> {
        let Judged { passed, verdict, record, outboxes } = judged;
        let mut batch = Batch { outbox_done: at_door.outbox_row.into_iter().collect(), ..Batch::default() };
        batch.expected.extend(at_door.expected.clone().filter(|_| passed.is_ok()));
        let decisions: Vec<Arc<DecisionRecord>> = record.into_iter().collect();
        outbox::release(&mut batch, outboxes, &at_door.draft, at_door.hops);
        let told = notice_of(&verdict, &at_door.draft);
        let mut answer =
            Answer { event_id: Some(at_door.draft.event_id), workflow_id: at_door.draft.workflow_id.clone(), ..answer_of(&verdict) };
        if let Ok(passed) = passed {
            let admitted = Admitted::passed(passed);
            let entry = if at_door.given_id.is_some() { Entry::given(admitted) } else { Entry::fresh(admitted) };
            batch.events.push(entry.decided(decisions));
            batch.events.extend(told.map(|told| Entry::fresh(Admitted::notice(told))));
            let appended = self.store.append(batch, Flush::Now)?;
            answer.sequence_number = appended.events.first().map(|event| event.sequence_number);
            let original = Original {
                event_id: at_door.draft.event_id,
                sequence_number: answer.sequence_number.unwrap_or_default(),
                ticket: appended.ticket,
                // Whoever has no claim has no twins that could ask for it.
                content: if at_door.given_id.is_some() || at_door.content.get().is_some() {
                    at_door.content()
                } else {
                    ContentKey::default()
                },
            };
            return Ok((answer, Some(original)));
        }
        batch.events.extend(told.map(|told| Entry::fresh(Admitted::notice(told)).decided(decisions)));
        if matches!(answer.outcome, Outcome::Busy) && at_door.outbox_row.is_some() {
            // Held, or put off: the row stays and is taken up again.
            batch.outbox_done.clear();
        }
        if !batch.events.is_empty() || !batch.outbox_done.is_empty() || !batch.kv.is_empty() || !batch.outbox_put.is_empty() {
            let appended = self.store.append(batch, Flush::Now)?;
            answer.sequence_number = appended.events.first().map(|event| event.sequence_number);
            return Ok((
                answer,
                Some(Original {
                    event_id: at_door.draft.event_id,
                    sequence_number: appended.ticket.last_sequence(),
                    ticket: appended.ticket,
                    content: [0; 16],
                }),
            ));
        }
        Ok((answer, None))
    }

    /// Answers after the commit. Only what was appended settles the claim: a twin of a refused event is asked about again.
    pub(crate) async fn reply(&self, answer: Answer, original: Option<Original>, claim: Option<Claim>) -> Answer {
        let Some(original) = original else { return answer };
        let ticket = original.ticket.clone();
        let event_id = original.event_id;
        if answer.outcome == Outcome::Appended
            && let Some(claim) = claim
        {
            claim.settle(original, clock::now());
        }
        let begun = Instant::now();
        match ticket.durable().await {
            Ok(()) => {
                self.appends.record(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
                answer
            }
            Err(poisoned) => Answer::unknown(poisoned.to_string(), event_id),
        }
    }
}

/// What the host itself notes in metadata is not an edge's to say.
pub(crate) fn without_the_hosts(mut metadata: Metadata) -> Metadata {
    HOST_METADATA.iter().for_each(|key| drop(metadata.remove(*key)));
    metadata
}

/// Whether what stands in the log is what is sent now.
fn same_content(event: &Event, draft: &Event, given_correlation: bool) -> bool {
    match event.metadata.get(SENT_CONTENT) {
        Some(content) => *content == hex(&sha2_key::of(draft, given_correlation)),
        None => event.payload.canonical() == draft.payload.canonical(),
    }
}

/// Whether the loop, not the log alone, has to do with it.
pub(crate) fn is_command(event: &Event) -> bool {
    catalogue::entry(&event.event_type).is_some_and(|entry| entry.owner == Owner::Command)
}

pub(crate) fn answer_of(verdict: &Verdict) -> Answer {
    match verdict {
        Verdict::Proceed(_) => Answer::new(Outcome::Appended),
        Verdict::Held { by, reason, retry_after_ms } => {
            Answer { by: Some(by.clone()), ..Answer::busy(format!("'{by}' cannot answer: {reason}"), *retry_after_ms) }
        }
        Verdict::Signal { by, signal } => {
            let (outcome, retry_after_ms) = match signal {
                Signal::Proceed(_) | Signal::Fallback { .. } => (Outcome::Appended, None),
                Signal::Skip(_) => (Outcome::Skipped, None),
                Signal::Retry { after_ms, .. } => (Outcome::Busy, Some(after_ms.unwrap_or(1_000))),
                Signal::Fail(_) | Signal::Error(_) => (Outcome::Refused, None),
            };
            Answer { by: Some(by.clone()), reason: signal.reason().map(str::to_owned), retry_after_ms, ..Answer::new(outcome) }
        }
    }
}

/// What the log is told of a verdict besides the event itself.
pub(crate) fn notice_of(verdict: &Verdict, draft: &Draft) -> Option<Notice> {
    let Verdict::Signal { by, signal } = verdict else { return None };
    let event_type = match signal {
        Signal::Proceed(_) => return None,
        Signal::Skip(_) => "control:skipped",
        Signal::Retry { .. } => "control:retried",
        Signal::Fallback { .. } => "control:fallback",
        Signal::Fail(_) => "control:failed",
        Signal::Error(_) => "control:error",
    };
    let payload = json!({
        "point": "publish",
        "by": &**by,
        "reason": signal.reason(),
        "event": {"event_id": draft.event_id, "event_type": draft.event_type, "source_component": &*draft.source_component},
    });
    let notice = Notice::new(event_type, clock::fresh_id(), clock::now(), payload);
    notice.map(|notice| notice.caused_by(draft)).map_err(|error| tracing::error!("{error}")).ok()
}

impl AtDoor {
    /// The digest of what makes this event the same as another.
    pub(crate) fn content(&self) -> ContentKey {
        *self.content.get_or_init(|| sha2_key::of(&self.draft, self.given_correlation))
    }

    /// How two publishes of it are told to be one; `None`: they never are. Who expects something else of the log does not repeat himself.
    pub(crate) fn key(&self, identity: &Identity) -> Option<Key> {
        let content = || match &self.expected {
            None => self.content(),
            Some(expected) => sha2_key::beside(&self.content(), expected.sequence),
        };
        identity.key(&self.draft, self.given_id, content)
    }

    /// A publish of a plugin's outbox.
    pub(crate) fn of_plugin(draft: Draft, row: u64, hops: u32, plugin: &Text) -> Self {
        let caller = Caller { origin: Origin::Plugin, principal: Some(plugin.clone()) };
        Self {
            given_id: Some(draft.event_id),
            given_correlation: true,
            draft,
            caller,
            expected: None,
            outbox_row: Some(row),
            hops,
            content: OnceLock::new(),
        }
    }
}
