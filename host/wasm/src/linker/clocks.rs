//! Owns `wasi:clocks`: the host's time where it is granted, and the start of the call where it is not; waits only where granted.
//! Leaves the waiting itself to WASI's implementation.

use std::time::Duration;

use trackside_model::{
    ports::{Fault, FaultKind},
    time::Timestamp,
};
use wasmtime::component::Resource;
use wasmtime_wasi::{
    clocks::WasiClocksView as _,
    p2::{
        DynPollable,
        bindings::clocks::{monotonic_clock, wall_clock},
    },
};

use crate::{fault, state::State};

/// How far a wait may go past the deadline, so that the deadline is what ends the call and not the wait's own end.
const PAST_DEADLINE: Duration = Duration::from_millis(2);

impl State {
    fn time(&self) -> Timestamp {
        if self.core.grants.clock { self.core.calls.now() } else { self.call.now }
    }

    /// A wait, cut at the deadline. One of no length is none, and needs no grant.
    fn wait(&mut self, ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        if ns > 0 && !self.core.grants.timers {
            self.core.not_granted_key("waiting (wasi:clocks)", "timers", "true");
            let fault: Fault =
                fault::plain(FaultKind::NotGranted, "it waited without the grant; add `timers = true` under [grants] in its settings file");
            return Err(fault.into());
        }
        let left = self.call.deadline.saturating_duration_since(std::time::Instant::now()) + PAST_DEADLINE;
        let ns = ns.min(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX));
        monotonic_clock::Host::subscribe_duration(&mut self.clocks(), ns)
    }
}

impl wall_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        let time = Duration::from_nanos(self.time().0);
        Ok(wall_clock::Datetime { seconds: time.as_secs(), nanoseconds: time.subsec_nanos() })
    }

    fn resolution(&mut self) -> wasmtime::Result<wall_clock::Datetime> {
        Ok(wall_clock::Datetime { seconds: 0, nanoseconds: 1 })
    }
}

impl monotonic_clock::Host for State {
    fn now(&mut self) -> wasmtime::Result<u64> {
        let since_start = if self.core.grants.clock { self.call.started.elapsed() } else { Duration::ZERO };
        Ok(self.call.now.0.saturating_add(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX)))
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let now = monotonic_clock::Host::now(self)?;
        self.wait(when.saturating_sub(now))
    }

    fn subscribe_duration(&mut self, ns: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.wait(ns)
    }
}
