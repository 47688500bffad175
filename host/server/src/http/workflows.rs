//! `/v1/workflows`: submitting, listing, showing, waiting for the end, cancelling.
//! What a definition may say is the model's; running it is the engine's.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json, value::RawValue};
use trackside_engine::SubmitRequest;
use trackside_model::{
    event::{EnvelopeLimits, Rejection},
    json::Json,
    text,
    workflow::{Format, WorkflowStatus},
};
use trackside_store::{WorkflowPage, WorkflowQuery, WorkflowRow};
use uuid::Uuid;

use super::{
    Api, answer,
    body::{self, BodyLimit, Media},
    gate::Ends,
    problem::Problem,
    request::Envelope,
};
use crate::{
    access::Who,
    params::{self, DEFAULT_LIMIT, ParamError},
};

/// What a submission may be asked, besides its body.
const SUBMIT_PARAMS: [&str; 2] = ["input", "correlation_id"];
/// What a listing may be asked.
pub const LIST_PARAMS: [&str; 3] = ["status", "before", "limit"];
/// What showing one may be asked.
const SHOW_PARAMS: [&str; 1] = ["wait"];
/// The fields of a submission that is more than a definition.
const SUBMIT_FIELDS: [&str; 6] = ["definition", "format", "input", "event_id", "correlation_id", "metadata"];
/// The fields of a cancellation.
const CANCEL_FIELDS: [&str; 1] = ["reason"];
/// Every word for where a workflow stands.
const STATUSES: [WorkflowStatus; 7] = [
    WorkflowStatus::Submitted,
    WorkflowStatus::Running,
    WorkflowStatus::Completed,
    WorkflowStatus::Failed,
    WorkflowStatus::TimedOut,
    WorkflowStatus::Cancelled,
    WorkflowStatus::Skipped,
];

/// `POST /v1/workflows`. The body is a definition, YAML or JSON; or a JSON object with the definition in its field `definition` (as an
/// object, or as text) and `input`, `correlation_id`, `event_id`, `metadata` beside it.
pub(super) async fn submit(State(api): State<Arc<Api>>, who: Who, uri: Uri, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let pairs = body::pairs(&uri)?;
    let media = body::media_of(&headers, &[Media::Yaml, Media::Json])?;
    let envelope = Envelope::read(&headers, &who)?;
    let limit = BodyLimit { name: "http.definition_bytes", bytes: api.limits.definition_bytes };
    let text = body::text(body, limit, api.limits.read_timeout_ms).await?;
    let mut request = match media {
        Media::Yaml => bare(text, Format::Yaml),
        _ => read_json(text, &api.envelope_limits)?,
    };
    for (name, value) in pairs {
        match name.as_str() {
            "input" => request.input = input(&value, &api.envelope_limits)?,
            "correlation_id" => request.correlation_id = Some(value),
            other => return Err(params::unknown(other, &SUBMIT_PARAMS).into()),
        }
    }
    request.event_id = request.event_id.or_else(|| envelope.identity(0));
    envelope.complete_metadata(&mut request.metadata);
    Ok(answer::submitted(&api.engine.submit(request, envelope.caller).await))
}

fn bare(definition: String, format: Format) -> SubmitRequest {
    SubmitRequest { definition, format, input: Json::trusted("{}"), event_id: None, correlation_id: None, metadata: BTreeMap::new() }
}

fn refuse(field: &str, message: impl Into<String>) -> Problem {
    answer::rejected(&Rejection::malformed(field, message))
}

fn input(text: &str, limits: &EnvelopeLimits) -> Result<Json, Problem> {
    Json::check(text, limits.payload_bytes, limits.payload_depth).map_err(|error| match error {
        trackside_model::json::JsonError::Syntax { .. } => refuse("input", error.to_string()),
        _ => Problem::refused(StatusCode::PAYLOAD_TOO_LARGE, format!("input: {error}")).with("field", "input"),
    })
}

fn read_json(text: String, limits: &EnvelopeLimits) -> Result<SubmitRequest, Problem> {
    if !text.trim_start().starts_with('{') {
        return Err(refuse("", "a submission is a JSON object: a definition, or one with the definition in its field 'definition'"));
    }
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(&text).map_err(|error| refuse("", error.to_string()))?;
    if !fields.contains_key("definition") {
        return Ok(bare(text, Format::Json));
    }
    read_fields(&fields, limits)
}

fn read_fields(fields: &BTreeMap<String, &RawValue>, limits: &EnvelopeLimits) -> Result<SubmitRequest, Problem> {
    let mut request = bare(String::new(), Format::Json);
    let mut format = None;
    let mut definition_is_text = false;
    for (name, raw) in fields {
        let wrong = |error: serde_json::Error| refuse(name, error.to_string().split(" at line ").next().unwrap_or_default());
        match name.as_str() {
            "definition" if raw.get().starts_with('"') => {
                request.definition = serde_json::from_str(raw.get()).map_err(wrong)?;
                definition_is_text = true;
            }
            "definition" => request.definition = raw.get().to_owned(),
            "format" => format = Some(format_of(&serde_json::from_str::<String>(raw.get()).map_err(wrong)?)?),
            "input" => request.input = input(raw.get(), limits)?,
            "event_id" => request.event_id = serde_json::from_str::<Option<Uuid>>(raw.get()).map_err(wrong)?,
            "correlation_id" => request.correlation_id = serde_json::from_str(raw.get()).map_err(wrong)?,
            "metadata" => request.metadata = serde_json::from_str(raw.get()).map_err(wrong)?,
            unknown => return Err(refuse(unknown, text::unknown_field(unknown, &SUBMIT_FIELDS))),
        }
    }
    request.format = match format {
        Some(format) if definition_is_text => format,
        Some(_) => {
            return Err(refuse("format", "says how the definition's text is to be read, but the definition is an object; leave it out"));
        }
        None if definition_is_text => Format::guess(&request.definition),
        None => Format::Json,
    };
    Ok(request)
}

fn format_of(name: &str) -> Result<Format, Problem> {
    match name {
        "yaml" => Ok(Format::Yaml),
        "json" => Ok(Format::Json),
        other => Err(refuse("format", format!("'{other}' is neither 'yaml' nor 'json'"))),
    }
}

/// Reads the pairs that say which workflows to list.
///
/// # Errors
/// [`ParamError`] for the first that is wrong.
pub fn list_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<WorkflowQuery, ParamError> {
    let mut query = WorkflowQuery { limit: DEFAULT_LIMIT, ..WorkflowQuery::default() };
    for (name, value) in pairs {
        match name {
            "status" => {
                for status in value.split(',').map(str::trim) {
                    query.statuses.get_or_insert_default().push(status_of(status)?);
                }
            }
            "before" => {
                query.before =
                    Some(value.parse().map_err(|_| ParamError(format!("before: '{value}' is not what 'next' of a listing said")))?)
            }
            "limit" => query.limit = params::limit(name, value)?,
            other => return Err(params::unknown(other, &LIST_PARAMS)),
        }
    }
    Ok(query)
}

fn status_of(name: &str) -> Result<String, ParamError> {
    let known = STATUSES.map(WorkflowStatus::as_str);
    if known.contains(&name) {
        return Ok(name.to_owned());
    }
    let help =
        text::nearest(name, known).map_or_else(|| format!("known are {}", known.join(", ")), |near| format!("did you mean '{near}'?"));
    Err(ParamError(format!("status: '{name}' is none; {help}")))
}

/// A part of the list, as JSON.
pub fn page_json(page: &WorkflowPage) -> Value {
    json!({"workflows": page.workflows.iter().map(row_json).collect::<Vec<_>>(), "next": page.next})
}

fn row_json(row: &WorkflowRow) -> Value {
    json!({
        "workflow_id": row.workflow_id, "name": row.name, "status": row.status, "correlation_id": row.correlation_id,
        "submitted_at": row.submitted_at, "ended_at": row.ended_at,
        "duration_ms": row.ended_at.map(|ended_at| ended_at.ms_since(row.submitted_at)),
        "first_sequence": row.first_sequence, "last_sequence": row.last_sequence,
    })
}

/// `GET /v1/workflows`: newest first.
pub(super) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let pairs = body::pairs(&uri)?;
    let query = list_query(body::borrowed(&pairs))?;
    let page = api.read(|store| store.workflows(&query)).await?;
    Ok(answer::json(StatusCode::OK, &page_json(&page)))
}

/// `GET /v1/workflows/{id}`; with `wait=true` it is answered when the workflow has ended.
pub(super) async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>, mut ends: Ends, uri: Uri) -> Result<Response, Problem> {
    let mut wait = false;
    for (name, value) in body::pairs(&uri)? {
        match name.as_str() {
            "wait" => wait = params::truth(&name, &value)?,
            other => return Err(params::unknown(other, &SHOW_PARAMS).into()),
        }
    }
    let view = if wait {
        tokio::select! {
            view = api.engine.wait(&id) => view,
            why = ends.come() => {
                let detail = format!("{why}; the workflow goes on, when the host runs again if it stops");
                return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after_ms(1_000));
            }
        }
    } else {
        api.engine.workflow(&id).await
    };
    match view.map_err(|error| Problem::unreadable(&error))? {
        Some(view) => Ok(answer::json(StatusCode::OK, &view)),
        None => Err(unknown(&id)),
    }
}

fn unknown(id: &str) -> Problem {
    Problem::refused(StatusCode::NOT_FOUND, format!("there is no workflow '{id}' in the log")).with("workflow_id", id)
}

/// `POST /v1/workflows/{id}/cancel`, with no body or `{"reason": "…"}`.
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    who: Who,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    let envelope = Envelope::read(&headers, &who)?;
    let limit = BodyLimit { name: "http.line_bytes", bytes: api.limits.line_bytes };
    let text = body::text(body, limit, api.limits.read_timeout_ms).await?;
    let reason = if text.trim().is_empty() {
        None
    } else {
        body::media_of(&headers, &[Media::Json])?;
        read_reason(&text)?
    };
    let known = api.engine.workflow(&id).await.map_err(|error| Problem::unreadable(&error))?;
    if known.is_none() {
        return Err(unknown(&id));
    }
    let reason = reason.unwrap_or_else(|| "cancelled by a client".to_owned());
    Ok(answer::respond(&api.engine.cancel(&id, reason, envelope.caller).await).into_response())
}

fn read_reason(text: &str) -> Result<Option<String>, Problem> {
    let mut fields: serde_json::Map<String, Value> = serde_json::from_str(text).map_err(|error| refuse("", error.to_string()))?;
    if let Some(unknown) = fields.keys().find(|name| !CANCEL_FIELDS.contains(&name.as_str())) {
        return Err(refuse(unknown, text::unknown_field(unknown, &CANCEL_FIELDS)));
    }
    match fields.remove("reason") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(reason)) => Ok(Some(reason)),
        Some(other) => Err(refuse("reason", format!("expected a string, found {}", text::kind_of(&other)))),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        let limits = EnvelopeLimits { payload_bytes: 20, ..EnvelopeLimits::default() };
        let actual = match read_json(text.to_owned(), &limits) {
            Ok(request) => format!("{:?} {} {} {:?}", request.format, request.definition, request.input, request.correlation_id),
            Err(problem) => format!("{} {}", problem.status().as_u16(), problem.detail()),
        };
        expected.assert_eq(&actual);
    }

    #[test]
    fn a_submission_is_a_definition_or_more() {
        check(r#"{"name":"n","tasks":[]}"#, expect![[r#"Json {"name":"n","tasks":[]} {} None"#]]);
        check(r#"{"definition":{"name":"n"},"input":{"a":1},"correlation_id":"c"}"#, expect![[r#"Json {"name":"n"} {"a":1} Some("c")"#]]);
        check(
            r#"{"definition":"name: n\ntasks: []"}"#,
            expect![[r#"
            Yaml name: n
            tasks: [] {} None"#]],
        );
        check(r#"{"definition":"{}"}"#, expect!["Json {} {} None"]);
        check(r#"{"definition":"{}","format":"yaml"}"#, expect!["Yaml {} {} None"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        check("[]", expect!["400 a submission is a JSON object: a definition, or one with the definition in its field 'definition'"]);
        check("{\"name\":\n x}", expect!["400 expected value at line 2 column 2"]);
        check(r#"{"definition":{},"inptu":1}"#, expect!["422 inptu: unknown field 'inptu'; did you mean 'input'?"]);
        check(
            r#"{"definition":{},"format":"yaml"}"#,
            expect!["422 format: says how the definition's text is to be read, but the definition is an object; leave it out"],
        );
        check(r#"{"definition":{},"input":"aaaaaaaaaaaaaaaaaaaaaaaa"}"#, expect!["413 input: 26 bytes are more than the 20 allowed"]);
        check(r#"{"definition":{},"event_id":"x"}"#, expect![[r#"422 event_id: UUID parsing failed: invalid character: found `x` at 0"#]]);
    }

    #[test]
    fn lists_know_the_statuses() {
        let query = list_query([("status", "running,failed"), ("limit", "7"), ("before", "9")]).unwrap();
        assert_eq!((query.statuses, query.limit, query.before), (Some(vec!["running".to_owned(), "failed".to_owned()]), 7, Some(9)));
        let wrong = |name, value| list_query([(name, value)]).unwrap_err().to_string();
        assert_eq!(wrong("status", "faild"), "status: 'faild' is none; did you mean 'failed'?");
        assert_eq!(wrong("stat", "x"), "unknown query parameter 'stat'; did you mean 'status'?");
    }
}
