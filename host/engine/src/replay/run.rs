//! A replay at work: it reads ahead, waits for the recorded pace, and hands over: to an observer in batches like any delivery, to a durable reader
//! as much as it has room for. What was done and how far that came is one commit.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use trackside_model::{
    control::{Admitted, Judged, Notice, next_batch},
    event::{Event, Filter, Position, Text},
    json::Json,
    ports::{EventBatch, Outbox, Usage},
    replay::{Pace, Plan, REPLAY_ENDED, ReplayEnded, ReplayOutcome, Target},
    time::Timestamp,
};
use trackside_store::{AppendError, Batch, Entry, Flush, Query, ReadError};

use super::Replay;
use crate::{
    clock,
    engine::Shared,
    observers::{Delivered, FIRST_BACKOFF, FIRST_BATCH, Handing, MOST_BACKOFF, RETRY},
    outbox,
    readers::DurableReader,
    slot::Slot,
};

/// Facts looked at in one read.
const AHEAD: usize = 512;
/// How long it waits for an observer that is quarantined or passed over before it looks again, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long a cursor stays unwritten behind events that nobody wanted.
const CURSOR_LAG: Duration = Duration::from_secs(1);

/// How a replay ends.
pub(super) enum End {
    Completed,
    Stopped(Text),
    Failed(String),
}

/// Waits until somebody ends it.
pub(super) async fn stopped(listens: &mut watch::Receiver<Option<Text>>) -> Text {
    let by = listens.wait_for(Option::is_some).await.ok().and_then(|by| by.clone());
    match by {
        Some(by) => by,
        // Its other end is the replay, which is held by whoever waits here.
        None => std::future::pending().await,
    }
}

/// What is read and not handed over, and where a recorded pace counts from.
#[derive(Default)]
struct Ahead {
    events: VecDeque<Arc<Event>>,
    /// Behind the last of them, and behind what was not wanted.
    through: Position,
    /// When the first was handed over since the start of the host, and when it was recorded.
    began: Option<(Timestamp, Timestamp)>,
}

/// What a target is handed of the log.
struct Wants {
    filter: Filter,
    narration: bool,
    /// But not what this plugin published.
    but: Option<Text>,
}

impl Wants {
    fn has(&self, event: &Event) -> bool {
        self.filter.matches(event) && self.but.as_deref().is_none_or(|but| *event.source_component != *but)
    }
}

/// How the next delivery to an observer stands.
struct Delivering {
    batch: usize,
    attempt: u32,
}

impl Shared {
    /// Hands over all of it.
    pub(super) async fn run_replay(self: &Arc<Self>, replay: &Replay) -> End {
        let cursor = replay.standing.lock().cursor;
        let mut ahead = Ahead { through: cursor, ..Ahead::default() };
        let mut delivering = Delivering { batch: FIRST_BATCH.min(self.options.observer_batch), attempt: 0 };
        let mut written = Instant::now();
        loop {
            if ahead.events.is_empty() {
                if replay.plan().through <= ahead.through.whole_through() {
                    return End::Completed;
                }
                let wants = match self.wants(&replay.plan().to) {
                    Ok(wants) => wants,
                    Err(reason) => return End::Failed(reason),
                };
                if let Err(error) = self.read_ahead(replay.plan(), &wants, &mut ahead) {
                    tracing::error!(replay = %replay.id(), "the log cannot be read: {error}");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
                if ahead.events.is_empty() {
                    replay.standing.lock().cursor = ahead.through;
                    if written.elapsed() >= CURSOR_LAG {
                        let batch = Batch { cursors: vec![(replay.cursor_key(), ahead.through)], ..Batch::default() };
                        // It costs a second look at what nobody wants, if it is not taken.
                        let _ = self.store.append(batch, Flush::Lazy);
                        written = Instant::now();
                    }
                    tokio::task::yield_now().await;
                    continue;
                }
            }
            let due = ahead.due(replay.plan().pace).await;
            let handed = match &replay.plan().to {
                Target::Observer(name) => self.hand_to_observer(replay, name, &mut ahead, due, &mut delivering).await,
                Target::Reader(name) => self.hand_to_reader(replay, name, &mut ahead, due).await,
            };
            if let Err(end) = handed {
                return end;
            }
        }
    }

    /// Reads what its target wants of the next facts.
    fn read_ahead(&self, plan: &Plan, wants: &Wants, ahead: &mut Ahead) -> Result<(), ReadError> {
        let (events, through) = tokio::task::block_in_place(|| self.wanted_of(plan, wants, ahead.through))?;
        ahead.through = through;
        ahead.events.extend(events.into_iter().map(Arc::new));
        Ok(())
    }

    /// The next events of a plan that its target wants, and how far that is.
    fn wanted_of(&self, plan: &Plan, wants: &Wants, after: Position) -> Result<(Vec<Event>, Position), ReadError> {
        let query = Query {
            filter: plan.filter.clone(),
            since: plan.since,
            until: plan.until,
            after: Some(after),
            through: Some(plan.through),
            limit: AHEAD,
            narration: wants.narration,
            words: None,
        };
        let page = self.store.query(&query)?;
        let events = page.events.into_iter().filter(|event| wants.has(event)).collect();
        Ok((events, page.next.unwrap_or_else(|| Position::end_of(plan.through))))
    }

    /// What a target would be handed today; why it is handed nothing any more.
    fn wants(&self, to: &Target) -> Result<Wants, String> {
        match to {
            Target::Observer(name) => {
                let roster = self.roster.load();
                let slot = roster.get(name).ok_or_else(|| format!("the observer '{name}' is not in service any more"))?;
                let filter = slot.info().observes.clone();
                let names_itself = filter.source_components.iter().flatten().any(|source| **source == **name);
                Ok(Wants { narration: filter.names_narration(), but: (!names_itself).then(|| name.clone()), filter })
            }
            Target::Reader(name) => {
                let reader = self.durable_reader(name).ok_or_else(|| format!("there is no durable reader '{name}' any more"))?;
                let (options, _) = reader.stands();
                Ok(Wants { filter: options.filter, narration: options.narration, but: None })
            }
        }
    }

    /// How many events of a plan lie before a cursor: those that were handed over.
    pub(super) fn handed_over(&self, plan: &Plan, cursor: Position) -> Result<u64, ReadError> {
        let Ok(wants) = self.wants(&plan.to) else { return Ok(0) };
        let (mut count, mut after) = (0, Position::end_of(plan.from - 1));
        let before = Plan { through: cursor.sequence, ..plan.clone() };
        while after < cursor {
            let (events, next) = self.wanted_of(&before, &wants, after)?;
            count += events.iter().filter(|event| event.position() <= cursor).count() as u64;
            after = next;
        }
        Ok(count)
    }

    /// Hands what is due to an observer, in a batch like any other; its own cursor stays where it is.
    async fn hand_to_observer(
        self: &Arc<Self>,
        replay: &Replay,
        name: &Text,
        ahead: &mut Ahead,
        due: usize,
        delivering: &mut Delivering,
    ) -> Result<(), End> {
        let slot = self.replayable(name, replay.plan()).map_err(|error| End::Failed(error.to_string()))?;
        let batch = ahead.batch(due.min(delivering.batch), slot.info().limits.argument_bytes);
        let count = batch.len();
        let Some(last) = batch.last().cloned() else { return Ok(()) };
        let behind = ahead.behind(count);
        delivering.attempt += 1;
        let handing = Handing { attempt: delivering.attempt, replay: true, missed: 0 };
        let batch = Arc::new(EventBatch::new(batch));
        match self.hand_over(&slot, &batch, handing).await {
            Delivered::Taken(report) => match self.replayed(replay, name, behind, batch.events(), &last, report.outbox) {
                Ok(()) => {
                    replay.went_on(behind, count);
                    ahead.events.drain(..count);
                    *delivering = delivering.after(count, report.usage, &slot, self.options.observer_batch);
                    replay.waits(None);
                }
                // Somebody changed what it had read: the same batch again.
                Err(AppendError::Conflict { .. }) => delivering.attempt -= 1,
                Err(error) => {
                    replay.waits(Some(format!("the log did not take what came of it: {error}")));
                    tokio::time::sleep(MOST_BACKOFF).await;
                }
            },
            Delivered::Quarantined(retry_after_ms) => {
                delivering.attempt -= 1;
                replay.waits(Some(format!("'{name}' is quarantined, bypassed or busy")));
                tokio::time::sleep(Duration::from_millis(retry_after_ms.max(10)).min(LOOK_AGAIN)).await;
            }
            Delivered::NotTaken(_) if count > 1 => *delivering = Delivering { batch: count / 2, attempt: 0 },
            Delivered::NotTaken(reason) if delivering.attempt >= self.options.observer_deliveries => {
                let at = last.position();
                return Err(End::Failed(format!(
                    "'{name}' did not take the event at {at} ({}) in {} deliveries: {reason}; mend it, and go on with a replay from there, or \
                     from behind it",
                    last.event_type, delivering.attempt
                )));
            }
            Delivered::NotTaken(reason) => {
                replay.waits(Some(reason));
                tokio::time::sleep((FIRST_BACKOFF * 2u32.saturating_pow(delivering.attempt - 1)).min(MOST_BACKOFF)).await;
            }
        }
        Ok(())
    }

    /// What a call released, and the replay's cursor behind what it was given, in one commit.
    fn replayed(
        &self,
        replay: &Replay,
        name: &Text,
        behind: Position,
        events: &[Arc<Event>],
        last: &Event,
        mut released: Outbox,
    ) -> Result<(), AppendError> {
        let mut batch = Batch { cursors: vec![(replay.cursor_key(), behind)], ..Batch::default() };
        outbox::name_replay(&mut released, replay.id());
        outbox::release_about(&mut batch, name.clone(), released, events, last);
        self.store.append(batch, Flush::Lazy).map(drop)
    }

    /// Puts what is due into a durable reader's hands, as much of it as it has room for.
    async fn hand_to_reader(&self, replay: &Replay, name: &Text, ahead: &mut Ahead, due: usize) -> Result<(), End> {
        let gone = || End::Failed(format!("there is no durable reader '{name}' any more"));
        let reader: Arc<DurableReader> = self.durable_reader(name).ok_or_else(gone)?;
        let changed = reader.changed();
        // One that is set anew meanwhile serves nobody: the next look finds the one in its place.
        let Ok(room) = reader.replay_room() else {
            tokio::time::sleep(RETRY).await;
            return Ok(());
        };
        if room == 0 {
            replay.waits(Some(format!("'{name}' has as much in hand as it may")));
            // Its clients settle at their own pace; a place may also come free by time.
            drop(tokio::time::timeout(LOOK_AGAIN, changed).await);
            return Ok(());
        }
        let count = due.min(room);
        let behind = ahead.behind(count);
        let events: Vec<Arc<Event>> = ahead.events.iter().take(count).cloned().collect();
        match reader.replay(&events, Batch::default(), (replay.cursor_key(), behind)) {
            Ok(taken) => {
                ahead.events.drain(..count);
                replay.went_on(behind, taken);
                replay.waits(None);
            }
            Err(error) => {
                replay.waits(Some(format!("the log did not take what came of it: {error}")));
                tokio::time::sleep(RETRY).await;
            }
        }
        Ok(())
    }

    /// Tells of the end, in one commit with that of the cursor: it is neither taken up again nor forgotten.
    pub(super) async fn end_replay(&self, replay: &Replay, end: End) {
        let (outcome, by, reason) = match end {
            End::Completed => (ReplayOutcome::Completed, None, None),
            End::Stopped(by) => (ReplayOutcome::Stopped, Some(by), None),
            End::Failed(reason) => (ReplayOutcome::Failed, None, Some(reason)),
        };
        let (cursor, events) = {
            let standing = replay.standing.lock();
            (standing.cursor, standing.events)
        };
        let through = if outcome == ReplayOutcome::Completed { replay.plan().through } else { cursor.whole_through() };
        let ended = ReplayEnded { replay: replay.id(), to: replay.plan().to.clone(), outcome, events, through, by, reason };
        let mut stopping = self.tasks.stopping();
        loop {
            let notice = Notice::new(REPLAY_ENDED, clock::fresh_id(), clock::now(), Json::from_value(&ended));
            let notice = notice.expect("the catalogue has the types of replays").caused_by(&replay.event);
            let batch = Batch { cursors_gone: vec![replay.cursor_key()], ..Batch::of([Entry::fresh(Admitted::notice(notice))]) };
            match self.store.append(batch, Flush::Now) {
                // One that is not durable is found again after a restart, and ends once more.
                Ok(appended) => return drop(appended.ticket.durable().await),
                Err(error) => tracing::error!(replay = %replay.id(), "its end is not taken: {error}"),
            }
            tokio::select! { () = tokio::time::sleep(RETRY) => {} () = stopping.wait() => return }
        }
    }
}

impl Replay {
    fn went_on(&self, cursor: Position, events: usize) {
        let mut standing = self.standing.lock();
        standing.cursor = cursor;
        standing.events += events as u64;
    }
}

impl Delivering {
    /// What was handed over is behind it; how long it took says how much more it may be.
    fn after(&self, events: usize, usage: Usage, slot: &Slot, most: usize) -> Self {
        let judged = Judged { events, duration_ns: usage.duration_ns, faulted: false };
        let most = most.min(usize::try_from(slot.info().limits.observe_events).unwrap_or(usize::MAX).max(1));
        Self { batch: next_batch(self.batch, judged, slot.info().limits.timeout_ms, most), attempt: 0 }
    }
}

impl Ahead {
    /// How many of the events are due, one at least: waits for the first.
    async fn due(&mut self, pace: Pace) -> usize {
        let Some(first) = self.events.front() else { return 0 };
        let (begun, recorded) = *self.began.get_or_insert((clock::now(), first.recorded_at));
        let due = |event: &Event| pace.due(begun, recorded, event.recorded_at);
        let now = clock::now();
        let wait = due(first).ms_since(now);
        if wait > 0 {
            tokio::time::sleep(Duration::from_millis(wait)).await;
        }
        let now = clock::now();
        self.events.iter().take_while(|event| due(event) <= now).count().max(1)
    }

    /// The first of the events, so many and of so many bytes at most, but one.
    fn batch(&self, most: usize, most_bytes: u64) -> Vec<Arc<Event>> {
        let mut bytes = 0;
        let within = self.events.iter().enumerate().take_while(|(place, event)| {
            bytes += event.text_bytes();
            *place == 0 || (*place < most && bytes <= most_bytes)
        });
        within.map(|(_, event)| event.clone()).collect()
    }

    /// The cursor behind the first `count` of the events.
    fn behind(&self, count: usize) -> Position {
        let (last, next) = match count.checked_sub(1) {
            Some(last) if count < self.events.len() => (&self.events[last], &self.events[count]),
            _ => return self.through,
        };
        // Nothing more of a fact is wanted where the next is of another one.
        if next.sequence_number > last.sequence_number { Position::end_of(last.sequence_number) } else { last.position() }
    }
}
