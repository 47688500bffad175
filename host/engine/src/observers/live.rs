//! A live observer: it is handed what is new, and no later than it can take it. Too far behind, it goes on at the head of the log; what it does not
//! take is not handed over again. It is told how many events it missed, and so is the log. No cursor of its own holds anything back.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::Instant;
use trackside_model::{
    control::Notice,
    event::{Event, Position},
    ports::{EventBatch, Outbox},
};
use trackside_store::{AppendError, Batch, Flush};

use super::{Delivered, Reading, cursor_key};
use crate::{clock, engine::Shared, outbox, slot::Slot};

/// Between two events that say what one observer missed.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What a live observer has missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// Events that it has not been told of.
    untold: u64,
    /// Events that the log has not been told of, the first and the last of them, and why the last were missed.
    unlogged: Option<(u64, u64, u64, String)>,
    logged_at: Option<Instant>,
}

impl Missed {
    /// Events that it has not been told of.
    pub(super) fn untold(&self) -> u64 {
        self.untold
    }

    fn add(&mut self, events: u64, from: u64, to: u64, reason: &str) {
        self.untold += events;
        let (events, from) = self.unlogged.as_ref().map_or((events, from), |(before, first, ..)| (before + events, *first));
        self.unlogged = Some((events, from, to, reason.to_owned()));
    }
}

impl Shared {
    /// Has an observer read live from now on, or no longer.
    pub(super) fn read_as(&self, reading: &mut Reading, live_behind: Option<u64>) {
        match (live_behind, &reading.live) {
            (Some(_), None) => {
                // It goes on from where it is, or was taken into service, unless that is too far behind; but nothing is kept for its sake.
                let gone = Batch { cursors_gone: vec![cursor_key(&reading.name)], ..Batch::default() };
                if let Err(error) = self.store.append(gone, Flush::Lazy) {
                    tracing::error!(observer = &*reading.name, "its cursor is not taken away, and holds events back until it is: {error}");
                }
                reading.live = Some(Missed::default());
                reading.failed = None;
                reading.write_by = None;
            }
            (None, Some(_)) => {
                reading.live = None;
                reading.write_by = Some(Instant::now());
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    /// Takes a live observer to the head of the log, if it is too far behind it; and tells the log now and then of what was missed.
    pub(super) fn keep_up(&self, reading: &mut Reading, slot: &Slot) {
        let (Some(most), Some(missed)) = (slot.info().live_behind, &mut reading.live) else { return };
        let head = self.store.durable_head();
        let behind = head.saturating_sub(reading.cursor.sequence);
        if behind > most {
            missed.add(behind, reading.cursor.sequence + 1, head, "it was too slow for them");
            reading.cursor = Position::end_of(head);
        }
        if let Some(tell_at) = missed.logged_at.map(|at| at + TELL_EVERY).filter(|at| *at > Instant::now()) {
            // Where nothing more comes, it is told of all the same.
            reading.write_by = missed.unlogged.is_some().then_some(tell_at);
            return;
        }
        if let Some((events, from, to, reason)) = missed.unlogged.take() {
            missed.logged_at = Some(Instant::now());
            let payload = json!({"plugin": reading.name, "events": events, "from": from, "to": to, "reason": reason});
            self.notify(Notice::new("plugin:missed", clock::fresh_id(), clock::now(), payload));
        }
    }

    /// What becomes of a delivery to a live observer: it goes on, whatever it was. The pause before the next one, if there must be one.
    pub(super) fn handed_live(
        &self,
        slot: &Slot,
        reading: &mut Reading,
        batch: &EventBatch,
        through: Position,
        told: u64,
        delivered: Delivered,
    ) -> Option<Duration> {
        let (events, last) = (batch.events().len(), batch.events().last()?);
        let first = batch.events().first().map_or(last.sequence_number, |event| event.sequence_number);
        let reason = match delivered {
            Delivered::Taken(report) => match self.release_live(reading, batch.events(), last, report.outbox) {
                Ok(()) => {
                    if let Some(missed) = &mut reading.live {
                        missed.untold = missed.untold.saturating_sub(told);
                    }
                    reading.cursor = through;
                    self.taken(slot, reading, events, report.usage);
                    return None;
                }
                // Somebody changed what it had read: the same batch again.
                Err(AppendError::Conflict { .. }) => {
                    reading.deliveries = 0;
                    return Some(Duration::ZERO);
                }
                Err(error) => format!("what came of them was not taken: {error}"),
            },
            Delivered::NotTaken(reason) => reason,
            // Its place stands; it may be too far behind when it is back.
            Delivered::Quarantined(retry_after_ms) => {
                reading.deliveries = 0;
                return Some(Duration::from_millis(retry_after_ms.max(10)));
            }
        };
        if let Some(missed) = &mut reading.live {
            missed.add(events as u64, first, last.sequence_number, &reason);
        }
        reading.deliveries = 0;
        reading.cursor = through;
        None
    }

    fn release_live(&self, reading: &Reading, events: &[Arc<Event>], last: &Event, released: Outbox) -> Result<(), AppendError> {
        if released.is_untouched() {
            return Ok(());
        }
        let mut batch = Batch::default();
        outbox::release_about(&mut batch, reading.name.clone(), released, events, last);
        self.store.append(batch, Flush::Lazy).map(drop)
    }
}
