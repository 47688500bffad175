//! Dead letters at work: tried again, as they are or with another payload, or given up. What was not taken is handed to its observer once more, and what
//! was refused goes through the door once more, under an id of its own. Each act is an event, in one commit with what it does, so that none happens twice.
//! Which letters there are is the store's.

use std::sync::Arc;

use trackside_model::{
    control::{Admitted, Notice},
    event::{Event, Filter, Position, Text},
    json::Json,
    keeping::{Attempt, DeadLettered, Letter, PURGED, Purged, REDRIVEN, Redrive, Redriven},
    ports::{CallReport, EventBatch, OutboxPublish},
};
use trackside_store::{AppendError, Batch, Entry, Flush, OutboxRow, Poisoned, Query, ReadError, ReadStore};
use uuid::Uuid;

use crate::{
    clock,
    engine::{Engine, Shared},
    observers::{Delivered, Handing},
    outbox,
    publish::{CHANGED_UNDER_HANDLERS, MOST_RERUNS},
    readers::{ReadersError, part_of},
    slot::Slot,
};

/// How the name of a durable reader begins where it stands among those of plugins.
const READER: &str = "reader/";
/// Letters that one event of a purge names, at the most.
const PURGED_AT_ONCE: usize = 500;
/// Redrives of one letter that are shown, at the most.
const MOST_REDRIVES: usize = 100;

/// Why a dead letter is not tried again. It stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// There is none of this name.
    #[error("there is no dead letter {0}: it was redriven or purged, or never was; `trackside dead-letters list` shows them")]
    Unknown(u64),
    /// What it is about is not there, or is not said.
    #[error("dead letter {0} does not say enough to be tried again; purge it when it is no longer needed")]
    Untold(u64),
    /// Nobody is there to hand it to.
    #[error("the observer '{0}' is not in service; `trackside plugin list` shows those that are")]
    NotInService(Text),
    /// Nobody is there to hand it to.
    #[error("there is no durable reader '{0}'; `trackside readers list` shows those that there are")]
    NoReader(Text),
    /// It is being handled.
    #[error("'{0}' has it in hand; wait for what becomes of it")]
    InHand(Text),
    /// A reader hands out what is in the log.
    #[error("dead letter {0} is a durable reader's, which hands events out as they are in the log; redrive it without another payload")]
    AsItIs(u64),
    /// It is about several events, and the payload about one.
    #[error("dead letter {0} is handed over with the narration before it, {1} events in all, and cannot be given one other payload")]
    Several(u64, usize),
    /// It cannot be handed over now.
    #[error("it cannot be handed to '{plugin}' now: {reason}")]
    Busy {
        /// Whom.
        plugin: Text,
        /// Why not.
        reason: String,
        /// When trying again may help.
        retry_after_ms: u64,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The log does not take it.
    #[error("the log did not take it: {0}")]
    Append(#[from] AppendError),
    /// The same.
    #[error("what came of it is known after a restart: {0}")]
    Poisoned(#[from] Poisoned),
}

impl Engine {
    /// Tries a dead letter again, with this payload if one is given. The answer comes when it is durable.
    ///
    /// # Errors
    /// [`RedriveError`], by what stands against it.
    pub async fn redrive(&self, letter: u64, payload: Option<Json>, by: &str) -> Result<Redriven, RedriveError> {
        self.shared().redrive(letter, payload, Text::from(by)).await
    }

    /// Gives dead letters up: those of these that there are. How many that were.
    ///
    /// # Errors
    /// [`RedriveError`] if the log cannot be read or written.
    pub async fn purge(&self, letters: &[u64], by: &str, reason: Option<&str>) -> Result<usize, RedriveError> {
        self.shared().purge(letters, by, reason).await
    }
}

/// What a dead letter has been tried since it died, oldest first.
///
/// # Errors
/// [`ReadError`] if the log cannot be read.
pub fn redrives(store: &ReadStore, dead: &Event) -> Result<Vec<Redriven>, ReadError> {
    let filter = Filter { correlation_ids: Some(vec![dead.correlation_id.to_string()]), ..Filter::types([REDRIVEN]).unwrap_or_default() };
    let mut query = Query { filter, limit: MOST_REDRIVES, ..Query::default() };
    let mut found = Vec::new();
    loop {
        let page = store.query(&query)?;
        let redriven = page.events.iter().filter_map(|event| event.payload.read::<Redriven>().ok());
        found.extend(redriven.filter(|redriven| redriven.dead_letter == dead.sequence_number));
        match page.next {
            Some(next) if found.len() < MOST_REDRIVES => query.after = Some(next),
            _ => return Ok(found),
        }
    }
}

impl Shared {
    async fn redrive(self: &Arc<Self>, letter: u64, payload: Option<Json>, by: Text) -> Result<Redriven, RedriveError> {
        // Until what is decided here is durable, so that nobody decides about the same once more.
        let _turn = self.redriving.lock().await;
        let letter = self.store.dead_letter(letter)?.ok_or(RedriveError::Unknown(letter))?;
        let untold = || RedriveError::Untold(letter.sequence);
        let event = self.store.event(letter.sequence)?.ok_or_else(untold)?;
        let dead: DeadLettered = event.payload.read().map_err(|_| untold())?;
        if let (Some(reader), Some(sequence)) = (letter.plugin.strip_prefix(READER), letter.event_sequence) {
            let position = Position { sequence, part: dead.part.unwrap_or(0) };
            return self.hand_on_again(&letter, &event, reader, position, payload, by).await;
        }
        match letter.event_sequence {
            Some(sequence) => self.hand_over_again(&letter, &event, sequence, payload, by).await,
            None => self.publish_again(&event, dead, payload, by).await,
        }
    }

    /// Puts a refused publish into the outbox, whence it goes through the door. How often it was passed on before is not counted again: a person wants it.
    async fn publish_again(&self, event: &Event, dead: DeadLettered, payload: Option<Json>, by: Text) -> Result<Redriven, RedriveError> {
        let event_id = Uuid::new_v5(&event.event_id, b"redriven");
        let told = Redriven {
            dead_letter: event.sequence_number,
            plugin: dead.plugin.clone(),
            outcome: Redrive::Published,
            by,
            attempt: None,
            event_id: Some(event_id),
            payload: payload.clone(),
        };
        let mut batch = Batch::of([told_of(&told, event)]);
        batch.outbox_put.push(OutboxRow {
            plugin: dead.plugin,
            correlation_id: event.correlation_id.clone(),
            causation_id: dead.cause.or_else(|| Some(Text::from(event.event_id.to_string()))),
            workflow_id: event.workflow_id.clone(),
            task_id: event.task_id.clone(),
            hops: 1,
            publish: OutboxPublish {
                event_id,
                event_type: dead.event_type,
                severity: dead.severity.unwrap_or_default(),
                payload: payload.or(dead.payload).unwrap_or_else(|| Json::trusted("null")),
                metadata: dead.metadata,
                cause: None,
                correlation_id: None,
                timestamp: dead.timestamp,
                due: None,
                raised: false,
            },
        });
        self.store.append(batch, Flush::Now)?.ticket.durable().await?;
        Ok(told)
    }

    /// Puts what was not acknowledged into its durable reader's hands once more.
    async fn hand_on_again(
        &self,
        letter: &Letter,
        event: &Event,
        reader: &str,
        position: Position,
        payload: Option<Json>,
        by: Text,
    ) -> Result<Redriven, RedriveError> {
        if payload.is_some() {
            return Err(RedriveError::AsItIs(letter.sequence));
        }
        let reader = self.durable_reader(reader).ok_or_else(|| RedriveError::NoReader(Text::from(reader)))?;
        let fact = self.store.event(position.sequence)?.ok_or(RedriveError::Untold(letter.sequence))?;
        let part = part_of(&fact, position).ok_or(RedriveError::Untold(letter.sequence))?;
        let told = Redriven {
            dead_letter: letter.sequence,
            plugin: letter.plugin.clone(),
            outcome: Redrive::HandedOn,
            by,
            attempt: None,
            event_id: None,
            payload: None,
        };
        match reader.hand_out_again(part, told_of(&told, event)) {
            Ok(Some(ticket)) => ticket.durable().await?,
            Ok(None) => return Err(RedriveError::InHand(letter.plugin.clone())),
            Err(ReadersError::Append(error)) => return Err(error.into()),
            Err(_) => return Err(RedriveError::NoReader(letter.plugin.clone())),
        }
        Ok(told)
    }

    /// Hands what was not taken to its observer, once; its cursor stays where it is.
    async fn hand_over_again(
        self: &Arc<Self>,
        letter: &Letter,
        event: &Event,
        sequence: u64,
        payload: Option<Json>,
        by: Text,
    ) -> Result<Redriven, RedriveError> {
        let plugin = &letter.plugin;
        let slot = self.roster.load().get(plugin).filter(|slot| slot.info().roles.observer).cloned();
        let slot = slot.ok_or_else(|| RedriveError::NotInService(plugin.clone()))?;
        let fact = self.store.event(sequence)?.ok_or(RedriveError::Untold(letter.sequence))?;
        let mut events = wanted_of(&slot, fact);
        if let Some(payload) = &payload {
            match &mut events[..] {
                [one] => Arc::make_mut(one).payload = payload.clone(),
                several => return Err(RedriveError::Several(letter.sequence, several.len())),
            }
        }
        let Some(last) = events.last().cloned() else { return Err(RedriveError::Untold(letter.sequence)) };
        let attempt = self.attempts_at(event)? + 1;
        let mut told = Redriven {
            dead_letter: letter.sequence,
            plugin: plugin.clone(),
            outcome: Redrive::Taken,
            by,
            attempt: None,
            event_id: None,
            payload,
        };
        let batch = Arc::new(EventBatch::new(events));
        for _ in 0..=MOST_RERUNS {
            match self.hand_over(&slot, &batch, Handing { attempt, ..Handing::default() }).await {
                Delivered::Taken(CallReport { outbox, .. }) => {
                    let mut batch = Batch::of([told_of(&told, event)]);
                    outbox::release_one(&mut batch, plugin.clone(), outbox, &last, outbox::hops_of(&last));
                    match self.store.append(batch, Flush::Now) {
                        Ok(appended) => {
                            appended.ticket.durable().await?;
                            return Ok(told);
                        }
                        // Somebody changed what it had read.
                        Err(AppendError::Conflict { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Delivered::NotTaken(reason) => {
                    told.outcome = Redrive::NotTaken;
                    told.attempt = Some(Attempt::new(attempt, clock::now(), Some(slot.info().short_version()), &reason));
                    self.store.append(Batch::of([told_of(&told, event)]), Flush::Now)?.ticket.durable().await?;
                    return Ok(told);
                }
                Delivered::Quarantined(retry_after_ms) => {
                    let reason = "it is quarantined, bypassed or busy; `trackside plugin list` says which".to_owned();
                    return Err(RedriveError::Busy { plugin: plugin.clone(), reason, retry_after_ms: retry_after_ms.max(1) });
                }
            }
        }
        Err(RedriveError::Busy { plugin: plugin.clone(), reason: CHANGED_UNDER_HANDLERS.to_owned(), retry_after_ms: 50 })
    }

    /// How often a letter has been tried.
    fn attempts_at(&self, event: &Event) -> Result<u32, ReadError> {
        let dead: DeadLettered = event.payload.read().unwrap_or_default();
        let last = redrives(&self.store, event)?.into_iter().filter_map(|redriven| redriven.attempt).next_back();
        Ok(last.map_or(dead.deliveries.unwrap_or(0), |attempt| attempt.attempt))
    }

    async fn purge(&self, letters: &[u64], by: &str, reason: Option<&str>) -> Result<usize, RedriveError> {
        let _turn = self.redriving.lock().await;
        let mut there = Vec::new();
        for letter in letters {
            there.extend(self.store.dead_letter(*letter)?.map(|letter| letter.sequence));
        }
        there.sort_unstable();
        there.dedup();
        let mut ticket = None;
        for some in there.chunks(PURGED_AT_ONCE) {
            let told = Purged { dead_letters: some.to_vec(), by: Text::from(by), reason: reason.map(str::to_owned) };
            let payload = Json::from_value(&told);
            let notice =
                Notice::new(PURGED, clock::fresh_id(), clock::now(), payload).expect("the catalogue has the types of dead letters");
            ticket = Some(self.store.append(Batch::of([Entry::fresh(Admitted::notice(notice))]), Flush::Now)?.ticket);
        }
        if let Some(ticket) = ticket {
            ticket.durable().await?;
        }
        Ok(there.len())
    }
}

fn told_of(told: &Redriven, dead: &Event) -> Entry {
    let payload = Json::from_value(told);
    let notice = Notice::new(REDRIVEN, clock::fresh_id(), clock::now(), payload).expect("the catalogue has the types of dead letters");
    Entry::fresh(Admitted::notice(notice.caused_by(dead)))
}

/// What an observer is handed of a fact: what its filter asks for now, or the fact, if it has come to ask for nothing of it.
fn wanted_of(slot: &Slot, fact: Arc<Event>) -> Vec<Arc<Event>> {
    let filter = &slot.info().observes;
    if !filter.names_narration() || fact.narration.parts() == 0 {
        return vec![fact];
    }
    let wanted: Vec<Arc<Event>> = fact.expand().filter(|event| filter.matches(event)).map(Arc::new).collect();
    if wanted.is_empty() { vec![fact] } else { wanted }
}
