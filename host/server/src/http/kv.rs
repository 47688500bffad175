//! `/v1/plugins/{name}/kv`: what a plugin keeps, page by page. The space is the plugin's own and may hold what no
//! event says, so that it is not shown to everybody who can reach the host. Reading it is the store's.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::Response,
};
use serde_json::{Map, Value, json};
use trackside_model::time::Timestamp;
use trackside_store::{KvEntry, KvPage};
use trackside_wasm::check_name;

use super::{Api, answer, body, problem::Problem};
use crate::{
    kv_value,
    params::{self, DEFAULT_LIMIT, ParamError},
};

/// What a listing may be asked.
const LIST_PARAMS: [&str; 3] = ["prefix", "after", "limit"];

/// A part of a space that somebody asks for.
pub(crate) struct KvQuery {
    pub(crate) prefix: String,
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

impl KvQuery {
    /// Reads pairs.
    ///
    /// # Errors
    /// [`ParamError`] for the first that is wrong.
    pub(crate) fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, ParamError> {
        let mut query = Self { prefix: String::new(), after: None, limit: DEFAULT_LIMIT };
        for (name, value) in pairs {
            match name {
                "prefix" => value.clone_into(&mut query.prefix),
                "after" => query.after = Some(value.to_owned()),
                "limit" => query.limit = params::limit(name, value)?,
                other => return Err(params::unknown(other, &LIST_PARAMS)),
            }
        }
        Ok(query)
    }
}

/// A part of a space, as JSON.
pub(crate) fn page_json(name: &str, page: &KvPage, now: Timestamp) -> Value {
    let entries: Vec<Value> = page.entries.iter().map(|entry| entry_json(entry, now)).collect();
    json!({"name": name, "entries": entries, "next": page.next})
}

fn entry_json(entry: &KvEntry, now: Timestamp) -> Value {
    let mut members = Map::new();
    members.insert("key".to_owned(), json!(entry.key));
    let (name, value) = kv_value::member(&entry.value);
    members.insert(name.to_owned(), json!(value));
    members.insert("bytes".to_owned(), json!(entry.value.len()));
    if let Some(expires_at) = entry.expires_at {
        members.insert("expires_at".to_owned(), json!(expires_at));
        members.insert("ttl_ms".to_owned(), json!(expires_at.ms_since(now)));
    }
    Value::Object(members)
}

/// `GET /v1/plugins/{name}/kv`: in the order of the keys, as it is durable.
pub(super) async fn list(State(api): State<Arc<Api>>, Path(name): Path<String>, uri: Uri) -> Result<Response, Problem> {
    check_name(&name).map_err(|error| Problem::refused(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let pairs = body::pairs(&uri)?;
    let query = KvQuery::parse(body::borrowed(&pairs))?;
    let now = trackside_engine::now();
    let page = api.read(|store| store.kv_list(&name, &query.prefix, query.after.as_deref(), query.limit, now)).await?;
    Ok(answer::json(StatusCode::OK, &page_json(&name, &page, now)))
}
