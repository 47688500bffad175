//! What has been appended and is not durable yet: groups of batches, each to be one commit, in order.
//! Filling them is `append`'s, taking them is the writer's.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use trackside_model::{
    control::DecisionRecord,
    event::{Event, Position, Text},
    plugin::Digest,
};
use uuid::Uuid;

use crate::{
    batch::{AttemptChange, Flush, OutboxRow, Trim, WorkflowChange},
    durable_readers::ReaderChange,
    kv_space::KvRow,
    ring::event_bytes,
    ticket::{Commit, Ticket},
};

/// The rows of one commit, as the writer takes them.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) events: Vec<Arc<Event>>,
    pub(crate) decisions: Vec<(u64, Vec<Arc<DecisionRecord>>)>,
    pub(crate) kv: Vec<KvRow>,
    /// In order; `None`: it goes.
    pub(crate) cursors: Vec<(String, Option<Position>)>,
    pub(crate) outbox_put: Vec<(u64, OutboxRow)>,
    pub(crate) outbox_cancelled: Vec<(Text, Uuid)>,
    pub(crate) outbox_done: Vec<u64>,
    pub(crate) blobs: Vec<(Digest, Arc<[u8]>)>,
    pub(crate) workflows: Vec<PlacedWorkflow>,
    pub(crate) readers: Vec<ReaderChange>,
    pub(crate) attempts: Vec<AttemptChange>,
    pub(crate) trim: Trim,
}

/// A change to a workflow's row, with the sequences of its events in the batch.
#[derive(Debug)]
pub(crate) struct PlacedWorkflow {
    pub(crate) change: WorkflowChange,
    /// First and last; `None`: the batch has none of its events.
    pub(crate) sequences: Option<(u64, u64)>,
}

impl Rows {
    /// About what they take in memory.
    pub(crate) fn bytes(&self) -> usize {
        const SMALL_ROW: usize = 128;
        let events: usize = self.events.iter().map(|event| event_bytes(event)).sum();
        let decisions: usize =
            self.decisions.iter().flat_map(|(_, records)| records).map(|record| record.checks.len() * 2 * SMALL_ROW).sum();
        let kv: usize = self.kv.iter().map(KvRow::bytes).sum();
        let outbox: usize = self.outbox_put.iter().map(|(_, row)| row.publish.payload.as_str().len() + 4 * SMALL_ROW).sum();
        let blobs: usize = self.blobs.iter().map(|(_, bytes)| bytes.len()).sum();
        events
            + decisions
            + kv
            + outbox
            + blobs
            + SMALL_ROW
                * (self.cursors.len()
                    + self.outbox_done.len()
                    + self.outbox_cancelled.len()
                    + 3 * self.workflows.len()
                    + 16 * self.readers.len())
            + SMALL_ROW * (8 * self.attempts.len() + self.trim.events.len() + self.trim.forgotten.len() + self.trim.blobs.len())
    }

    fn append(&mut self, mut more: Self) {
        self.events.append(&mut more.events);
        self.decisions.append(&mut more.decisions);
        self.kv.append(&mut more.kv);
        self.cursors.append(&mut more.cursors);
        self.outbox_put.append(&mut more.outbox_put);
        self.outbox_cancelled.append(&mut more.outbox_cancelled);
        self.outbox_done.append(&mut more.outbox_done);
        self.blobs.append(&mut more.blobs);
        self.workflows.append(&mut more.workflows);
        self.readers.append(&mut more.readers);
        self.attempts.append(&mut more.attempts);
        self.trim.events.append(&mut more.trim.events);
        self.trim.forgotten.append(&mut more.trim.forgotten);
        self.trim.blobs.append(&mut more.trim.blobs);
    }
}

/// What is committed together.
#[derive(Debug)]
pub(crate) struct Group {
    /// Counts up from 1.
    pub(crate) number: u64,
    /// Told how it ended.
    pub(crate) commit: Arc<Commit>,
    pub(crate) rows: Rows,
    /// The log's last sequence once this is durable.
    pub(crate) last_sequence: u64,
    bytes: usize,
    /// `None`: as soon as the disk is free.
    due: Option<Instant>,
}

/// Why and until when there is nothing to commit.
pub(crate) enum Wait {
    /// Nothing is there.
    Idle,
    /// Something is there that waits for company.
    Until(Instant),
}

/// All groups that are not durable, and what must be found of them.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    groups: VecDeque<Group>,
    /// The group that the writer has: its commit and last sequence.
    committing: Option<(Arc<Commit>, u64)>,
    /// Events that are not durable, without gaps.
    events: VecDeque<Arc<Event>>,
    blobs: HashMap<Digest, (Arc<[u8]>, u64)>,
    bytes: usize,
    numbered: u64,
}

impl Pending {
    pub(crate) fn events(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The events that are not durable.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Arc<Event>> {
        self.events.iter()
    }

    /// Whether the writer need not wait for anything.
    pub(crate) fn is_due(&self) -> bool {
        self.groups.len() > 1 || self.groups.front().is_some_and(|front| front.due.is_none())
    }

    /// The number of the group that the next rows go into, whose commit has fewer than `max_events` so far.
    pub(crate) fn open_group(&mut self, max_events: usize, lazy: Duration) -> u64 {
        if self.groups.back().is_none_or(|group| group.rows.events.len() >= max_events) {
            self.numbered += 1;
            self.groups.push_back(Group {
                number: self.numbered,
                commit: Arc::default(),
                rows: Rows::default(),
                last_sequence: 0,
                bytes: 0,
                due: Some(Instant::now() + lazy),
            });
        }
        self.numbered
    }

    /// Adds rows to the open group.
    pub(crate) fn push(&mut self, rows: Rows, last_sequence: u64, flush: Flush) -> Ticket {
        let bytes = rows.bytes();
        self.bytes += bytes;
        self.events.extend(rows.events.iter().cloned());
        let group = self.groups.back_mut().expect("a group was opened");
        for (digest, bytes) in &rows.blobs {
            self.blobs.insert(*digest, (bytes.clone(), group.number));
        }
        group.bytes += bytes;
        group.last_sequence = last_sequence;
        group.rows.append(rows);
        if flush == Flush::Now {
            group.due = None;
        }
        Ticket::new(group.commit.clone(), last_sequence)
    }

    /// A ticket for all that is pending, or for what is durable.
    pub(crate) fn barrier(&self, durable: u64) -> Ticket {
        let last = self.groups.back().map(|group| (&group.commit, group.last_sequence));
        match last.or(self.committing.as_ref().map(|(commit, sequence)| (commit, *sequence))) {
            Some((commit, sequence)) => Ticket::new(commit.clone(), sequence),
            None => Ticket::durable_already(durable),
        }
    }

    /// An event that is not durable, with its ticket.
    pub(crate) fn event(&self, sequence: u64) -> Option<(Arc<Event>, Ticket)> {
        let first = self.events.front()?.sequence_number;
        let event = self.events.get(usize::try_from(sequence.checked_sub(first)?).ok()?)?.clone();
        let committing = self.committing.iter().map(|(commit, last)| (commit, *last));
        let groups = self.groups.iter().map(|group| (&group.commit, group.last_sequence));
        let (commit, last) = committing.chain(groups).find(|(_, last)| *last >= sequence)?;
        Some((event, Ticket::new(commit.clone(), last)))
    }

    pub(crate) fn blob(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        self.blobs.get(digest).map(|(bytes, _)| bytes.clone())
    }

    /// Everything pending is wanted now.
    pub(crate) fn hurry(&mut self) {
        self.groups.iter_mut().for_each(|group| group.due = None);
    }

    /// The next group, if it is due; a group behind which another one waits is full, and due.
    pub(crate) fn take(&mut self, now: Instant) -> Result<Group, Wait> {
        let due = match self.groups.front() {
            None => return Err(Wait::Idle),
            Some(_) if self.groups.len() > 1 => None,
            Some(front) => front.due,
        };
        match due {
            Some(due) if due > now => Err(Wait::Until(due)),
            _ => {
                let group = self.groups.pop_front().expect("seen just now");
                self.committing = Some((group.commit.clone(), group.last_sequence));
                Ok(group)
            }
        }
    }

    /// The group that was taken is durable.
    pub(crate) fn settle(&mut self, group: &Group) {
        self.committing = None;
        self.bytes -= group.bytes;
        self.events.drain(..group.rows.events.len());
        if !group.rows.blobs.is_empty() {
            self.blobs.retain(|_, (_, number)| *number > group.number);
        }
    }

    /// Nothing of this will ever be durable: those who wait for it.
    pub(crate) fn abandon(&mut self) -> Vec<Arc<Commit>> {
        let committing = self.committing.take().map(|(commit, _)| commit);
        let waiting = committing.into_iter().chain(self.groups.drain(..).map(|group| group.commit)).collect();
        self.events.clear();
        self.blobs.clear();
        self.bytes = 0;
        waiting
    }
}
