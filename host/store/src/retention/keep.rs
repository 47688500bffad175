//! What keeps an event whatever a rule says: its workflow, a dead letter that is about it, or that it says what became of one.
//! What readers have not come past, and what the host needs, is `retention`'s.

use rusqlite::{CachedStatement, OptionalExtension, params};
use trackside_model::{
    event::Event,
    keeping::{DEAD_LETTERED, PURGED, REDRIVEN},
    time::Timestamp,
};

use super::Held;
use crate::{
    event_types::TypeNames,
    rows::{StoredId, integer},
};

pub(crate) const WORKFLOW: &str = "SELECT ended_at FROM workflows WHERE workflow_id = ?1";
pub(crate) const DEAD_LETTER_AT: &str = "SELECT 1 FROM dead_letters WHERE event_sequence = ?1 LIMIT 1";
/// The oldest event that said of a dead letter.
pub(crate) const FIRST_DEAD: &str = "SELECT min(sequence) FROM events WHERE type_id = (SELECT type_id FROM event_types WHERE name = ?1)";

/// Asks of one event after the other.
pub(super) struct Keep<'a> {
    workflow: CachedStatement<'a>,
    letter: CachedStatement<'a>,
    letter_at: CachedStatement<'a>,
    first_dead: Option<i64>,
    now: Timestamp,
}

impl<'a> Keep<'a> {
    pub(super) fn new(names: &TypeNames<'a>, now: Timestamp) -> rusqlite::Result<Self> {
        let first_dead = names.connection.prepare_cached(FIRST_DEAD)?.query_row([DEAD_LETTERED], |row| row.get(0))?;
        Ok(Self {
            workflow: names.connection.prepare_cached(WORKFLOW)?,
            letter: names.connection.prepare_cached(crate::dead_letters::ONE)?,
            letter_at: names.connection.prepare_cached(DEAD_LETTER_AT)?,
            first_dead,
            now,
        })
    }

    /// Why this event stays; `None`: it may go. With an age, a workflow's events stay until it has ended that long ago, so that they go together.
    pub(super) fn holds(&mut self, event: &Event, max_age_ms: Option<u64>) -> rusqlite::Result<Option<Held>> {
        if let Some(workflow_id) = &event.workflow_id {
            let ended_at: Option<Option<i64>> = self.workflow.query_row([StoredId::of(workflow_id)], |row| row.get(0)).optional()?;
            let ended = ended_at.map(|ended_at| ended_at.map(|ended_at| Timestamp(ended_at.cast_unsigned())));
            match (ended, max_age_ms) {
                (Some(None), _) => return Ok(Some(Held::Workflow)),
                (Some(Some(ended_at)), Some(most)) if self.now.ms_since(ended_at) <= most => return Ok(Some(Held::Workflow)),
                _ => {}
            }
        }
        let sequence = integer(event.sequence_number);
        let of_letter = match &*event.event_type {
            DEAD_LETTERED => self.letter.exists([sequence])?,
            // As long as there is an older event that kept a letter, this one may say what became of it.
            REDRIVEN | PURGED => self.first_dead.is_some_and(|first| first < sequence),
            _ => false,
        };
        Ok((of_letter || self.letter_at.exists(params![sequence])?).then_some(Held::DeadLetter))
    }
}
