//! What an embedding program has besides publishing and reading: its own handlers in the chain and on the log, callbacks for what comes, and
//! events that are typed.

use std::sync::Arc;

use futures_util::future::AbortHandle;
use serde_json::Value;
use trackside_model::{
    catalogue,
    control::Origin,
    emit::Emit,
    event::{Event, Filter, FilterError, Incoming, Position, Text},
    json::Json,
};

use crate::{
    answer::{Answer, Caller},
    engine::Engine,
    native::Native,
    subscription::Reading,
    tasks::OnStop,
};

/// Why a handler of the embedding program is not taken into service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Another has the name.
    #[error("'{0}' is in service already; unregister it first, or give this one another name")]
    Taken(Text),
    /// A component of the host has the name.
    #[error("'{0}' is the name of a component of the host; give this one another name")]
    Reserved(Text),
    /// It has none.
    #[error("a handler needs a name")]
    Nameless,
}

/// Callbacks that go on as long as this is kept.
#[derive(Debug)]
pub struct Listening(AbortHandle);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Publishes typed events in one component's name.
#[derive(Clone)]
pub struct Emitter {
    engine: Engine,
    source: Text,
    cause: Option<(Text, Text)>,
}

impl Engine {
    /// Takes a handler of the embedding program into service, beside the components.
    ///
    /// # Errors
    /// [`RegisterError`] if its name is not to be had.
    pub fn register(&self, handler: Native) -> Result<(), RegisterError> {
        let name = handler.name().clone();
        if name.is_empty() {
            return Err(RegisterError::Nameless);
        }
        if catalogue::reserved_source(&name).is_some() {
            return Err(RegisterError::Reserved(name));
        }
        if self.running(&name).is_some() {
            return Err(RegisterError::Taken(name));
        }
        self.install(Arc::new(handler));
        Ok(())
    }

    /// Takes a handler of the embedding program out of service; its cursor and its kv space stay. `false`: there is none of this name.
    pub fn unregister(&self, name: &str) -> bool {
        self.remove(name, "unregistered by the program that embeds the host")
    }

    /// Calls back for each event of these patterns that comes from now on, once whichever of them match, in the log's order, until what this gives
    /// is dropped. A callback that is slow delays the next one and nobody else; for what must outlive the program, see
    /// [`set_reader`](Self::set_reader) and [`register`](Self::register).
    ///
    /// # Errors
    /// [`FilterError`] for the first pattern that is malformed.
    pub fn subscribe_many<'a>(
        &self,
        patterns: impl IntoIterator<Item = &'a str>,
        mut callback: impl FnMut(Arc<Event>) + Send + 'static,
    ) -> Result<Listening, FilterError> {
        let filter = Filter::types(patterns)?;
        let narration = filter.names_narration();
        let after = Position::end_of(self.store().durable_head());
        let mut subscription = self.subscribe(Reading { filter, after, narration, most_behind: None });
        let (listening, handle) = futures_util::future::abortable(async move {
            loop {
                match subscription.events().await {
                    Ok(events) => events.into_iter().for_each(&mut callback),
                    Err(error) => {
                        tracing::error!("callbacks end: {error}");
                        return;
                    }
                }
            }
        });
        self.tasks().spawn("callbacks", OnStop::Abort, async move {
            // Aborted: whoever asked for them wants them no more.
            let _ = listening.await;
        });
        Ok(Listening(handle))
    }

    /// Publishes typed events in this component's name.
    pub fn emitter(&self, source_component: &str) -> Emitter {
        Emitter { engine: self.clone(), source: Text::from(source_component), cause: None }
    }
}

impl Emitter {
    /// The same, for what follows from an event: its correlation, and it as the cause.
    #[must_use]
    pub fn caused_by(&self, event: &Event) -> Self {
        Self { cause: Some((event.correlation_id.clone(), Text::from(event.event_id.to_string()))), ..self.clone() }
    }

    /// Publishes an event: the answer comes when it is durable, or when it is clear that it will not be.
    pub async fn emit<E: Emit>(&self, event: &E) -> Answer {
        let payload = serde_json::to_value(event).unwrap_or(Value::Null);
        let (correlation_id, causation_id) = self.cause.clone().unzip();
        let incoming = Incoming {
            event_type: E::EVENT_TYPE.to_owned(),
            source_component: self.source.to_string(),
            severity: Some(E::SEVERITY),
            payload: Some(Json::from(payload)),
            correlation_id: correlation_id.map(|id| id.to_string()),
            causation_id: causation_id.map(|id| id.to_string()),
            ..Incoming::default()
        };
        self.engine.publish(incoming, Caller { origin: Origin::Embedded, principal: Some(self.source.clone()) }).await
    }
}
