//! Who asks, and for how long that counts: what a request was let through as, and the lease of whatever goes on after its first answer.

use std::{future, sync::Arc};

use tokio::sync::watch;
use trackside_model::{event::Text, plugin::Digest};

use super::{Tokens, scope::Scope};

/// Who a request is from.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    /// The token's; `None`: a program of this machine that showed none, where none is asked for.
    name: Option<Text>,
    scopes: Vec<Scope>,
    lease: Lease,
}

impl Who {
    /// A program of this machine, where no token is asked for.
    pub(crate) fn nobody() -> Self {
        Self::new(None, Scope::everybodys().collect(), Lease::endless())
    }

    pub(super) fn new(name: Option<Text>, scopes: Vec<Scope>, lease: Lease) -> Self {
        Self { name, scopes, lease }
    }

    /// The principal of what it does.
    pub(crate) fn principal(&self) -> Option<Text> {
        self.name.clone()
    }

    /// Its name in the log, where there must be one.
    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("client")
    }

    /// Whether it may do more than it was let through for.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }

    /// How long it may go on.
    pub(crate) fn lease(&self) -> Lease {
        self.lease.clone()
    }
}

/// How long something may go on: until its token is removed, expires or loses the scope; for ever, if it needed none.
#[derive(Clone, Debug)]
pub(crate) struct Lease(Option<Held>);

#[derive(Clone, Debug)]
struct Held {
    sha256: Digest,
    scope: Scope,
    tokens: watch::Receiver<Arc<Tokens>>,
}

impl Lease {
    /// For ever.
    pub(crate) fn endless() -> Self {
        Self(None)
    }

    pub(super) fn of(sha256: Digest, scope: Scope, tokens: watch::Receiver<Arc<Tokens>>) -> Self {
        Self(Some(Held { sha256, scope, tokens }))
    }

    /// Waits for its end. Cancelling the wait loses nothing.
    pub(crate) async fn ended(&mut self) {
        match &mut self.0 {
            None => future::pending().await,
            Some(Held { sha256, scope, tokens }) => {
                // Nobody who could tell of it: the host has stopped.
                let _ = tokens.wait_for(|tokens| !tokens.grant(sha256, *scope)).await;
            }
        }
    }
}
