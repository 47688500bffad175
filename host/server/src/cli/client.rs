//! The command line's way to a host: requests over HTTP, and what its answers mean for whoever typed.
//! Which requests are made is the verbs' own.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read as _},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use serde_json::Value;
use ureq::{Agent, Body, http::Response};

use super::CliError;
use crate::http::CLI_AGENT;

const DEFAULT_URL: &str = "http://127.0.0.1:7070";
/// How long a host may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The variable with a token's text.
const TOKEN_VARIABLE: &str = "TRACKSIDE_TOKEN";

/// Which host.
#[derive(Args, Clone, Debug)]
pub(super) struct HostArg {
    /// The host's address [default: http://127.0.0.1:7070].
    #[arg(long, env = "TRACKSIDE_URL", value_name = "URL")]
    pub(super) url: Option<String>,
}

/// What lets its holder change plugins.
#[derive(Args, Clone, Debug)]
pub(super) struct TokenArg {
    /// The file with the host's token [default: ./trackside-data/token, or what TRACKSIDE_TOKEN holds].
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
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
    /// The client for this host.
    ///
    /// # Errors
    /// [`CliError::Usage`], if the address is none that can be spoken to.
    pub(super) fn client(&self) -> Result<Client, CliError> {
        let base = self.url.as_deref().unwrap_or(DEFAULT_URL).trim_end_matches('/').to_owned();
        if !base.starts_with("http://") {
            return Err(CliError::Usage(format!("'{base}' is not an address of a host; write it as {DEFAULT_URL}")));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .max_redirects(0)
            // A host is on this machine: what the environment says of proxies is about others.
            .proxy(None)
            .user_agent(format!("{CLI_AGENT}/{}", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Ok(Client { agent, base })
    }
}

impl TokenArg {
    /// The token's text.
    ///
    /// # Errors
    /// [`CliError::Failed`], if there is none to be read.
    pub(super) fn read(&self) -> Result<String, CliError> {
        if let (None, Ok(token)) = (&self.token_file, env::var(TOKEN_VARIABLE)) {
            return Ok(token.trim().to_owned());
        }
        let data_dir = env::var_os("TRACKSIDE_DATA_DIR").map_or_else(|| crate::config::Config::default().data_dir, PathBuf::from);
        let path = self.token_file.clone().unwrap_or_else(|| data_dir.join("token"));
        let text = fs::read_to_string(&path).map_err(|error| {
            CliError::Failed(format!(
                "{}: {error}; name the host's token with --token-file FILE (a host prints where it is) or {TOKEN_VARIABLE}",
                path.display()
            ))
        })?;
        Ok(text.trim().to_owned())
    }
}

impl Client {
    /// Asks for something.
    pub(super) fn get(&self, path: &str, query: &[(String, String)]) -> Result<Answered, CliError> {
        self.get_with(path, query, &[])
    }

    /// The same, under headers that the verb gives.
    pub(super) fn get_with(&self, path: &str, query: &[(String, String)], headers: &[(&str, &str)]) -> Result<Answered, CliError> {
        let pairs = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let mut request = self.agent.get(format!("{}{path}", self.base)).query_pairs(pairs);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.whole(request.call())
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
    pub(super) fn post_query(&self, path: &str, query: &[(&str, String)], headers: &[(&str, &str)]) -> Result<Answered, CliError> {
        let pairs = query.iter().map(|(name, value)| (*name, value.as_str()));
        let mut request = self.agent.post(format!("{}{path}", self.base)).query_pairs(pairs);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.whole(request.send(""))
    }

    /// Puts something that its address says whole.
    pub(super) fn put(&self, path: &str, query: &[(String, String)]) -> Result<Answered, CliError> {
        let pairs = query.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        self.whole(self.agent.put(format!("{}{path}", self.base)).query_pairs(pairs).send(""))
    }

    /// Has something taken away.
    pub(super) fn delete(&self, path: &str) -> Result<Answered, CliError> {
        self.delete_with(path, &[])
    }

    /// The same, under headers that the verb gives.
    pub(super) fn delete_with(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answered, CliError> {
        let mut request = self.agent.delete(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.whole(request.call())
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
        let client = |url: &str| HostArg { url: Some(url.to_owned()) }.client().map(|client| client.base);
        assert_eq!(client("http://localhost:1/"), Ok("http://localhost:1".to_owned()));
        assert!(matches!(client("https://localhost"), Err(CliError::Usage(_))));
        assert!(matches!(client("localhost:7070"), Err(CliError::Usage(_))));
    }

    #[test]
    fn nobody_there_is_an_error_of_its_own() {
        // Port 1 is nobody's on a machine that runs tests.
        let client = HostArg { url: Some("http://127.0.0.1:1".to_owned()) }.client().unwrap();
        assert!(matches!(client.get("/healthz", &[]), Err(CliError::Unreachable(_))));
    }

    #[test]
    fn a_problem_is_told_by_its_detail() {
        let answered = Answered { status: 422, text: r#"{"detail":"severity: loud","status":422}"#.to_owned() };
        assert_eq!(answered.done(), Err(CliError::Failed("severity: loud".to_owned())));
        assert!(Answered { status: 502, text: "<html>".to_owned() }.refusal().to_string().contains("502"));
    }
}
