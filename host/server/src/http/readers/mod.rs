//! `/v1/readers`: durable readers, made and taken away, asked for what comes next and told what is done. Over a WebSocket the same is
//! `socket`'s. What a reader does is the engine's.

mod said;
pub(super) mod socket;

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use serde_json::json;
use trackside_engine::{Delivery, DurableReader, ReadersError};
use trackside_model::{
    event::{Position, cloud_event::Form},
    reader::check_name,
};

use self::said::Said;
use super::{
    Api, answer,
    body::{self, BodyLimit, Media},
    gate::Ends,
    problem::Problem,
};
use crate::{
    access::Who,
    params::{
        self, ParamError,
        reader::{From, ReaderParams},
    },
};

/// What may be asked with `next`.
const NEXT_PARAMS: [&str; 3] = ["limit", "wait_ms", "format"];
/// The longest that `next` waits, in milliseconds.
const MOST_WAIT_MS: u64 = 60_000;

/// `GET /v1/readers`.
pub(super) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    Ok(answer::json(StatusCode::OK, &json!({"readers": api.engine.readers()})))
}

/// `GET /v1/readers/{name}`.
pub(super) async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    Ok(answer::json(StatusCode::OK, &reader(&api, &name)?.status()))
}

/// `PUT /v1/readers/{name}`: makes a reader, or has one read differently from now on.
pub(super) async fn put(State(api): State<Arc<Api>>, Path(name): Path<String>, who: Who, uri: Uri) -> Result<Response, Problem> {
    let pairs = body::pairs(&uri)?;
    let params = ReaderParams::parse(body::borrowed(&pairs))?;
    let from = params.from.map(|from| match from {
        From::Start => Position::end_of(0),
        From::End => Position::end_of(api.engine.store().appended()),
        From::Behind(position) => position,
    });
    let new = api.engine.set_reader(&name, params.options, from, who.name()).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(answer::json(status, &reader(&api, &name)?.status()))
}

/// `DELETE /v1/readers/{name}`: it is gone, and what it had not settled with it.
pub(super) async fn remove(State(api): State<Arc<Api>>, Path(name): Path<String>, who: Who, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    if api.engine.remove_reader(&name, who.name()).await? {
        return Ok(answer::json(StatusCode::OK, &json!({"outcome": "removed", "name": name})));
    }
    Err(unknown(&name))
}

/// `POST /v1/readers/{name}/next`: the next events, as soon as there are some, or none when the wait is over.
pub(super) async fn next(State(api): State<Arc<Api>>, Path(name): Path<String>, mut ends: Ends, uri: Uri) -> Result<Response, Problem> {
    let (mut limit, mut wait_ms, mut form) = (params::DEFAULT_LIMIT, 0, Form::default());
    for (name, value) in body::pairs(&uri)? {
        match name.as_str() {
            "limit" => limit = params::limit(&name, &value)?,
            "wait_ms" => wait_ms = wait(&name, &value)?,
            "format" => form = params::form([(&*name, &*value)])?,
            other => return Err(params::unknown(other, &NEXT_PARAMS).into()),
        }
    }
    let reader = reader(&api, &name)?;
    let deliveries = tokio::select! {
        deliveries = tokio::time::timeout(Duration::from_millis(wait_ms), reader.next(limit)) => match deliveries {
            Ok(deliveries) => deliveries?,
            Err(_) => Vec::new(),
        },
        _ = ends.come() => Vec::new(),
    };
    let texts: Vec<String> = deliveries.iter().map(|delivery| text_of(delivery, form)).collect();
    Ok(answer::body_of(StatusCode::OK, format!("{{\"deliveries\":[{}]}}", texts.join(","))))
}

/// `POST /v1/readers/{name}/settle`: what became of events that were handed out.
pub(super) async fn settle(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    body::media_of(&headers, &[Media::Json])?;
    let reader = reader(&api, &name)?;
    let limit = BodyLimit { name: "http.line_bytes", bytes: api.limits.line_bytes };
    let said = Said::read(&body::text(body, limit, api.limits.read_timeout_ms).await?)?;
    Ok(answer::json(StatusCode::OK, &said.tell(&reader).await?))
}

fn reader(api: &Api, name: &str) -> Result<Arc<DurableReader>, Problem> {
    check_name(name).map_err(|error| Problem::refused(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    api.engine.reader(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Problem {
    Problem::refused(StatusCode::NOT_FOUND, format!("there is no durable reader '{name}'; PUT /v1/readers/{name} makes one"))
}

fn wait(name: &str, value: &str) -> Result<u64, ParamError> {
    match value.parse() {
        Ok(wait_ms @ 0..=MOST_WAIT_MS) => Ok(wait_ms),
        _ => Err(ParamError(format!("{name}: '{value}' is not a number of milliseconds from 0 to {MOST_WAIT_MS}"))),
    }
}

/// A delivery as JSON, around the text that the event has for all its readers of this form.
fn text_of(delivery: &Delivery, form: Form) -> String {
    let replayed = if delivery.replayed { "\"replay\":true," } else { "" };
    format!(
        "{{\"position\":\"{}\",\"delivery\":{},{replayed}\"event\":{}}}",
        delivery.position,
        delivery.delivery,
        delivery.frame.json_in(form)
    )
}

impl std::convert::From<ReadersError> for Problem {
    fn from(error: ReadersError) -> Self {
        match error {
            ReadersError::Options(_) => Self::refused(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()),
            ReadersError::TooMany => Self::refused(StatusCode::CONFLICT, error.to_string()),
            ReadersError::Gone(_) => Self::refused(StatusCode::NOT_FOUND, error.to_string()),
            ReadersError::Read(error) => Self::unreadable(&error),
            ReadersError::Append(trackside_store::AppendError::Busy { .. }) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string()).retry_after_ms(100)
            }
            ReadersError::Append(_) | ReadersError::Poisoned(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}
