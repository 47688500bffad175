//! The gate before each route: who a request is from, and whether they may do what it asks for. Who that is, and how long it counts, goes on
//! to the handlers. Which route needs what is `routes`'; which tokens there are is `access`'.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use tokio::sync::watch;

use super::{Api, guard::single, problem::Problem, stopped};
use crate::access::{Access, Lease, Refused, Scope, Who, words};

/// Lets a request through to a route that needs this scope, or answers it.
pub(super) async fn only_who_may(State((api, needs)): State<(Arc<Api>, Scope)>, mut request: Request, next: Next) -> Response {
    match admit(&api.access, needs, &request) {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn admit(access: &Access, needs: Scope, request: &Request) -> Result<Who, Problem> {
    let asked = || format!("{} {}", request.method(), request.uri().path());
    let shown = bearer(request.headers())?;
    access.admit(shown, needs).map_err(|refused| refuse(access, &refused, needs, &asked()))
}

/// The secret that a request shows.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(given) = single(headers, &header::AUTHORIZATION)? else { return Ok(None) };
    match given.split_once(' ') {
        Some((scheme, secret)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(secret.trim())),
        _ => Err(challenge(
            StatusCode::UNAUTHORIZED,
            "the header is not as in 'Authorization: Bearer TOKEN'".to_owned(),
            "Bearer error=\"invalid_request\"".to_owned(),
        )),
    }
}

/// What a refusal says, and what to do: on this machine that is to show the host's own token, from elsewhere to have one made.
fn refuse(access: &Access, refused: &Refused, needs: Scope, asked: &str) -> Problem {
    let remedy = if access.is_required() {
        format!("send 'Authorization: Bearer TOKEN'; {}", to_make_one(needs))
    } else {
        format!("send 'Authorization: Bearer TOKEN' with the content of {}", access.own_path().display())
    };
    match refused {
        Refused::NoToken => {
            challenge(StatusCode::UNAUTHORIZED, format!("{asked} needs a token with the scope '{needs}'; {remedy}"), "Bearer".to_owned())
        }
        Refused::UnknownToken => challenge(
            StatusCode::UNAUTHORIZED,
            format!("the token in the Authorization header is none of this host's, or no longer; {remedy}"),
            "Bearer error=\"invalid_token\"".to_owned(),
        ),
        Refused::NoScope { name, scopes } => {
            let has = if scopes.is_empty() { "none".to_owned() } else { words(scopes) };
            let detail = format!("{asked} needs the scope '{needs}', and the token '{name}' has {has}; {}", to_make_one(needs));
            challenge(StatusCode::FORBIDDEN, detail, format!("Bearer error=\"insufficient_scope\", scope=\"{needs}\"")).with("needs", needs)
        }
    }
}

/// The problem (403) of something that needs another scope than its route does.
pub(super) fn lacks(who: &Who, needs: Scope, what: &str) -> Problem {
    let detail = format!("{what} needs the scope '{needs}', which the token '{}' has not; {}", who.name(), to_make_one(needs));
    challenge(StatusCode::FORBIDDEN, detail, format!("Bearer error=\"insufficient_scope\", scope=\"{needs}\"")).with("needs", needs)
}

fn to_make_one(needs: Scope) -> String {
    format!("`trackside token add NAME --scope {needs}` on the host's machine makes one that may")
}

fn challenge(status: StatusCode, detail: String, challenge: String) -> Problem {
    let problem = Problem::refused(status, detail);
    // Words of scopes and errors are plain text.
    match HeaderValue::try_from(challenge) {
        Ok(challenge) => problem.header(header::WWW_AUTHENTICATE, challenge),
        Err(_) => problem,
    }
}

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let ungated = || Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this route has no gate; please report it");
        parts.extensions.get::<Self>().cloned().ok_or_else(ungated)
    }
}

/// What brings to its end whatever goes on for long: the host stops, or who asked for it may no longer.
#[derive(Clone)]
pub(super) struct Ends {
    stopping: watch::Receiver<bool>,
    lease: Lease,
}

impl Ends {
    /// Waits for it; why. Cancelling the wait loses nothing.
    pub(super) async fn come(&mut self) -> &'static str {
        tokio::select! {
            biased;
            () = stopped(&mut self.stopping) => "the host is stopping",
            why = Self::of(&mut self.lease) => why,
        }
    }

    /// Waits until who asked may no longer; what is to be told of it. A stop of the host is none.
    pub(super) async fn revoked(&mut self) -> &'static str {
        Self::of(&mut self.lease).await
    }

    async fn of(lease: &mut Lease) -> &'static str {
        lease.ended().await;
        "the token with which this was asked for was removed, has expired or has lost the scope for it"
    }
}

impl FromRequestParts<Arc<Api>> for Ends {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let who = Who::from_request_parts(parts, api).await?;
        Ok(Self { stopping: api.stopping.clone(), lease: who.lease() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_shows_a_secret() {
        let shown = |value: &str| {
            let headers = [(header::AUTHORIZATION, value.parse().unwrap())].into_iter().collect();
            bearer(&headers).map(|secret| secret.map(str::to_owned)).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(bearer(&HeaderMap::new()).unwrap(), None);
        assert_eq!(shown("Bearer x"), Ok(Some("x".to_owned())));
        assert_eq!(shown("bearer  x "), Ok(Some("x".to_owned())));
        assert_eq!(shown("Bearer "), Ok(Some(String::new())));
        for wrong in ["x", "Basic x", ""] {
            assert_eq!(shown(wrong), Err(401), "{wrong}");
        }
    }
}
