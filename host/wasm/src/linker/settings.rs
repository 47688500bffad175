//! Owns `settings`: what the operator wrote under `[settings]`, as a guest reads it.
//! Leaves reading the file to the crate's `settings`.

use crate::{bindings::trackside::plugin::settings, state::State};

impl settings::Host for State {
    fn get(&mut self, name: String) -> wasmtime::Result<Option<String>> {
        self.count(name.len())?;
        Ok(self.core.values.by_name.get(&name).cloned())
    }

    fn all(&mut self) -> wasmtime::Result<String> {
        Ok(self.core.values.all.clone())
    }
}
