//! Guest threads: where synchronous guests run, so that none runs on a thread that drives I/O.
//! What a job does is its sender's; here are only the threads and the queue before them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use tokio::sync::oneshot;

use crate::tasks::Tasks;

/// Jobs that may wait for a guest thread; more are refused.
const MOST_WAITING_JOBS: usize = 4_096;

/// A number of threads that take jobs in order. One that is free takes its share of those that wait, so that what is busy works in batches by
/// itself, and what is not waits for nobody.
#[derive(Debug)]
pub(crate) struct GuestThreads<J> {
    /// `None`: whoever takes it ends.
    jobs: Sender<Option<J>>,
    queue: Receiver<Option<J>>,
    count: usize,
    closed: AtomicBool,
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
        count: usize,
        most: usize,
        shares: impl Fn(&J) -> bool + Clone + Send + 'static,
        work: impl Fn(Vec<J>) + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = crossbeam_channel::bounded::<Option<J>>(MOST_WAITING_JOBS);
        let count = count.max(1);
        for number in 0..count {
            let (queue, shares, work) = (queue.clone(), shares.clone(), work.clone());
            tasks.thread(format!("{name}-{number}"), move || {
                let mut open = true;
                while open {
                    let mut taken = Vec::new();
                    open = take(&queue, count, most, &shares, &mut taken);
                    work(taken);
                }
            })?;
        }
        Ok(Self { jobs, queue, count, closed: AtomicBool::new(false) })
    }

    /// Ends the threads, each after the jobs that wait before it. More are refused.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        for _ in 0..self.count {
            // An error means that they have ended already.
            let _ = self.jobs.send(None);
        }
    }

    /// Lets go of what came between, once the threads have ended: whoever waits for it is told that there will be no answer.
    pub(crate) fn let_go(&self) {
        while let Ok(job) = self.queue.try_recv() {
            drop(job);
        }
    }

    /// Has a job done without waiting.
    pub(crate) fn send(&self, job: J) -> Result<(), Overloaded> {
        if self.closed.load(SeqCst) {
            return Err(Overloaded);
        }
        self.jobs.try_send(Some(job)).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Overloaded,
        })
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

/// Waits for a job, and takes of those behind it as many as there are for each thread, up to one that does not share. `false`: these are the
/// last.
fn take<J>(queue: &Receiver<Option<J>>, threads: usize, most: usize, shares: &impl Fn(&J) -> bool, taken: &mut Vec<J>) -> bool {
    let Ok(Some(first)) = queue.recv() else { return false };
    let share = (1 + queue.len() / threads).min(most.max(1));
    taken.push(first);
    while taken.len() < share && taken.last().is_some_and(shares) {
        match queue.try_recv() {
            Ok(Some(job)) => taken.push(job),
            Ok(None) => return false,
            Err(_) => break,
        }
    }
    true
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
