//! What callers and the writer thread share: the state behind the one mutex, the ring, and the two heads.
//! `append` fills it, `writer` empties it; the order of both is written here once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::watch;
use trackside_model::time::Timestamp;

use crate::{
    kv_space::KvSpaces,
    options::StoreOptions,
    pending::{Group, Pending, Wait},
    readers::Readers,
    recent::RecentIds,
    ring::Ring,
    schema::End,
    ticket::Poisoned,
};

/// Everything but the threads.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: StoreOptions,
    pub(crate) now: fn() -> Timestamp,
    pub(crate) readers: Arc<Readers>,
    pub(crate) ring: Ring,
    pub(crate) durable: Arc<AtomicU64>,
    pub(crate) appended: AtomicU64,
    pub(crate) durable_watch: watch::Sender<u64>,
    /// The outbox's last durable row.
    pub(crate) outbox_watch: watch::Sender<u64>,
    state: Mutex<State>,
    wake: Condvar,
}

/// What changes with every append.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) end: End,
    pub(crate) pending: Pending,
    pub(crate) recent: RecentIds,
    pub(crate) kv: KvSpaces,
    pub(crate) durable_commit: u64,
    pub(crate) kv_purged_at: Timestamp,
    pub(crate) poisoned: Option<Poisoned>,
    pub(crate) closing: bool,
    writer: Activity,
}

/// What the writer thread is at: waking it when it need not be costs more than the append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    /// It will look by itself.
    Busy,
    /// It sleeps until something comes.
    Idle,
    /// It sleeps until something is due.
    Timed,
}

impl Shared {
    pub(crate) fn new(options: StoreOptions, now: fn() -> Timestamp, readers: Arc<Readers>, end: End) -> Self {
        Self {
            ring: Ring::new(options.ring_events, options.ring_bytes),
            options,
            now,
            readers,
            durable: Arc::new(AtomicU64::new(end.sequence)),
            appended: AtomicU64::new(end.sequence),
            durable_watch: watch::Sender::new(end.sequence),
            outbox_watch: watch::Sender::new(end.outbox_id),
            state: Mutex::new(State {
                end,
                pending: Pending::default(),
                recent: RecentIds::new(end.sequence),
                kv: KvSpaces::default(),
                durable_commit: 0,
                kv_purged_at: Timestamp(0),
                poisoned: None,
                closing: false,
                writer: Activity::Busy,
            }),
            wake: Condvar::new(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn durable_head(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn lazy(&self) -> Duration {
        Duration::from_micros(self.options.lazy_commit_us)
    }

    /// Something is there for the writer.
    pub(crate) fn wake_writer(&self, state: &mut State) {
        let wake = match state.writer {
            Activity::Busy => false,
            Activity::Idle => true,
            Activity::Timed => state.pending.is_due(),
        };
        if wake {
            state.writer = Activity::Busy;
            self.wake.notify_one();
        }
    }

    /// The writer's next group; `None`: it is to stop.
    pub(crate) fn next_group(&self) -> Option<Group> {
        let mut state = self.state();
        loop {
            if state.closing {
                state.pending.hurry();
            }
            match state.pending.take(Instant::now()) {
                Ok(group) => return Some(group),
                Err(Wait::Idle) if state.closing => return None,
                Err(Wait::Idle) => {
                    state.writer = Activity::Idle;
                    self.wake.wait(&mut state);
                }
                Err(Wait::Until(due)) => {
                    state.writer = Activity::Timed;
                    self.wake.wait_until(&mut state, due);
                }
            }
            state.writer = Activity::Busy;
        }
    }

    /// A group is on the disk. Ring before head before waiters: whoever sees the head finds the events, whoever is answered can read them.
    pub(crate) fn committed(&self, group: &Group) {
        let trim = &group.rows.trim;
        if !trim.events.is_empty() {
            self.ring.forget(trim.events.iter().map(|event| event.sequence));
        }
        if !group.rows.events.is_empty() {
            self.ring.push(&group.rows.events);
            self.durable.store(group.last_sequence, Ordering::Release);
        }
        {
            let mut state = self.state();
            state.pending.settle(group);
            state.durable_commit = group.number;
            state.recent.trim(group.last_sequence);
            state.recent.forget(&trim.forgotten);
            if !group.rows.kv.is_empty() {
                state.kv.trim(group.number);
            }
        }
        // Who waits for an answer before who reads on.
        group.commit.end(Ok(()));
        if !group.rows.events.is_empty() {
            self.durable_watch.send_replace(group.last_sequence);
        }
        if let Some((id, _)) = group.rows.outbox_put.last() {
            self.outbox_watch.send_replace(*id);
        }
    }

    /// A commit has failed: what waits is told, what was released is taken back, nothing more is taken.
    pub(crate) fn poison(&self, cause: &str) {
        let poisoned = Poisoned { cause: Arc::from(cause) };
        tracing::error!(cause, "the log could not be written; nothing more is appended");
        let waiting = {
            let mut state = self.state();
            state.poisoned = Some(poisoned.clone());
            state.recent.cut(self.durable_head());
            state.kv.reset();
            state.pending.abandon()
        };
        waiting.iter().for_each(|commit| commit.end(Err(poisoned.clone())));
    }

    /// Nothing more is taken; what is pending is committed.
    pub(crate) fn begin_close(&self) {
        let mut state = self.state();
        state.closing = true;
        drop(state);
        self.wake.notify_one();
    }
}
