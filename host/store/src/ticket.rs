//! Waiting for the disk: one shared note per commit, on which every request of that commit waits.
//! Who commits and when is the writer's.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
};

use parking_lot::Mutex;

/// A commit has failed, and the store takes nothing more: what was waiting may or may not be on the disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log could not be written: {cause}; nothing more is appended, reading goes on. \
     Make room or mend the disk, then start the host again: it recovers by itself, and what was answered is kept"
)]
pub struct Poisoned {
    /// What the disk or the database said.
    pub cause: Arc<str>,
}

/// Where to wait for a batch to be durable. Cloning shares the place.
#[derive(Clone, Debug)]
pub struct Ticket {
    commit: Arc<Commit>,
    last_sequence: u64,
}

impl Ticket {
    pub(crate) fn new(commit: Arc<Commit>, last_sequence: u64) -> Self {
        Self { commit, last_sequence }
    }

    /// For what is durable already.
    pub(crate) fn durable_already(last_sequence: u64) -> Self {
        let commit = Commit::default();
        commit.end(Ok(()));
        Self { commit: Arc::new(commit), last_sequence }
    }

    /// The log's last sequence when the batch had been appended.
    pub fn last_sequence(&self) -> u64 {
        self.last_sequence
    }

    /// How the commit ended; `None` if it has not.
    pub fn outcome(&self) -> Option<Result<(), Poisoned>> {
        self.commit.state.lock().ended.clone()
    }

    /// Waits without a thread.
    pub fn durable(&self) -> Durable {
        Durable { commit: self.commit.clone(), place: None }
    }

    /// Waits on this thread.
    ///
    /// # Errors
    /// [`Poisoned`] if the commit has failed.
    pub fn wait(&self) -> Result<(), Poisoned> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut durable = self.durable();
        loop {
            match Pin::new(&mut durable).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(outcome) => return outcome,
                Poll::Pending => std::thread::park(),
            }
        }
    }
}

/// Ends when a batch is durable, or when it is known that the store cannot say.
#[derive(Debug)]
pub struct Durable {
    commit: Arc<Commit>,
    place: Option<usize>,
}

impl Future for Durable {
    type Output = Result<(), Poisoned>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut state = this.commit.state.lock();
        if let Some(outcome) = &state.ended {
            return Poll::Ready(outcome.clone());
        }
        match this.place {
            Some(place) => state.waiting[place].clone_from(context.waker()),
            None => {
                this.place = Some(state.waiting.len());
                state.waiting.push(context.waker().clone());
            }
        }
        Poll::Pending
    }
}

/// One commit, as those see it who wait for it.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    state: Mutex<CommitState>,
}

#[derive(Debug, Default)]
struct CommitState {
    ended: Option<Result<(), Poisoned>>,
    waiting: Vec<Waker>,
}

impl Commit {
    /// Tells everybody.
    pub(crate) fn end(&self, outcome: Result<(), Poisoned>) {
        let waiting = {
            let mut state = self.state.lock();
            state.ended = Some(outcome);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}
