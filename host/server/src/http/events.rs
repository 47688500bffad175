//! `/v1/events`: publishing one event or an array of them, listing what matches, and one event with what was decided about it.
//! NDJSON bodies are `ndjson`'s, live streams `stream`'s.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use serde_json::{json, value::RawValue};
use trackside_engine::{Answer, Outcome, Together};
use trackside_model::event::{
    Event, Incoming, Rejection,
    cloud_event::{self, CloudEvent, Form},
};
use trackside_store::{ReadError, ReadStore};
use uuid::Uuid;

use super::{
    Api, answer,
    body::{self, BodyLimit, Media},
    cloud_events::{self, Reads},
    gate::Ends,
    ndjson,
    problem::Problem,
    request::Envelope,
};
use crate::{
    access::Who,
    explain::Explained,
    params::{self, EventParams, LIST_PARAMS},
};

/// What publishing may be asked.
const PUBLISH_PARAMS: [&str; 2] = ["ordered", "atomic"];

/// `POST /v1/events`.
pub(super) async fn publish(State(api): State<Arc<Api>>, who: Who, ends: Ends, uri: Uri, headers: HeaderMap, body: Body) -> Response {
    let asked = media(&uri, &headers).and_then(|(media, manner)| Ok((media, manner, Envelope::read(&headers, &who)?)));
    let (media, manner, envelope) = match asked {
        Ok(asked) => asked,
        Err(problem) => return problem.into_response(),
    };
    if cloud_events::is_binary(&headers) {
        let read = cloud_events::read_binary(&api, &headers, body).await;
        return match read {
            Ok(incoming) => publish_read(&api, &envelope, incoming).await,
            Err(problem) => problem.into_response(),
        };
    }
    let in_flight = if manner.ordered { 1 } else { api.limits.in_flight };
    if media == Media::Ndjson {
        return ndjson::publish(api, envelope, ends, in_flight, body);
    }
    let reads: Reads = match media {
        Media::CloudEvent | Media::CloudEvents => cloud_event::read,
        _ => Incoming::from_json,
    };
    let limit = BodyLimit { name: "http.body_bytes", bytes: api.limits.body_bytes };
    let published = match body::text(body, limit, api.limits.read_timeout_ms).await {
        Ok(text) if manner.atomic => publish_together(&api, &envelope, reads, &text).await,
        Ok(text) if is_array(media, &text) => publish_array(&api, &envelope, reads, in_flight, &text).await,
        Ok(text) => publish_one(&api, &envelope, reads, &text).await,
        Err(problem) => Err(problem),
    };
    published.unwrap_or_else(Problem::into_response)
}

/// How several events are published.
#[derive(Clone, Copy, Debug, Default)]
struct Manner {
    /// Each after the one before it.
    ordered: bool,
    /// All of them, or none.
    atomic: bool,
}

fn media(uri: &Uri, headers: &HeaderMap) -> Result<(Media, Manner), Problem> {
    let mut manner = Manner::default();
    for (name, value) in body::pairs(uri)? {
        match name.as_str() {
            "ordered" => manner.ordered = params::truth(&name, &value)?,
            "atomic" => manner.atomic = params::truth(&name, &value)?,
            other => return Err(params::unknown(other, &PUBLISH_PARAMS).into()),
        }
    }
    // What is all or nothing is read whole first, which NDJSON is not made for.
    let known: &[Media] = match manner.atomic {
        true => &[Media::Json, Media::CloudEvents],
        false => &[Media::Json, Media::Ndjson, Media::CloudEvent, Media::CloudEvents],
    };
    // Attributes in headers make an event of any body.
    let media = if cloud_events::is_binary(headers) && !manner.atomic { Media::CloudEvent } else { body::media_of(headers, known)? };
    Ok((media, manner))
}

/// A batch of CloudEvents is one whatever it looks like; in JSON an array is seen.
fn is_array(media: Media, text: &str) -> bool {
    match media {
        Media::CloudEvents => true,
        Media::Json => text.trim_start().starts_with('['),
        _ => false,
    }
}

async fn publish_one(api: &Api, envelope: &Envelope, reads: Reads, text: &str) -> Result<Response, Problem> {
    let incoming = reads(text, &api.envelope_limits).map_err(|rejection| answer::rejected(&rejection))?;
    Ok(publish_read(api, envelope, incoming).await)
}

async fn publish_read(api: &Api, envelope: &Envelope, mut incoming: Incoming) -> Response {
    if let Err(problem) = envelope.may(&incoming) {
        return problem.into_response();
    }
    envelope.complete(&mut incoming, 0);
    answer::respond(&api.engine.publish(incoming, envelope.caller.clone()).await)
}

/// An array is checked as a whole before anything of it is published: if the form of one event is wrong, nothing is changed. What
/// control handlers say, and what is a duplicate, each event has for itself: 200, with one answer an event, in the array's order.
async fn publish_array(api: &Api, envelope: &Envelope, reads: Reads, in_flight: usize, text: &str) -> Result<Response, Problem> {
    let all = read_array(api, envelope, reads, text)?;
    let publishing = all.into_iter().map(|incoming| api.engine.publish(incoming, envelope.caller.clone()));
    let answers: Vec<Answer> = stream::iter(publishing).buffered(in_flight).collect().await;
    let elements: Vec<serde_json::Value> = answers.iter().map(answer::element).collect();
    Ok(answer::json(StatusCode::OK, &elements))
}

/// An array of which all is appended, in one commit, or nothing: 201 with one answer an event, 200 if all of them were there before, or the
/// problem of the first that stands against it.
async fn publish_together(api: &Api, envelope: &Envelope, reads: Reads, text: &str) -> Result<Response, Problem> {
    if !text.trim_start().starts_with('[') {
        return Err(answer::rejected(&Rejection::malformed("", "with atomic=true the body is an array of events")));
    }
    let all = read_array(api, envelope, reads, text)?;
    match api.engine.publish_together(all, envelope.caller.clone()).await {
        Together::All(answers) => {
            let new = answers.iter().any(|answer| answer.outcome == Outcome::Appended);
            let elements: Vec<serde_json::Value> = answers.iter().map(answer::element).collect();
            Ok(answer::json(if new { StatusCode::CREATED } else { StatusCode::OK }, &elements))
        }
        Together::None { place, answer } => Err(answer::against_all(place, &answer)),
    }
}

fn read_array(api: &Api, envelope: &Envelope, reads: Reads, text: &str) -> Result<Vec<Incoming>, Problem> {
    let events: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|error| answer::rejected(&Rejection::malformed("", error.to_string())))?;
    if events.len() > api.limits.batch_events {
        let what = format!(
            "{} events are more than the {} allowed in one array (http.batch_events in the host's configuration)",
            events.len(),
            api.limits.batch_events
        );
        return Err(Problem::refused(StatusCode::PAYLOAD_TOO_LARGE, format!("{what}; send NDJSON, or several arrays")));
    }
    let now = trackside_engine::now();
    let mut all = Vec::with_capacity(events.len());
    for (place, event) in events.iter().enumerate() {
        let at = |rejection: Rejection| {
            let field = if rejection.field.is_empty() { format!("[{place}]") } else { format!("[{place}].{}", rejection.field) };
            // The element is whole JSON here, so what is wrong with it is what it says, not that it cannot be read.
            answer::rejected(&Rejection { field, ..rejection })
        };
        let mut incoming = reads(event.get(), &api.envelope_limits).map_err(at)?;
        envelope.may(&incoming)?;
        envelope.complete(&mut incoming, place);
        api.engine.name_as_in_the_log(&mut incoming);
        incoming.clone().into_draft(now, Uuid::nil(), &api.envelope_limits).map_err(at)?;
        all.push(incoming);
    }
    Ok(all)
}

/// `GET /v1/events`.
pub(super) async fn list(State(api): State<Arc<Api>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let pairs = body::pairs(&uri)?;
    let params = EventParams::parse(body::borrowed(&pairs), &LIST_PARAMS)?;
    if params.text.is_some() {
        params.check_text(&api.read(|store| store.full_text_types()).await?)?;
    }
    let page = api.read(|store| store.query(&params.query())).await?;
    if cloud_events::wants_batch(&headers) {
        return cloud_events::batch(&page.events, page.next.map(|next| next.to_string()));
    }
    let mut text = Vec::with_capacity(512 * page.events.len() + 64);
    text.extend_from_slice(b"{\"events\":[");
    write_events(&mut text, &page.events, params.form).map_err(cloud_events::unwritten)?;
    text.extend_from_slice(b"],\"next\":");
    match page.next {
        Some(next) => text.extend_from_slice(format!("\"{next}\"").as_bytes()),
        None => text.extend_from_slice(b"null"),
    }
    if !page.trimmed.is_empty() {
        text.extend_from_slice(format!(",\"trimmed\":{}", json!(page.trimmed)).as_bytes());
    }
    text.push(b'}');
    Ok(answer::body_of(StatusCode::OK, text))
}

fn write_events(text: &mut Vec<u8>, events: &[Event], form: Form) -> serde_json::Result<()> {
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        match form {
            Form::Trackside => serde_json::to_writer(&mut *text, event)?,
            Form::CloudEvents => serde_json::to_writer(&mut *text, &CloudEvent::of(event))?,
        }
    }
    Ok(())
}

/// `GET /v1/events/{id}`.
pub(super) async fn explain(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let form = params::form(body::borrowed(&body::pairs(&uri)?))?;
    let id: crate::explain::EventId = id.parse().map_err(|error| Problem::refused(StatusCode::BAD_REQUEST, format!("{error}")))?;
    match api.read(|store| explained(store, &id)).await? {
        Some(explained) if cloud_events::wants_one(&headers) => cloud_events::one(&explained.event),
        Some(explained) => Ok(answer::body_of(StatusCode::OK, explained.json(form).map_err(cloud_events::unwritten)?)),
        None => Err(Problem::refused(StatusCode::NOT_FOUND, format!("there is no event {id} in the log"))),
    }
}

fn explained(store: &ReadStore, id: &crate::explain::EventId) -> Result<Option<Explained>, ReadError> {
    Explained::find(store, id)
}
