//! The tasks of a definition: first their ids, then everything that may name one of them.
//! Cycles are `graph`'s to find; what a template looks like inside is `references`'.

use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
};

use super::{
    Errors,
    fields::{self, Fields},
    graph,
    node::{Entry, Node, Place, Value},
    too_long,
};
use crate::{
    event::Text,
    json::Json,
    text::nearest,
    workflow::{
        definition::{MAX_ID_BYTES, MAX_TASKS, NORMAL_PRIORITY, PRIORITIES, RESERVED_ID, TaskDefinition, no_provider},
        references::Template,
    },
};

const FIELDS: [&str; 12] = [
    "id",
    "name",
    "method",
    "priority",
    "dependencies",
    "parameters",
    "params",
    "timeout",
    "retry",
    "retry_config",
    // Gleitzeit's; the method says the same.
    "protocol",
    // The word of most other systems.
    "depends_on",
];
/// How many comparisons all suggestions of one definition may cost together.
const SUGGESTION_BUDGET: usize = 500_000;

/// The ids of a definition.
pub(in crate::workflow) struct Names<'n> {
    places: HashMap<&'n str, usize>,
    ids: Vec<Text>,
    budget: Cell<usize>,
}

impl<'n> Names<'n> {
    pub(in crate::workflow) fn new(ids: &[&'n str]) -> Self {
        let mut places = HashMap::with_capacity(ids.len());
        for (place, id) in ids.iter().enumerate() {
            // Of two with one id the first has it.
            places.entry(*id).or_insert(place);
        }
        Self { places, ids: ids.iter().map(|id| Text::from(*id)).collect(), budget: Cell::new(SUGGESTION_BUDGET) }
    }

    pub(in crate::workflow) fn get(&self, id: &str) -> Option<usize> {
        self.places.get(id).copied()
    }

    pub(in crate::workflow) fn id(&self, place: usize) -> Text {
        self.ids[place].clone()
    }

    /// What to say of an id that no task has.
    pub(in crate::workflow) fn unknown(&self, id: &str) -> String {
        let budget = self.budget.get();
        let near = (budget >= self.ids.len()).then(|| nearest(id, self.ids.iter().map(|id| &**id).filter(|id| !id.is_empty())));
        self.budget.set(budget.saturating_sub(self.ids.len()));
        match near.flatten() {
            Some(near) => format!("no task '{id}'; did you mean '{near}'?"),
            None => format!("no task '{id}'"),
        }
    }
}

/// The tasks and the line of each one's method. If something was told, they are not to be used.
pub(super) fn read(items: &[Node], line: u32, errors: &mut Errors) -> (Vec<TaskDefinition>, Vec<u32>) {
    let list = Place::Field(&Place::Root, "tasks");
    if items.is_empty() || items.len() > MAX_TASKS {
        let message = match items.len() {
            0 => "is empty; a workflow has one task at least".to_owned(),
            many => format!("has {many} tasks; at most {MAX_TASKS} are allowed"),
        };
        errors.push(line, &list, message);
        return (Vec::new(), Vec::new());
    }
    let ids = ids(items, &list, errors);
    let names = Names::new(&ids);
    let mut tasks = Vec::with_capacity(items.len());
    let mut method_lines = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let place = Place::Index(&list, index);
        // Told by `ids` if it is no object; the place stays taken, for the graph.
        let Value::Map(_) = item.value else {
            tasks.push(nothing());
            method_lines.push(item.line);
            continue;
        };
        let Some(fields) = Fields::read(item, &place, &FIELDS, errors) else { continue };
        method_lines.push(fields.get(&["method"], errors).map_or(item.line, |entry| entry.node.line));
        tasks.push(task(&fields, item, names.id(index), &names, errors));
    }
    let dependencies: Vec<&[usize]> = tasks.iter().map(|task| &*task.dependencies).collect();
    for cycle in graph::cycles(&dependencies) {
        let line = dependencies_line(&items[cycle[0]]);
        let place = Place::Index(&list, cycle[0]);
        errors.push(line, &Place::Field(&place, "dependencies"), graph::describe(&cycle, |place| ids[place]));
    }
    (tasks, method_lines)
}

/// Tells of every method that is well formed, but not among those `offered`.
pub(super) fn check_methods(tasks: &[TaskDefinition], lines: &[u32], offered: &HashSet<&str>, errors: &mut Errors) {
    let list = Place::Field(&Place::Root, "tasks");
    for (index, (task, line)) in tasks.iter().zip(lines).enumerate() {
        if !task.method.is_empty() && !offered.contains(&*task.method) {
            let place = Place::Index(&list, index);
            errors.push(*line, &Place::Field(&place, "method"), no_provider(&task.method, offered));
        }
    }
}

/// What stands in the place of something that is no task, until the errors are handed out.
fn nothing() -> TaskDefinition {
    TaskDefinition {
        id: Text::from(""),
        name: String::new(),
        method: Text::from(""),
        priority: NORMAL_PRIORITY,
        dependencies: Vec::new(),
        parameters: Template::literal(Json::null()),
        timeout_ms: None,
        retry: crate::retry::RetryPolicy::ONCE,
    }
}

/// The id of each task, empty where it has none.
fn ids<'n>(items: &'n [Node], list: &Place<'_>, errors: &mut Errors) -> Vec<&'n str> {
    let mut seen: HashMap<&str, usize> = HashMap::with_capacity(items.len());
    let mut ids = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let place = Place::Index(list, index);
        let (id, line) = id(item, &place, errors).unwrap_or(("", item.line));
        if let Some(first) = seen.get(id).filter(|_| !id.is_empty()) {
            let message = format!("'{id}' is the id of tasks[{first}] already, on line {}", items[*first].line);
            errors.push(line, &Place::Field(&place, "id"), message);
        }
        seen.entry(id).or_insert(index);
        ids.push(id);
    }
    ids
}

/// A task's id, in Gleitzeit's older files its name, and its line.
fn id<'n>(item: &'n Node, place: &Place<'_>, errors: &mut Errors) -> Option<(&'n str, u32)> {
    let Value::Map(entries) = &item.value else {
        errors.push(item.line, place, format!("is {}; a task goes here, with id, method and parameters", item.kind()));
        return None;
    };
    let field = |name: &str| entries.iter().find(|entry| &*entry.key == name && !matches!(entry.node.value, Value::Null));
    let Some(entry) = field("id").or_else(|| field("name")) else {
        errors.push(item.line, place, "has no id");
        return None;
    };
    let id_place = Place::Field(place, &entry.key);
    let (Value::String(id) | Value::Number(id)) = &entry.node.value else {
        errors.push(entry.node.line, &id_place, format!("is {}; a string goes here", entry.node.kind()));
        return None;
    };
    if let Err(problem) = check_id(id) {
        let hint = if &*entry.key == "name" { " (a task without an id has its name for one)" } else { "" };
        errors.push(entry.node.line, &id_place, format!("{problem}{hint}"));
        return None;
    }
    Some((id, entry.node.line))
}

fn check_id(id: &str) -> Result<(), String> {
    if id == RESERVED_ID {
        return Err(format!("'{id}' is reserved, for ${{{RESERVED_ID}.input}}"));
    }
    if id.len() > MAX_ID_BYTES {
        return Err(too_long(id.len()));
    }
    let is_fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.is_empty() || !id.chars().all(is_fine) {
        return Err(format!("'{id}' is not an id; letters, digits, '_' and '-' are"));
    }
    Ok(())
}

fn task(fields: &Fields<'_, '_>, item: &Node, id: Text, names: &Names<'_>, errors: &mut Errors) -> TaskDefinition {
    let _ = fields.text("protocol", errors);
    let parameters = parameters(fields, names, errors);
    let mut dependencies = dependencies(fields, names, errors);
    dependencies.extend(parameters.references().filter_map(|reference| reference.source.task()));
    dependencies.sort_unstable();
    dependencies.dedup();
    TaskDefinition {
        name: fields.text("name", errors).unwrap_or(&id).to_owned(),
        method: method(fields, item, errors),
        priority: priority(fields, errors),
        dependencies,
        parameters,
        timeout_ms: fields.timeout_ms("timeout", errors),
        retry: fields::retry(fields.get(&["retry", "retry_config"], errors), fields, errors),
        id,
    }
}

fn method(fields: &Fields<'_, '_>, item: &Node, errors: &mut Errors) -> Text {
    let Some(entry) = fields.get(&["method"], errors) else {
        errors.push(item.line, fields.place, "has no method; one such as 'text/summary' says what to do");
        return Text::from("");
    };
    let Some(method) = fields.text("method", errors) else { return Text::from("") };
    let place = Place::Field(fields.place, "method");
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let segments_are_fine = method.split('/').all(|segment| !segment.is_empty() && segment.chars().all(is_fine));
    if method.len() > MAX_ID_BYTES {
        errors.push(entry.node.line, &place, too_long(method.len()));
    } else if !(segments_are_fine && method.contains('/')) {
        errors.push(entry.node.line, &place, format!("'{method}' is not a method; write 'namespace/name', such as 'text/summary'"));
    } else {
        return Text::from(method);
    }
    Text::from("")
}

fn priority(fields: &Fields<'_, '_>, errors: &mut Errors) -> i32 {
    let Some(entry) = fields.get(&["priority"], errors) else { return NORMAL_PRIORITY };
    let Value::String(name) = &entry.node.value else {
        let bounds = f64::from(i32::MIN)..=f64::from(i32::MAX);
        return fields.number(&["priority"], bounds, true, errors).map_or(NORMAL_PRIORITY, |number| number as i32);
    };
    let named = PRIORITIES.iter().find(|(known, _)| **known == **name);
    if named.is_none() {
        let message = format!("'{name}' is not one of low, normal, high, urgent, nor a whole number");
        errors.push(entry.node.line, &Place::Field(fields.place, "priority"), message);
    }
    named.map_or(NORMAL_PRIORITY, |(_, number)| *number)
}

fn dependencies(fields: &Fields<'_, '_>, names: &Names<'_>, errors: &mut Errors) -> Vec<usize> {
    let Some(entry) = fields.get(&["dependencies", "depends_on"], errors) else { return Vec::new() };
    let place = Place::Field(fields.place, &entry.key);
    let Value::List(items) = &entry.node.value else {
        fields.wrong(entry, "a list of task ids", errors);
        return Vec::new();
    };
    let mut places = Vec::with_capacity(items.len());
    for item in items {
        match &item.value {
            Value::String(id) | Value::Number(id) => match names.get(id) {
                Some(task) => places.push(task),
                None => errors.push(item.line, &place, names.unknown(id)),
            },
            _ => errors.push(item.line, &place, format!("is a list of task ids; {} is none", item.kind())),
        }
    }
    places
}

fn parameters(fields: &Fields<'_, '_>, names: &Names<'_>, errors: &mut Errors) -> Template {
    let Some(entry) = fields.get(&["parameters", "params"], errors) else {
        return Template::literal(Json::trusted("{}"));
    };
    let template = Template::parse(&entry.node, names, &Place::Field(fields.place, &entry.key), errors);
    if !(matches!(entry.node.value, Value::Map(_)) || template.is_one_reference()) {
        fields.wrong(entry, "an object, or one reference,", errors);
    }
    template
}

/// Where a person would look for what a task depends on.
fn dependencies_line(item: &Node) -> u32 {
    let Value::Map(entries) = &item.value else { return item.line };
    let stated = |entry: &&Entry| matches!(&*entry.key, "dependencies" | "depends_on");
    entries.iter().find(stated).map_or(item.line, |entry| entry.line)
}
