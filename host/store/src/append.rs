//! Append: under one mutex the conditions of a batch are settled, its events get their places, and it is handed to the writer.
//! Nothing here waits for the disk; once an event has its sequence, only a failed commit can take it back.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
};

use parking_lot::MutexGuard;
use trackside_model::{
    event::{Event, Text},
    ports::KvWrite,
    time::Timestamp,
};
use uuid::Uuid;

use crate::{
    batch::{Appended, Batch, Entry, Flush, Identity, WorkflowChange},
    cursors,
    expected::Expected,
    find::Found,
    kv_space::KvRow,
    pending::{PlacedWorkflow, Rows},
    readers::ReadError,
    shared::{Shared, State},
    ticket::Poisoned,
};

/// Why a batch is not appended. Nothing of it has happened.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// A key has changed since it was read: run the call again.
    #[error("key '{key}' of plugin '{plugin}' has changed since it was read")]
    Conflict {
        /// Whose space.
        plugin: Text,
        /// Which key.
        key: String,
    },
    /// The log has an event of this id.
    #[error("event {} is in the log already, as number {}", found.event_id, found.sequence)]
    Duplicate {
        /// Place of the entry in the batch, from 0.
        place: usize,
        /// The event that has the id.
        found: Box<Found>,
    },
    /// The last event of a workflow or a correlation is another than was expected.
    #[error("the last event of {} is {actual}, and not {}", expected.line, expected.sequence)]
    Unexpected {
        /// What was expected.
        expected: Expected,
        /// The sequence of the last event; 0: there is none.
        actual: u64,
    },
    /// Two entries of the batch have the same id.
    #[error("event id {event_id} stands twice in one batch")]
    Twice {
        /// Place of the second one in the batch, from 0.
        place: usize,
        /// The id.
        event_id: Uuid,
    },
    /// Too much waits for the disk: try again.
    #[error("the disk is behind: {limit} ({allowed}) is reached; try again")]
    Busy {
        /// The option's name.
        limit: &'static str,
        /// Its value.
        allowed: usize,
    },
    /// A commit has failed before.
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
    /// The store is closed, or about to be.
    #[error("the store is closed")]
    Closed,
    /// What the conditions rest on could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl Shared {
    /// The whole of append. `decide` may add to the batch once its conditions are met.
    pub(crate) fn append(&self, mut batch: Batch, decide: impl FnOnce(&mut Batch) -> Flush) -> Result<Appended, AppendError> {
        let mut state = self.settled(&batch)?;
        let flush = decide(&mut batch);
        if batch.is_empty() {
            return Ok(Appended { events: Vec::new(), ticket: state.pending.barrier(state.end.sequence) });
        }
        let commit = state.pending.open_group(self.options.max_commit_events, self.lazy());
        let rows = state.place(batch, (self.now)(), commit);
        let events = rows.events.clone();
        let last_sequence = state.end.sequence;
        let ticket = state.pending.push(rows, last_sequence, flush);
        self.appended.store(last_sequence, Ordering::Release);
        self.wake_writer(&mut state);
        Ok(Appended { events, ticket })
    }

    /// Settles every condition of the batch, and holds on to the state in which they are met.
    fn settled(&self, batch: &Batch) -> Result<MutexGuard<'_, State>, AppendError> {
        twins(&batch.events)?;
        loop {
            let as_of = self.durable_head();
            self.refuse_known_ids(&batch.events)?;
            self.load_kv(&batch.kv)?;
            let last = self.last_of(&batch.expected, as_of)?;
            let mut state = self.state();
            state.refuse_when_closed()?;
            // Ids were asked of the file as of then; what came since must still be remembered.
            if state.recent.floor() > as_of {
                continue;
            }
            self.load_forgotten_kv(&mut state, &batch.kv)?;
            if let Some((place, event_id)) = state.duplicate(&batch.events) {
                drop(state);
                match self.find(&event_id)? {
                    Some(found) => return Err(AppendError::Duplicate { place, found: Box::new(found) }),
                    // Its commit has just failed: the next round meets the poison.
                    None => continue,
                }
            }
            match self.meets(&state, &batch.expected, &last, as_of) {
                None => continue,
                Some(met) => met?,
            }
            state.refuse_when_full(self)?;
            state.refuse_changed_reads(batch)?;
            return Ok(state);
        }
    }

    /// Ids that publishers gave, looked up without holding anybody up.
    fn refuse_known_ids(&self, entries: &[Entry]) -> Result<(), AppendError> {
        for (place, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.identity == Identity::Given) {
            if let Some(found) = self.find(&entry.admitted.draft().event_id)? {
                return Err(AppendError::Duplicate { place, found: Box::new(found) });
            }
        }
        Ok(())
    }
}

fn twins(entries: &[Entry]) -> Result<(), AppendError> {
    if entries.len() < 2 || entries.iter().all(|entry| entry.identity == Identity::Fresh) {
        return Ok(());
    }
    let mut seen = HashSet::with_capacity(entries.len());
    match entries.iter().map(|entry| entry.admitted.draft().event_id).enumerate().find(|(_, event_id)| !seen.insert(*event_id)) {
        Some((place, event_id)) => Err(AppendError::Twice { place, event_id }),
        None => Ok(()),
    }
}

impl State {
    fn refuse_when_closed(&self) -> Result<(), AppendError> {
        match &self.poisoned {
            Some(poisoned) => Err(AppendError::Poisoned(poisoned.clone())),
            None if self.closing => Err(AppendError::Closed),
            None => Ok(()),
        }
    }

    /// A batch is taken while there is any room: one that is larger than the limit must not wait for ever.
    fn refuse_when_full(&self, shared: &Shared) -> Result<(), AppendError> {
        let options = &shared.options;
        if self.pending.events() >= options.max_pending_events {
            return Err(AppendError::Busy { limit: "max_pending_events", allowed: options.max_pending_events });
        }
        if self.pending.bytes() >= options.max_pending_bytes {
            return Err(AppendError::Busy { limit: "max_pending_bytes", allowed: options.max_pending_bytes });
        }
        Ok(())
    }

    fn refuse_changed_reads(&self, batch: &Batch) -> Result<(), AppendError> {
        for (plugin, reads) in &batch.kv_reads {
            if let Some(read) = reads.iter().find(|read| self.kv.changed_since(plugin, read)) {
                return Err(AppendError::Conflict { plugin: plugin.clone(), key: read.key.clone() });
            }
        }
        Ok(())
    }

    fn duplicate(&self, entries: &[Entry]) -> Option<(usize, Uuid)> {
        let ids = entries.iter().map(|entry| entry.admitted.draft().event_id);
        ids.enumerate().find(|(_, event_id)| self.recent.get(event_id).is_some())
    }

    /// Gives everything its place. Cannot fail: from here on only the disk can.
    fn place(&mut self, batch: Batch, now: Timestamp, commit: u64) -> Rows {
        let recorded_at = now.max(Timestamp(self.end.recorded_at_ns));
        self.end.recorded_at_ns = recorded_at.0;
        let mut rows = Rows {
            cursors: cursors::changes(&batch.readers, batch.cursors_gone, batch.cursors),
            outbox_cancelled: batch.outbox_cancelled,
            outbox_done: batch.outbox_done,
            blobs: batch.blobs,
            readers: batch.readers,
            attempts: batch.attempts,
            trim: batch.trim,
            ..Rows::default()
        };
        rows.events.reserve_exact(batch.events.len());
        for entry in batch.events {
            self.end.sequence += 1;
            let sequence = self.end.sequence;
            let event = entry.admitted.recorded(sequence, recorded_at);
            self.recent.push(event.event_id, sequence);
            if !entry.decisions.is_empty() {
                rows.decisions.push((sequence, entry.decisions));
            }
            rows.events.push(event);
        }
        for row in batch.outbox_put {
            self.end.outbox_id += 1;
            rows.outbox_put.push((self.end.outbox_id, row));
        }
        rows.kv = self.place_kv(batch.kv, now, commit);
        rows.workflows = place_workflows(batch.workflows, &rows.events);
        rows
    }

    fn place_kv(&mut self, kv: Vec<(Text, Vec<KvWrite>)>, now: Timestamp, commit: u64) -> Vec<KvRow> {
        if kv.is_empty() {
            return Vec::new();
        }
        self.kv.tick();
        let mut rows = Vec::new();
        for (plugin, writes) in kv {
            rows.extend(writes.into_iter().map(|write| self.kv.write(&plugin, write, now, commit)));
        }
        rows
    }
}

fn place_workflows(changes: Vec<WorkflowChange>, events: &[Arc<Event>]) -> Vec<PlacedWorkflow> {
    if changes.is_empty() {
        return Vec::new();
    }
    let mut sequences: HashMap<&str, (u64, u64)> = HashMap::new();
    for event in events {
        if let Some(workflow_id) = event.workflow_id.as_deref() {
            let sequence = event.sequence_number;
            sequences.entry(workflow_id).or_insert((sequence, sequence)).1 = sequence;
        }
    }
    let placed = |change: WorkflowChange| PlacedWorkflow { sequences: sequences.get(&*change.workflow_id).copied(), change };
    changes.into_iter().map(placed).collect()
}
