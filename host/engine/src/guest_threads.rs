//! Guest threads: where synchronous guests run, so that none runs on a thread that drives I/O.
//! What a job does is its sender's; here are only the threads and the queue before them.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::tasks::Tasks;

/// Jobs that may wait for a guest thread; more are refused.
const MOST_WAITING_JOBS: usize = 4_096;

/// A number of threads that take jobs in order. One that is free takes its share of those that wait, so that what is busy works in batches by
/// itself, and what is not waits for nobody.
#[derive(Debug)]
pub(crate) struct GuestThreads<J> {
    queue: Arc<Queue<J>>,
}

/// What the threads take from.
#[derive(Debug)]
struct Queue<J> {
    state: Mutex<State<J>>,
    came: Condvar,
    threads: usize,
}

#[derive(Debug)]
struct State<J> {
    waiting: VecDeque<J>,
    /// Threads that sleep.
    idle: usize,
    /// Whether one of them is being woken. It wakes the next one if it leaves a job: where jobs are short the first one does them all, and no
    /// crowd is woken for what one has done before the others are awake.
    waking: bool,
    closed: bool,
}

/// A job that is whatever its sender wrote.
pub(crate) type AnyJob = Box<dyn FnOnce() + Send>;

/// All threads are busy and the queue before them is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_WAITING_JOBS} calls already wait for a guest thread")]
pub(crate) struct Overloaded;

impl<J: Send + 'static> GuestThreads<J> {
    /// Starts them. `work` is given at most `most` jobs at a time, and several only where `shares` says so of all but the last.
    pub(crate) fn start(
        tasks: &Tasks,
        name: &str,
        threads: usize,
        most: usize,
        shares: impl Fn(&J) -> bool + Clone + Send + 'static,
        work: impl Fn(Vec<J>) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let state = State { waiting: VecDeque::new(), idle: 0, waking: false, closed: false };
        let queue = Arc::new(Queue { state: Mutex::new(state), came: Condvar::new(), threads });
        for number in 0..threads {
            let (queue, shares, work) = (queue.clone(), shares.clone(), work.clone());
            tasks.thread(format!("{name}-{number}"), move || {
                while let Some(taken) = queue.take(most, &shares) {
                    work(taken);
                }
            })?;
        }
        Ok(Self { queue })
    }

    /// Ends the threads, after the jobs that wait. More are refused.
    pub(crate) fn close(&self) {
        self.queue.state.lock().closed = true;
        self.queue.came.notify_all();
    }

    /// Lets go of what was not done, once the threads have ended, which a panic may have been the end of: whoever waits for it is told that
    /// there will be no answer.
    pub(crate) fn let_go(&self) {
        let waiting = std::mem::take(&mut self.queue.state.lock().waiting);
        drop(waiting);
    }

    /// Has a job done without waiting.
    pub(crate) fn send(&self, job: J) -> Result<(), Overloaded> {
        let mut state = self.queue.state.lock();
        if state.closed || state.waiting.len() >= MOST_WAITING_JOBS {
            return Err(Overloaded);
        }
        state.waiting.push_back(job);
        self.queue.wake_one(&mut state);
        Ok(())
    }
}

impl<J> Queue<J> {
    fn wake_one(&self, state: &mut State<J>) {
        if state.idle > 0 && !state.waking {
            state.waking = true;
            self.came.notify_one();
        }
    }

    /// Waits for a job, and takes of those behind it as many as there are for each thread, up to one that does not share. `None`: there will be
    /// no more.
    fn take(&self, most: usize, shares: &impl Fn(&J) -> bool) -> Option<Vec<J>> {
        let mut state = self.state.lock();
        loop {
            let share = (1 + state.waiting.len().saturating_sub(1) / self.threads).min(most.max(1));
            if let Some(first) = state.waiting.pop_front() {
                let mut taken = vec![first];
                while taken.len() < share && taken.last().is_some_and(shares) {
                    taken.extend(state.waiting.pop_front());
                }
                if !state.waiting.is_empty() {
                    self.wake_one(&mut state);
                }
                return Some(taken);
            }
            if state.closed {
                return None;
            }
            state.idle += 1;
            self.came.wait(&mut state);
            state.idle -= 1;
            state.waking = false;
        }
    }
}

impl GuestThreads<AnyJob> {
    /// Has a job done, and hands back what it came to. The job is done even if nobody waits for it any more.
    pub(crate) async fn call<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Overloaded> {
        let (done, answer) = oneshot::channel();
        self.send(Box::new(move || drop(done.send(job()))))?;
        answer.await.map_err(|_| Overloaded)
    }
}

/// Threads on which workers' calls are polled: a runtime of their own, so that a worker that computes delays no I/O.
#[derive(Debug)]
pub(crate) struct WorkerRuntime(Option<Arc<tokio::runtime::Runtime>>);

impl WorkerRuntime {
    /// Starts it.
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(threads.max(1)).thread_name("worker").enable_all().build()?;
        Ok(Self(Some(Arc::new(runtime))))
    }

    /// Where to spawn on.
    pub(crate) fn handle(&self) -> tokio::runtime::Handle {
        self.0.as_ref().expect("only a drop takes it").handle().clone()
    }
}

impl Drop for WorkerRuntime {
    fn drop(&mut self) {
        // Dropping a runtime blocks, which is not allowed on the threads where an engine may be dropped.
        if let Some(runtime) = self.0.take().and_then(Arc::into_inner) {
            runtime.shutdown_background();
        }
    }
}
