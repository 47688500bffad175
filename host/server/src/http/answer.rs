//! The one shape of answer, over HTTP: which status an outcome has, and the response.
//! What the outcome is, is the engine's.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use trackside_engine::{Answer, Outcome, SubmitError};
use trackside_model::event::{Rejection, RejectionKind};

use super::problem::Problem;

/// A JSON body with a status, in one piece.
pub(super) fn json<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => body_of(status, body),
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer could not be written: {error}")).into_response(),
    }
}

/// JSON text that is ready, with a status.
pub(super) fn body_of(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The status of what is no problem; everything else is a problem document.
fn status_of(answer: &Answer) -> Result<StatusCode, StatusCode> {
    match answer.outcome {
        Outcome::Appended => Ok(StatusCode::CREATED),
        Outcome::Duplicate | Outcome::Skipped => Ok(StatusCode::OK),
        Outcome::Refused if answer.conflict => Err(StatusCode::CONFLICT),
        Outcome::Refused => Err(answer.rejection.as_ref().map_or(StatusCode::FORBIDDEN, status_of_rejection)),
        Outcome::Busy => Err(StatusCode::TOO_MANY_REQUESTS),
        Outcome::Unknown => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

fn status_of_rejection(rejection: &Rejection) -> StatusCode {
    match rejection.kind {
        // A text that cannot be read at all, or a field that is not what it must be.
        RejectionKind::Malformed if rejection.field.is_empty() => StatusCode::BAD_REQUEST,
        RejectionKind::Malformed => StatusCode::UNPROCESSABLE_ENTITY,
        RejectionKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RejectionKind::Forbidden => StatusCode::FORBIDDEN,
    }
}

/// A refusal at the door.
pub(super) fn rejected(rejection: &Rejection) -> Problem {
    let problem = Problem::refused(status_of_rejection(rejection), rejection.to_string()).with("reason", rejection.to_string());
    if rejection.field.is_empty() { problem } else { problem.with("field", &rejection.field) }
}

/// The response's value, or the problem, of an answer.
pub(super) fn judged(answer: &Answer) -> Result<(StatusCode, Value), Problem> {
    let value = serde_json::to_value(answer).unwrap_or(Value::Null);
    let status = match status_of(answer) {
        Ok(status) => return Ok((status, value)),
        Err(status) => status,
    };
    let mut problem = match &answer.rejection {
        Some(rejection) => rejected(rejection),
        None => Problem::new(status, detail_of(answer)),
    };
    for (member, value) in value.as_object().into_iter().flatten() {
        problem = problem.with(member, value);
    }
    if let Some(retry_after_ms) = answer.retry_after_ms {
        problem = problem.retry_after_ms(retry_after_ms);
    }
    Err(problem)
}

fn detail_of(answer: &Answer) -> String {
    let reason = answer.reason.as_deref().unwrap_or("no reason was given");
    match (answer.outcome, &answer.by) {
        (Outcome::Refused, Some(by)) => format!("refused by the control handler '{by}': {reason}"),
        (Outcome::Unknown, _) => format!("{reason}; whether it is in the log is not known: send it again with the same event_id"),
        _ => reason.to_owned(),
    }
}

/// The problem of events that were to be published together, of which the one at this place stood against it.
pub(super) fn against_all(place: usize, answer: &Answer) -> Problem {
    let problem = match judged(answer) {
        Err(problem) => problem,
        // Left out by a control handler, which alone is no problem.
        Ok(_) => {
            let by = answer.by.as_deref().unwrap_or_default();
            let detail = format!("left out by the control handler '{by}': {}", detail_of(answer));
            Problem::new(StatusCode::FORBIDDEN, detail).with("outcome", Outcome::Refused).with("by", by)
        }
    };
    let detail = format!("[{place}]: {}; nothing of the array was done", problem.detail());
    problem.with("detail", detail).with("place", place)
}

/// One answer as an element of many: its own status beside its members.
pub(super) fn element(answer: &Answer) -> Value {
    match judged(answer) {
        Ok((status, mut value)) => {
            if let Some(members) = value.as_object_mut() {
                members.insert("status".to_owned(), status.as_u16().into());
            }
            value
        }
        Err(problem) => Value::Object(problem.document().clone()),
    }
}

/// The response to a publish or a command.
pub(super) fn respond(answer: &Answer) -> Response {
    match judged(answer) {
        Ok((status, value)) => json(status, &value),
        Err(problem) => problem.into_response(),
    }
}

/// The response to a submission, with the place where the workflow is to be found.
pub(super) fn submitted(result: &Result<Answer, SubmitError>) -> Response {
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => return not_submitted(error).into_response(),
    };
    let mut response = respond(answer);
    let place = answer.workflow_id.as_ref().filter(|_| response.status() == StatusCode::CREATED);
    if let Some(location) = place.and_then(|id| HeaderValue::from_str(&format!("/v1/workflows/{id}")).ok()) {
        response.headers_mut().insert(HeaderName::from_static("location"), location);
    }
    response
}

fn not_submitted(error: &SubmitError) -> Problem {
    match error {
        SubmitError::Rejected(rejection) => rejected(rejection),
        SubmitError::Definition(errors) => {
            let listed: Vec<Value> = errors
                .iter()
                .map(|error| serde_json::json!({"line": error.line, "place": error.place, "message": error.message}))
                .collect();
            let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
            let count = if errors.len() == 1 { "one error".to_owned() } else { format!("{} errors", errors.len()) };
            let detail = format!("the definition has {count}: {}", lines.join("; "));
            Problem::refused(StatusCode::UNPROCESSABLE_ENTITY, detail).with("errors", listed)
        }
    }
}
