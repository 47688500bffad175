//! The workflow loop: one thread that owns the machine. Takes messages, steps, appends the facts, hands out the effects.
//! What follows from what is the model's; calling guests is done elsewhere, and comes back as messages.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use tokio::sync::oneshot;
use trackside_model::{
    control::{Admitted, DecisionPoint, DecisionRecord, Passed, Signal, Verdict},
    event::{Event, Text},
    ports::{Outbox, TaskCall},
    workflow::{Effect, Env, Input, Machine, Question, QuestionKey, RunKey, Step, Submission, WorkflowStatus, WorkflowView},
};
use trackside_store::{AppendError, Appended, Batch, Entry, Flush, Ticket, WorkflowChange};

use crate::{chain::Asking, clock, engine::Shared, outbox, publish::MOST_RERUNS};

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
    pub(crate) record: Option<DecisionRecord>,
    pub(crate) released: Vec<(Text, Outbox)>,
    pub(crate) outbox_row: Option<u64>,
    pub(crate) hops: u32,
    pub(crate) does: Does,
    pub(crate) reply: oneshot::Sender<Result<Appended, AppendError>>,
}

/// What a command makes the machine do.
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
    /// Calls that are out, to be told if they are no longer wanted.
    out: HashMap<RunKey, TaskCall>,
}

impl WorkflowLoop {
    pub(crate) fn new(shared: Weak<Shared>, machine: Machine) -> Self {
        Self { shared, machine, dice: clock::Dice::default(), watching: HashMap::new(), out: HashMap::new() }
    }

    /// Runs until it is told to stop, or the store takes nothing more.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let message = match self.machine.next_deadline() {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
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
        if self.machine.state.workflows.contains_key(&workflow_id) {
            self.watching.entry(workflow_id).or_default().push(tell);
        } else {
            let _ = tell.send(None);
        }
    }

    fn step(&mut self, input: Input) -> Step {
        self.machine.step(input, &mut Env { now: clock::now(), chance: &mut self.dice })
    }

    fn command(&mut self, shared: &Arc<Shared>, command: Command) -> Result<(), AppendError> {
        let Command { passed, given_id, record, released, outbox_row, hops, does, reply } = command;
        let mut batch = Batch { outbox_done: outbox_row.into_iter().collect(), ..Batch::default() };
        outbox::release(&mut batch, released, passed.draft(), hops);
        // The conditions are settled before the machine steps: what it has decided cannot be taken back.
        if !batch.kv_reads.is_empty()
            && let Err(error) =
                shared.store.append(Batch { kv_reads: std::mem::take(&mut batch.kv_reads), ..Batch::default() }, Flush::Lazy)
        {
            let _ = reply.send(Err(error));
            return Ok(());
        }
        if given_id && let Ok(Some(found)) = shared.store.find(&passed.draft().event_id) {
            let _ = reply.send(Err(AppendError::Duplicate { place: 0, found: Box::new(found) }));
            return Ok(());
        }
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
        batch.events.push(Entry::fresh(Admitted::passed(passed)).decided(record.into_iter().collect()));
        let step = self.step(input);
        let appended = self.append(shared, batch, step, Flush::Now)?;
        let _ = reply.send(Ok(appended));
        Ok(())
    }

    fn input(&mut self, shared: &Arc<Shared>, input: Input, mut released: Option<Released>) -> Result<(), AppendError> {
        // Asked here, where releases follow one another: whoever called could be overtaken between asking and being told.
        if let Some(released) = released.take_if(|released| !released.outboxes.iter().all(|(plugin, outbox)| shared.holds(plugin, outbox)))
        {
            (released.again)(shared);
            return Ok(());
        }
        if let Input::Finished { key, .. } | Input::NotCalled { key } = &input {
            self.out.remove(key);
        }
        let step = self.step(input);
        let mut batch = Batch::default();
        if let Some(Released { cause, outboxes, .. }) = released.filter(|_| step.accepted) {
            outbox::release(&mut batch, outboxes, &cause, outbox::hops_of(&cause));
            // Settled above, before the step: what it has decided cannot be taken back.
            batch.kv_reads.clear();
        }
        // A chain of pure steps shares one commit: it goes out when none is left, or a moment later.
        let flush = if self.machine.is_busy() { Flush::Lazy } else { Flush::Now };
        self.append(shared, batch, step, flush).map(drop)
    }

    fn append(&mut self, shared: &Arc<Shared>, mut batch: Batch, step: Step, flush: Flush) -> Result<Appended, AppendError> {
        let must_wait = step.effects.iter().any(|effect| matches!(effect, Effect::Run { after_commit: true, .. }));
        batch.blobs.extend(step.blobs.into_iter().map(|(digest, content)| (digest, content.as_str().as_bytes().into())));
        for decided in step.facts {
            self.list(&mut batch, decided.fact.draft());
            batch.events.push(Entry::fresh(Admitted::fact(decided.fact)).decided(decided.record.into_iter().collect()));
        }
        let appended = append_decided(shared, batch, if must_wait { Flush::Now } else { flush })?;
        for effect in step.effects {
            self.carry_out(shared, effect, &appended);
        }
        Ok(appended)
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
                self.machine.state.forget(&workflow_id);
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
    let asked = shared.guest_threads.send(move || {
        let cause = Arc::new(asking.event.clone());
        let (verdict, record, outboxes) = on_thread.ask(asking.clone()).conclude();
        let key_again = key.clone();
        let released = (!outboxes.is_empty()).then(|| Released {
            cause,
            outboxes,
            again: Box::new(move |shared| match reruns {
                0 => answer_later(shared, key_again, "what a control handler had read changed under it, time and again".to_owned()),
                _ => ask_on_thread(shared, key_again, asking, reruns - 1),
            }),
        });
        on_thread.tell_loop(Message::Input(Box::new(Input::Answer { key, verdict, record }), released));
    });
    if let Err(overloaded) = asked {
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

/// Where the loop is told.
pub(crate) type LoopSender = Sender<Message>;
