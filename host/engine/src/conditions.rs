//! Where readers' conditions are asked: at once what takes few steps, and what may take its time on a few threads at a time that nobody else waits
//! for. However dear the conditions of readers are, publishers and other readers have the threads that drive I/O.
//! The conditions of control handlers are the chain's, those of observers and triggers are asked on observers' threads.

use tokio::sync::Semaphore;
use trackside_model::event::{Condition, Event, Filter, QUICK_STEPS, Sight};

use crate::{engine::Shared, guest_threads::Overloaded};

/// Conditions that may take their time and are asked at the same time, at most.
const AT_A_TIME: usize = 1;

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Conditions {
    turns: Semaphore,
}

/// Steps that one reader may still spend before it lets others have the thread.
#[derive(Debug)]
pub(crate) struct Spell(u64);

impl Default for Conditions {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_A_TIME) }
    }
}

impl Default for Spell {
    fn default() -> Self {
        Self(QUICK_STEPS)
    }
}

impl Conditions {
    /// Whether a condition holds. Cancelling the wait has it asked anew.
    pub(crate) async fn holds(&self, when: &Condition, event: &Event, spell: &mut Spell) -> bool {
        if let Some(holds) = when.holds_within(&Sight::of(event), &mut spell.0) {
            return holds;
        }
        tokio::task::yield_now().await;
        *spell = Spell::default();
        if let Some(holds) = when.holds_within(&Sight::of(event), &mut spell.0) {
            return holds;
        }
        let _turn = self.turns.acquire().await;
        tokio::task::block_in_place(|| when.holds(event))
    }
}

impl Shared {
    /// Looks through events for a plugin: on its own kind's threads, where its filter has a condition in CEL.
    pub(crate) async fn look_through<T: Send + 'static>(
        &self,
        filter: &Filter,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        match filter.when {
            Some(_) => self.observer_threads.call(look).await,
            None => Ok(look()),
        }
    }
}
