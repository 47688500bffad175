//! Definitions that were read lately, by the digest of their text: a workflow that is submitted often is read once.
//! Which definition a running workflow has is the workflow state's.

use std::{collections::HashMap, collections::VecDeque, sync::Arc};

use trackside_model::{plugin::Digest, workflow::Definition};

/// Definitions remembered at most.
const MOST_DEFINITIONS: usize = 64;
/// A definition of more tasks is read each time, so that few large ones do not hold the memory.
const MOST_TASKS: usize = 1_000;

/// First in, first out.
#[derive(Default)]
pub(crate) struct Definitions {
    by_text: HashMap<Digest, Arc<Definition>>,
    order: VecDeque<Digest>,
}

impl Definitions {
    pub(crate) fn get(&self, text: &Digest) -> Option<&Arc<Definition>> {
        self.by_text.get(text)
    }

    pub(crate) fn put(&mut self, text: Digest, definition: Arc<Definition>) {
        if definition.tasks.len() > MOST_TASKS || self.by_text.insert(text, definition).is_some() {
            return;
        }
        self.order.push_back(text);
        if self.order.len() > MOST_DEFINITIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_text.remove(&oldest);
        }
    }
}
