//! Owns `progress`: a worker's reports about the attempt at hand, and whether it is still wanted.
//! Leaves coalescing reports, and telling the workflow, to the host behind `HostCalls`.

use std::sync::Arc;

use trackside_model::{json::Json, ports::TaskCall};

use crate::{
    bindings::trackside::plugin::progress::{self, Refusal},
    convert, fault,
    limits::{PROGRESS_CHUNK_BYTES, PROGRESS_REPORTS},
    state::{Cause, State},
};

impl State {
    fn task(&self) -> Option<Arc<TaskCall>> {
        match &self.call.cause {
            Cause::Task(task) => Some(Arc::clone(task)),
            _ => None,
        }
    }

    fn checked_chunk(&self, text: &str) -> wasmtime::Result<Result<Json, Refusal>> {
        if text.len() > PROGRESS_CHUNK_BYTES {
            return Ok(Err(Refusal::TooLarge));
        }
        let chunk = convert::json(text).map_err(|error| fault::malformed(format!("its progress chunk is not JSON: {error}")))?;
        Ok(Ok(chunk))
    }
}

impl progress::Host for State {
    fn report(&mut self, fraction: Option<f64>, chunk: Option<String>) -> wasmtime::Result<Result<(), Refusal>> {
        self.count(chunk.as_deref().map_or(0, str::len))?;
        self.drain_stdio();
        let chunk = match chunk.as_deref().map(|text| self.checked_chunk(text)).transpose()?.transpose() {
            Ok(chunk) => chunk,
            Err(refusal) => return Ok(Err(refusal)),
        };
        // There is no task to report about outside of `run`: harmless.
        let Some(task) = self.task() else { return Ok(Ok(())) };
        if !self.core.grants.progress {
            self.core.not_granted_key("reporting progress (progress.report)", "progress", "true");
            return Ok(Ok(()));
        }
        if self.core.calls.cancelled(&task) {
            return Ok(Err(Refusal::Cancelled));
        }
        if self.call.reports >= PROGRESS_REPORTS {
            return Ok(Err(Refusal::TooMany));
        }
        self.call.reports += 1;
        let fraction = fraction.filter(|fraction| fraction.is_finite()).map(|fraction| fraction.clamp(0.0, 1.0));
        if !self.call.silent {
            self.core.calls.progress(&task, fraction, chunk);
        }
        Ok(Ok(()))
    }

    fn cancelled(&mut self) -> wasmtime::Result<bool> {
        Ok(self.task().is_some_and(|task| self.core.calls.cancelled(&task)))
    }
}
