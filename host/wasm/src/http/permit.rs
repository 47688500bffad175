//! Owns the look at a request before it goes out: whether it is granted, and whether the call has requests left. What passes has a permit.
//! Leaves where its name leads to `client`, and what is done with a permit to `send`.

use std::{net::Ipv6Addr, str::FromStr as _, sync::Arc};

use hyper::http::uri::Authority;
use trackside_model::{
    event::trace::Carried,
    outside::{HttpGrant, Request, default_port},
    ports::HttpUsage,
};
use wasmtime_wasi_http::{
    RequestOptions,
    p2::{
        bindings::http::types::{ErrorCode, Method, Scheme},
        types::HostOutgoingRequest,
    },
};

use super::quota::{Open, Quota};
use crate::state::{Core, State};

/// A request that may go out. Nothing is sent without one.
pub(crate) struct Permit {
    pub(super) core: Arc<Core>,
    pub(super) asked: Request,
    /// Whether it may go to this machine and to private networks.
    pub(super) private: bool,
    /// How patient the guest is.
    pub(super) patience: RequestOptions,
    /// What it carries of the trace of what the call is about, unless the guest says something of a trace itself.
    pub(super) trace: Option<Carried>,
    pub(super) quota: Arc<Quota>,
    pub(super) open: Open,
}

/// What a guest wants, as grants are about it.
///
/// # Errors
/// The code that says what cannot be meant.
pub(crate) fn asked(request: &HostOutgoingRequest) -> Result<Request, ErrorCode> {
    let plain = match &request.scheme {
        None | Some(Scheme::Https) => false,
        Some(Scheme::Http) => true,
        Some(Scheme::Other(_)) => return Err(ErrorCode::HttpProtocolError),
    };
    let authority = Authority::from_str(request.authority.as_deref().unwrap_or_default()).map_err(|_| ErrorCode::HttpRequestUriInvalid)?;
    // A user and a password in front of the host are no part of HTTP.
    if authority.as_str().contains('@') {
        return Err(ErrorCode::HttpRequestUriInvalid);
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    // An address can be written in many ways; grants are kept in one.
    let host = host.parse::<Ipv6Addr>().map_or(host, |address| address.to_string());
    if host.is_empty() {
        return Err(ErrorCode::HttpRequestUriInvalid);
    }
    let path = request.path_with_query.as_deref().unwrap_or_default().split('?').next().unwrap_or_default();
    Ok(Request {
        plain,
        host,
        port: authority.port_u16().unwrap_or(default_port(plain)),
        method: method(&request.method)?.to_owned(),
        path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
    })
}

fn method(method: &Method) -> Result<&str, ErrorCode> {
    match method {
        Method::Get => Ok("GET"),
        Method::Head => Ok("HEAD"),
        Method::Post => Ok("POST"),
        Method::Put => Ok("PUT"),
        Method::Delete => Ok("DELETE"),
        Method::Options => Ok("OPTIONS"),
        Method::Patch => Ok("PATCH"),
        // These turn a connection into something else, or give back what the host has put in.
        Method::Connect | Method::Trace => Err(ErrorCode::HttpRequestMethodInvalid),
        // Written out as a name of one's own, they are what they are.
        Method::Other(name) if ["connect", "trace"].iter().any(|refused| name.eq_ignore_ascii_case(refused)) => {
            Err(ErrorCode::HttpRequestMethodInvalid)
        }
        Method::Other(name) => Ok(name),
    }
}

impl State {
    /// Gives the permit for a request, or says why there is none.
    ///
    /// # Errors
    /// The code for the guest; what was not granted and what limit was met is reported besides.
    pub(crate) fn permit(&mut self, asked: Request, patience: RequestOptions) -> Result<(), ErrorCode> {
        // One that was let out and could not be made frees its place.
        self.http.sender.next = None;
        let core = &self.core;
        let mut grants = core.grants.http.iter().filter(|grant| grant.allows(&asked)).peekable();
        if grants.peek().is_none() {
            not_granted(core, &asked, false);
            return Err(ErrorCode::HttpRequestDenied);
        }
        if !self.suspends {
            let what = format!("{} {} in its control handler", asked.method, asked.place());
            core.not_granted(&what, "nothing to add: control handlers do not call out; let its observer or worker do it, and look into kv");
            return Err(ErrorCode::HttpRequestDenied);
        }
        let private = grants.any(|grant: &HttpGrant| grant.private);
        let until = self.call.deadline;
        let quota = self.http.sender.quota.get_or_insert_with(|| Arc::new(Quota::new(&core.limits, until)));
        let open = quota.open().map_err(|met| {
            core.cut(met.0, met.1);
            ErrorCode::ConnectionLimitReached
        })?;
        let (core, quota, trace) = (Arc::clone(core), Arc::clone(quota), self.call.cause.trace());
        self.http.sender.next = Some(Permit { core, asked, private, patience, trace, quota, open });
        Ok(())
    }

    /// Ends what the call has left under way, and says what it has used.
    pub(crate) fn end_requests(&mut self) -> HttpUsage {
        self.http.sender.next = None;
        self.http.sender.quota.take().map_or_else(HttpUsage::default, |quota| quota.end())
    }
}

/// Reports a request that is not granted, or not to where its name leads.
pub(super) fn not_granted(core: &Core, asked: &Request, private: bool) {
    let network = if private { " in a private network, or on this machine" } else { "" };
    let what = format!("{} {}{network} (wasi:http)", asked.method, asked.place());
    core.not_granted(&what, &asked.lines(&core.grants.http, private));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_give_back_a_secret_is_no_method_by_any_name() {
        for refused in [Method::Trace, Method::Connect, Method::Other("TRACE".to_owned()), Method::Other("Connect".to_owned())] {
            assert!(method(&refused).is_err(), "{refused:?}");
        }
        assert_eq!(method(&Method::Other("PURGE".to_owned())).ok(), Some("PURGE"));
    }
}
