//! A case of `trackside plugin test`: a file with events or a task, what is around them, and what is expected; and the snapshot beside it.
//! Calling the plugin is `call`'s, and whether it did as expected `compare`'s.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use trackside_model::{event::Event, text, time::Timestamp};

use super::{
    Call, Circumstances, Difference, MemoryHost, OfflineError, Role, Space, Told, call::REHEARSED_AT, compare, input, told::EXPECTABLE,
};

/// What the names of snapshots end in.
const SNAPSHOT: &str = ".expected.json";
/// What the names of files with recorded events end in.
const LINES: [&str; 2] = ["ndjson", "jsonl"];
/// Members of a case.
const MEMBERS: [&str; 10] = ["about", "role", "event", "events", "task", "context", "settings", "kv", "log", "expect"];

/// One case.
pub(crate) struct Case {
    /// The role that is called; absent: the one that suits.
    pub(crate) role: Option<Role>,
    /// What is around the calls.
    pub(crate) circumstances: Circumstances,
    /// Laid over what the settings file has under `[settings]`.
    pub(crate) settings: Option<Map<String, Value>>,
    expect: Option<Value>,
    call: Call,
    space: Space,
    log: Vec<Event>,
    snapshot: PathBuf,
}

/// What became of a case.
pub(crate) enum Verdict {
    /// As expected.
    Passed,
    /// Its snapshot was written.
    Written,
    /// Otherwise than expected.
    Failed(Vec<Difference>),
    /// Nothing is expected.
    Open,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CaseText {
    role: Option<Role>,
    event: Option<Box<RawValue>>,
    events: Option<Box<RawValue>>,
    task: Option<input::TaskText>,
    context: Circumstances,
    settings: Option<Map<String, Value>>,
    kv: Map<String, Value>,
    log: Option<Box<RawValue>>,
    expect: Option<Value>,
}

/// The files of cases in a folder, in the order of their names.
///
/// # Errors
/// [`OfflineError`] if it cannot be read.
pub(crate) fn cases_in(folder: &Path) -> Result<Vec<PathBuf>, OfflineError> {
    let failed = |error| OfflineError::at(folder.display(), error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let extension = path.extension().unwrap_or_default();
        let is_case = (extension == "json" && !name.ends_with(SNAPSHOT)) || LINES.iter().any(|lines| extension == *lines);
        if is_case && !name.starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

impl Case {
    /// Reads a file.
    ///
    /// # Errors
    /// [`OfflineError`] says what is wrong in it.
    pub(crate) fn read(path: &Path) -> Result<Self, OfflineError> {
        let text = fs::read_to_string(path).map_err(OfflineError::of)?;
        let is_lines = path.extension().is_some_and(|extension| LINES.iter().any(|lines| extension == *lines));
        let case = if is_lines { CaseText::default() } else { case_text(&text)? };
        let now = case.context.now.unwrap_or(REHEARSED_AT);
        let call = match (&case.event, &case.events, case.task) {
            _ if is_lines => Call::Events(input::events(&text, now)?),
            (None, None, Some(task)) => Call::Task(task),
            (Some(event), None, None) => Call::Events(vec![input::event(event.get(), 0, now)?]),
            (None, Some(events), None) => Call::Events(input::events(events.get(), now)?),
            (None, None, None) => return Err(OfflineError("gives nothing: an `event`, `events` or a `task` is needed".to_owned())),
            _ => return Err(OfflineError("gives too much: one of `event`, `events` and `task`".to_owned())),
        };
        if let Call::Events(events) = &call
            && events.is_empty()
        {
            return Err(OfflineError("there is no event in it".to_owned()));
        }
        check_expect(case.expect.as_ref())?;
        Ok(Self {
            space: Space::from_json(&case.kv, begins(&case.context, &call))?,
            log: case.log.map_or(Ok(Vec::new()), |log| input::log(log.get(), now))?,
            snapshot: path.with_extension(&SNAPSHOT[1..]),
            role: case.role,
            circumstances: case.context,
            settings: case.settings,
            expect: case.expect,
            call,
        })
    }

    /// Sets the host's side up for it, and gives what is to be called.
    pub(crate) fn begin(&mut self, calls: &MemoryHost) -> Call {
        calls.set(std::mem::take(&mut self.space), std::mem::take(&mut self.log));
        std::mem::replace(&mut self.call, Call::Events(Vec::new()))
    }

    /// Judges what came of it; with `update`, writes the snapshot instead of comparing with it.
    ///
    /// # Errors
    /// [`OfflineError`] if the snapshot cannot be read or written.
    pub(crate) fn judge(&self, told: &[Told], update: bool) -> Result<Verdict, OfflineError> {
        if let Some(expect) = &self.expect {
            return Ok(verdict(against(expect, told)));
        }
        let lasting: Vec<Value> = told.iter().map(Told::lasting).collect();
        let lasting = if let [only] = lasting.as_slice() { only.clone() } else { Value::Array(lasting) };
        let place = |error: &dyn std::fmt::Display| OfflineError::at(self.snapshot.display(), error);
        let written = match fs::read_to_string(&self.snapshot) {
            Ok(text) => Some(serde_json::from_str::<Value>(&text).map_err(|error| place(&error))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(place(&error)),
        };
        if update {
            if matches!(&written, Some(Ok(written)) if *written == lasting) {
                return Ok(Verdict::Passed);
            }
            fs::write(&self.snapshot, format!("{lasting:#}\n")).map_err(|error| place(&error))?;
            return Ok(Verdict::Written);
        }
        match written {
            None => Ok(Verdict::Open),
            Some(written) => Ok(verdict(compare::of_exact(&written?, &lasting))),
        }
    }
}

fn verdict(differences: Vec<Difference>) -> Verdict {
    if differences.is_empty() { Verdict::Passed } else { Verdict::Failed(differences) }
}

/// An object is about the last call, a list about each.
fn against(expect: &Value, told: &[Told]) -> Vec<Difference> {
    match (expect, told) {
        (Value::Array(_), told) => {
            let all = Value::Array(told.iter().map(Told::to_expect).collect());
            compare::of_partial(expect, &all)
        }
        (expect, told) => told.last().map_or_else(Vec::new, |last| compare::of_partial(expect, &last.to_expect())),
    }
}

/// A case, or an event alone.
fn case_text(text: &str) -> Result<CaseText, OfflineError> {
    let members: Map<String, Value> = serde_json::from_str(text).map_err(OfflineError::of)?;
    if members.contains_key("event_type") {
        let event: Box<RawValue> = serde_json::from_str(text).map_err(OfflineError::of)?;
        return Ok(CaseText { event: Some(event), ..CaseText::default() });
    }
    if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(OfflineError(text::unknown_field(unknown, &MEMBERS)));
    }
    serde_json::from_str(text).map_err(OfflineError::of)
}

fn check_expect(expect: Option<&Value>) -> Result<(), OfflineError> {
    let each: Vec<&Value> = match expect {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().collect(),
        Some(item) => vec![item],
    };
    for item in each {
        let Value::Object(members) = item else {
            return Err(OfflineError(format!("expect: an object, or a list of them, one for each call; found {}", text::kind_of(item))));
        };
        if let Some(unknown) = members.keys().find(|name| !EXPECTABLE.contains(&name.as_str())) {
            return Err(OfflineError::at("expect", text::unknown_field(unknown, &EXPECTABLE)));
        }
    }
    Ok(())
}

/// When the first call is: what is left of a value's time counts from there.
fn begins(circumstances: &Circumstances, call: &Call) -> Timestamp {
    let own = match call {
        Call::Events(events) => events.first().map(|event| event.timestamp),
        Call::Task(_) => None,
    };
    circumstances.now.or(own).unwrap_or(REHEARSED_AT)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(name: &str, text: &str, expected: Expect) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let actual = match Case::read(&path) {
            Ok(case) => match case.call {
                Call::Events(events) => {
                    format!("{:?} {} events, {} keys", case.role, events.len(), case.space.keys("", None, 99, REHEARSED_AT).len())
                }
                Call::Task(task) => format!("{:?} {task:?}", case.role),
            },
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&actual);
    }

    #[test]
    fn an_event_a_case_and_lines_are_cases() {
        check("a.json", r#"{"event_type": "a:b", "payload": {}}"#, expect!["None 1 events, 0 keys"]);
        check(
            "b.json",
            r#"{"about": "two in a row", "role": "observer", "events": [{"event_type": "a:b"}, {"event_type": "a:b"}], "kv": {"k": 1}}"#,
            expect!["Some(Observer) 2 events, 1 keys"],
        );
        check("c.ndjson", "{\"event_type\": \"a:b\"}\n{\"event_type\": \"a:c\"}\n", expect!["None 2 events, 0 keys"]);
    }

    #[test]
    fn wrong_cases_are_named_and_helped() {
        check("a.json", r#"{"evnet": {}}"#, expect!["unknown field 'evnet'; did you mean 'event'?"]);
        check("a.json", r#"{"expect": {}}"#, expect!["gives nothing: an `event`, `events` or a `task` is needed"]);
        check("a.json", r#"{"event": {"event_type": "a:b"}, "task": {}}"#, expect!["gives too much: one of `event`, `events` and `task`"]);
        check("a.json", r#"{"events": []}"#, expect!["there is no event in it"]);
        check(
            "a.json",
            r#"{"event": {"event_type": "a:b"}, "expect": {"singal": "fail"}}"#,
            expect!["expect: unknown field 'singal'; did you mean 'signal'?"],
        );
        check(
            "a.json",
            r#"{"event": {"event_type": "a:b"}, "expect": "fail"}"#,
            expect!["expect: an object, or a list of them, one for each call; found a string"],
        );
        check(
            "a.json",
            r#"{"event": {"event_type": "a"}}"#,
            expect!["event_type: event type 'a' is one word; write 'component:action', for example 'a:happened'"],
        );
        check(
            "a.json",
            r#"{"event": {"event_type": "a:b"}, "context": {"point": "redy"}}"#,
            expect![
                "'redy' is no decision point; they are publish, workflow-submitted, task-ready, candidate-found, task-completed and task-failed at line 1 column 61"
            ],
        );
        check("a.json", "[", expect!["invalid type: sequence, expected a map at line 1 column 0"]);
    }

    #[test]
    fn snapshots_are_no_cases() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.json", "a.json", "a.expected.json", ".c.json", "d.jsonl", "e.txt"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<String> =
            cases_in(folder.path()).unwrap().iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["a.json", "b.json", "d.jsonl"]);
    }
}
