//! Schemas at the door: a payload that does not fit is refused before anybody is asked about it, and so is one that control handlers have put in
//! its place. What fits is the model's to say; where schemas come from is the embedding program's.

use std::sync::Arc;

use trackside_model::{
    control::{DecisionRecord, Signal, Verdict},
    event::{Draft, Rejection, Text},
    schema::{Schema, Schemas},
};

use crate::engine::Engine;

impl Engine {
    /// Puts these in force, in place of those that were, for every publish that comes to the door from now on.
    pub fn set_schemas(&self, schemas: Vec<Arc<Schema>>) {
        self.shared().schemas.store(Arc::new(schemas.into_iter().collect()));
    }
}

/// Whether what is sent fits.
pub(crate) fn check_sent(schemas: &Schemas, draft: &Draft) -> Result<(), Rejection> {
    schemas.check(&draft.event_type, &draft.payload).map_err(Rejection::from)
}

/// The same verdict, if what handlers put in the payload's place fits; else that of the last who changed it, as one who could not judge.
pub(crate) fn fitting(schemas: &Schemas, draft: &Draft, verdict: Verdict, record: Option<&DecisionRecord>) -> Verdict {
    let (by, replaced) = match &verdict {
        Verdict::Proceed(Some(amended)) => (last_to_amend(record), amended),
        Verdict::Signal { by, signal: Signal::Fallback { value, .. } } => (by.clone(), value),
        _ => return verdict,
    };
    match schemas.check(&draft.event_type, replaced) {
        Ok(()) => verdict,
        Err(violation) => {
            let reason = format!("the payload that it gave the event does not fit: {violation}");
            Verdict::Signal { by, signal: Signal::Error(reason) }
        }
    }
}

fn last_to_amend(record: Option<&DecisionRecord>) -> Text {
    let amended = record.into_iter().flat_map(|record| &record.checks).rfind(|check| check.amended);
    amended.map_or_else(|| Text::from("a control handler"), |check| check.by.plugin.clone())
}
