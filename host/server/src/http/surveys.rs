//! `/v1/events/stats`, `/v1/events/durations`, `/v1/events/rates`: what many events come to. Asked slice by slice, so that nobody else waits for long.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};

use super::{Api, answer, body, problem::Problem};
use crate::survey::{Question, Survey};

/// `GET /v1/events/stats`.
pub(super) async fn stats(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let pairs = body::pairs(&uri)?;
    answered(&api, Question::stats(body::borrowed(&pairs))?).await
}

/// `GET /v1/events/durations`.
pub(super) async fn durations(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let pairs = body::pairs(&uri)?;
    answered(&api, Question::durations(body::borrowed(&pairs))?).await
}

/// `GET /v1/events/rates`.
pub(super) async fn rates(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let pairs = body::pairs(&uri)?;
    answered(&api, Question::rates(body::borrowed(&pairs))?).await
}

async fn answered(api: &Api, question: Question) -> Result<Response, Problem> {
    let mut survey = api.read(|store| Survey::begin(store, question)).await?;
    while api.read(|store| survey.step(store)).await? {}
    Ok(answer::json(StatusCode::OK, &survey.answer()))
}
