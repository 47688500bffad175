//! `/v1/replays`: stretches of the past, handed once more to one observer or durable reader: begun, listed, shown, stopped.
//! What a replay does is the engine's.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::Response,
};
use serde_json::json;
use trackside_engine::ReplayError;
use uuid::Uuid;

use super::{Api, answer, body, problem::Problem};
use crate::{
    access::Who,
    params::{self, ParamError},
};

/// `GET /v1/replays`: those that are under way.
pub(super) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    Ok(answer::json(StatusCode::OK, &json!({"replays": api.engine.replays()})))
}

/// `POST /v1/replays`: begins one.
pub(super) async fn begin(State(api): State<Arc<Api>>, who: Who, uri: Uri) -> Result<Response, Problem> {
    let pairs = body::pairs(&uri)?;
    let replay = api.engine.replay(params::replay::request(body::borrowed(&pairs))?, who.name()).await?;
    Ok(answer::json(StatusCode::CREATED, &replay))
}

/// `GET /v1/replays/{id}`: one that is under way, or what became of it.
pub(super) async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    let id = replay_id(&id)?;
    let replay = tokio::task::block_in_place(|| api.engine.replay_status(id))?;
    Ok(answer::json(StatusCode::OK, &replay))
}

/// `DELETE /v1/replays/{id}`: ends one before its time.
pub(super) async fn stop(State(api): State<Arc<Api>>, Path(id): Path<String>, who: Who, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    Ok(answer::json(StatusCode::OK, &api.engine.stop_replay(replay_id(&id)?, who.name()).await?))
}

fn replay_id(text: &str) -> Result<Uuid, ParamError> {
    text.parse().map_err(|_| ParamError(format!("'{text}' is no replay's id; a listing shows them")))
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        let detail = error.to_string();
        match error {
            ReplayError::Plan(_) | ReplayError::Beyond { .. } => Self::refused(StatusCode::UNPROCESSABLE_ENTITY, detail),
            ReplayError::Unknown(_) => Self::refused(StatusCode::NOT_FOUND, detail),
            ReplayError::Effects(_) => Self::refused(StatusCode::FORBIDDEN, detail),
            ReplayError::NoObserver(_) | ReplayError::NoReader(_) | ReplayError::Ahead { .. } | ReplayError::TooMany => {
                Self::refused(StatusCode::CONFLICT, detail)
            }
            ReplayError::Read(error) => Self::unreadable(&error),
            ReplayError::Append(_) | ReplayError::Poisoned(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail),
        }
    }
}
