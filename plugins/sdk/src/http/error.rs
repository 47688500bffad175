//! Owns the reasons for which there is no answer, with what an author or an operator does about each.
//! Leaves telling them apart on the wire to `wire`.

use std::fmt;

/// Why there is no answer, or no whole one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// The URL, the method or a header is not well formed; says which.
    Invalid(String),
    /// The operator's settings do not grant it.
    NotGranted,
    /// The name leads to this machine or a private network, which is not granted.
    PrivateAddress,
    /// More requests in one call, or at a time, than the limits.
    TooMany,
    /// The bodies of the call's requests are above the limit.
    RequestTooLarge,
    /// The bodies of the answers are above the limit.
    ResponseTooLarge,
    /// Not connected: no such name, nobody there, no route; says which.
    Unreachable(String),
    /// The certificate is not one that the host trusts, or TLS did not come about; says which.
    Tls(String),
    /// It took too long: to connect, to answer, or to go on.
    Timeout,
    /// The connection broke off, or what came is not HTTP; says which.
    Broken(String),
}

impl Error {
    /// Whether the same request may be answered another time.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Unreachable(_) | Error::Tls(_) | Error::Timeout | Error::Broken(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid(what) => write!(formatter, "the request is not well formed: {what}"),
            Error::NotGranted => formatter.write_str("the request is not granted: the settings need it under [[grants.http]]"),
            Error::PrivateAddress => formatter.write_str(
                "the host's name leads to this machine or a private network, which is not granted: the grant needs `private = true`",
            ),
            Error::TooMany => {
                formatter.write_str("more requests than the limits: see `http_requests` and `http_concurrent` under [limits]")
            }
            Error::RequestTooLarge => formatter.write_str("the body is larger than the limit: see `http_request_bytes` under [limits]"),
            Error::ResponseTooLarge => formatter.write_str("the answer is larger than the limit: see `http_response_bytes` under [limits]"),
            Error::Unreachable(why) => write!(formatter, "the host is not reached: {why}"),
            Error::Tls(why) => write!(formatter, "no secure connection: {why}"),
            Error::Timeout => formatter.write_str("it took too long"),
            Error::Broken(why) => write!(formatter, "the connection broke off: {why}"),
        }
    }
}

impl std::error::Error for Error {}
