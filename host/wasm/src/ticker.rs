//! Owns the one thread that moves the engines' epochs on, a millisecond a tick, as long as calls run.
//! Leaves what a deadline is, and whether it has passed, to the calls: a tick only makes a guest look at the clock.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use wasmtime::Engine;

/// The time between two ticks.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Ticks without a call until the thread parks: waking it costs more than a short call, so it stays up between calls that follow
/// each other closely.
const IDLE_TICKS: u32 = 50;

/// The thread, and what it shares with the calls. Dropping it stops and joins the thread.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    running: AtomicU64,
    awake: AtomicBool,
    stop: AtomicBool,
}

/// As long as this lives, epochs move on.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ticker {
    /// Starts the thread, parked.
    ///
    /// # Errors
    /// If the system gives no thread.
    #[expect(clippy::disallowed_methods, reason = "the ticker owns this one thread, and joins it when it is dropped")]
    pub(crate) fn start(engines: Vec<Engine>) -> io::Result<Self> {
        let shared = Arc::new(Shared { running: AtomicU64::new(0), awake: AtomicBool::new(false), stop: AtomicBool::new(false) });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("trackside-ticker".to_owned()).spawn(move || tick(&of_thread, &engines))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Says that a call runs; wakes the thread if it is parked.
    pub(crate) fn run(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        // Sequentially consistent on both sides: either this sees that the thread is about to park, or the thread sees the call.
        if !self.shared.awake.load(Ordering::SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        Running(&self.shared)
    }

    /// Whether the thread is parked.
    #[cfg(test)]
    pub(crate) fn is_parked(&self) -> bool {
        !self.shared.awake.load(Ordering::SeqCst)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic of the thread has been printed; there is nobody left to whom its ticks matter.
            let _ = thread.join();
        }
    }
}

fn tick(shared: &Shared, engines: &[Engine]) {
    let mut idle = 0;
    park(shared);
    while !shared.stop.load(Ordering::SeqCst) {
        if shared.running.load(Ordering::SeqCst) > 0 {
            idle = 0;
        } else {
            idle += 1;
        }
        if idle > IDLE_TICKS {
            park(shared);
            idle = 0;
        }
        thread::sleep(TICK);
        // One epoch a wake-up, however late it is: catching up would cut calls early.
        for engine in engines {
            engine.increment_epoch();
        }
    }
}

fn park(shared: &Shared) {
    shared.awake.store(false, Ordering::SeqCst);
    while shared.running.load(Ordering::SeqCst) == 0 && !shared.stop.load(Ordering::SeqCst) {
        thread::park();
    }
    shared.awake.store(true, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn wait_until(what: &str, condition: impl Fn() -> bool) {
        let end = Instant::now() + Duration::from_secs(5);
        while !condition() {
            assert!(Instant::now() < end, "{what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn parks_when_idle_and_wakes_for_a_call() {
        let ticker = Ticker::start(Vec::new()).unwrap();
        let running = ticker.run();
        wait_until("awake during a call", || !ticker.is_parked());
        drop(running);
        wait_until("parked after it", || ticker.is_parked());
        let _again = ticker.run();
        wait_until("awake again", || !ticker.is_parked());
    }
}
