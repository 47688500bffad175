//! The registry of every task and thread in the host: each has a name, an owner and a declared fate.
//! The only file that spawns; what the tasks do is written where they belong.

use std::{future::Future, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::{AbortHandle, JoinHandle},
};

/// What a task's stop means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStop {
    /// It is told, and has the grace period to come to an end by itself.
    Drain,
    /// It is cut where it stands: what it did is in the log or was never acknowledged.
    Abort,
}

/// Told to every task that drains.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Whether the host is stopping.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is.
    pub async fn wait(&mut self) {
        // An error means that the registry is gone, which is a stop too.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

/// Every task and thread of one host.
#[derive(Debug)]
pub struct Tasks {
    runtime: Handle,
    stopping: watch::Sender<bool>,
    tasks: Mutex<Vec<(String, OnStop, JoinHandle<()>)>>,
    threads: Mutex<Vec<(String, std::thread::JoinHandle<()>)>>,
}

impl Tasks {
    /// An empty registry, whose tasks run on this runtime.
    pub fn new(runtime: Handle) -> Arc<Self> {
        Arc::new(Self { runtime, stopping: watch::Sender::new(false), tasks: Mutex::default(), threads: Mutex::default() })
    }

    /// Told when the host stops.
    pub fn stopping(&self) -> Stopping {
        Stopping(self.stopping.subscribe())
    }

    /// Starts a task. A panic in it ends it and is an error in the host's log.
    #[expect(clippy::disallowed_methods, reason = "this is the registry that all others go through")]
    pub fn spawn(&self, name: impl Into<String>, on_stop: OnStop, task: impl Future<Output = ()> + Send + 'static) {
        let name = name.into();
        let mut tasks = self.tasks.lock();
        tasks.retain(|(_, _, handle)| !handle.is_finished());
        let watched = name.clone();
        let handle = self.runtime.spawn(task);
        let cut = handle.abort_handle();
        let watcher = self.runtime.spawn(async move {
            let _cut = CutOnDrop(cut);
            if let Err(error) = handle.await
                && error.is_panic()
            {
                tracing::error!(task = watched, "a task of the host panicked; restart the host and report this: {error}");
            }
        });
        tasks.push((name, on_stop, watcher));
    }

    /// Starts a task on another runtime, which cuts it when it stops. Its fate is the caller's, by the handle.
    #[expect(clippy::disallowed_methods, reason = "this is the registry that all others go through")]
    pub(crate) fn spawn_on(&self, runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        runtime.spawn(task).abort_handle()
    }

    /// Starts a thread. It must come to an end when what it receives from is closed.
    ///
    /// # Errors
    /// If the operating system has no thread to give.
    #[expect(clippy::disallowed_methods, reason = "this is the registry that all others go through")]
    pub fn thread(&self, name: impl Into<String>, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let name = name.into();
        let handle = std::thread::Builder::new().name(name.clone()).spawn(run)?;
        self.threads.lock().push((name, handle));
        Ok(())
    }

    /// Tells everybody to stop, waits for those that drain until the grace is over, and cuts the rest.
    pub async fn stop(&self, grace: Duration) {
        self.stopping.send_replace(true);
        let deadline = tokio::time::Instant::now() + grace;
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for (name, on_stop, mut handle) in tasks {
            if on_stop == OnStop::Drain && tokio::time::timeout_at(deadline, &mut handle).await.is_ok() {
                continue;
            }
            if on_stop == OnStop::Drain {
                tracing::warn!(task = name, "did not come to an end within the grace period and was cut");
            }
            handle.abort();
        }
    }

    /// Waits for the threads, whose channels must be closed by now.
    pub fn join_threads(&self) {
        for (name, handle) in std::mem::take(&mut *self.threads.lock()) {
            if handle.join().is_err() {
                tracing::error!(thread = name, "had panicked");
            }
        }
    }
}

/// Cuts a task together with the one that watches it.
pub(crate) struct CutOnDrop(pub(crate) AbortHandle);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
