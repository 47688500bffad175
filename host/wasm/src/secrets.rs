//! Owns the values of a plugin's secrets: read when it is loaded, filled into headers and used to sign, and shown to nobody.
//! Leaves which secrets there are, and the hosts that each is for, to the grants.

use std::{
    fs::File,
    io::Read as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use hyper::header::{HeaderMap, HeaderValue};
use sha2::Sha256;
use trackside_model::outside::{Request, SecretGrant, SecretSource};
use uuid::Uuid;

/// Bytes of a secret.
const SECRET_BYTES: u64 = 64 << 10;
/// How a placeholder begins, for people who meet one.
const PLACEHOLDER: &str = "trackside-secret-";

/// Why the value of a secret cannot be had. None of these says what it is.
#[derive(Debug, thiserror::Error)]
#[error("the secret '{name}': {problem}")]
pub struct SecretError {
    name: String,
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{} can be read by everybody (mode {mode:03o}); type: chmod o-rwx {}", path.display(), path.display())]
    Open { path: PathBuf, mode: u32 },
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{place} is empty")]
    Empty { place: String },
    #[error("{place} has more than {SECRET_BYTES} bytes")]
    TooLarge { place: String },
    #[error("{place} cannot stand in a header, for it has other bytes than visible ones; take its `hosts` away, or give one line of text")]
    NoHeader { place: String },
}

/// The secrets of a plugin version.
#[derive(Default)]
pub(crate) struct Secrets(Vec<Secret>);

struct Secret {
    grant: SecretGrant,
    /// What stands for it: of this version alone, and not to be guessed.
    placeholder: String,
    /// `None`: its file, or variable, is not there.
    value: Option<Vec<u8>>,
}

/// What a plugin asks of a secret that it does not get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NotGranted,
    Unknown,
}

impl Secrets {
    /// Reads the values. One that is not there is no error: it may come with the next reload.
    ///
    /// # Errors
    /// [`SecretError`], if one is there and cannot be used, or can be read by everybody.
    pub(crate) fn read(plugin: &str, grants: &[SecretGrant]) -> Result<Self, SecretError> {
        let read = |grant: &SecretGrant| {
            let value = value(grant).map_err(|problem| SecretError { name: grant.name.clone(), problem })?;
            if value.is_none() {
                tracing::warn!(plugin, "the secret '{}' has no value: {} is not there", grant.name, place(&grant.source));
            }
            let placeholder = format!("{PLACEHOLDER}{}", Uuid::new_v4().simple());
            Ok(Secret { grant: grant.clone(), placeholder, value })
        };
        grants.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Names of those that have no value.
    pub(crate) fn absent(&self) -> Vec<String> {
        self.0.iter().filter(|secret| secret.value.is_none()).map(|secret| secret.grant.name.clone()).collect()
    }

    fn find(&self, name: &str) -> Result<(&Secret, &[u8]), Refused> {
        let secret = self.0.iter().find(|secret| secret.grant.name == name).ok_or(Refused::NotGranted)?;
        Ok((secret, secret.value.as_deref().ok_or(Refused::Unknown)?))
    }

    /// What stands for a secret.
    pub(crate) fn placeholder(&self, name: &str) -> Result<&str, Refused> {
        self.find(name).map(|(secret, _)| secret.placeholder.as_str())
    }

    /// HMAC-SHA-256 of a message under a secret.
    pub(crate) fn hmac(&self, name: &str, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let (_, value) = self.find(name)?;
        let mut mac = Hmac::<Sha256>::new_from_slice(value).expect("HMAC takes keys of any length");
        mac.update(message);
        Ok(mac.finalize().into_bytes().to_vec())
    }

    /// Puts the values of secrets that are for this host in the places of what stands for them, if the request is encrypted.
    pub(crate) fn fill_in(&self, request: &Request, headers: &mut HeaderMap) {
        if request.plain || self.0.is_empty() {
            return;
        }
        let bound = self.0.iter().filter(|secret| secret.grant.hosts.iter().any(|host| host.matches(&request.host)));
        for secret in bound {
            let Some(value) = &secret.value else { continue };
            for header in headers.values_mut() {
                if let Some(filled) = replaced(header.as_bytes(), secret.placeholder.as_bytes(), value)
                    && let Ok(mut filled) = HeaderValue::from_bytes(&filled)
                {
                    filled.set_sensitive(true);
                    *header = filled;
                }
            }
        }
    }
}

/// `text` with `value` in every place where `placeholder` stands; `None` if it stands nowhere.
fn replaced(text: &[u8], placeholder: &[u8], value: &[u8]) -> Option<Vec<u8>> {
    let mut filled = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.windows(placeholder.len()).position(|part| part == placeholder) {
        filled.extend_from_slice(&rest[..at]);
        filled.extend_from_slice(value);
        rest = &rest[at + placeholder.len()..];
    }
    (rest.len() < text.len()).then(|| {
        filled.extend_from_slice(rest);
        filled
    })
}

fn place(source: &SecretSource) -> String {
    match source {
        SecretSource::File(path) => path.display().to_string(),
        SecretSource::Variable(variable) => format!("the variable {variable}"),
    }
}

fn value(grant: &SecretGrant) -> Result<Option<Vec<u8>>, Problem> {
    let place = place(&grant.source);
    let found = match &grant.source {
        SecretSource::File(path) => read_file(path)?,
        SecretSource::Variable(variable) => std::env::var_os(variable).map(|value| value.into_encoded_bytes()),
    };
    let Some(mut value) = found else { return Ok(None) };
    if value.len() as u64 > SECRET_BYTES {
        return Err(Problem::TooLarge { place });
    }
    // An editor ends the last line, which is no part of what is meant.
    if value.ends_with(b"\n") {
        value.pop();
        if value.ends_with(b"\r") {
            value.pop();
        }
    }
    if value.is_empty() {
        return Err(Problem::Empty { place });
    }
    if !grant.hosts.is_empty() && HeaderValue::from_bytes(&value).is_err() {
        return Err(Problem::NoHeader { place });
    }
    Ok(Some(value))
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    let failed = |source| Problem::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(Problem::Open { path: path.to_owned(), mode });
    }
    let mut value = Vec::new();
    file.take(SECRET_BYTES + 2).read_to_end(&mut value).map_err(failed)?;
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    fn grant(path: &Path, hosts: &[&str]) -> SecretGrant {
        let hosts = hosts.iter().map(|host| trackside_model::outside::HostPattern::parse(host).unwrap()).collect();
        SecretGrant { name: "key".to_owned(), hosts, source: SecretSource::File(path.to_owned()) }
    }

    fn written(dir: &tempfile::TempDir, content: &[u8], mode: u32) -> PathBuf {
        let path = dir.path().join("key");
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    fn request(plain: bool, host: &str) -> Request {
        Request { plain, host: host.to_owned(), port: 443, method: "GET".to_owned(), path: "/".to_owned() }
    }

    #[test]
    fn a_secret_is_filled_into_headers_for_its_hosts_over_tls_and_nowhere_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(&dir, b"s3cret\n", 0o600);
        let secrets = Secrets::read("p", &[grant(&path, &["*.a.test"])]).unwrap();
        let placeholder = secrets.placeholder("key").unwrap().to_owned();
        for (plain, host, filled) in
            [(false, "api.a.test", true), (true, "api.a.test", false), (false, "a.test", false), (false, "b.test", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", format!("Bearer {placeholder}, {placeholder};").parse().unwrap());
            headers.insert("x-other", "plain".parse().unwrap());
            secrets.fill_in(&request(plain, host), &mut headers);
            let expected = if filled { "Bearer s3cret, s3cret;".to_owned() } else { format!("Bearer {placeholder}, {placeholder};") };
            assert_eq!(headers["authorization"], expected, "{host}");
            assert_eq!(headers["x-other"], "plain");
            assert!(!format!("{headers:?}").contains("s3cret"), "a filled header is not shown");
        }
    }

    #[test]
    fn a_placeholder_is_of_one_version_and_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = written(&dir, b"s3cret", 0o600);
        let read = || Secrets::read("p", &[grant(&path, &[])]).unwrap().placeholder("key").unwrap().to_owned();
        let (one, other) = (read(), read());
        assert_ne!(one, other);
        assert!(one.starts_with("trackside-secret-") && !one.contains("s3cret"));
    }

    #[test]
    fn signatures_are_hmac_sha_256() {
        let dir = tempfile::tempdir().unwrap();
        // RFC 4231, test case 2.
        let path = written(&dir, b"Jefe", 0o600);
        let secrets = Secrets::read("p", &[grant(&path, &[])]).unwrap();
        let signature = secrets.hmac("key", b"what do ya want for nothing?").unwrap();
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn what_has_no_value_is_unknown_and_what_is_not_listed_not_granted() {
        let secrets = Secrets::read("p", &[grant(Path::new("/nowhere/at/all"), &[])]).unwrap();
        assert_eq!(secrets.placeholder("key"), Err(Refused::Unknown));
        assert_eq!(secrets.hmac("key", b""), Err(Refused::Unknown));
        assert_eq!(secrets.placeholder("another"), Err(Refused::NotGranted));
    }

    #[test]
    fn values_that_cannot_be_used_are_refused_without_showing_them() {
        let dir = tempfile::tempdir().unwrap();
        let says = |content: &[u8], mode, hosts: &[&str]| {
            let path = written(&dir, content, mode);
            Secrets::read("p", &[grant(&path, hosts)]).err().map(|error| error.to_string()).unwrap_or_default()
        };
        assert!(says(b"s3cret", 0o644, &[]).contains("can be read by everybody (mode 644); type: chmod o-rwx "));
        assert!(says(b"\n", 0o600, &[]).ends_with("is empty"));
        assert!(says(&vec![b'x'; 70_000], 0o600, &[]).contains("more than 65536 bytes"));
        let shown = says(b"s3\ncret", 0o600, &["a.test"]);
        assert!(shown.contains("cannot stand in a header") && !shown.contains("s3"), "{shown}");
        assert_eq!(says(b"s3\ncret", 0o600, &[]), "", "a key for signing may be any bytes");
        assert_eq!(says(b"s3cret", 0o640, &["a.test"]), "");
    }
}
