//! Replays: stretches of the past, handed once more to one observer or durable reader. Each has a cursor of its own, which moves in one commit with
//! what was done, and goes on after a restart; nobody's own cursor moves. Here is which there are, how they begin and end; handing over is `run`'s.

mod run;

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;
use trackside_model::{
    control::{Admitted, Notice},
    event::{Event, Filter, Position, Text},
    json::Json,
    plugin::EffectClass,
    replay::{Pace, Plan, PlanError, REPLAY_ENDED, REPLAY_STARTED, ReplayEnded, ReplayOutcome, ReplayStarted, Target},
    time::Timestamp,
};
use trackside_store::{AppendError, Batch, Entry, Flush, Poisoned, Query, ReadError};
use uuid::Uuid;

use self::run::End;
use crate::{
    clock,
    engine::{Engine, Shared},
    slot::Slot,
    tasks::OnStop,
};

/// Replays of one host at a time, at most.
pub const MOST_REPLAYS: usize = 16;
/// How the names of their cursors begin.
const CURSOR: &str = "replay/";
/// Stretches that were trimmed, of which a replay is told how much they held, read at a time.
const GAPS_AT_ONCE: usize = 1_000;

/// What somebody wants replayed.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    /// To whom.
    pub to: Target,
    /// Which events, of those that it wants anyway.
    pub filter: Filter,
    /// Recorded then or later.
    pub since: Option<Timestamp>,
    /// Recorded before then.
    pub until: Option<Timestamp>,
    /// From this sequence on; `None`: from the beginning.
    pub from: Option<u64>,
    /// Up to this sequence; `None`: up to where the log ends now, and a reader has come.
    pub through: Option<u64>,
    /// How fast.
    pub pace: Pace,
    /// The plugin that may reach the world outside once more.
    pub effects_of: Option<Text>,
}

/// Why a replay is not begun, or not found.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// It is not one.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Its target is not there.
    #[error("the observer '{0}' is not in service; `trackside plugin list` shows those that are")]
    NoObserver(Text),
    /// The same.
    #[error("there is no durable reader '{0}'; `trackside readers list` shows those that there are")]
    NoReader(Text),
    /// It reaches the world outside.
    #[error(
        "'{0}' reaches the world outside, and would do there once more what it did; if that is wanted, say so with its name \
         (effects_of={0}, or --effects-of {0})"
    )]
    Effects(Text),
    /// The log does not go that far.
    #[error("the log ends at {head}, before {from}: there is nothing to replay")]
    Beyond {
        /// Where it should begin.
        from: u64,
        /// Where the log ends.
        head: u64,
    },
    /// A reader does not go that far.
    #[error(
        "'{reader}' has settled what is up to {settled}, and what lies behind comes to it anyway: there is nothing to replay from {from} on"
    )]
    Ahead {
        /// Which.
        reader: Text,
        /// Where it should begin.
        from: u64,
        /// How far the reader has come.
        settled: u64,
    },
    /// There are as many as there may be.
    #[error("{MOST_REPLAYS} replays are under way, which is the most; wait for one, or stop one (`trackside replay list`)")]
    TooMany,
    /// There is none of this id.
    #[error(
        "there is no replay {0}; `trackside replay list` shows those under way, and the log has the others: `trackside events list --type 'replay:*'`"
    )]
    Unknown(Uuid),
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

/// A replay as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayStatus {
    /// The id of its `replay:started`.
    pub id: Uuid,
    /// What is replayed, and who wanted it.
    #[serde(flatten)]
    pub started: ReplayStarted,
    /// When it was begun.
    pub started_at: Timestamp,
    /// Everything up to this sequence has been looked at.
    pub at: u64,
    /// Events that were handed over.
    pub events: u64,
    /// `running`, `waiting`, or how it ended: `completed`, `stopped`, `failed`.
    pub state: &'static str,
    /// What it waits for, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Where a replay's task hears by whom it is ended.
type Listens = watch::Receiver<Option<Text>>;

/// The replays that are under way.
#[derive(Debug, Default)]
pub(crate) struct Replays(Mutex<BTreeMap<Uuid, Arc<Replay>>>);

/// One of them.
#[derive(Debug)]
struct Replay {
    event: Arc<Event>,
    started: ReplayStarted,
    standing: Mutex<Standing>,
    /// By whom it is ended.
    stopped: watch::Sender<Option<Text>>,
}

#[derive(Debug)]
struct Standing {
    cursor: Position,
    events: u64,
    waits_for: Option<String>,
}

impl Replay {
    /// With what its task listens to. Whoever ends a replay waits until that is gone.
    fn new(event: Arc<Event>, started: ReplayStarted, cursor: Position, events: u64) -> (Arc<Self>, Listens) {
        let standing = Mutex::new(Standing { cursor, events, waits_for: None });
        let (stopped, listens) = watch::channel(None);
        (Arc::new(Self { event, started, standing, stopped }), listens)
    }

    fn id(&self) -> Uuid {
        self.event.event_id
    }

    fn plan(&self) -> &Plan {
        &self.started.plan
    }

    fn cursor_key(&self) -> String {
        format!("{CURSOR}{}", self.id())
    }

    fn waits(&self, reason: Option<String>) {
        self.standing.lock().waits_for = reason;
    }

    fn status(&self) -> ReplayStatus {
        let standing = self.standing.lock();
        ReplayStatus {
            id: self.id(),
            started: self.started.clone(),
            started_at: self.event.recorded_at,
            at: standing.cursor.whole_through(),
            events: standing.events,
            state: if standing.waits_for.is_some() { "waiting" } else { "running" },
            reason: standing.waits_for.clone(),
        }
    }
}

impl Engine {
    /// Begins a replay. The answer comes when that is durable: it goes on after a restart, too.
    ///
    /// # Errors
    /// [`ReplayError`], by what stands against it.
    pub async fn replay(&self, request: ReplayRequest, by: &str) -> Result<ReplayStatus, ReplayError> {
        self.shared().begin_replay(request, Text::from(by)).await
    }

    /// The replays that are under way, the oldest first.
    pub fn replays(&self) -> Vec<ReplayStatus> {
        let mut all: Vec<_> = self.shared().replays.0.lock().values().map(|replay| replay.status()).collect();
        all.sort_by_key(|replay| replay.started_at);
        all
    }

    /// A replay that is under way, or what became of it.
    ///
    /// # Errors
    /// [`ReplayError::Unknown`] if the log knows none of this id, or cannot be read.
    pub fn replay_status(&self, id: Uuid) -> Result<ReplayStatus, ReplayError> {
        let shared = self.shared();
        let under_way = shared.replays.0.lock().get(&id).map(|replay| replay.status());
        match under_way {
            Some(status) => Ok(status),
            None => shared.replay_that_was(id)?.ok_or(ReplayError::Unknown(id)),
        }
    }

    /// Ends a replay before its time, and answers when that is durable: what was handed over stays so.
    ///
    /// # Errors
    /// [`ReplayError::Unknown`] if none of this id is under way, or the log does not take it.
    pub async fn stop_replay(&self, id: Uuid, by: &str) -> Result<ReplayStatus, ReplayError> {
        let shared = self.shared();
        let replay = shared.replays.0.lock().get(&id).cloned().ok_or(ReplayError::Unknown(id))?;
        replay.stopped.send_replace(Some(Text::from(by)));
        // Its task drops the sender's other end when what it did last is durable.
        replay.stopped.closed().await;
        shared.replay_that_was(id)?.ok_or(ReplayError::Unknown(id))
    }
}

impl Shared {
    async fn begin_replay(self: &Arc<Self>, request: ReplayRequest, by: Text) -> Result<ReplayStatus, ReplayError> {
        let plan = self.plan(request)?;
        let mut trimmed = 0;
        let mut after = plan.from - 1;
        loop {
            let gaps = tokio::task::block_in_place(|| self.store.trimmed(after, plan.through, GAPS_AT_ONCE))?;
            trimmed += gaps.iter().map(|gap| gap.to.min(plan.through) - gap.from + 1).sum::<u64>();
            match gaps.last() {
                Some(last) if gaps.len() == GAPS_AT_ONCE => after = last.to,
                _ => break,
            }
        }
        let started = ReplayStarted { plan, trimmed, by };
        let id = clock::fresh_id();
        let notice =
            Notice::new(REPLAY_STARTED, id, clock::now(), Json::from_value(&started)).expect("the catalogue has the types of replays");
        let cursor = Position::end_of(started.plan.from - 1);
        let (replay, listens, ticket) = {
            let mut replays = self.replays.0.lock();
            if replays.len() >= MOST_REPLAYS {
                return Err(ReplayError::TooMany);
            }
            let cursors = vec![(format!("{CURSOR}{id}"), cursor)];
            let batch = Batch { cursors, ..Batch::of([Entry::fresh(Admitted::notice(notice))]) };
            let appended = self.store.append(batch, Flush::Now)?;
            let event = appended.events.into_iter().next().expect("one event was appended");
            let (replay, listens) = Replay::new(event, started, cursor, 0);
            replays.insert(id, replay.clone());
            (replay, listens, appended.ticket)
        };
        if let Err(poisoned) = ticket.durable().await {
            self.replays.0.lock().remove(&id);
            return Err(poisoned.into());
        }
        self.start_replay(replay.clone(), listens);
        Ok(replay.status())
    }

    /// What of a request can be done, with its bounds.
    fn plan(&self, request: ReplayRequest) -> Result<Plan, ReplayError> {
        let ReplayRequest { to, filter, since, until, from, through, pace, effects_of } = request;
        let from = from.unwrap_or(1);
        let head = self.store.durable_head();
        if from > head {
            return Err(ReplayError::Beyond { from, head });
        }
        let mut plan = Plan { to, filter, since, until, from, through: through.unwrap_or(head), pace, effects_of };
        plan.check()?;
        plan.through = plan.through.min(head);
        match &plan.to {
            Target::Observer(name) => drop(self.replayable(name, &plan)?),
            Target::Reader(name) => {
                let reader = self.durable_reader(name).ok_or_else(|| ReplayError::NoReader(name.clone()))?;
                let (_, settled) = reader.stands();
                if settled < from {
                    return Err(ReplayError::Ahead { reader: name.clone(), from, settled });
                }
                plan.through = plan.through.min(settled);
            }
        }
        Ok(plan)
    }

    /// The observer that a replay is for, if it may be handed the past.
    fn replayable(&self, name: &Text, plan: &Plan) -> Result<Arc<Slot>, ReplayError> {
        let slot = self.roster.load().get(name).filter(|slot| slot.info().roles.observer).cloned();
        let slot = slot.ok_or_else(|| ReplayError::NoObserver(name.clone()))?;
        if slot.info().effect_class == EffectClass::Effectful && plan.effects_of.as_ref() != Some(name) {
            return Err(ReplayError::Effects(name.clone()));
        }
        Ok(slot)
    }

    fn start_replay(self: &Arc<Self>, replay: Arc<Replay>, mut stopped: Listens) {
        let shared = self.clone();
        self.tasks.spawn(format!("replay {}", replay.id()), OnStop::Drain, async move {
            let mut stopping = shared.tasks.stopping();
            let end = tokio::select! {
                biased;
                // It goes on after the restart.
                () = stopping.wait() => return,
                by = run::stopped(&mut stopped) => End::Stopped(by),
                end = shared.run_replay(&replay) => end,
            };
            shared.end_replay(&replay, end).await;
            shared.replays.0.lock().remove(&replay.id());
        });
    }

    /// Takes up the replays that were under way when the host ended.
    pub(crate) fn resume_replays(self: &Arc<Self>) {
        let cursors = self.store.cursors().unwrap_or_else(|error| {
            tracing::error!("replays that were under way cannot be taken up; restart the host: {error}");
            Vec::new()
        });
        for (name, cursor) in cursors {
            let Some(id) = name.strip_prefix(CURSOR).and_then(|id| id.parse::<Uuid>().ok()) else { continue };
            match self.taken_up(id, cursor) {
                Ok(Some((replay, listens))) => {
                    self.replays.0.lock().insert(id, replay.clone());
                    self.start_replay(replay, listens);
                }
                Ok(None) => tracing::error!("the log does not say what replay {id} is about; its cursor stays"),
                Err(error) => tracing::error!("replay {id} cannot be taken up; restart the host: {error}"),
            }
        }
    }

    fn taken_up(&self, id: Uuid, cursor: Position) -> Result<Option<(Arc<Replay>, Listens)>, ReadError> {
        let Some(event) = self.store.event_by_id(&id)? else { return Ok(None) };
        let Ok(started) = event.payload.read::<ReplayStarted>() else { return Ok(None) };
        let events = self.handed_over(&started.plan, cursor)?;
        Ok(Some(Replay::new(event, started, cursor, events)))
    }

    /// What the log says of a replay that is not under way.
    fn replay_that_was(&self, id: Uuid) -> Result<Option<ReplayStatus>, ReadError> {
        let Some(event) = self.store.event_by_id(&id)? else { return Ok(None) };
        if &*event.event_type != REPLAY_STARTED {
            return Ok(None);
        }
        let Ok(started) = event.payload.read::<ReplayStarted>() else { return Ok(None) };
        let filter =
            Filter { correlation_ids: Some(vec![event.correlation_id.to_string()]), ..Filter::types([REPLAY_ENDED]).unwrap_or_default() };
        let page = self.store.query(&Query { filter, after: Some(event.position()), limit: 1, ..Query::default() })?;
        let Some(ended) = page.events.first().and_then(|event| event.payload.read::<ReplayEnded>().ok()) else { return Ok(None) };
        let state = match ended.outcome {
            ReplayOutcome::Completed => "completed",
            ReplayOutcome::Stopped => "stopped",
            ReplayOutcome::Failed => "failed",
        };
        let (id, started_at, at) = (event.event_id, event.recorded_at, ended.through);
        Ok(Some(ReplayStatus { id, started, started_at, at, events: ended.events, state, reason: ended.reason }))
    }
}
