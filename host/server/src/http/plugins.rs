//! `/v1/plugins`: what is in service, and everything that changes it: files of the plugin directory taken into service or out of it, a
//! component sent here, an earlier version put back, a plugin bypassed. The changes are `plugins`'.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use serde_json::json;
use trackside_engine::{BypassError, ForgetError};
use trackside_model::time::Timestamp;
use trackside_wasm::check_name;

use super::{
    Api, answer,
    body::{self, BodyLimit, Media},
    problem::Problem,
};
use crate::{
    access::Who,
    params::{self, ParamError},
    plugins::{Changed, Consent, RollbackError, WriteError, versions::VersionError},
};

/// `GET /v1/plugins`.
pub(super) async fn list(State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    let refused: Vec<_> = api.plugins.refused().into_iter().map(|(name, reason)| json!({"name": name, "reason": reason})).collect();
    Ok(answer::json(StatusCode::OK, &json!({"plugins": api.engine.plugins(), "refused": refused, "stats": api.engine.stats()})))
}

/// `POST /v1/plugins/{name}/reload`: a new or changed file goes into service, a file that is gone takes its plugin out of it.
pub(super) async fn reload(State(api): State<Arc<Api>>, Path(name): Path<String>, who: Who, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::of(&name, &who, &uri, &["accept"])?;
    let _turn = api.plugins.turn().await;
    let changed = tokio::task::block_in_place(|| api.plugins.reload(&api.engine, &name, asked.consent));
    respond(&name, changed)
}

/// `PUT /v1/plugins/{name}`: a component, to be put into the plugin directory beside the settings that are there.
pub(super) async fn put(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    who: Who,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let asked = Asked::of(&name, &who, &uri, &["accept"])?;
    body::media_of(&headers, &[Media::Wasm])?;
    let bytes = usize::try_from(api.component_bytes).unwrap_or(usize::MAX);
    let component = body::whole(body, BodyLimit { name: "compile.component_bytes", bytes }, api.limits.read_timeout_ms).await?;
    let _turn = api.plugins.turn().await;
    let changed = tokio::task::block_in_place(|| api.plugins.put_component(&api.engine, &name, component, asked.consent))?;
    respond(&name, changed)
}

/// `DELETE /v1/plugins/{name}`: its files go, and it is out of service.
pub(super) async fn remove(State(api): State<Arc<Api>>, Path(name): Path<String>, who: Who, uri: Uri) -> Result<Response, Problem> {
    Asked::of(&name, &who, &uri, &[])?;
    let _turn = api.plugins.turn().await;
    let changed = tokio::task::block_in_place(|| api.plugins.remove(&api.engine, &name))?;
    respond(&name, changed)
}

/// `GET /v1/plugins/{name}/versions`: those that are kept, the last in service first.
pub(super) async fn versions(State(api): State<Arc<Api>>, Path(name): Path<String>, uri: Uri) -> Result<Response, Problem> {
    body::no_params(&uri)?;
    check(&name)?;
    let history = api.plugins.history(&name)?;
    let listed: Vec<_> =
        history.versions.iter().enumerate().map(|(place, version)| version.to_json(place == 0 && history.in_service)).collect();
    Ok(answer::json(StatusCode::OK, &json!({"name": name, "versions": listed})))
}

/// `POST /v1/plugins/{name}/rollback`: an earlier version is put back into the plugin directory and into service.
pub(super) async fn rollback(State(api): State<Arc<Api>>, Path(name): Path<String>, who: Who, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::of(&name, &who, &uri, &["accept", "version"])?;
    let _turn = api.plugins.turn().await;
    let changed = tokio::task::block_in_place(|| api.plugins.rollback(&api.engine, &name, asked.value("version"), asked.consent.clone()));
    match changed {
        Ok(changed) => respond(&name, changed),
        Err(RollbackError::Version(error)) => Err(error.into()),
        Err(RollbackError::Write(error)) => Err(error.into()),
    }
}

/// `POST /v1/plugins/{name}/bypass`: it is passed over for a while, or no longer.
pub(super) async fn bypass(State(api): State<Arc<Api>>, Path(name): Path<String>, who: Who, uri: Uri) -> Result<Response, Problem> {
    let asked = Asked::of(&name, &who, &uri, &["for", "off", "reason"])?;
    if asked.truth("off")? {
        let outcome = if api.engine.end_bypass(&name, who.name()).await? { "ended" } else { "none" };
        return Ok(answer::json(StatusCode::OK, &json!({"outcome": outcome, "name": name})));
    }
    let Some(length) = asked.value("for") else {
        return Err(ParamError("for: is missing; say for how long, as in for=10m, or off=true to end a bypass".to_owned()).into());
    };
    let for_ms = params::duration_ms("for", length)?;
    let bypass = api.engine.bypass(&name, for_ms, who.name(), asked.value("reason").map(str::to_owned)).await?;
    let until: Timestamp = bypass.until;
    Ok(answer::json(StatusCode::OK, &json!({"outcome": "bypassed", "name": name, "until": until, "by": &*bypass.by})))
}

/// `POST /v1/plugins/{name}/forget`: how far one had come that is out of service.
pub(super) async fn forget(State(api): State<Arc<Api>>, Path(name): Path<String>, who: Who, uri: Uri) -> Result<Response, Problem> {
    Asked::of(&name, &who, &uri, &[])?;
    let cursors = api.engine.forget_cursors(&name, who.name()).await?;
    Ok(answer::json(StatusCode::OK, &json!({"outcome": "forgotten", "name": name, "cursors": cursors})))
}

impl From<ForgetError> for Problem {
    fn from(error: ForgetError) -> Self {
        let detail = error.to_string();
        match error {
            ForgetError::InService(_) => Self::refused(StatusCode::CONFLICT, detail),
            ForgetError::Nothing(_) => Self::refused(StatusCode::NOT_FOUND, detail),
            ForgetError::Read(error) => Self::unreadable(&error),
            ForgetError::Append(_) | ForgetError::Poisoned(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, detail),
        }
    }
}

/// A request for a change.
struct Asked {
    pairs: Vec<(String, String)>,
    consent: Consent,
}

impl Asked {
    fn of(name: &str, who: &Who, uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let pairs = body::pairs(uri)?;
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            return Err(params::unknown(name, known).into());
        }
        check(name)?;
        let mut asked = Self { pairs, consent: Consent::Settings };
        if asked.truth("accept")? {
            asked.consent = Consent::Asker(who.name().to_owned());
        }
        Ok(asked)
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    fn truth(&self, name: &str) -> Result<bool, Problem> {
        Ok(self.value(name).map(|value| params::truth(name, value)).transpose()?.unwrap_or(false))
    }
}

fn check(name: &str) -> Result<(), Problem> {
    check_name(name).map_err(|error| Problem::refused(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

fn respond(name: &str, changed: Changed) -> Result<Response, Problem> {
    match changed {
        Changed::Loaded { info, changes } => {
            Ok(answer::json(StatusCode::OK, &json!({"outcome": "loaded", "plugin": *info, "changes": changes})))
        }
        Changed::Removed => Ok(answer::json(StatusCode::OK, &json!({"outcome": "unloaded", "name": name}))),
        Changed::Refused(refusal) => {
            let detail = format!("'{name}' was not loaded, and what was in service stays: {}", refusal.reason);
            let problem = Problem::refused(StatusCode::UNPROCESSABLE_ENTITY, detail).with("reason", refusal.reason);
            Err(problem.with("changes", refusal.changes))
        }
        Changed::Unknown(plugin_dir) => {
            let detail = format!("there is no plugin '{name}': put {name}.wasm into {}", plugin_dir.display());
            Err(Problem::refused(StatusCode::NOT_FOUND, detail))
        }
    }
}

impl From<VersionError> for Problem {
    fn from(error: VersionError) -> Self {
        let status = match error {
            VersionError::Io { .. } | VersionError::Damaged(_) => return Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            VersionError::NoneKept(_) | VersionError::Unknown { .. } => StatusCode::NOT_FOUND,
            VersionError::Ambiguous { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            VersionError::InService(_) => StatusCode::CONFLICT,
        };
        Self::refused(status, error.to_string())
    }
}

impl From<WriteError> for Problem {
    fn from(error: WriteError) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the plugin directory was not changed: {error}"))
    }
}

impl From<BypassError> for Problem {
    fn from(error: BypassError) -> Self {
        match error {
            BypassError::Unknown(_) => Self::refused(StatusCode::NOT_FOUND, error.to_string()),
            BypassError::Length => Self::refused(StatusCode::BAD_REQUEST, error.to_string()),
            BypassError::Append(_) | BypassError::Poisoned(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        }
    }
}
