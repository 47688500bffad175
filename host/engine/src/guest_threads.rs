//! Guest threads: where synchronous guests run, so that none runs on a thread that drives I/O.
//! What a job does is its sender's; here are only the threads and the queue before them.

use std::sync::Arc;

use crossbeam_channel::{Sender, TrySendError};
use tokio::sync::oneshot;

use crate::tasks::Tasks;

/// What a thread is given; `None`: it ends.
type Job = Option<Box<dyn FnOnce() + Send>>;

/// Jobs that may wait for a guest thread; more are refused.
const MOST_WAITING_JOBS: usize = 4_096;

/// A number of threads that take jobs in order.
#[derive(Clone, Debug)]
pub(crate) struct GuestThreads {
    jobs: Sender<Job>,
    count: usize,
}

/// All threads are busy and the queue before them is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_WAITING_JOBS} calls already wait for a guest thread")]
pub(crate) struct Overloaded;

impl GuestThreads {
    /// Starts them.
    pub(crate) fn start(tasks: &Tasks, name: &str, count: usize) -> std::io::Result<Self> {
        let (jobs, queue) = crossbeam_channel::bounded::<Job>(MOST_WAITING_JOBS);
        let count = count.max(1);
        for number in 0..count {
            let queue = queue.clone();
            tasks.thread(format!("{name}-{number}"), move || {
                while let Ok(Some(job)) = queue.recv() {
                    job();
                }
            })?;
        }
        Ok(Self { jobs, count })
    }

    /// Has a job done, and hands back what it came to. The job is done even if nobody waits for it any more.
    pub(crate) async fn call<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Result<T, Overloaded> {
        let (done, answer) = oneshot::channel();
        self.send(move || drop(done.send(job())))?;
        answer.await.map_err(|_| Overloaded)
    }

    /// Ends the threads, each after the jobs that wait before it.
    pub(crate) fn close(&self) {
        for _ in 0..self.count {
            // An error means that they have ended already.
            let _ = self.jobs.send(None);
        }
    }

    /// Has a job done without waiting.
    pub(crate) fn send(&self, job: impl FnOnce() + Send + 'static) -> Result<(), Overloaded> {
        self.jobs.try_send(Some(Box::new(job))).map_err(|error| match error {
            TrySendError::Full(_) | TrySendError::Disconnected(_) => Overloaded,
        })
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
