//! The command line's way to a host: requests over HTTP, and what its answers mean for whoever typed.
//! Which requests are made is the verbs' own.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read as _},
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde_json::Value;
use ureq::{
    Agent, Body, SendBody,
    http::{HeaderValue, Request, Response, Uri, header::AUTHORIZATION},
    middleware::MiddlewareNext,
};

use super::{CliError, trust};
use crate::{access, http::CLI_AGENT};

const DEFAULT_URL: &str = "http://127.0.0.1:7070";
/// How long a host may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What to do where a token is missing.
const HOW_TO_NAME_ONE: &str = "name the host's token with --token-file FILE (a host prints where it is) or TRACKSIDE_TOKEN";

/// Which host, and what is shown to it.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct HostArg {
    /// The host's address [default: http://127.0.0.1:7070].
    #[arg(long, env = "TRACKSIDE_URL", value_name = "URL")]
    pub(super) url: Option<String>,
    /// The token to show it. The variable is kept from other users of the machine, the command line is not.
    #[arg(long, env = "TRACKSIDE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// The file with the token to show it, which wins over --token [default where a verb needs one: ./trackside-data/token].
    #[arg(long, env = "TRACKSIDE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A file of certificates in PEM that a host's is trusted by, instead of the machine's own roots.
    #[arg(long, env = "TRACKSIDE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// A host to speak to.
pub(super) struct Client {
    agent: Agent,
    base: String,
}

/// A host's answer, whole.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) text: String,
}

impl HostArg {
    /// The client for this host, which shows the token that was named, if one was.
    ///
    /// # Errors
    /// [`CliError::Usage`], if the address is none that can be spoken to; [`CliError::Failed`], if the token cannot be read.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        let base = self.base()?;
        let token = self.token()?;
        Client::new(base, token, self.ca.as_deref())
    }

    /// The client of somebody who may do what is not everybody's: where no token was named, it shows that of the host on this machine.
    ///
    /// # Errors
    /// As for any client; [`CliError::Failed`], if there is no token to be read.
    pub(super) fn operator(&self) -> Result<Client, CliError> {
        let base = self.base()?;
        let token = match self.token()? {
            Some(token) => token,
            None if is_here(&base) => own_token()?,
            // A host elsewhere has no use for the token of this machine's, and is not shown it.
            None => return Err(CliError::Failed(format!("{base} asks for a token; {HOW_TO_NAME_ONE}"))),
        };
        Client::new(base, Some(token), self.ca.as_deref())
    }

    fn base(&self) -> Result<String, CliError> {
        let base = self.url.as_deref().unwrap_or(DEFAULT_URL).trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(CliError::Usage(format!("'{base}' is not an address of a host; write it as {DEFAULT_URL}, or with https://")));
        }
        Ok(base)
    }

    fn token(&self) -> Result<Option<String>, CliError> {
        match (&self.token_file, &self.token) {
            (Some(path), _) => read_token(path).map(Some),
            // A variable that is set to nothing names none.
            (None, token) => Ok(token.as_deref().map(str::trim).filter(|token| !token.is_empty()).map(str::to_owned)),
        }
    }
}

fn own_token() -> Result<String, CliError> {
    let data_dir = env::var_os("TRACKSIDE_DATA_DIR").map_or_else(|| crate::config::Config::default().data_dir, PathBuf::from);
    read_token(&data_dir.join(access::OWN_FILE))
}

fn read_token(path: &Path) -> Result<String, CliError> {
    let text = fs::read_to_string(path).map_err(|error| CliError::Failed(format!("{}: {error}; {HOW_TO_NAME_ONE}", path.display())))?;
    Ok(text.trim().to_owned())
}

/// Whether an address is one of this machine.
fn is_here(base: &str) -> bool {
    let uri = base.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

impl Client {
    fn new(base: String, token: Option<String>, ca: Option<&Path>) -> Result<Self, CliError> {
        let tls = base.starts_with("https://");
        if token.is_some() && !tls && !is_here(&base) {
            return Err(CliError::Usage(format!("a token is not sent to {base}, where others could read it on its way; use https://")));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .max_redirects(0)
            // A host is spoken to itself: what the environment says of proxies is about others.
            .proxy(None)
            .user_agent(format!("{CLI_AGENT}/{}", env!("CARGO_PKG_VERSION")));
        if tls {
            config = config.tls_config(trust::config(ca)?);
        }
        if let Some(token) = token {
            let bearer = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| CliError::Usage("the token is not one line of plain text".to_owned()))?;
            config = config.middleware(move |mut request: Request<SendBody>, next: MiddlewareNext| {
                request.headers_mut().insert(AUTHORIZATION, bearer.clone());
                next.handle(request)
            });
        }
        Ok(Self { agent: config.build().new_agent(), base })
    }

    /// Asks for something.
    pub(super) fn get(&self, path: &str, query: &[(String, String)]) -> Result<Answered, CliError> {
        let pairs = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.whole(self.agent.get(format!("{}{path}", self.base)).query_pairs(pairs).call())
    }

    /// Sends something, under headers that the verb gives.
    pub(super) fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answered, CliError> {
        let mut request = self.agent.post(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.whole(request.send(body))
    }

    /// Asks for a change that has no body.
    pub(super) fn post_query(&self, path: &str, query: &[(&str, String)]) -> Result<Answered, CliError> {
        let pairs = query.iter().map(|(name, value)| (*name, value.as_str()));
        self.whole(self.agent.post(format!("{}{path}", self.base)).query_pairs(pairs).send(""))
    }

    /// Puts something that its address says whole.
    pub(super) fn put(&self, path: &str, query: &[(String, String)]) -> Result<Answered, CliError> {
        let pairs = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.whole(self.agent.put(format!("{}{path}", self.base)).query_pairs(pairs).send(""))
    }

    /// Has something taken away.
    pub(super) fn delete(&self, path: &str) -> Result<Answered, CliError> {
        self.whole(self.agent.delete(format!("{}{path}", self.base)).call())
    }

    /// The lines of an answer that goes on, as they come.
    pub(super) fn lines(&self, path: &str, query: &[(String, String)]) -> Result<impl BufRead + use<>, CliError> {
        let request =
            self.agent.get(format!("{}{path}", self.base)).query_pairs(query.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let response = request.call().map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(BufReader::new(response.into_body().into_reader()));
        }
        Err(self.whole(Ok(response))?.refusal())
    }

    fn whole(&self, answered: Result<Response<Body>, ureq::Error>) -> Result<Answered, CliError> {
        let response = answered.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let mut text = String::new();
        let read = response.into_body().into_reader().read_to_string(&mut text);
        read.map_err(|error| CliError::Unreachable(format!("the host at {} broke off its answer: {error}", self.base)))?;
        Ok(Answered { status, text })
    }

    fn unreachable(&self, error: &ureq::Error) -> CliError {
        if let Some(why) = trust::distrust(error) {
            return CliError::Unreachable(format!(
                "the host at {} is not trusted: {why}; name the certificate of its authority with --ca FILE",
                self.base
            ));
        }
        let why = match error {
            ureq::Error::Io(error) => error.to_string(),
            other => other.to_string(),
        };
        CliError::Unreachable(format!(
            "no host answers at {}: {why}; start one with `trackside run`, or name another with --url",
            self.base
        ))
    }

    /// The address, for messages.
    pub(super) fn base(&self) -> &str {
        &self.base
    }
}

impl Answered {
    /// The answer's JSON, if the host did what it was asked.
    ///
    /// # Errors
    /// [`CliError::Failed`], with the problem's detail, if it did not.
    pub(super) fn done(&self) -> Result<Value, CliError> {
        if self.status >= 400 {
            return Err(self.refusal());
        }
        self.json()
    }

    /// The answer's JSON, whatever it says.
    pub(super) fn json(&self) -> Result<Value, CliError> {
        serde_json::from_str(&self.text)
            .map_err(|error| CliError::Failed(format!("the answer is no JSON ({error}); is this a Trackside host?")))
    }

    /// What a problem document says, for people.
    pub(super) fn refusal(&self) -> CliError {
        let document: Value = serde_json::from_str(&self.text).unwrap_or(Value::Null);
        CliError::Failed(match document["detail"].as_str() {
            Some(detail) => detail.to_owned(),
            None => format!("the answer was {} without a reason; is this a Trackside host?", self.status),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_can_be_spoken_to_are_taken() {
        let client = |url: &str| HostArg { url: Some(url.to_owned()), ..HostArg::default() }.client().map(|client| client.base);
        assert_eq!(client("http://localhost:1/"), Ok("http://localhost:1".to_owned()));
        assert!(matches!(client("ftp://localhost"), Err(CliError::Usage(_))));
        assert!(matches!(client("localhost:7070"), Err(CliError::Usage(_))));
    }

    #[test]
    fn a_token_is_not_sent_where_others_could_read_it() {
        let shown = |url: &str| {
            let host = HostArg { url: Some(url.to_owned()), token: Some("secret".to_owned()), ..HostArg::default() };
            host.client().map(|client| client.base).map_err(|error| error.to_string())
        };
        for here in ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"] {
            assert_eq!(shown(here), Ok(here.to_owned()));
        }
        for elsewhere in ["http://10.0.0.7:1", "http://desk.example", "http://localhost.example:1", "http://127.0.0.1.example"] {
            assert!(shown(elsewhere).is_err_and(|error| error.contains("a token is not sent")), "{elsewhere}");
        }
    }

    #[test]
    fn nobody_there_is_an_error_of_its_own() {
        // Port 1 is nobody's on a machine that runs tests.
        let client = HostArg { url: Some("http://127.0.0.1:1".to_owned()), ..HostArg::default() }.client().unwrap();
        assert!(matches!(client.get("/healthz", &[]), Err(CliError::Unreachable(_))));
    }

    #[test]
    fn a_problem_is_told_by_its_detail() {
        let answered = Answered { status: 422, text: r#"{"detail":"severity: loud","status":422}"#.to_owned() };
        assert_eq!(answered.done(), Err(CliError::Failed("severity: loud".to_owned())));
        assert!(Answered { status: 502, text: "<html>".to_owned() }.refusal().to_string().contains("502"));
    }
}
