//! Request bodies: of a known content type, within their limits, in good time; and the query's pairs.
//! What they mean is said by whoever asked for them.

use std::time::Duration;

use axum::{
    body::{Body, BodyDataStream},
    extract::Query,
    http::{HeaderMap, StatusCode, Uri, header},
};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::problem::Problem;
use crate::params::ParamError;

/// A content type that some route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    /// `application/json`.
    Json,
    /// `application/x-ndjson`: one JSON object a line.
    Ndjson,
    /// `application/yaml`.
    Yaml,
    /// `application/wasm`: a component.
    Wasm,
    /// `application/cloudevents+json`: one event.
    CloudEvent,
    /// `application/cloudevents-batch+json`: an array of them.
    CloudEvents,
}

impl Media {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Yaml => "application/yaml",
            Self::Wasm => "application/wasm",
            Self::CloudEvent => "application/cloudevents+json",
            Self::CloudEvents => "application/cloudevents-batch+json",
        }
    }
}

/// The content type of a request, one of `known`.
///
/// # Errors
/// A problem (415) that lists what is taken.
pub(super) fn media_of(headers: &HeaderMap, known: &[Media]) -> Result<Media, Problem> {
    let names: Vec<&str> = known.iter().map(|media| media.name()).collect();
    let refused = |what: String| Problem::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{what}; send {}", names.join(" or ")));
    check_coding(headers)?;
    let Some(given) = headers.get(header::CONTENT_TYPE) else {
        return Err(refused("there is no Content-Type".to_owned()));
    };
    let text = given.to_str().unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let other_charset = parts
        .filter_map(|part| part.split_once('='))
        .any(|(key, value)| key.trim().eq_ignore_ascii_case("charset") && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"));
    match known.iter().find(|media| name.eq_ignore_ascii_case(media.name())) {
        Some(_) if other_charset => Err(refused(format!("the content type '{text}' is in another character set than UTF-8"))),
        Some(media) => Ok(*media),
        None => Err(refused(format!("the content type '{text}' is not taken"))),
    }
}

/// Refuses a body that is packed.
///
/// # Errors
/// A problem (415).
pub(super) fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING).filter(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        None => Ok(()),
        Some(coding) => {
            let detail = format!("the content encoding {coding:?} is not taken: send the body as it is");
            Err(Problem::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
        }
    }
}

/// A limit on a body: its key in the configuration, and its value in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyLimit {
    pub(super) name: &'static str,
    pub(super) bytes: usize,
}

impl BodyLimit {
    pub(super) fn exceeded(&self, what: &str) -> Problem {
        let detail = format!("{what} is larger than the {} bytes allowed ({} in the host's configuration)", self.bytes, self.name);
        Problem::refused(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }
}

/// The pieces of a body, each in good time.
pub(super) struct Pieces {
    stream: BodyDataStream,
    timeout: Duration,
}

impl Pieces {
    pub(super) fn new(body: Body, read_timeout_ms: u64) -> Self {
        Self { stream: body.into_data_stream(), timeout: Duration::from_millis(read_timeout_ms) }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// A problem: 408 if nothing came in time, 400 if the connection broke.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        match tokio::time::timeout(self.timeout, self.stream.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(piece))) => Ok(Some(piece)),
            Ok(Some(Err(error))) => Err(Problem::refused(StatusCode::BAD_REQUEST, format!("the body broke off: {error}"))),
            Err(_) => {
                let detail = format!(
                    "nothing of the body came for {} ms (http.read_timeout_ms in the host's configuration)",
                    self.timeout.as_millis()
                );
                Err(Problem::refused(StatusCode::REQUEST_TIMEOUT, detail))
            }
        }
    }
}

/// The whole of a body.
///
/// # Errors
/// A problem: 413 if it is larger than the limit, and those of [`Pieces::next`].
pub(super) async fn whole(body: Body, limit: BodyLimit, read_timeout_ms: u64) -> Result<Vec<u8>, Problem> {
    let mut pieces = Pieces::new(body, read_timeout_ms);
    let mut bytes = Vec::new();
    let mut seen = 0_usize;
    while let Some(piece) = pieces.next().await? {
        seen = seen.saturating_add(piece.len());
        if seen <= limit.bytes {
            bytes.extend_from_slice(&piece);
        } else if seen > limit.bytes.saturating_mul(4) {
            break;
        } else {
            // Read on for a while without keeping it: many clients look for the answer only when they have sent everything.
            bytes = Vec::new();
        }
    }
    if seen > limit.bytes {
        return Err(limit.exceeded("the body"));
    }
    Ok(bytes)
}

/// The whole of a body as text.
///
/// # Errors
/// A problem: 400 if it is not UTF-8, and those of [`whole`].
pub(super) async fn text(body: Body, limit: BodyLimit, read_timeout_ms: u64) -> Result<String, Problem> {
    String::from_utf8(whole(body, limit, read_timeout_ms).await?).map_err(|error| {
        Problem::refused(
            StatusCode::BAD_REQUEST,
            format!("the body is not UTF-8: byte {} is no character", error.utf8_error().valid_up_to()),
        )
    })
}

/// The pairs of a query, decoded.
///
/// # Errors
/// A problem (400), if they cannot be.
pub(super) fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    Query::try_from_uri(uri)
        .map(|Query(pairs)| pairs)
        .map_err(|error| Problem::refused(StatusCode::BAD_REQUEST, format!("the query cannot be read: {}", error.body_text())))
}

/// The pairs as they are borrowed by who reads them.
pub(super) fn borrowed(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

/// A route without parameters.
///
/// # Errors
/// A problem (400), if there are some.
pub(super) fn no_params(uri: &Uri) -> Result<(), Problem> {
    match pairs(uri)?.first() {
        Some((name, _)) => Err(crate::params::unknown(name, &[]).into()),
        None => Ok(()),
    }
}

impl From<ParamError> for Problem {
    fn from(error: ParamError) -> Self {
        Self::refused(StatusCode::BAD_REQUEST, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: Option<&str>, known: &[Media]) -> Result<Media, String> {
        let mut headers = HeaderMap::new();
        if let Some(content_type) = content_type {
            headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        }
        media_of(&headers, known).map_err(|problem| format!("{} {}", problem.status().as_u16(), problem.detail()))
    }

    #[test]
    fn only_the_known_content_types_are_taken() {
        let known = [Media::Json, Media::Ndjson];
        assert_eq!(check(Some("application/json"), &known), Ok(Media::Json));
        assert_eq!(check(Some("Application/JSON; charset=UTF-8"), &known), Ok(Media::Json));
        assert_eq!(check(Some("application/x-ndjson"), &known), Ok(Media::Ndjson));
        assert_eq!(check(None, &known).unwrap_err(), "415 there is no Content-Type; send application/json or application/x-ndjson");
        assert_eq!(
            check(Some("text/plain"), &known).unwrap_err(),
            "415 the content type 'text/plain' is not taken; send application/json or application/x-ndjson"
        );
        assert!(check(Some("application/yaml"), &known).is_err());
        assert!(check(Some("application/json; charset=latin1"), &known).is_err());
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        let limit = BodyLimit { name: "http.body_bytes", bytes: 4 };
        assert_eq!(text(Body::from("1234"), limit, 1_000).await.unwrap(), "1234");
        let problem = text(Body::from("12345"), limit, 1_000).await.unwrap_err();
        assert_eq!(problem.status(), 413);
        assert!(problem.detail().contains("4 bytes allowed (http.body_bytes"), "{}", problem.detail());
        let problem = text(Body::from(vec![b'a', 0xff]), limit, 1_000).await.unwrap_err();
        assert_eq!((problem.status().as_u16(), problem.detail()), (400, "the body is not UTF-8: byte 1 is no character"));
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(text(body, BodyLimit { name: "x", bytes: 4 }, 10).await.unwrap_err().status(), 408);
    }
}
