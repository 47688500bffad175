//! What a plugin may reach of the network and which secrets it may use: the grants, which requests they cover, and whether one grant covers
//! another. Resolving names, dialling and filling secrets in is the plugin host's; reading settings files, too.

use core::net::Ipv6Addr;
use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Bytes of a secret's name, and of a host's.
const NAME_BYTES: usize = 253;

/// What is wrong in a grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GrantError(String);

fn wrong<T>(message: impl Into<String>) -> Result<T, GrantError> {
    Err(GrantError(message.into()))
}

/// The hosts of a grant: a name or an address, `*.` and the end of a name, or `*` for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HostPattern(String);

impl HostPattern {
    /// Takes a host as it is written in a settings file.
    ///
    /// # Errors
    /// [`GrantError`], if it is something else: a URL, a host with a port.
    pub fn parse(text: &str) -> Result<Self, GrantError> {
        if text.contains("://") || text.contains('/') {
            return wrong(format!(
                "host = '{text}' is more than a host: give the name alone, such as api.example.com; `path_prefix` narrows the path, and \
                 `plain = true` is for http"
            ));
        }
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Ok(address) = bare.parse::<Ipv6Addr>() {
            return Ok(Self(address.to_string()));
        }
        if let Some((host, port)) = text.split_once(':') {
            return wrong(format!("host = '{text}': write host = \"{host}\" and port = {port}"));
        }
        let name = text.strip_prefix("*.").unwrap_or(text);
        let is_label =
            |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if text != "*" && (name.len() > NAME_BYTES || !name.split('.').all(is_label)) {
            return wrong(format!(
                "host = '{text}' is not the name or the address of a host; '*.example.com' stands for every host below example.com, '*' for all"
            ));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// Whether this host, as a request names it, is one of them.
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            Some("") => true,
            // The dot belongs to the end, so that no other name ends like it.
            Some(end) => {
                host.len() > end.len()
                    && host.is_char_boundary(host.len() - end.len())
                    && host[host.len() - end.len()..].eq_ignore_ascii_case(end)
            }
            None => self.0.eq_ignore_ascii_case(host),
        }
    }

    /// Whether every host of the other is one of them.
    fn covers(&self, other: &Self) -> bool {
        match other.0.strip_prefix('*') {
            None => self.matches(&other.0),
            Some(end) => self.0.strip_prefix('*').is_some_and(|own| own.is_empty() || end == own || end.ends_with(own)),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostPattern {
    type Error = GrantError;
    fn try_from(text: String) -> Result<Self, GrantError> {
        Self::parse(&text)
    }
}

impl From<HostPattern> for String {
    fn from(pattern: HostPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Requests that a plugin may send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenHttp")]
pub struct HttpGrant {
    /// To which hosts.
    pub host: HostPattern,
    /// At which port.
    pub port: u16,
    /// With which methods; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Below which path, which begins with `/`.
    pub path_prefix: String,
    /// Also to addresses of this machine and of private networks.
    pub private: bool,
    /// By http, without TLS, instead of https.
    pub plain: bool,
}

/// The same as it is written in a settings file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHttp {
    host: HostPattern,
    port: Option<u16>,
    methods: Option<Vec<String>>,
    path_prefix: Option<String>,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    plain: bool,
}

impl TryFrom<WrittenHttp> for HttpGrant {
    type Error = GrantError;

    fn try_from(written: WrittenHttp) -> Result<Self, GrantError> {
        let WrittenHttp { host, port, methods, path_prefix, private, plain } = written;
        let path_prefix = path_prefix.unwrap_or_else(|| "/".to_owned());
        if !path_prefix.starts_with('/') || path_prefix.contains(['?', '#']) || has_dots(&path_prefix) {
            return wrong(format!("path_prefix = '{path_prefix}' is not the beginning of a path, such as /v1"));
        }
        let is_method = |method: &String| !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
        if let Some(method) = methods.iter().flatten().find(|method| !is_method(method)) {
            return wrong(format!("methods: '{method}' is not a method, such as GET or POST"));
        }
        if port == Some(0) {
            return wrong("port = 0 is no port; without the line it is 443, or 80 with plain = true");
        }
        Ok(Self { host, port: port.unwrap_or(default_port(plain)), methods, path_prefix, private, plain })
    }
}

/// The port of a URL that names none.
pub fn default_port(plain: bool) -> u16 {
    if plain { 80 } else { 443 }
}

/// A request that a plugin wants to send, as far as grants are about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// By http instead of https.
    pub plain: bool,
    /// As it was named: a name or an address, an IPv6 address without brackets.
    pub host: String,
    /// Where.
    pub port: u16,
    /// Upper case.
    pub method: String,
    /// Without the query.
    pub path: String,
}

impl HttpGrant {
    /// Whether the request is one of these.
    pub fn allows(&self, request: &Request) -> bool {
        self.allows_but_for_its_path(request) && below(&request.path, &self.path_prefix)
    }

    fn allows_but_for_its_path(&self, request: &Request) -> bool {
        self.plain == request.plain
            && self.port == request.port
            && self.host.matches(&request.host)
            && self.methods.as_ref().is_none_or(|methods| methods.contains(&request.method))
    }

    /// Whether every request of the other is one of these.
    pub fn covers(&self, other: &Self) -> bool {
        let methods = match (&self.methods, &other.methods) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => other.iter().all(|method| own.contains(method)),
        };
        self.plain == other.plain
            && self.port == other.port
            && self.host.covers(&other.host)
            && methods
            && below(&other.path_prefix, &self.path_prefix)
            && (self.private || !other.private)
    }
}

/// Whether a path is this one, or goes on from it. Paths that climb are below nothing: who serves them may take them for others.
fn below(path: &str, prefix: &str) -> bool {
    if prefix == "/" {
        return true;
    }
    let rest = path.strip_prefix(prefix);
    rest.is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/')) && !has_dots(path)
}

/// Whether a segment is `.` or `..`, or would be to a server that decodes it or takes a backslash for a slash.
fn has_dots(path: &str) -> bool {
    let decoded = path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace('\\', "/");
    decoded.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

impl fmt::Display for HttpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(methods) = &self.methods {
            write!(f, "{} ", methods.join("|"))?;
        }
        f.write_str(&place(self.plain, self.host.as_str(), self.port))?;
        if self.path_prefix != "/" {
            f.write_str(&self.path_prefix)?;
        }
        if self.private { f.write_str(" (private)") } else { Ok(()) }
    }
}

/// A URL's beginning; the port where it is not the usual one.
fn place(plain: bool, host: &str, port: u16) -> String {
    let scheme = if plain { "http" } else { "https" };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if port == default_port(plain) { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") }
}

impl Request {
    /// Where it goes to, without its path, which may hold what is nobody's business.
    pub fn place(&self) -> String {
        place(self.plain, &self.host, self.port)
    }

    /// The least that grants it, as lines of a settings file. The path is among them only if it is what stands against it.
    pub fn lines(&self, granted: &[HttpGrant], private: bool) -> String {
        let mut lines = format!("[[grants.http]]\nhost = \"{}\"\n", self.host);
        if self.port != default_port(self.plain) {
            lines.push_str(&format!("port = {}\n", self.port));
        }
        lines.push_str(&format!("methods = [\"{}\"]\n", self.method));
        let narrowed = granted.iter().filter(|grant| grant.allows_but_for_its_path(self));
        if narrowed.clone().count() > 0 && !narrowed.clone().any(|grant| grant.allows(self)) {
            lines.push_str(&format!("path_prefix = \"{}\"\n", self.path.replace(['"', '\\'], "")));
        }
        if self.plain {
            lines.push_str("plain = true\n");
        }
        if private {
            lines.push_str("private = true\n");
        }
        lines.trim_end().to_owned()
    }
}

/// A secret that a plugin may use: never its value, which the plugin host has from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenSecret")]
pub struct SecretGrant {
    /// As the plugin asks for it.
    pub name: String,
    /// To which hosts it may be sent, in headers of https requests; none: it is for signing alone.
    pub hosts: Vec<HostPattern>,
    /// Where its value is. Nobody's business but the operator's.
    #[serde(skip_serializing)]
    pub source: SecretSource,
}

/// Where the value of a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// What a file holds, without the end of its last line.
    File(PathBuf),
    /// A variable of the host's environment.
    Variable(String),
}

/// A secret as it is written in a settings file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenSecret {
    name: String,
    #[serde(default)]
    hosts: Vec<HostPattern>,
    file: Option<PathBuf>,
    env: Option<String>,
}

impl TryFrom<WrittenSecret> for SecretGrant {
    type Error = GrantError;

    fn try_from(written: WrittenSecret) -> Result<Self, GrantError> {
        let WrittenSecret { name, hosts, file, env } = written;
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !is_name(&name) || name.len() > NAME_BYTES {
            return wrong(format!("name = '{name}' is no name of a secret: use letters, digits, '_', '.' and '-'"));
        }
        if hosts.iter().any(|host| host.as_str() == "*") {
            return wrong(format!("secret '{name}': hosts = [\"*\"] would send it to everybody; name the hosts that it is for"));
        }
        let source = match (file, env) {
            (Some(path), None) => SecretSource::File(path),
            (None, Some(variable)) if !variable.is_empty() && !variable.contains(['=', '\0']) => SecretSource::Variable(variable),
            _ => {
                return wrong(format!(
                    "secret '{name}': say where its value is, with file = \"PATH\" or env = \"VARIABLE\"; it does not stand in this file"
                ));
            }
        };
        Ok(Self { name, hosts, source })
    }
}

impl SecretGrant {
    /// Whether the other is the same secret, for no host that this one is not for.
    pub fn covers(&self, other: &Self) -> bool {
        self.name == other.name
            && self.source == other.source
            && other.hosts.iter().all(|host| self.hosts.iter().any(|own| own.covers(host)))
    }

    /// The lines that grant a secret of this name.
    pub fn lines(name: &str) -> String {
        format!("[[grants.secrets]]\nname = {name:?}\nfile = \"PATH\"\nhosts = []")
    }
}

impl fmt::Display for SecretGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<&str> = self.hosts.iter().map(HostPattern::as_str).collect();
        if hosts.is_empty() { write!(f, "{} for signing alone", self.name) } else { write!(f, "{} for {}", self.name, hosts.join(" and ")) }
    }
}

#[cfg(test)]
mod tests;
