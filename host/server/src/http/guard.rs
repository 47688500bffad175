//! Who may speak to the host over HTTP: requests that were meant for this host (against DNS rebinding), pages of its own origin,
//! and, for what is not everybody's, holders of the token. What a request asks for is the handlers'.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::{IpAddr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
};

use super::problem::Problem;
use crate::access::Scope;

/// The port that a browser leaves out.
const HTTP_PORT: u16 = 80;
/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;
/// The file in the data directory.
const TOKEN_FILE: &str = "token";

/// Whether a request was meant for this listener: its Host names a loopback address or the address listened on, with the port, and its
/// Origin, if there is one, is the same.
///
/// # Errors
/// A problem (403) that says what to send instead.
pub(super) fn check_host(listen: SocketAddr, uri: &Uri, headers: &HeaderMap) -> Result<(), Problem> {
    let host = single(headers, &header::HOST)?.map(str::to_owned).or_else(|| uri.authority().map(ToString::to_string));
    let Some(host) = host else {
        return Err(forbidden(format!("a request must have a Host header, such as {listen}")));
    };
    // An absolute request line wins over the header by the book; here both must be ours.
    let authority = uri.authority().map(ToString::to_string);
    for named in [Some(&host), authority.as_ref()].into_iter().flatten() {
        if !is_ours(listen, named) {
            return Err(forbidden(format!("'{named}' is not this host; use http://{listen} or http://localhost:{}", listen.port())));
        }
    }
    match single(headers, &header::ORIGIN)? {
        Some(origin) if origin.strip_prefix("http://") != Some(host.as_str()) => {
            Err(forbidden(format!("pages of the origin '{origin}' may not use this host; only its own may")))
        }
        _ => Ok(()),
    }
}

fn forbidden(detail: String) -> Problem {
    Problem::refused(StatusCode::FORBIDDEN, detail)
}

/// A header's text, if it stands there once.
fn single<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Result<Option<&'a str>, Problem> {
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

fn is_ours(listen: SocketAddr, host: &str) -> bool {
    let (name, port) = split_port(host);
    let Some(port) = port else { return false };
    let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let loopback = name.eq_ignore_ascii_case("localhost") || ip.as_ref().is_ok_and(IpAddr::is_loopback);
    port == listen.port() && (loopback || ip == Ok(listen.ip()))
}

/// The name and the port of `name:port`, `[v6]:port` or a name alone; no port where what stands there is none.
fn split_port(host: &str) -> (&str, Option<u16>) {
    let after_name = host.rfind(']').map_or(0, |bracket| bracket + 1);
    match host[after_name..].rfind(':') {
        Some(colon) => (&host[..after_name + colon], host[after_name + colon + 1..].parse().ok()),
        None => (host, Some(HTTP_PORT)),
    }
}

/// The secret that lets its holder do everything.
#[derive(Clone)]
pub struct Token {
    secret: String,
    path: PathBuf,
}

impl Token {
    /// The token of a data directory; made, readable by its owner alone, if there is none.
    ///
    /// # Errors
    /// What the system says, if it can be neither read nor made; a file that is empty.
    pub fn in_directory(data_dir: &Path) -> io::Result<Self> {
        // Whoever is told of it may stand in another folder.
        let path = std::path::absolute(data_dir)?.join(TOKEN_FILE);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                let secret = fresh_secret();
                writeln!(file, "{secret}")?;
                file.sync_all()?;
                Ok(Self { secret, path })
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let secret = fs::read_to_string(&path)?.trim().to_owned();
                if secret.len() < TOKEN_BYTES {
                    let message = format!("{} holds no token; remove it, and the host makes a new one", path.display());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                Ok(Self { secret, path })
            }
            Err(error) => Err(error),
        }
    }

    /// Where it is kept.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a request carries it. `Ok(false)`: it carries none.
    ///
    /// # Errors
    /// A problem (401), if it carries another one.
    pub(super) fn carried_by(&self, headers: &HeaderMap) -> Result<bool, Problem> {
        let Some(given) = single(headers, &header::AUTHORIZATION)? else { return Ok(false) };
        let token = given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        match token {
            Some(token) if same(token.as_bytes(), self.secret.as_bytes()) => Ok(true),
            _ => Err(self.unauthorised("the token in the Authorization header is not this host's")),
        }
    }

    /// Lets a request pass that may do what it asks for: for what is everybody's it must not carry another token, for the rest it must carry
    /// this one.
    ///
    /// # Errors
    /// A problem (401) that says what to send.
    pub(super) fn admit(&self, needs: Scope, request: &Request) -> Result<(), Problem> {
        if self.carried_by(request.headers())? || needs.is_everybodys() {
            return Ok(());
        }
        let asked = format!("{} {}", request.method(), request.uri().path());
        Err(self.unauthorised(&format!("{asked} needs a token with the scope '{needs}', which the host's own has")))
    }

    /// The problem (401) of a request that must carry the token.
    fn unauthorised(&self, what: &str) -> Problem {
        let detail = format!("{what}; send 'Authorization: Bearer TOKEN' with the content of {}", self.path.display());
        Problem::refused(StatusCode::UNAUTHORIZED, detail).header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }
}

/// Compares in a time that does not depend on where they differ.
fn same(given: &[u8], secret: &[u8]) -> bool {
    given.len() == secret.len() && given.iter().zip(secret).fold(0, |differing, (one, other)| differing | (one ^ other)) == 0
}

/// Hexadecimal digits from the system's randomness: the random bits of as many UUIDs as it takes.
fn fresh_secret() -> String {
    // A UUIDv4 has 122 random bits; three of them are hashed so that every digit of the token is random.
    let seed: Vec<u8> = (0..3).flat_map(|_| uuid::Uuid::new_v4().into_bytes()).collect();
    trackside_model::plugin::Digest::of(&seed).to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn check(listen: &str, headers: &[(&str, &str)]) -> Result<(), String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(header::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        check_host(listen.parse().unwrap(), &Uri::from_static("/v1/events"), &map)
            .map_err(|problem| format!("{} {}", problem.status().as_u16(), problem.detail()))
    }

    #[test]
    fn loopback_names_with_the_port_are_ours() {
        for host in ["127.0.0.1:7070", "localhost:7070", "LOCALHOST:7070", "[::1]:7070", "127.8.8.8:7070"] {
            assert_eq!(check("127.0.0.1:7070", &[("host", host)]), Ok(()), "{host}");
        }
        assert_eq!(check("127.0.0.1:80", &[("host", "localhost")]), Ok(()));
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
    fn only_the_own_origin_may() {
        let with = |origin| check("127.0.0.1:7070", &[("host", "localhost:7070"), ("origin", origin)]);
        assert_eq!(with("http://localhost:7070"), Ok(()));
        for origin in
            ["null", "http://evil.example", "http://127.0.0.1:7070", "https://localhost:7070", "http://localhost:7070.evil.example"]
        {
            assert!(with(origin).unwrap_err().starts_with("403"), "{origin}");
        }
    }

    #[test]
    fn the_token_is_made_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let token = Token::in_directory(directory.path()).unwrap();
        assert_eq!(token.secret.len(), 2 * TOKEN_BYTES);
        assert_eq!(fs::metadata(token.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Token::in_directory(directory.path()).unwrap().secret, token.secret);
        fs::write(token.path(), "").unwrap();
        assert!(Token::in_directory(directory.path()).is_err());
    }

    #[test]
    fn only_the_token_itself_counts() {
        let directory = tempfile::tempdir().unwrap();
        let token = Token::in_directory(directory.path()).unwrap();
        let carried = |value: Option<String>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            token.carried_by(&headers).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(carried(None), Ok(false));
        assert_eq!(carried(Some(format!("Bearer {}", token.secret))), Ok(true));
        assert_eq!(carried(Some(format!("bearer {}", token.secret))), Ok(true));
        for wrong in [
            token.secret.clone(),
            format!("Basic {}", token.secret),
            "Bearer ".to_owned(),
            format!("Bearer {}0", token.secret),
            format!("Bearer {}", "0".repeat(64)),
        ] {
            assert_eq!(carried(Some(wrong)), Err(401));
        }
    }
}
