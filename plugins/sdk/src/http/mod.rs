//! Owns calling out over HTTP: requests and answers as plain values, sent by functions that wait.
//! Leaves whether a request may go out, where its name leads, and its limits to the host; the way through `wasi:http` to `wire`.
//!
//! ```no_run
//! use trackside_sdk::{Error, http, secrets};
//!
//! fn order(id: u64) -> Result<String, Error> {
//!     let answer = http::get(format!("https://api.shop.example/v1/orders/{id}"))
//!         .bearer(&secrets::placeholder("shop-api")?)
//!         .timeout_ms(2_000)
//!         .send()?;
//!     match answer.status {
//!         200 => Ok(answer.text()),
//!         status => Err(Error::new(format!("the shop answered {status}"))),
//!     }
//! }
//! ```
//!
//! The operator's settings list where a plugin may call, under `[[grants.http]]`; a plugin that does not use this module does not import
//! `wasi:http`. Redirects are not followed: their answers are answers. Control handlers cannot call out.

mod error;
mod url;
mod wire;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::Error;
pub use wire::Pending;

/// A request that has not been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "nothing is sent before `send` or `start`"]
pub struct Request {
    method: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    timeout_ms: Option<u64>,
}

/// A request with this method, such as `GET`, to this URL, `https://` or `http://`.
pub fn request(method: impl Into<String>, url: impl Into<String>) -> Request {
    Request { method: method.into(), url: url.into(), headers: Vec::new(), body: Vec::new(), timeout_ms: None }
}

/// Asks for something.
pub fn get(url: impl Into<String>) -> Request {
    request("GET", url)
}

/// Hands something over.
pub fn post(url: impl Into<String>) -> Request {
    request("POST", url)
}

/// Puts something into its place.
pub fn put(url: impl Into<String>) -> Request {
    request("PUT", url)
}

/// Deletes something.
pub fn delete(url: impl Into<String>) -> Request {
    request("DELETE", url)
}

impl Request {
    /// With a header. Placeholders of secrets in its value are filled in by the host, where the secret is for that host.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With `Authorization: Bearer TOKEN`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With a body of JSON, and the header that says so.
    ///
    /// # Errors
    /// When the value does not serialise.
    pub fn json(self, body: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(self.header("content-type", "application/json").body(serde_json::to_vec(body)?))
    }

    /// How long connecting may take, then the beginning of the answer, then each pause in its body. The operator's limits, and the call's
    /// deadline, hold besides.
    pub fn timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.timeout_ms = Some(timeout_ms);
        self
    }

    /// Sends it, and waits for the whole answer.
    ///
    /// # Errors
    /// [`Error`], if there is none. An answer with any status is an answer.
    pub fn send(&self) -> Result<Response, Error> {
        self.start()?.wait()
    }

    /// Sends it, and does not wait: several can be under way at a time.
    ///
    /// # Errors
    /// [`Error`], if it does not go out.
    pub fn start(&self) -> Result<Pending, Error> {
        wire::start(self)
    }
}

/// An answer, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status: 200, 404, ….
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// Whether the status is one of the 200s.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as `T`, from JSON.
    ///
    /// # Errors
    /// When it does not have the shape of `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_what_was_put_together() {
        let request = post("https://a.test/x").bearer("t").json(&[1, 2]).unwrap().timeout_ms(5);
        assert_eq!((request.method.as_str(), request.body.as_slice(), request.timeout_ms), ("POST", b"[1,2]".as_slice(), Some(5)));
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["authorization", "content-type"]);
    }

    #[test]
    fn an_answer_is_read_as_what_it_is() {
        let headers = vec![("content-type".to_owned(), b"application/json".to_vec()), ("x-odd".to_owned(), vec![0xff])];
        let answer = Response { status: 404, headers, body: b"{\"a\": 1}".to_vec() };
        assert_eq!((answer.header("Content-Type"), answer.header("x-odd"), answer.header("other")), (Some("application/json"), None, None));
        assert!(!answer.is_success());
        assert_eq!(answer.json::<serde_json::Value>().unwrap()["a"], 1);
    }
}
