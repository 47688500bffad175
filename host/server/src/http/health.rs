//! `/healthz` and `/readyz`: whether the host is alive, and whether it is ready for work; by name what it waits for.
//! What is to be done about it is the operator's.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use serde_json::json;

use super::{Api, answer, body, problem::Problem};

/// What has to happen before the host is ready: `recovery`, and each file of the plugin directory by its name.
#[derive(Debug, Default)]
pub struct Readiness {
    awaited: Mutex<BTreeSet<String>>,
}

impl Readiness {
    /// Waits for `what` too.
    pub fn await_for(&self, what: &str) {
        self.lock().insert(what.to_owned());
    }

    /// `what` has happened.
    pub fn done(&self, what: &str) {
        self.lock().remove(what);
    }

    /// What it still waits for; nothing: it is ready.
    pub fn awaited(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        // A set of names is whole whatever happened to who held it.
        self.awaited.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /healthz`.
pub(super) async fn healthz(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    match api.engine.trouble() {
        None => Ok(answer::json(StatusCode::OK, &json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))),
        Some(trouble) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, trouble)),
    }
}

/// `GET /readyz`.
pub(super) async fn readyz(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    if let Some(trouble) = api.engine.trouble() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, trouble));
    }
    not_ready(&api)?;
    Ok(answer::json(
        StatusCode::OK,
        &json!({"status": "ready", "plugins": api.engine.plugins().len(), "refused": api.plugins.refused().len()}),
    ))
}

/// Whether the host can take work; before that, control handlers may be missing that would have steered it.
///
/// # Errors
/// A problem (503) that lists what is awaited.
pub(super) fn not_ready(api: &Api) -> Result<(), Problem> {
    let awaited = api.readiness.awaited();
    if *api.stopping.borrow() {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the host is stopping").with("outcome", "busy").retry_after_ms(1_000));
    }
    if awaited.is_empty() {
        return Ok(());
    }
    let detail = format!("the host is not ready yet; it waits for {}", awaited.join(", "));
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with("outcome", "busy").with("awaited", awaited).retry_after_ms(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_is_when_nothing_is_awaited() {
        let readiness = Readiness::default();
        readiness.await_for("recovery");
        readiness.await_for("text");
        readiness.done("recovery");
        assert_eq!(readiness.awaited(), ["text"]);
        readiness.done("text");
        assert!(readiness.awaited().is_empty());
    }
}
