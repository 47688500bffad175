//! `circuit-breaker`: a control handler that passes over providers that keep failing, until a probe succeeds. It needs the `kv` grant.
//!
//! It counts failures at `task:failed`. When there are enough of them in the window the circuit opens: at `assignment:candidate_found` it
//! answers `skip`, which passes the provider over. After a cooldown the circuit is half open: one task is let through as a probe, and what
//! becomes of that task closes the circuit or opens it again, for longer. At `task:completed` and `task:failed` it always proceeds.
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `per` | `["provider"]` | what a circuit is for: `provider`, `method`, or both, which is a method of a provider |
//! | `failures` | 5 | failures that open it |
//! | `window_ms` | 60000 | within this long of the first of them |
//! | `cooldown_ms` | 30000 | how long it is open before one task is let through as a probe |
//! | `max_cooldown_ms` | 300000 | each probe that fails doubles the next cooldown, up to this |
//! | `probe_ms` | 60000 | a probe that has told nothing for this long is taken for lost, and another is let through |
//! | `only_retryable` | true | whether only failures count of which the worker, or the host, says that trying again may help |
//! | `ignore_codes` | none | failures with these codes do not count |
//! | `methods` | all | which methods it is for, as in `llm/*` |
//! | `providers` | all | which providers it is for |
//!
//! Decisions about one circuit may be taken at the same time. Failures are counted by additions, which never conflict. What is read to
//! decide is noted by the host, which asks again if it was changed meanwhile: of two tasks that would both be the probe, one is.

mod circuit;
mod settings;
mod state;

use circuit::{Change, Circuit};
use serde::Deserialize;
use settings::Breaker;
use trackside_policy_kit::Configuration;
use trackside_sdk::{Context, Control, Description, Error, Event, Filter, Plugin, Point, Signal, log};

struct CircuitBreaker;

/// The operator's settings.
static BREAKER: Configuration<Breaker> = Configuration::new();

impl Plugin for CircuitBreaker {
    fn describe() -> Description {
        Description::new("circuit-breaker")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Passes over providers that keep failing, until a probe succeeds.")
            .controls(Filter::types(["assignment:candidate_found", "task:completed", "task:failed"]))
            .priority(20)
            .memoryless()
    }
}

impl Control for CircuitBreaker {
    fn check(event: &Event, context: &Context) -> Signal {
        match BREAKER.get().and_then(|breaker| judge(breaker, event, context)) {
            Ok(signal) => signal,
            Err(error) => Signal::error(error.message()),
        }
    }
}

trackside_sdk::export!(CircuitBreaker: control);

/// What the payload says that matters here.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    method: String,
    error: Option<Failure>,
}

/// How an attempt failed.
#[derive(Deserialize)]
pub(crate) struct Failure {
    pub(crate) code: Option<String>,
    #[serde(default)]
    pub(crate) retryable: bool,
}

fn judge(breaker: &Breaker, event: &Event, context: &Context) -> Result<Signal, Error> {
    let told: Told = event.payload()?;
    let provider = event.provider_id().unwrap_or_default();
    let Some(id) = breaker.circuit_of(provider, &told.method) else { return Ok(Signal::proceed()) };
    let now_ms = context.now_ns / 1_000_000;
    let task = format!("{}/{}", event.workflow_id().unwrap_or_default(), event.task_id().unwrap_or_default());
    match (context.point, &told.error) {
        (Point::CandidateFound, _) => {
            let (signal, change) = circuit::at_candidate(breaker, &state::read(&id)?, &id, &task, now_ms);
            apply(&id, change)?;
            Ok(signal)
        }
        (Point::TaskCompleted, _) => {
            apply(&id, circuit::at_success(&state::read_open(&id)?, now_ms))?;
            Ok(Signal::proceed())
        }
        (Point::TaskFailed, Some(failure)) if breaker.counts(failure) => {
            let circuit = match state::read_open(&id)? {
                // Counted only while it is closed: what was under way when it opened says nothing new.
                Circuit { open: None, .. } => Circuit { failures: state::count_failure(&id, breaker.window_ms)?, ..Circuit::default() },
                open => open,
            };
            apply(&id, circuit::at_failure(breaker, &circuit, now_ms))?;
            Ok(Signal::proceed())
        }
        _ => Ok(Signal::proceed()),
    }
}

fn apply(id: &str, change: Option<Change>) -> Result<(), Error> {
    let Some(change) = change else { return Ok(()) };
    match &change {
        Change::Open(open) => log::warning(format!("the circuit of {id} is open for {} ms", open.cooldown_ms)),
        Change::Probe { .. } => log::info(format!("the circuit of {id} is half open: a probe is let through")),
        Change::Close => log::info(format!("the circuit of {id} is closed again")),
    }
    state::write(id, &change)
}
