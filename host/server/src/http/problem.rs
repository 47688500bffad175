//! Problem documents (RFC 9457): the one form of every answer from 400 up, with the members of the common answer.
//! Which problem it is, is said by whoever meets it.

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

/// Something that was not done, and why. The type is `about:blank`: the status is the kind, the detail says what to do.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    members: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of this status; `detail` says what, where and what to do.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let mut members = Map::new();
        members.insert("type".to_owned(), "about:blank".into());
        members.insert("title".to_owned(), status.canonical_reason().unwrap_or("Problem").into());
        members.insert("status".to_owned(), status.as_u16().into());
        members.insert("detail".to_owned(), detail.into().into());
        Self { status, members, headers: Vec::new() }
    }

    /// A request whose form is wrong: nothing was changed.
    pub fn refused(status: StatusCode, detail: impl Into<String>) -> Self {
        Self::new(status, detail).with("outcome", "refused")
    }

    /// The log cannot be read.
    pub fn unreadable(error: &trackside_store::ReadError) -> Self {
        tracing::error!("{error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}; the host's log says more"))
    }

    /// The same, with another member.
    #[must_use]
    pub fn with<T: Serialize>(mut self, member: &str, value: T) -> Self {
        // What cannot be shown is left out: the status and the detail stand.
        if let Ok(value) = serde_json::to_value(value) {
            self.members.insert(member.to_owned(), value);
        }
        self
    }

    /// The same, with a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same, saying when trying again may help. HTTP counts in whole seconds, so it is rounded up.
    #[must_use]
    pub fn retry_after_ms(self, retry_after_ms: u64) -> Self {
        self.header(header::RETRY_AFTER, HeaderValue::from(retry_after_ms.div_ceil(1_000).max(1))).with("retry_after_ms", retry_after_ms)
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What, where and what to do.
    pub fn detail(&self) -> &str {
        self.members.get("detail").and_then(Value::as_str).unwrap_or_default()
    }

    /// The document.
    pub fn document(&self) -> &Map<String, Value> {
        &self.members
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // Members are text, numbers and what serde_json made of them: writing them cannot fail.
        let body = serde_json::to_string(&self.members).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn a_problem_is_a_document_with_its_members() {
        let problem = Problem::refused(StatusCode::UNPROCESSABLE_ENTITY, "severity: loud").with("field", "severity");
        expect![[r#"{"detail":"severity: loud","field":"severity","outcome":"refused","status":422,"title":"Unprocessable Entity","type":"about:blank"}"#]]
            .assert_eq(&serde_json::to_string(problem.document()).unwrap());
        let response = problem.into_response();
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }

    #[test]
    fn waiting_is_rounded_up_to_seconds() {
        for (retry_after_ms, seconds) in [(1, "1"), (1_000, "1"), (1_001, "2")] {
            let response = Problem::new(StatusCode::TOO_MANY_REQUESTS, "").retry_after_ms(retry_after_ms).into_response();
            assert_eq!(response.headers()["retry-after"], seconds);
        }
    }
}
