//! A workflow as it was submitted: tasks, what each depends on, its parameters and its limits. A `Definition` in hand is valid.
//! Reading text is `parse`'s, references inside parameters are `references`', and running it is the machine's.

use std::{collections::HashSet, fmt};

use super::{
    parse,
    references::{self, Template},
};
use crate::{event::Text, plugin::Digest, retry::RetryPolicy, text::nearest};

/// Most tasks of a workflow.
pub const MAX_TASKS: usize = 100_000;
/// Longest text of a definition, in bytes. What YAML aliases repeat has the same limit again.
pub const MAX_DEFINITION_BYTES: usize = 64 << 20;
/// Deepest nesting of a definition.
pub const MAX_DEFINITION_DEPTH: usize = 64;
/// Longest id of a task, name of a workflow and name of a method, in bytes.
pub const MAX_ID_BYTES: usize = 256;
/// Most errors told of one definition; the rest is counted.
pub const MAX_DEFINITION_ERRORS: usize = 1_000;
/// Longest parameters of an attempt, with the values of its references put in, in bytes.
pub const MAX_PARAMETERS_BYTES: usize = 64 << 20;
/// What `${workflow.input}` begins with; no task may have this id.
pub const RESERVED_ID: &str = "workflow";

/// Priorities by name. A number may stand instead; of two ready tasks the one with the higher number goes first.
pub const PRIORITIES: [(&str, i32); 4] = [("low", 25), ("normal", NORMAL_PRIORITY), ("high", 75), ("urgent", 100)];
/// The priority of a task that states none.
pub const NORMAL_PRIORITY: i32 = 50;

/// A valid workflow definition.
#[derive(Clone, Debug)]
pub struct Definition {
    /// For people; `unnamed` if the text has none.
    pub name: Text,
    /// For people.
    pub description: String,
    /// The author's.
    pub version: String,
    /// Milliseconds that the whole workflow has.
    pub timeout_ms: Option<u64>,
    /// Whether tasks wait for a provider of their method; otherwise a method without one is refused at submission.
    pub wait_for_provider: bool,
    /// In the order of the text; never empty.
    pub tasks: Vec<TaskDefinition>,
    /// Of [`Definition::canonical_json`].
    pub digest: Digest,
    /// The line of each task's method, as far as lines are known.
    pub(super) method_lines: Vec<u32>,
    /// From the dependencies, once: both are asked for at every step of every task.
    pub(super) dependents: Vec<Vec<usize>>,
    pub(super) waves: Vec<u32>,
}

/// A node of the DAG.
#[derive(Clone, Debug)]
pub struct TaskDefinition {
    /// Unique in the workflow.
    pub id: Text,
    /// For people; the id if the text has none.
    pub name: String,
    /// `namespace/name`.
    pub method: Text,
    /// Higher goes first; see [`PRIORITIES`].
    pub priority: i32,
    /// Places in [`Definition::tasks`] of what has to end before this can begin: stated, or implied by a reference. Sorted, each once.
    pub dependencies: Vec<usize>,
    /// What the worker gets, once the references in it are resolved.
    pub parameters: Template,
    /// Milliseconds that an attempt has.
    pub timeout_ms: Option<u64>,
    /// What becomes of its failures.
    pub retry: RetryPolicy,
}

/// The languages of a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// YAML 1.2, one document.
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// What a text of unknown origin is: JSON if it begins with a brace, else YAML.
    pub fn guess(text: &str) -> Self {
        if text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with('{') { Self::Json } else { Self::Yaml }
    }
}

/// One thing that is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct DefinitionError {
    /// In the text, from 1.
    pub line: Option<usize>,
    /// `tasks[2].dependencies`; empty for the text as a whole.
    pub place: String,
    /// What is wrong, and what to do where that is known.
    pub message: String,
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

impl Definition {
    /// Reads a definition from what a person wrote.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of lines, up to [`MAX_DEFINITION_ERRORS`]. Text that is not YAML or JSON at all has one error.
    pub fn parse(text: &str, format: Format) -> Result<Self, Vec<DefinitionError>> {
        if text.len() > MAX_DEFINITION_BYTES {
            let message = format!("{} bytes are more than the {MAX_DEFINITION_BYTES} that a definition may have", text.len());
            return Err(vec![DefinitionError { line: None, place: String::new(), message }]);
        }
        parse::definition(text, format, None)
    }

    /// As [`parse`](Self::parse), and the methods are among those `offered`, unless the workflow waits for providers.
    ///
    /// # Errors
    /// Everything that is wrong, in one list: a method that nobody offers stands beside what else there is.
    pub fn parse_offered<'a>(text: &str, format: Format, offered: impl IntoIterator<Item = &'a str>) -> Result<Self, Vec<DefinitionError>> {
        if text.len() > MAX_DEFINITION_BYTES {
            return Self::parse(text, format);
        }
        parse::definition(text, format, Some(&offered.into_iter().collect()))
    }

    /// Reads back what [`canonical_json`](Self::canonical_json) wrote, of whatever length.
    ///
    /// # Errors
    /// As [`Definition::parse`]; none for text of [`canonical_json`](Self::canonical_json).
    pub fn from_canonical(json: &str) -> Result<Self, Vec<DefinitionError>> {
        parse::definition(json, Format::Json, None)
    }

    /// One text for each meaning: defaults left out, synonyms and durations in one form, implied dependencies stated, keys sorted.
    /// Reading it back gives the same definition and the same text.
    pub fn canonical_json(&self) -> String {
        let mut out = String::from("{\"name\":");
        references::write_string(&mut out, &self.name);
        for (field, text) in [("description", &self.description), ("version", &self.version)] {
            if !text.is_empty() {
                out.push_str(&format!(",\"{field}\":"));
                references::write_string(&mut out, text);
            }
        }
        if let Some(timeout_ms) = self.timeout_ms {
            out.push_str(&format!(",\"timeout\":\"{timeout_ms}ms\""));
        }
        if self.wait_for_provider {
            out.push_str(",\"wait_for_provider\":true");
        }
        out.push_str(",\"tasks\":[");
        for (place, task) in self.tasks.iter().enumerate() {
            out.push_str(if place == 0 { "" } else { "," });
            task.write_canonical(&mut out, &self.tasks);
        }
        out.push_str("]}");
        out
    }

    /// The tasks whose method is not among those `offered`; none if the workflow waits for providers.
    pub fn check_methods<'a>(&self, offered: impl IntoIterator<Item = &'a str>) -> Vec<DefinitionError> {
        if self.wait_for_provider {
            return Vec::new();
        }
        let offered: HashSet<&str> = offered.into_iter().collect();
        let unknown = self.tasks.iter().enumerate().filter(|(_, task)| !offered.contains(&*task.method));
        unknown
            .take(MAX_DEFINITION_ERRORS)
            .map(|(place, task)| DefinitionError {
                line: self.method_lines.get(place).map(|line| *line as usize).filter(|line| *line > 0),
                place: format!("tasks[{place}].method"),
                message: no_provider(&task.method, &offered),
            })
            .collect()
    }

    /// For each task the places of those that depend on it, ascending.
    pub fn dependents(&self) -> &[Vec<usize>] {
        &self.dependents
    }

    /// The wave of the task at this place: 0 without dependencies, else one more than the highest of its dependencies.
    pub fn wave(&self, place: usize) -> u32 {
        self.waves[place]
    }

    /// A copy of the waves of all tasks; [`wave`](Self::wave) costs nothing for one.
    pub fn waves(&self) -> Vec<u32> {
        self.waves.clone()
    }
}

impl TaskDefinition {
    fn write_canonical(&self, out: &mut String, tasks: &[Self]) {
        out.push_str("{\"id\":");
        references::write_string(out, &self.id);
        if *self.name != *self.id {
            out.push_str(",\"name\":");
            references::write_string(out, &self.name);
        }
        out.push_str(",\"method\":");
        references::write_string(out, &self.method);
        if self.priority != NORMAL_PRIORITY {
            out.push_str(&format!(",\"priority\":{}", self.priority));
        }
        for (place, dependency) in self.dependencies.iter().enumerate() {
            out.push_str(if place == 0 { ",\"dependencies\":[" } else { "," });
            references::write_string(out, &tasks[*dependency].id);
        }
        if !self.dependencies.is_empty() {
            out.push(']');
        }
        out.push_str(",\"parameters\":");
        self.parameters.write_source(out);
        if let Some(timeout_ms) = self.timeout_ms {
            out.push_str(&format!(",\"timeout\":\"{timeout_ms}ms\""));
        }
        if self.retry != RetryPolicy::ONCE {
            let RetryPolicy { max_attempts, base_ms, factor, cap_ms, jitter } = self.retry;
            out.push_str(&format!(
                ",\"retry\":{{\"max_attempts\":{max_attempts},\"base_delay\":\"{base_ms}ms\",\"factor\":{factor},\
                 \"max_delay\":\"{cap_ms}ms\",\"jitter\":{jitter}}}"
            ));
        }
        out.push('}');
    }
}

/// What to say of a method that nobody offers.
pub(super) fn no_provider(method: &str, offered: &HashSet<&str>) -> String {
    // Sorted, so that of two that are equally near the same one is named each time.
    let mut known: Vec<&str> = offered.iter().copied().collect();
    known.sort_unstable();
    match nearest(method, known.iter().copied()) {
        Some(near) => format!("no provider offers '{method}'; did you mean '{near}'?"),
        None if known.is_empty() => format!("no provider offers '{method}'; none is loaded. Add one, or set wait_for_provider"),
        None => format!("no provider offers '{method}'; offered are {}", listed(&known)),
    }
}

/// The first few of many names.
fn listed(names: &[&str]) -> String {
    const MOST: usize = 12;
    match names.len() {
        0..=MOST => names.join(", "),
        many => format!("{} and {} more", names[..MOST].join(", "), many - MOST),
    }
}
