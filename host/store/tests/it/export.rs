//! Export and import: what comes out again is what went in, to the byte, and what does not go with a log leaves it as it was.

use std::{path::Path, sync::Arc};

use rusqlite::Connection;
use tempfile::TempDir;
use trackside_model::{
    control::{DecisionPoint, DecisionRecord},
    event::Filter,
    json::Json,
    narration::{Moment, Narration},
    plugin::Digest,
    time::Timestamp,
};
use trackside_store::{Batch, Export, ExportQuery, ImportError, Imported, Store, Trim, TrimmedEvent, Verified, import, log_path, verify};
use uuid::Uuid;

use crate::support::{all, append, append_types, entry, fresh, incoming, open};

fn export(data_dir: &Path, asked: ExportQuery) -> String {
    let store = Store::open_read_only(data_dir).unwrap();
    let mut export = Export::begin(&store, asked).unwrap();
    let mut lines = Vec::new();
    while export.step(&store, &mut lines).unwrap() {}
    String::from_utf8(lines).unwrap()
}

fn whole(data_dir: &Path) -> String {
    export(data_dir, ExportQuery::default())
}

fn imported(lines: &str, dir: &TempDir) -> Result<Imported, String> {
    import(dir.path(), lines.as_bytes(), |_| ()).map_err(|error| error.to_string())
}

fn looked(dir: &TempDir) -> Verified {
    verify(&log_path(dir.path()), |_, _| ()).unwrap()
}

/// Eight events with everything that an event can have; of the third and the fourth only the gap is left.
fn varied() -> TempDir {
    let (dir, store) = fresh();
    let record = DecisionRecord { point: DecisionPoint::Publish, checks: Vec::new(), ended_by: Some("a\nb".into()) };
    let mut odd = incoming("order:placed");
    odd.payload = Some(Json::trusted("{\n  \"a\": 1.00,\r\n\t\"é\": \"\\u0041\\n\"}"));
    odd.correlation_id = Some("0190A0B0-0000-7000-8000-00000000000F".to_owned());
    odd.metadata.insert("k \"1\"".to_owned(), "v\u{2028}".to_owned());
    append(&store, Batch::of([entry(odd).decided(vec![Arc::new(record)])]));
    append_types(&store, &["order:paid", "stock:low", "stock:low"]);
    let definition: Arc<[u8]> = b"name: w\ntasks: {}\n".as_slice().into();
    let other: Arc<[u8]> = vec![0xFF, 0x00, 0x7F].into();
    let (digest, other_digest) = (Digest::of(&definition), Digest::of(&other));
    let mut submitted = incoming("job:begun");
    submitted.workflow_id = Some("w1".to_owned());
    submitted.payload = Some(Json::trusted(format!("{{\"definition\":\"{digest}\",\"other\":[\"{other_digest}\"]}}")));
    append(&store, Batch { blobs: vec![(digest, definition), (other_digest, other)], ..Batch::of([entry(submitted.clone())]) });
    append(&store, Batch::of([entry(submitted)]));
    let gone = all(&store)[2..4]
        .iter()
        .map(|event| TrimmedEvent { sequence: event.sequence_number, event_id: event.event_id, content: Arc::from([7_u8]), began: None })
        .collect();
    append(&store, Batch { trim: Trim { events: gone, ..Trim::default() }, ..Batch::of([entry(incoming("test:trimmed"))]) });
    append_types(&store, &["order:paid"]);
    store.close().unwrap();
    let moments = [
        Moment::new("task:queued", Timestamp(7)).with(Json::trusted("{\"a\":\n1}")),
        Moment::new("task:assigned", Timestamp(8)).about_provider(&"files".into()),
    ];
    let file = Connection::open(log_path(dir.path())).unwrap();
    let narration = Narration::of(&moments);
    file.execute("UPDATE events SET narration = ?1, parts = 2 WHERE sequence = 2", [narration.as_str()]).unwrap();
    dir
}

#[test]
fn what_is_imported_is_exported_again_to_the_byte() {
    let from = varied();
    let lines = whole(from.path());
    assert!(lines.starts_with("{\"trackside\":\"events\",\"version\":1}\n{\"event_id\":"), "{lines}");
    assert!(lines.ends_with("\n{\"end\":{\"events\":6}}\n"), "{lines}");
    assert_eq!(lines.matches("{\"blob\":").count(), 2, "each once: {lines}");
    assert_eq!(lines.matches("\n{\"trimmed\":{\"from\":3,\"to\":4}}\n").count(), 1, "{lines}");
    let to = TempDir::new().unwrap();
    assert_eq!(imported(&lines, &to), Ok(Imported { events: 6, first: 1, last: 8, trimmed: 2 }));
    assert_eq!(whole(to.path()), lines);
    let (one, other) = (looked(&from), looked(&to));
    assert_eq!((one.first, one.last, one.trimmed), (other.first, other.last, other.trimmed));
    // A host goes on with it.
    let store = open(&to);
    assert_eq!(all(&store)[..], all(&open(&from))[..]);
    assert_eq!(store.decisions(1).unwrap()[0].ended_by.as_deref(), Some("a\nb"));
    append_types(&store, &["order:paid"]);
    assert_eq!(store.appended(), 9);
}

#[test]
fn a_part_of_a_log_is_imported_with_what_is_missing_noted() {
    let from = varied();
    let check = |asked: ExportQuery, expected: Imported| {
        let lines = export(from.path(), asked.clone());
        let to = TempDir::new().unwrap();
        assert_eq!(imported(&lines, &to), Ok(expected), "{asked:?}");
        assert_eq!(export(to.path(), asked), lines);
        let looked = looked(&to);
        assert_eq!((looked.last, looked.trimmed), (expected.last, expected.trimmed));
    };
    let range = |from, to| ExportQuery { from, to, ..ExportQuery::default() };
    check(range(Some(2), Some(5)), Imported { events: 2, first: 2, last: 5, trimmed: 3 });
    check(range(Some(3), None), Imported { events: 4, first: 5, last: 8, trimmed: 4 });
    check(range(Some(7), Some(7)), Imported { events: 1, first: 7, last: 7, trimmed: 6 });
    let paid = ExportQuery { filter: Filter::types(["order:paid"]).unwrap(), ..ExportQuery::default() };
    check(paid, Imported { events: 2, first: 2, last: 8, trimmed: 6 });
    let none = export(from.path(), range(Some(3), Some(4)));
    assert_eq!(none.lines().count(), 2, "{none}");
    assert_eq!(imported(&none, &TempDir::new().unwrap()), Ok(Imported { events: 0, first: 0, last: 0, trimmed: 0 }));
}

#[test]
fn stretches_are_imported_one_behind_the_other() {
    let (from, store) = fresh();
    append(&store, Batch::of((0..700).map(|_| entry(incoming("a:b")))));
    store.close().unwrap();
    let range = |first, last| export(from.path(), ExportQuery { from: Some(first), to: Some(last), ..ExportQuery::default() });
    let to = TempDir::new().unwrap();
    imported(&range(1, 300), &to).unwrap();
    let again = imported(&range(300, 400), &to).unwrap_err();
    assert_eq!(
        again,
        "line 2: the log ends with 300, and the export begins with 300: export from 301 on, or import into an empty directory; nothing was imported"
    );
    let behind = imported(&range(302, 400), &to).unwrap_err();
    assert_eq!(behind, "line 2: the log ends with 300, and the export begins with 302: export from 301 on; nothing was imported");
    imported(&range(301, 700), &to).unwrap();
    assert_eq!(whole(to.path()), whole(from.path()));
}

#[test]
fn what_does_not_fit_leaves_the_log_as_it_was() {
    let from = varied();
    let lines = whole(from.path());
    let line = |number: usize| lines.lines().nth(number - 1).unwrap();
    let without =
        |number: usize| lines.lines().enumerate().filter(|(at, _)| *at != number - 1).map(|(_, line)| format!("{line}\n")).collect();
    let to = TempDir::new().unwrap();
    let stretch = ExportQuery { to: Some(1), ..ExportQuery::default() };
    imported(&export(from.path(), stretch), &to).unwrap();
    let before = whole(to.path());
    let empty = TempDir::new().unwrap();
    let check = |lines: String, expected: &str| {
        let error = imported(&lines, &empty).unwrap_err();
        assert!(error.contains(expected) && error.ends_with("nothing was imported"), "{error}");
        assert!(!log_path(empty.path()).exists(), "an empty directory stays one");
        assert!(imported(&lines, &to).is_err());
        assert_eq!(whole(to.path()), before);
    };
    check(without(1), "line 1: this is no export: the first line says what it is");
    check(without(4), "line 6: 5 does not follow 2, and nothing says that what is between was trimmed");
    check(without(11), "the export breaks off here");
    check(lines[..lines.len() - 30].to_owned(), "line 10: ");
    check(without(10), "line 10: the export had 6 events, and 5 are here");
    check(lines.replace("\"events\":6", "\"events\":7"), "line 11: the export had 7 events, and 6 are here");
    check(format!("{lines}{}\n", line(9)), "line 12: there is more behind the export's end");
    check(lines.replacen("\"from\":3,\"to\":4", "\"from\":3,\"to\":3", 1), "line 7: 5 does not follow");
    check(
        lines.replace(line(3), &line(3).replace("\"sequence_number\":2", "\"sequence_number\": 2")),
        "line 3: an export would write it otherwise from byte",
    );
    let id = |number: usize| -> Uuid { line(number)[13..49].parse().unwrap() };
    check(lines.replace(line(3), &line(3).replace(&id(3).to_string(), &id(2).to_string())), "the log has an event ");
    let late = line(2).replace("\"recorded_at\":\"20", "\"recorded_at\":\"21");
    check(lines.replace(line(2), &late), "line 3: event 2 was recorded before event 1");
    check(lines.replace("name: w", "name: v"), "holds something else than it did");
    let error = import(to.path(), [0xFF_u8, b'\n'].as_slice(), |_| ()).unwrap_err();
    assert!(matches!(error, ImportError::Line { line: 1, .. }), "{error}");
    // What holds the directory keeps it.
    let host = open(&to);
    assert!(matches!(import(to.path(), lines.as_bytes(), |_| ()), Err(ImportError::Open(_))));
    drop(host);
}

#[test]
fn a_log_that_lacks_what_nobody_took_is_not_exported() {
    let dir = varied();
    Connection::open(log_path(dir.path())).unwrap().execute("DELETE FROM trimmed", []).unwrap();
    let store = Store::open_read_only(dir.path()).unwrap();
    let mut lines = Vec::new();
    let mut export = Export::begin(&store, ExportQuery::default()).unwrap();
    export.step(&store, &mut lines).unwrap();
    let error = export.step(&store, &mut lines).unwrap_err().to_string();
    assert!(error.contains("of 3 to 4 there is nothing, and it was not trimmed"), "{error}");
}
