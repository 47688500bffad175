//! The workflow loop: one thread that owns the machine. Takes messages, steps, appends the facts, hands out the effects.
//! What follows from what is the model's; calling guests is done elsewhere, and comes back as messages.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::oneshot;
use trackside_model::{
    control::{Admitted, DecisionPoint, DecisionRecord, Passed, Signal, Verdict},
    event::{Event, Text},
    ports::{Outbox, TaskCall},
    workflow::{Effect, Env, Input, Machine, Question, QuestionKey, RunKey, Submission, WorkflowStatus, WorkflowView},
};
use trackside_store::{AppendError, Appended, Batch, Entry, Flush, Identity, Ticket, WorkflowChange};

use crate::{
    chain::{Asked, Asking},
    clock,
    engine::Shared,
    outbox,
    publish::{CHANGED_UNDER_HANDLERS, MOST_RERUNS},
};

/// The longest the loop sleeps without looking at its timers again, so that a clock that was set does not stop it.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// Events that may wait for the disk before the loop reckons with being refused.
const AHEAD_UNTIL_CAREFUL: u64 = 256;
/// The pause before an append that was refused because the disk is behind.
const BUSY_PAUSE: Duration = Duration::from_millis(1);

/// Makes a call again.
pub(crate) type Again = Box<dyn FnOnce(&Arc<Shared>) + Send>;

/// What a call produced besides its answer, and the event at hand.
pub(crate) struct Released {
    pub(crate) cause: Arc<Event>,
    pub(crate) outboxes: Vec<(Text, Outbox)>,
    /// Makes the call again, where what it had read in its kv does not hold any more.
    pub(crate) again: Again,
}

/// What the loop is told.
pub(crate) enum Message {
    /// A command was let in at the door: append it, and do what it says.
    Command(Box<Command>),
    /// Something the machine waits for.
    Input(Box<Input>, Option<Released>),
    /// Tell when a workflow has ended; `None` at once if it is not under way.
    Watch(Text, oneshot::Sender<Option<Ending>>),
    /// Show a workflow; `None` if it is not under way.
    Show(Text, oneshot::Sender<Option<WorkflowView>>),
    /// Come to an end.
    Stop,
}

/// A command that was let in.
pub(crate) struct Command {
    pub(crate) passed: Passed,
    pub(crate) given_id: bool,
    pub(crate) record: Option<Arc<DecisionRecord>>,
    pub(crate) released: Vec<(Text, Outbox)>,
    pub(crate) outbox_row: Option<u64>,
    pub(crate) hops: u32,
    pub(crate) does: Does,
    pub(crate) reply: oneshot::Sender<Result<Appended, AppendError>>,
}

/// What a command makes the machine do.
#[derive(Clone)]
pub(crate) enum Does {
    Submit(Submission),
    Cancel { workflow_id: Text, reason: String, by: Text },
}

/// How a workflow ended; it holds once the ticket is durable.
pub(crate) struct Ending {
    pub(crate) view: WorkflowView,
    pub(crate) ticket: Ticket,
}

/// The loop's own.
pub(crate) struct WorkflowLoop {
    shared: Weak<Shared>,
    machine: Machine,
    dice: clock::Dice,
    watching: HashMap<Text, Vec<oneshot::Sender<Option<Ending>>>>,
    /// Workflows that have ended, kept until that is durable: whoever submitted one hears of it no earlier, and then need not ask the disk.
    ended: VecDeque<(Text, Ticket)>,
    /// Calls that are out, to be told if they are no longer wanted.
    out: HashMap<RunKey, TaskCall>,
}

impl WorkflowLoop {
    pub(crate) fn new(shared: Weak<Shared>, machine: Machine) -> Self {
        Self { shared, machine, dice: clock::Dice::default(), watching: HashMap::new(), ended: VecDeque::new(), out: HashMap::new() }
    }

    /// Runs until it is told to stop, or the store takes nothing more.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            self.forget_durable();
            let message = match self.machine.next_deadline() {
                None if self.ended.is_empty() => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                None => messages.recv_timeout(LONGEST_SLEEP),
                Some(deadline) => {
                    let wait = Duration::from_nanos(deadline.0.saturating_sub(clock::now().0));
                    messages.recv_timeout(wait.min(LONGEST_SLEEP))
                }
            };
            let Some(shared) = self.shared.upgrade() else { return };
            let went_on = match message {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Message::Command(command)) => self.command(&shared, *command),
                Ok(Message::Input(input, released)) => self.input(&shared, *input, released),
                Ok(Message::Watch(workflow_id, tell)) => {
                    self.watch(workflow_id, tell);
                    Ok(())
                }
                Ok(Message::Show(workflow_id, tell)) => {
                    let _ = tell.send(WorkflowView::of(&self.machine.state, &workflow_id));
                    Ok(())
                }
                Err(RecvTimeoutError::Timeout) => self.input(&shared, Input::Tick, None),
            };
            if let Err(error) = went_on {
                // What was decided and not appended is in no log: the state is worth nothing any more.
                tracing::error!("the workflows stand still: {error}");
                shared.workflows_stopped();
                return;
            }
        }
    }

    fn watch(&mut self, workflow_id: Text, tell: oneshot::Sender<Option<Ending>>) {
        if let Some((_, ticket)) = self.ended.iter().rev().find(|(ended, _)| *ended == workflow_id) {
            let view = WorkflowView::of(&self.machine.state, &workflow_id);
            let _ = tell.send(view.map(|view| Ending { view, ticket: ticket.clone() }));
        } else if self.machine.state.workflows.contains_key(&workflow_id) {
            self.watching.entry(workflow_id).or_default().push(tell);
        } else {
            let _ = tell.send(None);
        }
    }

    /// Lets go of what has ended and is on the disk.
    fn forget_durable(&mut self) {
        while let Some((workflow_id, ticket)) = self.ended.front()
            && ticket.outcome().is_some()
        {
            self.machine.state.forget(workflow_id);
            self.ended.pop_front();
        }
    }

    fn command(&mut self, shared: &Arc<Shared>, command: Command) -> Result<(), AppendError> {
        let Command { passed, given_id, record, released, outbox_row, hops, does, reply } = command;
        let mut batch = Batch { outbox_done: outbox_row.into_iter().collect(), ..Batch::default() };
        outbox::release(&mut batch, released, passed.draft(), hops);
        let input = match does {
            Does::Submit(submission) => {
                let bytes: Arc<[u8]> = submission.definition.canonical_json().into_bytes().into();
                batch.blobs.push((submission.definition.digest, bytes));
                Input::Submit(submission)
            }
            Does::Cancel { workflow_id, reason, by } => {
                Input::Cancel { workflow_id, reason, by, cause: Text::from(passed.draft().event_id.to_string()) }
            }
        };
        let admitted = Admitted::passed(passed);
        let entry = if given_id { Entry::given(admitted) } else { Entry::fresh(admitted) };
        batch.events.push(entry.decided(record.into_iter().collect()));
        let answer = self.decide(shared, batch, input)?;
        let _ = reply.send(answer);
        Ok(())
    }

    fn input(&mut self, shared: &Arc<Shared>, input: Input, released: Option<Released>) -> Result<(), AppendError> {
        let Some(Released { cause, outboxes, again }) = released else {
            return self.decide(shared, Batch::default(), input)?.map(drop);
        };
        let mut batch = Batch::default();
        outbox::release(&mut batch, outboxes, &cause, outbox::hops_of(&cause));
        match self.decide(shared, batch, input)? {
            Ok(_) => Ok(()),
            Err(AppendError::Conflict { .. } | AppendError::Busy { .. }) => {
                again(shared);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Steps, and appends what was decided together with `batch`. What was decided cannot be taken back: where the batch has conditions the
    /// machine steps once they are met, before anybody else can append; the inner error says that they are not, and nothing has happened.
    fn decide(&mut self, shared: &Arc<Shared>, mut batch: Batch, input: Input) -> Result<Result<Appended, AppendError>, AppendError> {
        let conditional = !batch.kv_reads.is_empty() || batch.events.iter().any(|entry| entry.identity == Identity::Given);
        let (appended, effects) = if conditional {
            wait_for_room(shared);
            let mut effects = Vec::new();
            let appended = shared.store.append_then(batch, |batch| {
                let flush;
                (flush, effects) = self.step_into(batch, input);
                flush
            });
            match appended {
                Ok(appended) => (appended, effects),
                Err(error) => return Ok(Err(error)),
            }
        } else {
            let (flush, effects) = self.step_into(&mut batch, input);
            (append_decided(shared, batch, flush)?, effects)
        };
        for effect in effects {
            self.carry_out(shared, effect, &appended);
        }
        Ok(Ok(appended))
    }

    /// Steps, and adds what was decided to the batch.
    fn step_into(&mut self, batch: &mut Batch, input: Input) -> (Flush, Vec<Effect>) {
        if let Input::Finished { key, .. } | Input::NotCalled { key } = &input {
            self.out.remove(key);
        }
        let step = self.machine.step(input, &mut Env { now: clock::now(), chance: &mut self.dice });
        let of_command = !batch.events.is_empty();
        if !step.accepted && !of_command {
            // An answer that nobody waits for any more releases nothing.
            *batch = Batch::default();
        }
        batch.blobs.extend(step.blobs.into_iter().map(|(digest, content)| (digest, content.as_str().as_bytes().into())));
        for decided in step.facts {
            self.list(batch, decided.fact.draft());
            batch.events.push(Entry::fresh(Admitted::fact(decided.fact)).decided(decided.record.into_iter().collect()));
        }
        let must_wait = step.effects.iter().any(|effect| matches!(effect, Effect::Run { after_commit: true, .. }));
        // A chain of pure steps shares one commit: it goes out when none is left, or a moment later. Whoever gave a command waits for it.
        let flush = if of_command || must_wait || !self.machine.is_busy() { Flush::Now } else { Flush::Lazy };
        (flush, step.effects)
    }

    /// Keeps the lists of workflows true to a fact that is about to be appended.
    fn list(&self, batch: &mut Batch, event: &Event) {
        let status = match &*event.event_type {
            "workflow:submitted" => WorkflowStatus::Submitted,
            "workflow:started" => WorkflowStatus::Running,
            "workflow:completed" | "workflow:failed" | "workflow:timeout" | "workflow:cancelled" => WorkflowStatus::Completed,
            _ => return,
        };
        let Some(workflow) = event.workflow_id.as_ref().and_then(|workflow_id| self.machine.state.workflows.get(workflow_id)) else {
            return;
        };
        let ends = status.is_final();
        batch.workflows.push(WorkflowChange {
            workflow_id: workflow.workflow_id.clone(),
            name: workflow.name.clone(),
            status: Text::from(if ends { workflow.status.as_str() } else { status.as_str() }),
            correlation_id: workflow.correlation_id.clone(),
            submitted_at: workflow.submitted_at,
            ended_at: workflow.ended_at.filter(|_| ends),
        });
    }

    fn carry_out(&mut self, shared: &Arc<Shared>, effect: Effect, appended: &Appended) {
        match effect {
            Effect::Ask(question) => ask(shared, question),
            Effect::Run { key, provider_id, call, after_commit } => {
                self.out.insert(key.clone(), call.clone());
                let after = after_commit.then(|| appended.ticket.clone());
                let cause = cause_of(appended, &call);
                shared.start_run(key, &provider_id, call, cause, after);
            }
            Effect::Cut(key) => {
                if let Some(call) = self.out.remove(&key) {
                    shared.cut_run(&key, &call);
                }
            }
            Effect::Ended(workflow_id) => {
                if let Some(watching) = self.watching.remove(&workflow_id)
                    && let Some(view) = WorkflowView::of(&self.machine.state, &workflow_id)
                {
                    for tell in watching {
                        let _ = tell.send(Some(Ending { view: view.clone(), ticket: appended.ticket.clone() }));
                    }
                }
                self.ended.push_back((workflow_id, appended.ticket.clone()));
                shared.ended.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    }
}

/// Appends what was decided. It cannot be taken back, so that a disk that is behind is waited for instead of answered.
fn append_decided(shared: &Shared, batch: Batch, flush: Flush) -> Result<Appended, AppendError> {
    // Far from the store's bounds nothing has to be kept for a second try.
    if shared.store.appended() - shared.store.durable_head() < AHEAD_UNTIL_CAREFUL {
        return shared.store.append(batch, flush);
    }
    loop {
        match shared.store.append(batch.clone(), Flush::Now) {
            Err(AppendError::Busy { .. }) => std::thread::sleep(BUSY_PAUSE),
            other => return other,
        }
    }
}

/// Waits until the store is far from refusing for want of room.
fn wait_for_room(shared: &Shared) {
    while shared.store.appended() - shared.store.durable_head() >= AHEAD_UNTIL_CAREFUL && shared.store.poisoned().is_none() {
        std::thread::sleep(BUSY_PAUSE);
    }
}

/// The `task:started` that a call follows from.
fn cause_of(appended: &Appended, call: &TaskCall) -> Option<Arc<Event>> {
    appended.events.iter().find(|event| *event.event_id.to_string() == *call.cause).cloned()
}

/// Has the control handlers of a workflow's point asked on a guest thread.
fn ask(shared: &Arc<Shared>, question: Question) {
    let Question { key, event, attempt, elapsed_ms, origin, principal } = question;
    let handlers = shared.roster.load().handlers(&event);
    let asking = Asking {
        handlers,
        event: event.clone(),
        point: key.point,
        attempt,
        elapsed_ms,
        origin,
        principal,
        asked_at: std::time::Instant::now(),
    };
    ask_on_thread(shared, key, asking, MOST_RERUNS);
}

fn ask_on_thread(shared: &Arc<Shared>, key: QuestionKey, asking: Asking, reruns: u32) {
    let (on_thread, again) = (shared.clone(), key.clone());
    let repeated = asking.clone();
    let tell = move |asked: Asked| {
        let cause = Arc::new(repeated.event.clone());
        let Asked { verdict, record, outboxes } = asked;
        let key_again = key.clone();
        let released = (!outboxes.is_empty()).then(|| Released {
            cause,
            outboxes,
            again: Box::new(move |shared| match reruns {
                0 => answer_later(shared, key_again, CHANGED_UNDER_HANDLERS.to_owned()),
                _ => ask_on_thread(shared, key_again, repeated, reruns - 1),
            }),
        });
        on_thread.tell_loop(Message::Input(Box::new(Input::Answer { key, verdict, record }), released));
    };
    if let Err(overloaded) = shared.ask(asking, Box::new(tell)) {
        answer_later(shared, again, overloaded.to_string());
    }
}

/// The host cannot have the question answered now. Told from elsewhere: the loop must not wait for itself.
fn answer_later(shared: &Arc<Shared>, key: QuestionKey, reason: String) {
    let by = Text::from("host");
    let verdict = match key.point {
        // What an attempt came to is not thrown away because the host is busy: it is held.
        DecisionPoint::TaskCompleted | DecisionPoint::TaskFailed => Verdict::Held { by, reason, retry_after_ms: 100 },
        _ => Verdict::Signal { by, signal: Signal::Retry { after_ms: Some(100), reason } },
    };
    shared.tell_from_worker(Input::Answer { key, verdict, record: None }, None);
}

/// Messages to the loop, as many as that at a time: whoever sends more waits.
pub(crate) fn messages(most: usize) -> (LoopSender, LoopReceiver) {
    let (sender, waiting) = crossbeam_channel::bounded(most);
    let ended = Arc::new(AtomicBool::new(false));
    (LoopSender { sender, waiting: waiting.clone(), ended: ended.clone() }, LoopReceiver { waiting, ended })
}

/// Where the loop is told.
pub(crate) struct LoopSender {
    sender: Sender<Message>,
    waiting: Receiver<Message>,
    ended: Arc<AtomicBool>,
}

impl LoopSender {
    /// Tells the loop. Of one that has ended nobody gets an answer, and is told so by the end of what he waits with.
    pub(crate) fn tell(&self, message: Message) {
        // Both ends of the channel are here: it is never closed.
        let _ = self.sender.send(message);
        if self.ended.load(SeqCst) {
            let_go(&self.waiting);
        }
    }
}

/// Where the loop is told from. When it is dropped, the loop has ended, however that came.
pub(crate) struct LoopReceiver {
    pub(crate) waiting: Receiver<Message>,
    ended: Arc<AtomicBool>,
}

impl Drop for LoopReceiver {
    fn drop(&mut self) {
        // First this, then that: what is sent meanwhile is let go of by its sender.
        self.ended.store(true, SeqCst);
        let_go(&self.waiting);
    }
}

/// A channel keeps what nobody will take, and with it what others wait for.
fn let_go(waiting: &Receiver<Message>) {
    while waiting.try_recv().is_ok() {}
}
