//! What plugins do, for whoever looks on: each guarded call as it comes back, and each line that a plugin writes. For display, and so lossy: who looks
//! too slowly misses some and is told how many. Nobody looking, it costs a call one look at an atomic. The log is the truth of what happened.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use trackside_model::{
    event::{Severity, Text},
    ports::{Fault, Usage},
};

/// Sightings that may wait for whoever looks on; more are missed.
pub const MOST_SIGHTINGS: usize = 4_096;

/// Something that a plugin did.
#[derive(Clone, Debug)]
pub enum Sighting {
    /// A guarded call came back.
    Call(Call),
    /// A line for the host's log.
    Line {
        /// Who wrote it.
        plugin: Text,
        /// How much it matters.
        level: Severity,
        /// The text.
        message: String,
    },
    /// It used what it was not granted.
    NotGranted {
        /// Who.
        plugin: Text,
        /// What it used.
        what: String,
        /// What the operator would add to its settings file.
        line: String,
    },
}

/// A guarded call, as the engine saw it.
#[derive(Clone, Debug)]
pub struct Call {
    /// The plugin.
    pub plugin: Text,
    /// `check`, `observe` or `run`.
    pub call: &'static str,
    /// The event's type, the first one's of a batch, or the task's method.
    pub about: Text,
    /// Events of a batch; 1 for others.
    pub events: usize,
    /// What it answered, in few words, or the fault by its true cause.
    pub outcome: Result<Answered, Fault>,
    /// What it used.
    pub usage: Usage,
    /// Publishes, schedules among them, that its outbox holds.
    pub publishes: usize,
    /// Changes of its kv space that its outbox holds.
    pub kv_writes: usize,
}

/// An answer, in few words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// A signal's name, `done`, `error` or `failed`.
    pub word: &'static str,
    /// Why, where there is a reason.
    pub reason: Option<String>,
}

/// Where sightings go.
#[derive(Debug, Default)]
pub(crate) struct Sightings {
    watched: AtomicBool,
    out: Mutex<Option<mpsc::Sender<Sighting>>>,
    missed: Arc<AtomicU64>,
}

/// Looks on until it is dropped.
#[derive(Debug)]
pub struct Onlooker {
    sightings: mpsc::Receiver<Sighting>,
    missed: Arc<AtomicU64>,
}

impl Sightings {
    /// Has somebody look on, in place of whoever did before.
    pub(crate) fn watch(&self) -> Onlooker {
        let (out, sightings) = mpsc::channel(MOST_SIGHTINGS);
        *self.out.lock() = Some(out);
        self.watched.store(true, Relaxed);
        Onlooker { sightings, missed: self.missed.clone() }
    }

    /// Shows a sighting to whoever looks on; made only if somebody does.
    pub(crate) fn show(&self, sighting: impl FnOnce() -> Sighting) {
        if !self.watched.load(Relaxed) {
            return;
        }
        let mut out = self.out.lock();
        let Some(looking) = out.as_ref() else { return };
        match looking.try_send(sighting()) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => drop(self.missed.fetch_add(1, Relaxed)),
            Err(mpsc::error::TrySendError::Closed(_)) => {
                self.watched.store(false, Relaxed);
                *out = None;
            }
        }
    }
}

impl Onlooker {
    /// The next one; `None` once somebody else looks on, or the engine is gone.
    pub async fn next(&mut self) -> Option<Sighting> {
        self.sightings.recv().await
    }

    /// The next one, unless none comes for this long.
    pub async fn next_within(&mut self, wait: Duration) -> Option<Sighting> {
        tokio::time::timeout(wait, self.next()).await.ok().flatten()
    }

    /// Sightings that were missed since this was asked last.
    pub fn missed(&self) -> u64 {
        self.missed.swap(0, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: usize) -> Sighting {
        Sighting::Line { plugin: Text::from("p"), level: Severity::Info, message: number.to_string() }
    }

    #[tokio::test]
    async fn who_looks_too_slowly_is_told_what_was_missed() {
        let sightings = Sightings::default();
        sightings.show(|| panic!("nobody looks on: it is not even made"));
        let mut onlooker = sightings.watch();
        for number in 0..MOST_SIGHTINGS + 3 {
            sightings.show(|| line(number));
        }
        assert_eq!((onlooker.missed(), onlooker.missed()), (3, 0));
        let Some(Sighting::Line { message, .. }) = onlooker.next().await else { panic!("the first is there") };
        assert_eq!(message, "0");
        drop(onlooker);
        sightings.show(|| line(0));
        sightings.show(|| panic!("nobody looks on any more"));
    }
}
