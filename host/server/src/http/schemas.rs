//! `/v1/schemas`: which schemas payloads are held to, and the text of each.
//! Where they come from is `schemas`'.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{HeaderValue, StatusCode, Uri, header},
    response::Response,
};
use serde_json::json;

use super::{Api, answer, body, problem::Problem};

/// `GET /v1/schemas`.
pub(super) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    Ok(answer::json(StatusCode::OK, &json!({"schemas": api.schemas.list()})))
}

/// `GET /v1/schemas/{name}`.
pub(super) async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    let Some(text) = api.schemas.text(&name) else {
        return Err(Problem::refused(StatusCode::NOT_FOUND, format!("no schema '{name}' is in force; GET /v1/schemas lists them")));
    };
    let mut response = answer::body_of(StatusCode::OK, text.as_str().to_owned());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/schema+json"));
    Ok(response)
}
