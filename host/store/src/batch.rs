//! What is appended together, or not at all: events with their decision records, and the rows that change with them.
//! Giving the sequence numbers is `append`'s, writing the rows is `write`'s.

use std::sync::Arc;

use trackside_model::{
    control::{Admitted, DecisionRecord},
    event::{Event, Position, Text},
    keeping::Attempt,
    plugin::Digest,
    ports::{KvRead, KvWrite, OutboxPublish},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{durable_readers::ReaderChange, expected::Expected, ticket::Ticket};

/// When a batch is to be committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// As soon as the disk is free.
    Now,
    /// With the next [`Flush::Now`], or `lazy_commit_us` later.
    Lazy,
}

/// How the store is to treat an event's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The host has made it up: it is not looked for in the file.
    Fresh,
    /// A publisher gave it, or it was derived: appended only if no event of the log has it.
    Given,
}

/// One event to be appended.
#[derive(Clone, Debug)]
pub struct Entry {
    /// With the permission to append it.
    pub admitted: Admitted,
    /// What control handlers said about it.
    pub decisions: Vec<Arc<DecisionRecord>>,
    /// Where its id comes from.
    pub identity: Identity,
}

impl Entry {
    /// An event whose id the host has made up.
    pub fn fresh(admitted: Admitted) -> Self {
        Self { admitted, decisions: Vec::new(), identity: Identity::Fresh }
    }

    /// An event whose id the log may already have.
    pub fn given(admitted: Admitted) -> Self {
        Self { admitted, decisions: Vec::new(), identity: Identity::Given }
    }

    /// The same, with what was decided about it.
    #[must_use]
    pub fn decided(mut self, decisions: Vec<Arc<DecisionRecord>>) -> Self {
        self.decisions = decisions;
        self
    }
}

/// A publish on its way to the door.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxRow {
    /// Who publishes.
    pub plugin: Text,
    /// What.
    pub publish: OutboxPublish,
    /// The cause's correlation.
    pub correlation_id: Text,
    /// The event that it follows from.
    pub causation_id: Option<Text>,
    /// The cause's workflow.
    pub workflow_id: Option<Text>,
    /// The cause's task.
    pub task_id: Option<Text>,
    /// How many publishes by plugins led here.
    pub hops: u32,
}

/// What lists say of a workflow from now on. The store adds the sequences: from the events of the batch that belong to it.
/// For a workflow that the store does not know, the batch must hold such an event; otherwise nothing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowChange {
    /// Which.
    pub workflow_id: Text,
    /// Its definition's name.
    pub name: Text,
    /// `running`, `completed`, …: the model's words.
    pub status: Text,
    /// Its correlation; taken when it is new.
    pub correlation_id: Text,
    /// When it was submitted; taken when it is new.
    pub submitted_at: Timestamp,
    /// When it ended; `None`: there is work to be done.
    pub ended_at: Option<Timestamp>,
}

/// What is appended together, or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In order.
    pub events: Vec<Entry>,
    /// Changes to plugins' spaces, in order.
    pub kv: Vec<(Text, Vec<KvWrite>)>,
    /// What must not have changed since it was read.
    pub kv_reads: Vec<(Text, Vec<KvRead>)>,
    /// What the last event of a workflow or of a correlation must be.
    pub expected: Vec<Expected>,
    /// How far readers have come.
    pub cursors: Vec<(String, Position)>,
    /// Readers that nobody reads for any more: their cursors hold nothing back. They go before others of the batch are set.
    pub cursors_gone: Vec<String>,
    /// Publishes to be taken through the door.
    pub outbox_put: Vec<OutboxRow>,
    /// Scheduled publishes that are taken back, by plugin and event.
    pub outbox_cancelled: Vec<(Text, Uuid)>,
    /// Publishes that have been: [`OutboxEntry::id`](crate::OutboxEntry::id).
    pub outbox_done: Vec<u64>,
    /// Bytes to be kept by digest; kept once.
    pub blobs: Vec<(Digest, Arc<[u8]>)>,
    /// What lists say of workflows.
    pub workflows: Vec<WorkflowChange>,
    /// What happens to durable readers, in order; their cursors stand among the others.
    pub readers: Vec<ReaderChange>,
    /// Deliveries that failed, and those that do not matter any more.
    pub attempts: Vec<AttemptChange>,
    /// What is taken out of the log. The events of the batch tell of it.
    pub trim: Trim,
}

/// A change to what is kept of failed deliveries.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptChange {
    /// One more.
    Failed {
        /// Whose cursor.
        reader: String,
        /// What was not taken.
        position: Position,
        /// What it came to.
        attempt: Attempt,
    },
    /// This reader has come past what it had failed at.
    Past(String),
}

/// What is taken out of the log.
#[derive(Clone, Debug, Default)]
pub struct Trim {
    /// Events, by sequence, ascending.
    pub events: Vec<TrimmedEvent>,
    /// Ids of earlier ones that are remembered no longer.
    pub forgotten: Vec<Uuid>,
    /// Blobs that no event up to the sequence beside them speaks of; they stay if a later one does.
    pub blobs: Vec<(Digest, u64)>,
}

impl Trim {
    /// Nothing is taken.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.forgotten.is_empty() && self.blobs.is_empty()
    }
}

/// An event that goes.
#[derive(Clone, Debug)]
pub struct TrimmedEvent {
    /// Its place.
    pub sequence: u64,
    /// Its id, which is remembered for a while.
    pub event_id: Uuid,
    /// What it is known again by.
    pub content: Arc<[u8]>,
    /// The workflow that it began: lists do not show it any more.
    pub began: Option<Text>,
}

impl Batch {
    /// A batch of these events and nothing else.
    pub fn of(events: impl IntoIterator<Item = Entry>) -> Self {
        Self { events: events.into_iter().collect(), ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.kv.is_empty()
            && self.cursors.is_empty()
            && self.cursors_gone.is_empty()
            && self.outbox_put.is_empty()
            && self.outbox_cancelled.is_empty()
            && self.outbox_done.is_empty()
            && self.blobs.is_empty()
            && self.workflows.is_empty()
            && self.readers.is_empty()
            && self.attempts.is_empty()
            && self.trim.is_empty()
    }
}

/// What became of a batch: appended, and durable when the ticket says so.
#[derive(Clone, Debug)]
pub struct Appended {
    /// The events at their places in the log.
    pub events: Vec<Arc<Event>>,
    /// To wait for the disk with.
    pub ticket: Ticket,
}
