//! Owns the instances of one role: how many there are, which are free, and what happens to one after a call.
//! Leaves making them to `instance`, and the call to `call`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use trackside_model::ports::Fault;

use crate::{
    fault,
    instance::{Live, Role, RoleExports},
};

/// Instances for calls that block a guest thread.
pub(crate) struct Pool<R: RoleExports> {
    pub(crate) role: Role<R>,
    slots: Mutex<Slots<R>>,
    freed: Condvar,
    most: usize,
    fresh: bool,
}

struct Slots<R> {
    idle: Vec<Live<R>>,
    /// Idle ones, those in calls and those being made.
    live: usize,
}

/// An instance during a call. Dropped without having been given back, the instance is gone: what follows a fault.
pub(crate) struct Lease<'a, R: RoleExports> {
    pool: &'a Pool<R>,
    live: Option<Live<R>>,
    returned: bool,
}

impl<R: RoleExports> Pool<R> {
    /// A pool of at most `most` instances; with `fresh`, each serves one call.
    pub(crate) fn new(role: Role<R>, most: u32, fresh: bool) -> Self {
        let most = usize::try_from(most.max(1)).unwrap_or(usize::MAX);
        let slots = Mutex::new(Slots { idle: Vec::with_capacity(most.min(64)), live: 0 });
        Self { role, slots, freed: Condvar::new(), most, fresh }
    }

    /// Makes the first instance before anybody waits for it.
    pub(crate) fn warm(&self, timeout_ms: u64) -> Result<(), Fault> {
        let lease = self.take(Instant::now(), timeout_ms)?;
        lease.put_back();
        Ok(())
    }

    /// Throws away the instances that are free, with what they keep.
    pub(crate) fn forget(&self) {
        let forgotten = {
            let mut slots = self.slots.lock();
            slots.live -= slots.idle.len();
            std::mem::take(&mut slots.idle)
        };
        drop(forgotten);
        self.freed.notify_all();
    }

    /// A free instance, or a new one, or the first that is freed before the time is up.
    pub(crate) fn take(&self, started: Instant, timeout_ms: u64) -> Result<Lease<'_, R>, Fault> {
        let mut slots = self.slots.lock();
        loop {
            if let Some(live) = slots.idle.pop() {
                return Ok(Lease { pool: self, live: Some(live), returned: false });
            }
            if slots.live < self.most {
                slots.live += 1;
                break;
            }
            let deadline = started + Duration::from_millis(timeout_ms);
            if self.freed.wait_until(&mut slots, deadline).timed_out() {
                return Err(fault::no_instance(self.most, timeout_ms));
            }
        }
        drop(slots);
        // From here the slot is the lease's, so that a failure frees it.
        let mut lease = Lease { pool: self, live: None, returned: false };
        lease.live = Some(self.role.make(started, timeout_ms)?);
        Ok(lease)
    }
}

impl<R: RoleExports> Lease<'_, R> {
    pub(crate) fn live(&mut self) -> &mut Live<R> {
        self.live.as_mut().expect("a lease has its instance until it is given back")
    }

    /// Ends a call without fault: the instance serves the next one, unless each call has its own.
    pub(crate) fn give_back(self) {
        if !self.pool.fresh {
            self.put_back();
        }
    }

    fn put_back(mut self) {
        if let Some(live) = self.live.take() {
            self.pool.slots.lock().idle.push(live);
            self.pool.freed.notify_one();
            self.returned = true;
        }
    }
}

impl<R: RoleExports> Drop for Lease<'_, R> {
    fn drop(&mut self) {
        if self.returned {
            return;
        }
        // The store goes before its slot is free: the pool of all plugins has room for it then.
        drop(self.live.take());
        self.pool.slots.lock().live -= 1;
        self.pool.freed.notify_one();
    }
}

/// Instances for calls that are futures.
pub(crate) struct AsyncPool<R: RoleExports> {
    pub(crate) role: Role<R>,
    idle: Mutex<Vec<Live<R>>>,
    slots: Arc<Semaphore>,
    most: usize,
    fresh: bool,
}

/// As [`Lease`].
pub(crate) struct AsyncLease<'a, R: RoleExports> {
    pool: &'a AsyncPool<R>,
    live: Live<R>,
    _slot: OwnedSemaphorePermit,
}

impl<R: RoleExports> AsyncPool<R> {
    /// A pool of at most `most` instances; with `fresh`, each serves one call.
    pub(crate) fn new(role: Role<R>, most: u32, fresh: bool) -> Self {
        let most = usize::try_from(most.max(1)).unwrap_or(Semaphore::MAX_PERMITS);
        Self { role, idle: Mutex::default(), slots: Arc::new(Semaphore::new(most)), most, fresh }
    }

    /// Throws away the instances that are free, with what they keep.
    pub(crate) fn forget(&self) {
        let forgotten = std::mem::take(&mut *self.idle.lock());
        drop(forgotten);
    }

    /// A free instance, or a new one, or the first that is freed before the time is up.
    pub(crate) async fn take(&self, started: Instant, timeout_ms: u64) -> Result<AsyncLease<'_, R>, Fault> {
        let deadline = tokio::time::Instant::from_std(started + Duration::from_millis(timeout_ms));
        let slot = tokio::time::timeout_at(deadline, Arc::clone(&self.slots).acquire_owned()).await;
        // The semaphore is never closed, so that what is left is the time.
        let Ok(Ok(slot)) = slot else { return Err(fault::no_instance(self.most, timeout_ms)) };
        let idle = self.idle.lock().pop();
        let live = match idle {
            Some(live) => live,
            None => self.role.make_async(started, timeout_ms).await?,
        };
        Ok(AsyncLease { pool: self, live, _slot: slot })
    }
}

impl<R: RoleExports> AsyncLease<'_, R> {
    pub(crate) fn live(&mut self) -> &mut Live<R> {
        &mut self.live
    }

    /// Ends a call without fault.
    pub(crate) fn give_back(self) {
        if !self.pool.fresh {
            self.pool.idle.lock().push(self.live);
        }
    }
}
