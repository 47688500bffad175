//! Owns the interfaces that exist in the contract but that this version of the host grants to nobody: `secrets`.
//! Leaves everything else to its siblings.

use crate::{bindings::trackside::plugin::secrets, state::State};

impl State {
    /// Reports what nobody can be granted yet.
    fn never_granted(&self, what: &str) {
        self.core.not_granted(what, "nothing to add: this version of the host grants it to no plugin");
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
