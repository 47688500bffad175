//! Owns `schedule`: events in the future. They wait in the call's outbox like any publish, and in the store's until they are due.
//! Leaves what a draft may be to `events`, and publishing it in time to the engine.

use trackside_model::time::Timestamp;
use uuid::Uuid;

use super::events::bytes_of;
use crate::{
    bindings::trackside::plugin::{
        events,
        schedule::{self, Refusal},
        types::Draft,
    },
    limits::SCHEDULE_AHEAD_MS,
    state::State,
};

impl State {
    fn schedules(&self) -> bool {
        if !self.core.grants.schedule {
            self.core.not_granted_key("scheduling events (schedule)", "schedule", "true");
        }
        self.core.grants.schedule
    }

    /// Puts a draft into the outbox that is to be published then.
    fn schedule(&mut self, when: Timestamp, draft: Draft) -> wasmtime::Result<Result<Uuid, Refusal>> {
        self.count(bytes_of(&draft))?;
        if !self.schedules() {
            return Ok(Err(Refusal::NotGranted));
        }
        if when > self.call.now.plus_ms(SCHEDULE_AHEAD_MS) {
            return Ok(Err(Refusal::TooFar));
        }
        let of_this_call = self.call.publishes.iter().filter(|publish| publish.due.is_some()).count() as u64;
        let waiting = u64::from(self.core.calls.schedules(&self.core.name)?) + of_this_call;
        if waiting >= u64::from(self.core.limits.schedules) {
            return Ok(Err(Refusal::TooMany));
        }
        Ok(self.put(draft, Some(when)).map_err(|refusal| match refusal {
            events::Refusal::NotGranted => Refusal::NotGranted,
            events::Refusal::TooMany => Refusal::TooMany,
            _ => Refusal::Invalid,
        }))
    }

    /// Takes back what this call, or one before it, has scheduled.
    fn unschedule(&mut self, id: &str) -> wasmtime::Result<Result<bool, Refusal>> {
        let Ok(id) = Uuid::parse_str(id) else { return Ok(Err(Refusal::Invalid)) };
        let before = self.call.publishes.len();
        self.call.publishes.retain(|publish| publish.due.is_none() || publish.event_id != id);
        if self.call.publishes.len() < before {
            return Ok(Ok(true));
        }
        let waits = !self.call.cancelled.contains(&id) && self.core.calls.is_scheduled(&self.core.name, id)?;
        if waits {
            self.call.cancelled.push(id);
        }
        Ok(Ok(waits))
    }
}

impl schedule::Host for State {
    fn at(&mut self, when: u64, draft: Draft) -> wasmtime::Result<Result<String, Refusal>> {
        Ok(self.schedule(Timestamp(when), draft)?.map(|id| id.to_string()))
    }

    fn after(&mut self, delay_ms: u64, draft: Draft) -> wasmtime::Result<Result<String, Refusal>> {
        let when = self.call.now.plus_ms(delay_ms);
        Ok(self.schedule(when, draft)?.map(|id| id.to_string()))
    }

    fn cancel(&mut self, id: String) -> wasmtime::Result<Result<bool, Refusal>> {
        self.count(id.len())?;
        if !self.schedules() {
            return Ok(Err(Refusal::NotGranted));
        }
        self.unschedule(&id)
    }
}
