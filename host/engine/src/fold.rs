//! State from the log: the unfinished workflows at start, any workflow for showing, the window of contents.
//! How one event changes the state is the model's `apply`.

use std::sync::Arc;

use trackside_model::{
    catalogue,
    event::{Event, Filter},
    json::Json,
    plugin::Digest,
    time::Timestamp,
    workflow::{Definition, Machine, State, WorkflowView},
};
use trackside_store::{Query, ReadError, ReadStore, Store};

use crate::{
    clock,
    identity::{Identity, Original, SENT_CONTENT, sha2_key, unhex},
};

/// Events read at a time.
const PAGE: usize = 1_000;
/// Bytes read at a time.
const PAGE_BYTES: usize = 4 << 20;

/// All workflows that have not ended, as the log has them.
fn unfinished(store: &Store) -> Result<State, ReadError> {
    let mut state = State::default();
    for row in store.unfinished_workflows()? {
        fold_into(&mut state, store, &row.workflow_id)?;
    }
    Ok(state)
}

/// A workflow as the log has it. `None`: there is no such workflow. Needs no running engine.
///
/// # Errors
/// [`ReadError`] if the log cannot be read.
pub fn workflow(store: &ReadStore, workflow_id: &str) -> Result<Option<WorkflowView>, ReadError> {
    let mut state = State::default();
    fold_into(&mut state, store, workflow_id)?;
    Ok(WorkflowView::of(&state, workflow_id).map(|view| opened(store, view)))
}

/// A view with the content of its large results.
pub(crate) fn opened(store: &ReadStore, mut view: WorkflowView) -> WorkflowView {
    view.open(|digest| content(store, digest));
    view
}

fn content(store: &ReadStore, digest: &Digest) -> Option<Json> {
    let bytes = store.blob(digest).map_err(|error| tracing::error!("a large result cannot be read: {error}")).ok().flatten()?;
    String::from_utf8(bytes.to_vec()).ok().map(Json::trusted)
}

/// The machine to go on with.
pub(crate) fn machine(store: &Store) -> Result<Machine, ReadError> {
    let mut machine = Machine::new(unfinished(store)?);
    for (workflow_id, digest) in machine.missing_blobs() {
        if let Some(content) = content(store, &digest) {
            machine.provide_blob(workflow_id, digest, content);
        }
    }
    Ok(machine)
}

fn fold_into(state: &mut State, store: &ReadStore, workflow_id: &str) -> Result<(), ReadError> {
    let mut after = 0;
    loop {
        let events = store.workflow_events(workflow_id, after, PAGE, PAGE_BYTES)?;
        let Some(last) = events.last() else { return Ok(()) };
        after = last.sequence_number;
        for event in events {
            if &*event.event_type == "workflow:submitted"
                && let Some(definition) = definition_of(store, &event)?
            {
                state.provide(definition);
            }
            if let Err(error) = state.apply(&event) {
                tracing::error!(workflow_id, "{error}; the workflow is left as it was before");
                return Ok(());
            }
        }
    }
}

fn definition_of(store: &ReadStore, submitted: &Event) -> Result<Option<Arc<Definition>>, ReadError> {
    let digest = submitted.payload.to_value()["definition"].as_str().and_then(|digest| digest.parse::<Digest>().ok());
    let Some(bytes) = digest.map(|digest| store.blob(&digest)).transpose()?.flatten() else { return Ok(None) };
    Ok(Definition::from_canonical(&String::from_utf8_lossy(&bytes)).ok().map(Arc::new))
}

/// Puts what edges published lately back into the window of contents.
pub(crate) fn window(store: &Store, identity: &Identity) -> Result<(), ReadError> {
    let longest_ms = identity.longest_window_ms();
    if longest_ms == 0 {
        return Ok(());
    }
    let now = clock::now();
    let since = Timestamp(now.0.saturating_sub(longest_ms * 1_000_000));
    let mut query = Query { filter: Filter::default(), since: Some(since), limit: PAGE, ..Query::default() };
    loop {
        let page = store.query(&query)?;
        for event in page.events {
            // An id that the host has not made up was given, and is the event's identity.
            if catalogue::entry(&event.event_type).is_some() || event.event_id.get_version_num() != 7 {
                continue;
            }
            let window_ms = identity.window_ms(&event.event_type);
            if now.ms_since(event.recorded_at) >= window_ms {
                continue;
            }
            let sent = event.metadata.get(SENT_CONTENT).and_then(|sent| unhex(sent));
            let content = sent.unwrap_or_else(|| sha2_key::of(&event, *event.correlation_id != *event.event_id.to_string()));
            if let Ok(Some(found)) = store.find(&event.event_id) {
                let original = Original { event_id: event.event_id, sequence_number: found.sequence, ticket: found.ticket, content };
                identity.remember(content, original, event.recorded_at, window_ms);
            }
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return Ok(()),
        }
    }
}
