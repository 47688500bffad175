//! The engine as an embedding program runs it: a runtime, the engine on it, guests in service.
//! What is published or submitted is the parts' own.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};
use trackside_engine::{Caller, Engine, EngineOptions};
use trackside_model::{control::Origin, event::Text, ports::Guest};

use crate::host::Host;

const GRACE: Duration = Duration::from_secs(5);

/// An engine over a host's log, and the runtime that it is on.
pub(crate) struct EmbeddedEngine {
    pub(crate) runtime: Runtime,
    pub(crate) engine: Engine,
}

impl EmbeddedEngine {
    /// Starts it, with these guests in service.
    ///
    /// # Errors
    /// If a thread is not to be had, or the log takes nothing.
    pub(crate) fn start(host: &Host, guests: &[Arc<dyn Guest>]) -> Result<Self> {
        let runtime = Builder::new_multi_thread().enable_all().build()?;
        let (store, side) = (host.store.clone(), host.side.clone());
        let engine = runtime.block_on(async { Engine::start(store, side, EngineOptions::default()) })?;
        guests.iter().for_each(|guest| engine.install(guest.clone()));
        runtime.block_on(async { engine.ready() });
        Ok(Self { runtime, engine })
    }

    /// Stops it and joins its threads.
    pub(crate) fn stop(self) {
        self.runtime.block_on(self.engine.stop(GRACE));
    }
}

/// Who publishes and submits here.
pub(crate) fn caller() -> Caller {
    Caller { origin: Origin::Embedded, principal: Some(Text::from("bench")) }
}
