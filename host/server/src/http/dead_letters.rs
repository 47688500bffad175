//! `/v1/dead-letters`: what could not be handed over or published, kept until somebody has decided: listed, shown, tried again, given up.
//! Trying again is the engine's.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use serde_json::{Map, Value, json};
use trackside_engine::{RedriveError, redrives};
use trackside_model::{
    event::{EnvelopeLimits, Pattern, Rejection},
    json::Json,
    keeping::{DeadLettered, Letter, Redrive},
    text,
    time::Timestamp,
};
use trackside_store::{LetterPage, LetterQuery, ReadError, ReadStore};

use super::{
    Api, answer,
    body::{self, BodyLimit, Media},
    problem::Problem,
};
use crate::{
    access::Who,
    params::{self, DEFAULT_LIMIT, ParamError},
};

/// What a listing may be asked.
pub(crate) const LIST_PARAMS: [&str; 6] = ["id", "type", "plugin", "older_than", "after", "limit"];
/// What deciding about many may be asked: which, or all.
const MANY_PARAMS: [&str; 8] = ["id", "type", "plugin", "older_than", "after", "limit", "all", "reason"];
/// The fields of a redrive.
const REDRIVE_FIELDS: [&str; 1] = ["payload"];

/// Reads the pairs that say which letters. `now` is what ages count from.
///
/// # Errors
/// [`ParamError`] for the first that is wrong.
pub(crate) fn list_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, now: Timestamp) -> Result<LetterQuery, ParamError> {
    let mut query = LetterQuery { limit: DEFAULT_LIMIT, ..LetterQuery::default() };
    for (name, value) in pairs {
        if !select(&mut query, name, value, now)? {
            return Err(params::unknown(name, &LIST_PARAMS));
        }
    }
    Ok(query)
}

/// `false`: it is no such parameter.
fn select(query: &mut LetterQuery, name: &str, value: &str, now: Timestamp) -> Result<bool, ParamError> {
    match name {
        "id" => {
            for id in value.split(',').map(str::trim) {
                query.ids.get_or_insert_default().push(letter_id(id)?);
            }
        }
        "type" => {
            for pattern in value.split(',').map(str::trim) {
                let pattern = Pattern::parse(pattern).map_err(|error| ParamError(format!("type: {error}")))?;
                query.types.get_or_insert_default().push(pattern);
            }
        }
        "plugin" => query.plugins.get_or_insert_default().extend(value.split(',').map(|plugin| plugin.trim().to_owned())),
        "older_than" => {
            let age_ns = params::duration_ms(name, value)?.saturating_mul(1_000_000);
            query.before = Some(Timestamp(now.0.saturating_sub(age_ns)));
        }
        "after" => query.after = letter_id(value)?,
        "limit" => query.limit = params::limit(name, value)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn letter_id(text: &str) -> Result<u64, ParamError> {
    text.parse().map_err(|_| ParamError(format!("'{text}' names no dead letter; a listing shows their numbers")))
}

/// A part of the list, as JSON.
pub(crate) fn page_json(store: &ReadStore, page: &LetterPage) -> Result<Value, ReadError> {
    let letters: Vec<Value> = page.letters.iter().map(|letter| row_json(store, letter)).collect::<Result<_, _>>()?;
    Ok(json!({"dead_letters": letters, "next": page.next}))
}

fn row_json(store: &ReadStore, letter: &Letter) -> Result<Value, ReadError> {
    let dead: DeadLettered = store.event(letter.sequence)?.and_then(|event| event.payload.read().ok()).unwrap_or_default();
    Ok(json!({
        "dead_letter": letter.sequence, "plugin": letter.plugin, "code": letter.code, "event_type": letter.event_type,
        "sequence_number": letter.event_sequence, "dead_at": letter.dead_at, "reason": dead.reason, "attempts": dead.attempts.len(),
    }))
}

/// A letter with all that is known of it; `None`: there is none.
pub(crate) fn shown(store: &ReadStore, letter: u64) -> Result<Option<Value>, ReadError> {
    let Some(letter) = store.dead_letter(letter)? else { return Ok(None) };
    let Some(dead) = store.event(letter.sequence)? else { return Ok(None) };
    let event = letter.event_sequence.map(|sequence| store.event(sequence)).transpose()?.flatten();
    let mut told = dead.payload.read::<Map<String, Value>>().unwrap_or_default();
    told.insert("dead_letter".to_owned(), json!(letter.sequence));
    told.insert("dead_at".to_owned(), json!(letter.dead_at));
    told.insert("correlation_id".to_owned(), json!(dead.correlation_id));
    told.insert("redrives".to_owned(), json!(redrives(store, &dead)?));
    if let Some(event) = event {
        told.insert("event".to_owned(), json!(*event));
    }
    Ok(Some(Value::Object(told)))
}

/// `GET /v1/dead-letters`: oldest first.
pub(super) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let pairs = body::pairs(&uri)?;
    let query = list_query(body::borrowed(&pairs), trackside_engine::now())?;
    let page = api.read(|store| page_json(store, &store.dead_letters(&query)?)).await?;
    Ok(answer::json(StatusCode::OK, &page))
}

/// `GET /v1/dead-letters/{id}`.
pub(super) async fn show(State(api): State<Arc<Api>>, Path(id): Path<String>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    let id = letter_id(&id)?;
    match api.read(|store| shown(store, id)).await? {
        Some(letter) => Ok(answer::json(StatusCode::OK, &letter)),
        None => Err(RedriveError::Unknown(id).into()),
    }
}

/// `POST /v1/dead-letters/{id}/redrive`, with no body or `{"payload": …}`.
pub(super) async fn redrive(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    who: Who,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    let id = letter_id(&id)?;
    let limit = BodyLimit { name: "http.body_bytes", bytes: api.limits.body_bytes };
    let text = body::text(body, limit, api.limits.read_timeout_ms).await?;
    let payload = if text.trim().is_empty() {
        None
    } else {
        body::media_of(&headers, &[Media::Json])?;
        read_payload(&text, &api.envelope_limits)?
    };
    let told = api.engine.redrive(id, payload, who.name()).await?;
    if told.outcome == Redrive::NotTaken {
        let reason = told.attempt.as_ref().map_or("", |attempt| &attempt.error);
        let detail = format!("'{}' did not take it, and it stays a dead letter: {reason}", told.plugin);
        return Err(Problem::refused(StatusCode::UNPROCESSABLE_ENTITY, detail).with("redriven", &told));
    }
    Ok(answer::json(StatusCode::OK, &told))
}

fn read_payload(text: &str, limits: &EnvelopeLimits) -> Result<Option<Json>, Problem> {
    let wrong = |field: &str, message: String| answer::rejected(&Rejection::malformed(field, message));
    let mut fields: std::collections::BTreeMap<String, Json> = serde_json::from_str(text).map_err(|error| wrong("", error.to_string()))?;
    if let Some(unknown) = fields.keys().find(|name| !REDRIVE_FIELDS.contains(&name.as_str())) {
        return Err(wrong(unknown, text::unknown_field(unknown, &REDRIVE_FIELDS)));
    }
    let Some(payload) = fields.remove("payload") else { return Ok(None) };
    let checked = Json::check(payload.as_str(), limits.payload_bytes, limits.payload_depth);
    checked.map(Some).map_err(|error| match error {
        trackside_model::json::JsonError::Syntax { .. } => wrong("payload", error.to_string()),
        _ => Problem::refused(StatusCode::PAYLOAD_TOO_LARGE, format!("payload: {error}")).with("field", "payload"),
    })
}

/// `POST /v1/dead-letters/redrive`: those that match, each as it is, oldest first; a part at a time, as `next` says.
pub(super) async fn redrive_many(State(api): State<Arc<Api>>, who: Who, uri: Uri) -> Result<Response, Problem> {
    let many = Many::of(&uri)?;
    let page = api.read(|store| store.dead_letters(&many.query)).await?;
    let mut told = Vec::new();
    for letter in &page.letters {
        told.push(match api.engine.redrive(letter.sequence, None, who.name()).await {
            Ok(redriven) => json!({"dead_letter": letter.sequence, "outcome": redriven.outcome, "event_id": redriven.event_id,
                "reason": redriven.attempt.map(|attempt| attempt.error)}),
            Err(error @ (RedriveError::Append(_) | RedriveError::Poisoned(_) | RedriveError::Read(_))) => return Err(error.into()),
            Err(error) => json!({"dead_letter": letter.sequence, "outcome": "refused", "reason": error.to_string()}),
        });
    }
    Ok(answer::json(StatusCode::OK, &json!({"redriven": told, "next": page.next})))
}

/// `POST /v1/dead-letters/purge`: those that match are given up; a part at a time, as `next` says.
pub(super) async fn purge(State(api): State<Arc<Api>>, who: Who, uri: Uri) -> Result<Response, Problem> {
    let many = Many::of(&uri)?;
    let page = api.read(|store| store.dead_letters(&many.query)).await?;
    let letters: Vec<u64> = page.letters.iter().map(|letter| letter.sequence).collect();
    let purged = api.engine.purge(&letters, who.name(), many.reason.as_deref()).await?;
    Ok(answer::json(StatusCode::OK, &json!({"purged": purged, "next": page.next})))
}

/// Letters that something is decided about.
struct Many {
    query: LetterQuery,
    reason: Option<String>,
}

impl Many {
    fn of(uri: &Uri) -> Result<Self, Problem> {
        let (mut all, mut says_which) = (false, false);
        let mut many = Self { query: LetterQuery { limit: DEFAULT_LIMIT, ..LetterQuery::default() }, reason: None };
        for (name, value) in body::pairs(uri)? {
            match name.as_str() {
                "all" => all = params::truth(&name, &value)?,
                "reason" => many.reason = Some(value),
                known if MANY_PARAMS.contains(&known) => {
                    select(&mut many.query, known, &value, trackside_engine::now())?;
                    says_which |= !matches!(known, "after" | "limit");
                }
                other => return Err(params::unknown(other, &MANY_PARAMS).into()),
            }
        }
        // A slip must not decide about everything.
        if all == says_which {
            return Err(ParamError(
                "say which dead letters, by id, type, plugin or older_than; or all=true, and nothing of these".to_owned(),
            )
            .into());
        }
        Ok(many)
    }
}

impl From<RedriveError> for Problem {
    fn from(error: RedriveError) -> Self {
        let detail = error.to_string();
        match error {
            RedriveError::Unknown(_) => Self::refused(StatusCode::NOT_FOUND, detail),
            RedriveError::Untold(_) | RedriveError::Several(..) | RedriveError::AsItIs(_) => {
                Self::refused(StatusCode::UNPROCESSABLE_ENTITY, detail)
            }
            RedriveError::NotInService(_) | RedriveError::NoReader(_) | RedriveError::InHand(_) => {
                Self::refused(StatusCode::CONFLICT, detail)
            }
            RedriveError::Busy { retry_after_ms, .. } => Self::new(StatusCode::TOO_MANY_REQUESTS, detail).retry_after_ms(retry_after_ms),
            RedriveError::Read(error) => Self::unreadable(&error),
            RedriveError::Append(_) | RedriveError::Poisoned(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail),
        }
    }
}
