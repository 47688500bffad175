//! Owns a surface to measure with: control chains as the engine runs them, without the door before them and the log behind them.
//! Leaves publishing, which is what hosts do, to [`Engine::publish`].

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use trackside_model::{
    control::{DecisionPoint, DecisionRecord, Origin, Verdict},
    event::Event,
};

use crate::{
    chain::{Asked, Asking, Tell},
    engine::Engine,
};

impl Engine {
    /// Asks the handlers in service about these events as if they had waited for a guest thread together, on the calling thread. Gives what
    /// each came to, in the order in which their chains were over. Nothing is appended, and what the handlers want does not happen.
    pub fn judge_unlogged(&self, events: impl IntoIterator<Item = Event>) -> Vec<(Verdict, Option<Arc<DecisionRecord>>)> {
        let events: Vec<Event> = events.into_iter().collect();
        let (told, verdicts) = mpsc::sync_channel(events.len());
        let roster = self.shared().roster.load();
        let asked = events.into_iter().map(|event| {
            let asking = Asking {
                handlers: roster.handlers(&event),
                event,
                point: DecisionPoint::Publish,
                attempt: 0,
                elapsed_ms: 0,
                origin: Origin::Embedded,
                principal: None,
                asked_at: Instant::now(),
            };
            let told = told.clone();
            // Nobody listens any more only if this function has returned.
            let tell: Tell = Box::new(move |asked: Asked| drop(told.send(asked)));
            (asking, tell)
        });
        self.shared().ask_all(asked);
        drop(told);
        verdicts.into_iter().map(|asked| (asked.verdict, asked.record)).collect()
    }
}
