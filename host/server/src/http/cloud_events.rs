//! CloudEvents over HTTP: which form a body has by its content type and headers, the binary form, and the forms in which events are answered.
//! What the attributes mean is the model's.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use serde_json::Value;
use trackside_model::{
    event::{
        EnvelopeLimits, Event, Incoming, Rejection,
        cloud_event::{self, Data, Form},
    },
    json::Json,
};

use super::{Api, answer, body, body::BodyLimit, problem::Problem};

/// Begins the headers that are attributes, in the binary form.
const PREFIX: &str = "ce-";
/// One event, as it is answered to who asks for this form.
const ONE: &str = "application/cloudevents+json";
/// Many of them.
const BATCH: &str = "application/cloudevents-batch+json";
/// With a batch: behind which position the next page begins, if there is one.
const NEXT: &str = "trackside-next";

/// Reads the text of one event.
pub(super) type Reads = fn(&str, &EnvelopeLimits) -> Result<Incoming, Rejection>;

/// Whether a request is an event in the binary form: attributes in headers, data in the body.
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    headers.contains_key("ce-specversion") && !media.trim_start().to_ascii_lowercase().starts_with("application/cloudevents")
}

/// Reads an event in the binary form.
///
/// # Errors
/// A problem for a header that cannot be read, and those of a body.
pub(super) async fn read_binary(api: &Api, headers: &HeaderMap, body: Body) -> Result<Incoming, Problem> {
    let limit = BodyLimit { name: "http.body_bytes", bytes: api.limits.body_bytes };
    body::check_coding(headers)?;
    let bytes = body::whole(body, limit, api.limits.read_timeout_ms).await?;
    of_parts(headers, bytes).map_err(|rejection| answer::rejected(&rejection))
}

fn of_parts(headers: &HeaderMap, body: Vec<u8>) -> Result<Incoming, Rejection> {
    let mut attributes = Vec::new();
    for (header, value) in headers {
        if let Some(name) = header.as_str().strip_prefix(PREFIX) {
            if headers.get_all(header).iter().count() > 1 {
                return Err(Rejection::malformed(header.as_str(), "stands there twice"));
            }
            attributes.push((name.to_owned(), Value::String(decoded(header.as_str(), value)?)));
        }
    }
    let media = headers.get(header::CONTENT_TYPE).map(|media| decoded("content-type", media)).transpose()?;
    let data = data_of(media.as_deref().unwrap_or("application/json"), body)?;
    attributes.extend(media.map(|media| ("datacontenttype".to_owned(), Value::String(media))));
    cloud_event::of_attributes(attributes, data)
}

/// JSON as it is, text as a string, and everything else as bytes.
fn data_of(media: &str, body: Vec<u8>) -> Result<Data, Rejection> {
    if body.is_empty() {
        return Ok(Data::None);
    }
    let name = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = name == "application/json" || name.ends_with("+json");
    match String::from_utf8(body) {
        Ok(text) if is_json => Ok(Data::Json(Json::trusted(text))),
        Ok(text) if name.starts_with("text/") && is_utf8(media) => Ok(Data::Json(Json::from_value(&text))),
        Ok(text) => Ok(Data::Bytes(text.into_bytes())),
        Err(error) if is_json => {
            let at = error.utf8_error().valid_up_to();
            Err(Rejection::malformed("", format!("the body is not UTF-8: byte {at} is no character")))
        }
        Err(error) => Ok(Data::Bytes(error.into_bytes())),
    }
}

fn is_utf8(media: &str) -> bool {
    let charset =
        media.split(';').skip(1).filter_map(|part| part.split_once('=')).find(|(key, _)| key.trim().eq_ignore_ascii_case("charset"));
    charset.is_none_or(|(_, charset)| charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"))
}

/// The text of a header: in quotes or not, with what is not ASCII in percent.
fn decoded(name: &str, value: &HeaderValue) -> Result<String, Rejection> {
    let wrong = || Rejection::malformed(name, "the header is no text in ASCII with the rest of UTF-8 in percent");
    let text = value.to_str().map_err(|_| wrong())?.trim();
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let text = quoted.map_or_else(|| text.to_owned(), |text| text.replace("\\\"", "\"").replace("\\\\", "\\"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        let hex = behind.get(..2).filter(|_| *byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match hex.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*byte);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// Whether a client asks to be answered with events as CloudEvents and nothing around them, by its header `Accept`.
pub(super) fn wants_batch(headers: &HeaderMap) -> bool {
    accepts(headers, BATCH)
}

/// The same for one event.
pub(super) fn wants_one(headers: &HeaderMap) -> bool {
    accepts(headers, ONE)
}

fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok()).flat_map(|accept| accept.split(','));
    accepted.filter_map(|range| range.split(';').next()).any(|range| range.trim().eq_ignore_ascii_case(media))
}

/// The response of one event.
pub(super) fn one(event: &Event) -> Result<Response, Problem> {
    respond(Form::CloudEvents.json(event).map_err(unwritten)?.into_bytes(), ONE)
}

/// The response of many, and behind which position the next ones are.
pub(super) fn batch(events: &[Event], next: Option<String>) -> Result<Response, Problem> {
    let events: Vec<_> = events.iter().map(cloud_event::CloudEvent::of).collect();
    let mut response = respond(serde_json::to_vec(&events).map_err(unwritten)?, BATCH)?;
    if let Some(next) = next.and_then(|next| HeaderValue::from_str(&next).ok()) {
        response.headers_mut().insert(NEXT, next);
    }
    Ok(response)
}

fn respond(text: Vec<u8>, media: &'static str) -> Result<Response, Problem> {
    let mut response = answer::body_of(StatusCode::OK, text);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    Ok(response)
}

pub(super) fn unwritten(error: serde_json::Error) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer could not be written: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn parts(more: &[(&'static str, &str)], body: &[u8]) -> Result<Incoming, Rejection> {
        let needed = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "a.b")];
        of_parts(&headers(&[&needed, more].concat()), body.to_vec())
    }

    #[test]
    fn the_body_is_json_text_or_bytes_by_its_media_type() {
        let payload = |media: &str, body: &[u8]| {
            let incoming = parts(&[("content-type", media)], body).unwrap();
            (incoming.payload.unwrap().to_string(), incoming.metadata.get("ce-data").cloned())
        };
        let bytes = Some("base64".to_owned());
        assert_eq!(payload("application/json", br#"{"a":1}"#), (r#"{"a":1}"#.to_owned(), None));
        assert_eq!(payload("application/vnd.shop+json; charset=utf-8", b"[1]"), ("[1]".to_owned(), None));
        assert_eq!(payload("text/plain", b"hello"), (r#""hello""#.to_owned(), None));
        assert_eq!(payload("text/plain; charset=latin1", b"hello"), (r#""aGVsbG8=""#.to_owned(), bytes.clone()));
        assert_eq!(payload("application/octet-stream", &[0xff, 0]), (r#""/wA=""#.to_owned(), bytes));
        assert!(parts(&[("content-type", "application/json")], &[0xff]).is_err());
        assert_eq!(parts(&[], b"").unwrap().metadata["ce-data"], "none");
    }

    #[test]
    fn headers_are_read_with_their_quotes_and_percents() {
        let incoming = parts(&[("ce-note", "caf%C3%A9 100%"), ("ce-said", r#""a \"b\"""#), ("ce-subject", "x")], b"").unwrap();
        assert_eq!(
            (&*incoming.metadata["note"], &*incoming.metadata["said"], &*incoming.metadata["ce-subject"]),
            ("café 100%", "a \"b\"", "x")
        );
        assert_eq!(parts(&[("ce-note", "%ff")], b"").unwrap_err().field, "ce-note");
        assert_eq!(parts(&[("ce-id", "2")], b"").unwrap_err().to_string(), "ce-id: stands there twice");
        assert_eq!(parts(&[("ce-my-note", "2")], b"").unwrap_err().field, "my-note");
    }

    #[test]
    fn the_form_is_told_by_the_headers() {
        assert!(is_binary(&headers(&[("ce-specversion", "1.0"), ("content-type", "application/json")])));
        assert!(!is_binary(&headers(&[("ce-specversion", "1.0"), ("content-type", "application/cloudevents+json")])));
        assert!(!is_binary(&headers(&[("content-type", "application/json")])));
        assert!(wants_batch(&headers(&[("accept", "text/html, application/cloudevents-batch+json;q=0.9")])));
        assert!(!wants_batch(&headers(&[("accept", "*/*")])) && !wants_one(&headers(&[("accept", "application/json")])));
    }
}
