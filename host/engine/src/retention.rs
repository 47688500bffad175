//! Retention at work: now and then the rules are followed, in small steps that give way to publishes. What goes and the event that tells of it are one
//! commit. Which events a rule lets go is the store's `retention`.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;
use trackside_model::{
    control::{Admitted, Notice},
    event::{Pattern, Text},
    json::Json,
    keeping::{Gap, TRIMMED, TrimmedEvents},
    time::Timestamp,
};
use trackside_store::{AppendError, Batch, Entry, Flush, Held, Poisoned, ReadError, Retention, Step, Trim, TrimmedEvent, failpoint};

use crate::{
    bypass::{self, MOST_BYPASS_MS},
    clock,
    engine::Shared,
    identity::trace_of,
    options::EngineOptions,
};

/// How long one step waits for publishes that are under way: under a load that never ends, it goes on all the same.
const GIVE_WAY: Duration = Duration::from_millis(50);
/// Between two looks whether they have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(1);
/// Ids, or blobs, that are forgotten in one commit.
const FORGET: usize = 256;

/// Why a cleanup broke off; the next one begins anew.
#[derive(Debug, thiserror::Error)]
enum CleanupError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Poisoned(#[from] Poisoned),
}

/// What one cleanup did.
#[derive(Debug, Default)]
struct Done {
    events: u64,
    bytes: u64,
    of_workflows: bool,
    blobs: u64,
    ids: u64,
    /// Events that tell of it.
    told: u64,
}

/// What is remembered from one cleanup to the next.
struct Keeper {
    retention: Retention,
    /// Where the log would end if nothing had come since the last one began but what tells of it: number and size are as they were left then.
    told_at: u64,
    /// Whether blobs have been looked at since the start.
    has_searched: bool,
}

/// The rules, with what the host goes on with after a start: the contents of the window, and who is bypassed.
pub fn retention_of(options: &EngineOptions) -> Retention {
    let lasting = [bypass::BEGUN, bypass::ENDED].into_iter().filter_map(|name| Some((Pattern::parse(name).ok()?, MOST_BYPASS_MS)));
    Retention::new(options.retention.clone(), options.dedup_window_ms, lasting.collect())
}

impl Shared {
    /// Follows the rules until the host stops.
    pub(crate) async fn follow_retention(self: std::sync::Arc<Self>) {
        let mut stopping = self.tasks.stopping();
        let interval = Duration::from_millis(self.options.retention_interval_ms.max(1));
        let mut keeper = self.keeper();
        loop {
            tokio::select! { () = tokio::time::sleep(interval) => {} () = stopping.wait() => return }
            if let Err(error) = self.clean(&mut keeper).await {
                tracing::error!("the log is not trimmed as its rules say, and it is tried again: {error}");
                keeper = self.keeper();
            }
        }
    }

    fn keeper(&self) -> Keeper {
        Keeper { retention: retention_of(&self.options), told_at: 0, has_searched: false }
    }

    async fn clean(&self, keeper: &mut Keeper) -> Result<(), CleanupError> {
        let (begun, mut done) = (Instant::now(), Done::default());
        let retention = &mut keeper.retention;
        while !retention.count(&self.store)? {
            self.give_way().await;
        }
        let appended = self.store.appended();
        let for_age = appended == keeper.told_at;
        let mut cleanup = retention.begin(&self.store, clock::now(), for_age)?;
        while let Some(step) = retention.step(&self.store, &mut cleanup)? {
            if self.stopping.is_set() {
                break;
            }
            self.give_way().await;
            if !step.events.is_empty() {
                if done.events == 0 {
                    done.told += 1;
                    self.tell_of_cleanup("cleanup:started", json!({"rules": retention.rules().len(), "through": cleanup.through()}))
                        .await?;
                }
                self.take_out(step, &mut done).await?;
            }
        }
        if !retention.rules().is_empty() && (done.of_workflows || !keeper.has_searched) && !self.stopping.is_set() {
            self.drop_blobs(retention, &mut done).await?;
            keeper.has_searched = true;
        }
        self.forget_ids(&mut done).await?;
        if done.events > 0 || done.blobs > 0 {
            let payload = json!({
                "events": done.events, "bytes": done.bytes, "blobs": done.blobs, "ids": done.ids,
                "duration_ms": u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX), "held": held(&cleanup.held),
            });
            self.tell_of_cleanup("cleanup:completed", payload).await?;
            done.told += 1;
            // What was held may be let go without anything coming.
            keeper.told_at = if cleanup.held.is_empty() { appended + done.told } else { 0 };
        }
        Ok(())
    }

    /// Lets publishes go first, and everybody else have the thread.
    async fn give_way(&self) {
        tokio::task::yield_now().await;
        let until = Instant::now() + GIVE_WAY;
        let under_way = || self.slots.available_permits() < self.options.publish_slots || self.store.appended() > self.store.durable_head();
        while under_way() && Instant::now() < until {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Takes a step's events out of the log, and tells of it, in one commit.
    async fn take_out(&self, step: Step, done: &mut Done) -> Result<(), CleanupError> {
        let told = TrimmedEvents {
            ranges: Gap::of(step.events.iter().map(|event| event.sequence_number)),
            events: step.events.len() as u64,
            reason: Text::from("retention"),
            rule: Some(step.rule + 1),
        };
        let events = step.events.iter().map(|event| TrimmedEvent {
            sequence: event.sequence_number,
            event_id: event.event_id,
            content: trace_of(event),
            began: event.workflow_id.clone().filter(|_| &*event.event_type == "workflow:submitted"),
        });
        let trim = Trim { events: events.collect(), ..Trim::default() };
        done.of_workflows |= step.events.iter().any(|event| event.workflow_id.is_some());
        let payload = Json::from_value(&told);
        self.commit_trim(Some((TRIMMED, payload)), trim).await?;
        done.told += 1;
        done.events += step.events.len() as u64;
        done.bytes += step.bytes;
        Ok(())
    }

    /// Drops what no event speaks of any more.
    async fn drop_blobs(&self, retention: &Retention, done: &mut Done) -> Result<(), CleanupError> {
        let mut search = retention.search_blobs(&self.store)?;
        while !search.look(&self.store)? {
            if self.stopping.is_set() {
                return Ok(());
            }
            self.give_way().await;
        }
        loop {
            let blobs = search.take(FORGET);
            if blobs.is_empty() {
                return Ok(());
            }
            done.blobs += blobs.len() as u64;
            self.commit_trim(None, Trim { blobs, ..Trim::default() }).await?;
        }
    }

    /// Forgets the ids of what was trimmed long ago.
    async fn forget_ids(&self, done: &mut Done) -> Result<(), CleanupError> {
        let before = Timestamp(clock::now().0.saturating_sub(self.options.id_memory_ms.saturating_mul(1_000_000)));
        while !self.stopping.is_set() {
            let forgotten = self.store.trimmed_ids(before, FORGET)?;
            if forgotten.is_empty() {
                break;
            }
            done.ids += forgotten.len() as u64;
            self.give_way().await;
            self.commit_trim(None, Trim { forgotten, ..Trim::default() }).await?;
        }
        Ok(())
    }

    async fn tell_of_cleanup(&self, event_type: &str, payload: Value) -> Result<(), CleanupError> {
        self.commit_trim(Some((event_type, payload.into())), Trim::default()).await
    }

    async fn commit_trim(&self, told: Option<(&str, Json)>, trim: Trim) -> Result<(), CleanupError> {
        let notice = told.map(|(event_type, payload)| Notice::new(event_type, clock::fresh_id(), clock::now(), payload));
        let notice = notice.map(|notice| notice.expect("the catalogue has the types of cleanups"));
        let batch = Batch { trim, ..Batch::of(notice.map(|notice| Entry::fresh(Admitted::notice(notice)))) };
        failpoint::before("retention");
        self.store.append(batch, Flush::Now)?.ticket.durable().await?;
        failpoint::after("retention");
        Ok(())
    }
}

/// Who keeps what would have gone, for people.
fn held(held: &BTreeMap<Held, u64>) -> Value {
    let told = held.iter().map(|(by, events)| match by {
        Held::Reader(name) => json!({"by": "reader", "reader": name}),
        Held::Workflow => json!({"by": "workflow", "events": events}),
        Held::DeadLetter => json!({"by": "dead_letter", "events": events}),
        Held::Host => json!({"by": "host", "events": events}),
    });
    told.collect()
}
