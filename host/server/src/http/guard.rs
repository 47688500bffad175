//! Whom a request was meant for: this host (against DNS rebinding), and asked from a page of its own origin, if from one. Who may ask for what
//! is the gate's.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, StatusCode, Uri, header};

use super::problem::Problem;

/// The ports that a browser leaves out.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// How this host is called.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    /// How its addresses begin: `http` or `https`.
    pub(crate) scheme: &'static str,
    /// The address listened on.
    pub(crate) listen: SocketAddr,
    /// Other names, in lower case; one without a port counts with each.
    pub(crate) names: Vec<String>,
}

impl Called {
    /// Whether a request was meant for this listener: its Host names it, and its Origin, if there is one, is the same.
    ///
    /// # Errors
    /// A problem (403) that says what to send instead.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
        let (scheme, listen) = (self.scheme, self.listen);
        let host = single(headers, &header::HOST)?.map(str::to_owned).or_else(|| uri.authority().map(ToString::to_string));
        let Some(host) = host else {
            return Err(forbidden(format!("a request must have a Host header, such as {listen}")));
        };
        // An absolute request line wins over the header by the book; here both must be ours.
        let authority = uri.authority().map(ToString::to_string);
        for named in [Some(&host), authority.as_ref()].into_iter().flatten() {
            if !self.is_ours(named) {
                return Err(forbidden(format!(
                    "'{named}' is not this host; use {scheme}://{listen} or {scheme}://localhost:{}, \
                     or put the name into http.names in the host's configuration",
                    listen.port()
                )));
            }
        }
        match single(headers, &header::ORIGIN)? {
            Some(origin) if origin != format!("{scheme}://{host}") => {
                Err(forbidden(format!("pages of the origin '{origin}' may not use this host; only its own may")))
            }
            _ => Ok(()),
        }
    }

    fn is_ours(&self, host: &str) -> bool {
        let (name, port) = split_port(host, if self.scheme == "https" { HTTPS_PORT } else { HTTP_PORT });
        let Some(port) = port else { return false };
        let is_given = |given: &String| given.eq_ignore_ascii_case(host) || given.eq_ignore_ascii_case(name);
        if self.names.iter().any(is_given) {
            return true;
        }
        let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let loopback = name.eq_ignore_ascii_case("localhost") || ip.as_ref().is_ok_and(IpAddr::is_loopback);
        // Whoever listens on every address has more than it knows of. None of them is a name that somebody else could have pointed here.
        let own = ip.is_ok_and(|ip| ip == self.listen.ip() || self.listen.ip().is_unspecified());
        port == self.listen.port() && (loopback || own)
    }
}

fn forbidden(detail: String) -> Problem {
    Problem::refused(StatusCode::FORBIDDEN, detail)
}

/// A header's text, if it stands there once.
///
/// # Errors
/// A problem (400), if it stands there twice or is not plain text.
pub(super) fn single<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value
            .to_str()
            .map(Some)
            .map_err(|_| Problem::refused(StatusCode::BAD_REQUEST, format!("the header '{name}' is not plain text"))),
        (Some(_), Some(_)) => Err(Problem::refused(StatusCode::BAD_REQUEST, format!("the header '{name}' stands there twice"))),
    }
}

/// The name and the port of `name:port`, `[v6]:port` or a name alone, which is at the usual port; no port where what stands there is none.
fn split_port(host: &str, usual: u16) -> (&str, Option<u16>) {
    let after_name = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host[after_name..].rfind(':') {
        Some(colon) => (&host[..after_name + colon], host[after_name + colon + 1..].parse().ok()),
        None => (host, Some(usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(listen: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        let called =
            Called { scheme: "http", listen: listen.parse().unwrap(), names: vec!["desk.example".to_owned(), "proxy:443".to_owned()] };
        called.check(&Uri::from_static("/v1/events"), &map).map_err(|problem| format!("{} {}", problem.status().as_u16(), problem.detail()))
    }

    #[test]
    fn loopback_names_with_the_port_are_ours() {
        for host in ["127.0.0.1:7070", "localhost:7070", "LOCALHOST:7070", "[::1]:7070", "127.8.8.8:7070"] {
            assert_eq!(check("127.0.0.1:7070", &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(check("127.0.0.1:80", &[("host", "localhost")]), Ok(()));
    }

    #[test]
    fn given_names_are_ours_with_their_port_or_with_each() {
        for host in ["desk.example", "DESK.example:7071", "proxy:443"] {
            assert_eq!(check("127.0.0.1:7070", &[("host", host)]), Ok(()), "{host}");
        }
        for host in ["proxy", "proxy:444", "a.desk.example", "desk.example.evil:7070", "desk.example:x"] {
            assert!(check("127.0.0.1:7070", &[("host", host)]).is_err(), "{host}");
        }
    }

    #[test]
    fn other_names_and_ports_are_not() {
        for host in [
            "evil.example:7070",
            "localhost",
            "localhost:7071",
            "localhost.evil.example:7070",
            "127.0.0.1.evil.example:7070",
            "10.0.0.1:7070",
            "",
            ":7070",
            "[::1]",
            "localhost:x",
        ] {
            assert!(check("127.0.0.1:7070", &[("host", host)]).is_err(), "{host}");
        }
        assert!(check("127.0.0.1:7070", &[]).unwrap_err().contains("must have a Host header"));
        assert!(check("127.0.0.1:7070", &[("host", "localhost:7070"), ("host", "evil:7070")]).unwrap_err().contains("twice"));
    }

    #[test]
    fn over_tls_the_addresses_begin_otherwise() {
        let check = |listen: &str, host: &str, origin: Option<&str>| {
            let called = Called { scheme: "https", listen: listen.parse().unwrap(), names: vec!["desk.example".to_owned()] };
            let origin = origin.map(|origin| (header::ORIGIN, origin.parse().unwrap()));
            let headers = [(header::HOST, host.parse().unwrap())].into_iter().chain(origin).collect();
            called.check(&Uri::from_static("/v1/events"), &headers).is_ok()
        };
        // Listening on every address, it is called by each; by a name that it was not given, never.
        for host in ["10.0.0.7", "[fd00::7]:443", "localhost", "desk.example"] {
            assert!(check("0.0.0.0:443", host, Some(&format!("https://{host}"))), "{host}");
        }
        assert!(!check("10.0.0.7:443", "10.0.0.8", None));
        assert!(!check("0.0.0.0:443", "evil.example", None));
        assert!(!check("0.0.0.0:443", "10.0.0.7:444", None));
        assert!(!check("0.0.0.0:443", "desk.example", Some("http://desk.example")));
    }

    #[test]
    fn only_the_own_origin_may() {
        let with = |origin| check("127.0.0.1:7070", &[("host", "localhost:7070"), ("origin", origin)]);
        assert_eq!(with("http://localhost:7070"), Ok(()));
        for origin in
            ["null", "http://evil.example", "http://127.0.0.1:7070", "https://localhost:7070", "http://localhost:7070.evil.example"]
        {
            assert!(with(origin).unwrap_err().starts_with("403"), "{origin}");
        }
    }
}
