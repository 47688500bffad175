//! `/v1/plugins`: what is in service, and taking a file of the plugin directory into service or out of it. Changing needs the token.
//! Loading is the plugin host's, the swap the engine's.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use serde_json::json;
use trackside_wasm::check_name;

use super::{Api, answer, body, problem::Problem};
use crate::plugins::Reloaded;

/// `GET /v1/plugins`.
pub(super) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    let refused: Vec<_> = api.plugins.refused().into_iter().map(|(name, reason)| json!({"name": name, "reason": reason})).collect();
    Ok(answer::json(StatusCode::OK, &json!({"plugins": api.engine.plugins(), "refused": refused, "stats": api.engine.stats()})))
}

/// `POST /v1/plugins/{name}/reload`: a new or changed file goes into service, a file that is gone takes its plugin out of it.
pub(super) async fn reload(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !api.token.carried_by(&headers)? {
        return Err(api.token.unauthorised("changing plugins needs the host's token"));
    }
    body::no_params(&uri)?;
    check_name(&name).map_err(|error| Problem::refused(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    // One at a time: compiling takes a whole core, and two reloads of one name must not overtake each other.
    let _turn = api.reloads.lock().await;
    let reloaded = tokio::task::block_in_place(|| api.plugins.reload(&api.engine, &name));
    match reloaded {
        Reloaded::Loaded(info) => Ok(answer::json(StatusCode::OK, &json!({"outcome": "loaded", "plugin": *info}))),
        Reloaded::Removed => Ok(answer::json(StatusCode::OK, &json!({"outcome": "unloaded", "name": name}))),
        Reloaded::Refused(reason) => {
            let detail = format!("'{name}' was not loaded, and what was in service stays: {reason}");
            Err(Problem::refused(StatusCode::UNPROCESSABLE_ENTITY, detail).with("reason", reason))
        }
        Reloaded::Unknown(plugin_dir) => {
            let detail = format!("there is no plugin '{name}': put {name}.wasm into {}", plugin_dir.display());
            Err(Problem::refused(StatusCode::NOT_FOUND, detail))
        }
    }
}
