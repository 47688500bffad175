//! Waiting for the disk: one shared note per commit, on which every request of that commit waits.
//! Who commits and when is the writer's.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
};

use parking_lot::{Mutex, MutexGuard};

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
        if let Some(outcome) = state.ended.clone() {
            this.place = None;
            pass_on(state);
            return Poll::Ready(outcome);
        }
        match this.place {
            Some(place) => state.waiting[place].get_or_insert_with(|| context.waker().clone()).clone_from(context.waker()),
            None => {
                this.place = Some(state.waiting.len());
                state.waiting.push(Some(context.waker().clone()));
            }
        }
        Poll::Pending
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut state = self.commit.state.lock();
        if state.ended.is_some() {
            // It may be the one that was woken, and will not look.
            pass_on(state);
        } else {
            state.waiting[place] = None;
        }
    }
}

/// One commit, as those see it who wait for it.
///
/// Its end wakes one of them, who wakes the others when it looks: waking a hundred tasks from the thread that writes costs that thread as
/// much as writing their events, and from one of the tasks' own threads a fraction of that.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    state: Mutex<CommitState>,
}

#[derive(Debug, Default)]
struct CommitState {
    ended: Option<Result<(), Poisoned>>,
    /// By their places; `None`: it waits no more.
    waiting: Vec<Option<Waker>>,
}

impl Commit {
    /// Tells everybody.
    pub(crate) fn end(&self, outcome: Result<(), Poisoned>) {
        let first = {
            let mut state = self.state.lock();
            state.ended = Some(outcome);
            state.waiting.iter_mut().find_map(Option::take)
        };
        if let Some(first) = first {
            first.wake();
        }
    }
}

/// Wakes all who have not been.
fn pass_on(mut state: MutexGuard<'_, CommitState>) {
    let waiting = std::mem::take(&mut state.waiting);
    drop(state);
    waiting.into_iter().flatten().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    /// So many that wait for one commit, each with what counts how often it was woken.
    fn waiting(commit: &Arc<Commit>, count: usize) -> Vec<(Durable, Arc<Woken>)> {
        let wait = |_| {
            let (mut durable, woken) = (Ticket::new(commit.clone(), 1).durable(), Arc::new(Woken::default()));
            assert!(poll(&mut durable, &woken).is_pending());
            (durable, woken)
        };
        (0..count).map(wait).collect()
    }

    fn poll(durable: &mut Durable, woken: &Arc<Woken>) -> Poll<Result<(), Poisoned>> {
        Pin::new(durable).poll(&mut Context::from_waker(&Waker::from(woken.clone())))
    }

    fn woken(waiting: &[(Durable, Arc<Woken>)]) -> Vec<usize> {
        waiting.iter().map(|(_, woken)| woken.0.load(Relaxed)).collect()
    }

    #[test]
    fn one_is_woken_and_wakes_the_others() {
        let commit = Arc::new(Commit::default());
        let mut all = waiting(&commit, 3);
        commit.end(Ok(()));
        assert_eq!(woken(&all), [1, 0, 0]);
        let (first, its) = &mut all[0];
        assert!(poll(first, its).is_ready());
        assert_eq!(woken(&all), [1, 1, 1]);
        for (durable, woken) in &mut all[1..] {
            assert!(poll(durable, woken).is_ready());
        }
        assert_eq!(woken(&all), [1, 1, 1], "nobody is woken twice");
    }

    #[test]
    fn whoever_goes_before_the_end_is_not_the_one() {
        let commit = Arc::new(Commit::default());
        let mut all = waiting(&commit, 3);
        drop(all.remove(0));
        commit.end(Ok(()));
        assert_eq!(woken(&all), [1, 0]);
    }

    #[test]
    fn whoever_is_woken_and_goes_wakes_the_others() {
        let commit = Arc::new(Commit::default());
        let mut all = waiting(&commit, 3);
        commit.end(Ok(()));
        drop(all.remove(0));
        assert_eq!(woken(&all), [1, 1]);
    }

    #[test]
    fn whoever_looks_by_himself_wakes_the_others() {
        let commit = Arc::new(Commit::default());
        let mut all = waiting(&commit, 3);
        commit.end(Ok(()));
        let (last, its) = &mut all[2];
        assert!(poll(last, its).is_ready());
        assert_eq!(woken(&all), [1, 1, 1]);
    }

    #[test]
    fn whoever_waits_with_another_waker_is_woken_by_that() {
        let commit = Arc::new(Commit::default());
        let mut all = waiting(&commit, 1);
        let other = Arc::new(Woken::default());
        assert!(poll(&mut all[0].0, &other).is_pending());
        commit.end(Ok(()));
        assert_eq!((woken(&all), other.0.load(Relaxed)), (vec![0], 1));
    }
}
