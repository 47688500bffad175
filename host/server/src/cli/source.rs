//! Where the reading verbs read: a running host, or a data directory without one. Both give the same JSON.
//! How it is printed is the verbs'.

use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use trackside_model::{event::cloud_event::Form, keeping::Gap};
use trackside_store::{ReadStore, Store};

use super::{
    CliError,
    client::{Client, HostArg},
};
use crate::{
    explain::{EventId, Explained},
    http::{
        dead_letters,
        kv::{self, KvQuery},
        workflows,
    },
    params::{EventParams, LIST_PARAMS, ParamError},
    survey::{Question, Survey},
};

/// Where to read.
#[derive(Args, Clone, Debug)]
pub(super) struct SourceArg {
    #[command(flatten)]
    pub(super) host: HostArg,
    /// Read this data directory instead of asking a host; one may be running on it.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// Pairs as they stand in a query.
pub(super) type Pairs = Vec<(String, String)>;

/// Where to read, opened.
pub(super) enum Source {
    Host(Client),
    Directory(ReadStore),
}

/// How pairs are read into a question.
type ReadQuestion = fn(&[(&str, &str)]) -> Result<Question, ParamError>;

/// What many events are asked: the host's path, and how a question is read without one.
pub(super) struct Asked {
    pub(super) path: &'static str,
    pub(super) read: ReadQuestion,
}

/// One page of events.
#[derive(Deserialize)]
pub(super) struct EventPage {
    pub(super) events: Vec<Box<RawValue>>,
    pub(super) next: Option<String>,
    /// What is no longer there.
    #[serde(default)]
    pub(super) trimmed: Vec<Gap>,
}

impl SourceArg {
    pub(super) fn open(&self) -> Result<Source, CliError> {
        self.open_with(HostArg::client)
    }

    /// The same, for what a host shows to operators only.
    pub(super) fn open_as_operator(&self) -> Result<Source, CliError> {
        self.open_with(HostArg::operator)
    }

    fn open_with(&self, client: impl FnOnce(&HostArg) -> Result<Client, CliError>) -> Result<Source, CliError> {
        match &self.data {
            None => client(&self.host).map(Source::Host),
            Some(data_dir) => {
                let store =
                    Store::open_read_only(data_dir).map_err(|error| CliError::Failed(format!("{}: {error}", data_dir.display())))?;
                Ok(Source::Directory(store))
            }
        }
    }
}

impl Source {
    /// One page of what the pairs ask for.
    pub(super) fn events(&self, pairs: &Pairs) -> Result<EventPage, CliError> {
        let wrong = |error: serde_json::Error| CliError::Failed(format!("the answer is no page of events: {error}"));
        match self {
            Self::Host(client) => {
                let answered = client.get("/v1/events", pairs)?;
                if answered.status >= 400 {
                    return Err(answered.refusal());
                }
                serde_json::from_str(&answered.text).map_err(wrong)
            }
            Self::Directory(store) => {
                let borrowed = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let params = EventParams::parse(borrowed, &LIST_PARAMS).map_err(CliError::failed)?;
                params.check_text(&store.full_text_types().map_err(CliError::failed)?).map_err(CliError::failed)?;
                let page = store.query(&params.query()).map_err(CliError::failed)?;
                let events = page.events.iter().map(|event| params.form.json(event).and_then(RawValue::from_string));
                let events = events.collect::<Result<_, _>>().map_err(wrong)?;
                Ok(EventPage { events, next: page.next.map(|next| next.to_string()), trimmed: page.trimmed })
            }
        }
    }

    /// What many events come to.
    pub(super) fn survey(&self, asked: Asked, pairs: &Pairs) -> Result<Value, CliError> {
        match self {
            Self::Host(client) => client.get(asked.path, pairs)?.done(),
            Self::Directory(store) => {
                let borrowed: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                let question = (asked.read)(&borrowed).map_err(CliError::failed)?;
                let mut survey = Survey::begin(store, question).map_err(CliError::failed)?;
                while survey.step(store).map_err(CliError::failed)? {}
                Ok(survey.answer())
            }
        }
    }

    /// An event and what is known of it.
    pub(super) fn explain(&self, id: &EventId, form: Form) -> Result<Value, CliError> {
        match self {
            Self::Host(client) => client.get(&format!("/v1/events/{id}"), &[("format".to_owned(), form.to_string())])?.done(),
            Self::Directory(store) => {
                let explained = Explained::find(store, id).map_err(CliError::failed)?;
                let explained = explained.ok_or_else(|| CliError::Failed(format!("there is no event {id} in the log")))?;
                let json = explained.json(form).map_err(CliError::failed)?;
                serde_json::from_str(&json).map_err(CliError::failed)
            }
        }
    }

    /// A part of the list of dead letters.
    pub(super) fn dead_letters(&self, pairs: &Pairs) -> Result<Value, CliError> {
        match self {
            Self::Host(client) => client.get("/v1/dead-letters", pairs)?.done(),
            Self::Directory(store) => {
                let borrowed = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let query = dead_letters::list_query(borrowed, trackside_engine::now()).map_err(CliError::failed)?;
                let page = store.dead_letters(&query).map_err(CliError::failed)?;
                dead_letters::page_json(store, &page).map_err(CliError::failed)
            }
        }
    }

    /// A dead letter and all that is known of it.
    pub(super) fn dead_letter(&self, id: u64) -> Result<Value, CliError> {
        match self {
            Self::Host(client) => client.get(&format!("/v1/dead-letters/{id}"), &[])?.done(),
            Self::Directory(store) => {
                let shown = dead_letters::shown(store, id).map_err(CliError::failed)?;
                shown.ok_or_else(|| CliError::failed(trackside_engine::RedriveError::Unknown(id)))
            }
        }
    }

    /// A part of the list of workflows.
    pub(super) fn workflows(&self, pairs: &Pairs) -> Result<Value, CliError> {
        match self {
            Self::Host(client) => client.get("/v1/workflows", pairs)?.done(),
            Self::Directory(store) => {
                let borrowed = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let query = workflows::list_query(borrowed).map_err(CliError::failed)?;
                Ok(workflows::page_json(&store.workflows(&query).map_err(CliError::failed)?))
            }
        }
    }

    /// A part of what a plugin keeps. A host shows it to operators.
    pub(super) fn kv(&self, plugin: &str, pairs: &Pairs) -> Result<Value, CliError> {
        match self {
            Self::Host(client) => client.get(&format!("/v1/plugins/{plugin}/kv"), pairs)?.done(),
            Self::Directory(store) => {
                let borrowed = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                let query = KvQuery::parse(borrowed).map_err(CliError::failed)?;
                let now = trackside_engine::now();
                let page = store.kv_list(plugin, &query.prefix, query.after.as_deref(), query.limit, now).map_err(CliError::failed)?;
                Ok(kv::page_json(plugin, &page, now))
            }
        }
    }

    /// A workflow as it stands.
    pub(super) fn workflow(&self, id: &str) -> Result<Value, CliError> {
        match self {
            Self::Host(client) => client.get(&format!("/v1/workflows/{}", segment(id)), &[])?.done(),
            Self::Directory(store) => {
                let view = trackside_engine::fold_workflow(store, id).map_err(CliError::failed)?;
                let view = view.ok_or_else(|| CliError::Failed(format!("there is no workflow '{id}' in the log")))?;
                serde_json::to_value(view).map_err(CliError::failed)
            }
        }
    }
}

/// Text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_segment() {
        assert_eq!(segment("a-b_1.~"), "a-b_1.~");
        assert_eq!(segment("a/b ?é"), "a%2Fb%20%3F%C3%A9");
    }

    #[test]
    fn a_directory_without_a_log_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let argument = SourceArg { host: HostArg::default(), data: Some(directory.path().to_owned()) };
        let error = argument.open().err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains("there is no log in"), "{error}");
    }
}
