//! Owns the interfaces that exist in the contract but that this version of the host grants to nobody: `schedule`, `secrets`.
//! Leaves everything else to its siblings.

use crate::{
    bindings::trackside::plugin::{schedule, secrets, types::Draft},
    state::State,
};

impl State {
    /// Reports what nobody can be granted yet.
    pub(super) fn never_granted(&self, what: &str) {
        self.core.not_granted(what, "nothing to add: this version of the host grants it to no plugin");
    }
}

impl schedule::Host for State {
    fn at(&mut self, _when: u64, _draft: Draft) -> wasmtime::Result<Result<String, schedule::Refusal>> {
        self.never_granted("scheduling events (schedule.at)");
        Ok(Err(schedule::Refusal::NotGranted))
    }

    fn after(&mut self, _delay_ms: u64, _draft: Draft) -> wasmtime::Result<Result<String, schedule::Refusal>> {
        self.never_granted("scheduling events (schedule.after)");
        Ok(Err(schedule::Refusal::NotGranted))
    }

    fn cancel(&mut self, _id: String) -> wasmtime::Result<Result<bool, schedule::Refusal>> {
        self.never_granted("scheduling events (schedule.cancel)");
        Ok(Err(schedule::Refusal::NotGranted))
    }
}

impl secrets::Host for State {
    fn placeholder(&mut self, _name: String) -> wasmtime::Result<Result<String, secrets::Refusal>> {
        self.never_granted("secrets (secrets.placeholder)");
        Ok(Err(secrets::Refusal::NotGranted))
    }

    fn hmac(&mut self, _name: String, _message: Vec<u8>) -> wasmtime::Result<Result<Vec<u8>, secrets::Refusal>> {
        self.never_granted("secrets (secrets.hmac)");
        Ok(Err(secrets::Refusal::NotGranted))
    }
}
