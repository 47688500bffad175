//! HTTP: what every request passes on its way to the routes, and what they share. Which routes there are is `routes`'; each group has a file.
//! What an event, a workflow or a plugin means is decided elsewhere; here requests become calls, and results responses.

mod answer;
mod body;
mod cloud_events;
pub(crate) mod dead_letters;
mod events;
mod export;
mod gate;
mod guard;
mod health;
pub(crate) mod kv;
mod listener;
mod ndjson;
mod plugins;
mod problem;
mod readers;
mod replays;
mod request;
mod routes;
mod schemas;
mod stream;
mod surveys;
mod tls;
pub mod workflows;

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    extract::{Request, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{Method, StatusCode, Uri},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use trackside_engine::Engine;
use trackside_model::{event::EnvelopeLimits, text::nearest};
use trackside_store::{ReadError, Store};

pub(crate) use self::{guard::Called, request::CLI_AGENT, tls::Certificate};
pub use self::{
    health::Readiness,
    listener::{BindError, Ending, Listener, Server},
    problem::Problem,
    tls::CertificateError,
};
use crate::{access::Access, config, plugins::Plugins, schemas::SchemaDirectory};

/// The parts of a host that routes ask.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) schemas: Arc<SchemaDirectory>,
}

/// What every route is given.
pub struct Api {
    pub(crate) engine: Engine,
    pub(crate) plugins: Arc<Plugins>,
    pub(crate) schemas: Arc<SchemaDirectory>,
    pub(crate) limits: config::Http,
    pub(crate) envelope_limits: EnvelopeLimits,
    pub(crate) called: Called,
    pub(crate) access: Access,
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) stopping: watch::Receiver<bool>,
    /// Bytes that a component which is sent here may have.
    pub(crate) component_bytes: u64,
    reads: Semaphore,
    sockets: Arc<Semaphore>,
}

impl Api {
    /// What the routes need, on a listener that is called so.
    pub(crate) fn new(
        Parts { engine, plugins, schemas }: Parts,
        config: &config::Config,
        called: Called,
        access: Access,
        readiness: Arc<Readiness>,
        Ending { stopping, sockets }: Ending,
    ) -> Self {
        Self {
            engine,
            plugins,
            schemas,
            limits: config.http.clone(),
            envelope_limits: config.envelope_limits(),
            called,
            access,
            readiness,
            stopping,
            component_bytes: config.compile.component_bytes,
            reads: Semaphore::new(config.http.readers),
            sockets,
        }
    }

    /// A place for a WebSocket, which outlives the connection that it came by.
    fn socket(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.sockets.clone().try_acquire_owned().map_err(|_| {
            let detail =
                format!("{} WebSockets are open, which is the most (http.sockets in the host's configuration)", self.limits.sockets);
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        })
    }

    /// Asks the store, which reads files: no more at a time than have connections to it, and never on a thread that others wait for.
    pub(crate) async fn read<T>(&self, ask: impl FnOnce(&Store) -> Result<T, ReadError>) -> Result<T, Problem> {
        let Ok(_turn) = self.reads.acquire().await else {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the host is stopping"));
        };
        tokio::task::block_in_place(|| ask(self.engine.store())).map_err(|error| Problem::unreadable(&error))
    }
}

/// A request that is to become a WebSocket, and its place among them.
fn upgrade(
    api: &Api,
    upgraded: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<(WebSocketUpgrade, OwnedSemaphorePermit), Problem> {
    let upgraded = upgraded.map_err(|rejection| {
        Problem::refused(rejection.status(), format!("this speaks over a WebSocket only: {}", rejection.body_text()))
    })?;
    let place = api.socket()?;
    Ok((upgraded.max_message_size(api.limits.line_bytes), place))
}

/// Waits until the host stops; a stop that can no longer be told of is one too.
async fn stopped(stopping: &mut watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// All routes, each behind its gate, and what every request passes on its way to them, the outermost last.
pub(crate) fn router(api: Arc<Api>) -> Router {
    routes::gated(&api)
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        // Nothing is taken before the control handlers are there that would steer it.
        .layer(middleware::from_fn_with_state(api.clone(), only_when_ready))
        // Whoever is not meant to speak to this host is not told whether it is ready.
        .layer(middleware::from_fn_with_state(api.clone(), only_for_us))
        // Around everything: a panic in any of the above is an answer too.
        .layer(middleware::from_fn(catch_panics))
        .with_state(api)
}

async fn only_when_ready(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let reads_only = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !reads_only && let Err(problem) = health::not_ready(&api) {
        return problem.into_response();
    }
    next.run(request).await
}

async fn only_for_us(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    match api.called.check(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn catch_panics(request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!("a request panicked ({asked}); the message stands above, please report it");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the host failed at this request; its log says more").into_response()
        }
    }
}

async fn not_found(uri: Uri) -> Problem {
    let known = routes::plain_paths();
    let hint = match nearest(uri.path(), known.iter().copied()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known are {}", known.join(", ")),
    };
    Problem::refused(StatusCode::NOT_FOUND, format!("there is nothing at {}; {hint}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::refused(StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}; the header Allow says what it takes", uri.path()))
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        routing::get,
    };
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    async fn ask(router: Router, path: &str) -> (u16, serde_json::Value) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = TowerToHyperService::new(router).call(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn fail() -> &'static str {
        panic!("as it was asked to")
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_a_wrong_path_has_a_hint() {
        let router = Router::new().route("/fails", get(fail)).fallback(not_found).layer(middleware::from_fn(catch_panics));
        let (status, problem) = ask(router.clone(), "/fails").await;
        assert_eq!((status, problem["status"].as_u64()), (500, Some(500)));
        let (status, problem) = ask(router, "/v1/workflow").await;
        assert_eq!((status, problem["detail"].as_str()), (404, Some("there is nothing at /v1/workflow; did you mean /v1/workflows?")));
    }
}
