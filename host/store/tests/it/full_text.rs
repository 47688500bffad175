//! Full text: what is found, that it follows from the events, and that it goes and comes with them.

use std::{path::Path, sync::Arc};

use rusqlite::Connection;
use tempfile::TempDir;
use trackside_model::{
    event::{Filter, Pattern},
    json::Json,
};
use trackside_store::{
    Batch, Export, ExportQuery, Query, Store, StoreOptions, Trim, TrimmedEvent, Words, import, log_path, salvage, verify,
};
use uuid::Uuid;

use crate::support::{all, append, clock, entry, incoming};

fn open_with(data_dir: &Path, patterns: &[&str]) -> Store {
    let full_text = patterns.iter().map(|pattern| Pattern::parse(pattern).unwrap()).collect();
    Store::open(StoreOptions { full_text, ..StoreOptions::new(data_dir) }, clock).unwrap()
}

fn say(store: &Store, event_type: &str, payload: &str) {
    let mut event = incoming(event_type);
    event.payload = Some(Json::trusted(payload));
    append(store, Batch::of([entry(event)]));
}

fn found(store: &trackside_store::ReadStore, words: &str) -> Vec<u64> {
    let mut query = Query { words: Some(Words::parse(words).unwrap()), limit: 2, narration: true, ..Query::default() };
    let mut found = Vec::new();
    loop {
        let page = store.query(&query).unwrap();
        found.extend(page.events.iter().map(|event| event.sequence_number));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return found,
        }
    }
}

fn looked(data_dir: &Path) -> Result<(), String> {
    verify(&log_path(data_dir), |_, _| ()).map(drop).map_err(|error| error.to_string())
}

/// Six events, of which the fifth is of a type that `chat:*` does not name.
fn talk(patterns: &[&str]) -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = open_with(dir.path(), patterns);
    say(&store, "chat:said", r#"{"text": "The order is LATE again", "by": "ann"}"#);
    say(&store, "chat:said", r#"{"text": "Caf\u00e9 order 4711\nfor two", "by": "bob"}"#);
    say(&store, "chat:heard", r#"["again", ["and", {"late": "again"}], 4711]"#);
    say(&store, "chat:said", "{}");
    say(&store, "order:placed", r#"{"text": "late order"}"#);
    say(&store, "chat:said", r#"{"text": "ordering is not the order of the day"}"#);
    (dir, store)
}

#[test]
fn words_are_found_where_a_type_is_opted_in() {
    let (dir, store) = talk(&["chat:*"]);
    for (words, expected) in [
        ("order", &[1, 2, 6][..]),
        ("late order", &[1]),
        ("again", &[1, 3]),
        ("ORDER*", &[1, 2, 6]),
        ("\"order of the day\"", &[6]),
        ("\"day of order\"", &[]),
        ("cafe 4711", &[2]),
        ("4711 NOT cafe", &[3]),
        ("(ann OR bob) AND order", &[1, 2]),
        ("text", &[]),
        ("nfor", &[]),
        ("column:order", &[]),
    ] {
        assert_eq!(found(&store, words), expected, "{words}");
    }
    let said = Query {
        words: Some(Words::parse("again").unwrap()),
        filter: Filter::types(["chat:heard", "order:*"]).unwrap(),
        ..Query::default()
    };
    assert_eq!(store.query(&said).unwrap().events.len(), 1, "the other conditions hold too");
    let types: Vec<String> = store.full_text_types().unwrap().into_iter().map(String::from).collect();
    assert_eq!(types, ["chat:*"]);
    store.close().unwrap();
    looked(dir.path()).unwrap();
}

#[test]
fn other_types_are_opted_in_at_a_start() {
    let (dir, store) = talk(&[]);
    let rows = || -> i64 {
        Connection::open(log_path(dir.path())).unwrap().query_row("SELECT count(*) FROM full_text_docsize", [], |row| row.get(0)).unwrap()
    };
    assert_eq!((found(&store, "order"), rows()), (vec![], 0), "where none is, nothing is kept");
    store.close().unwrap();
    for (patterns, expected) in
        [(&["chat:*"][..], &[1, 2, 6][..]), (&["order:**", "chat:said"], &[1, 2, 5, 6]), (&["order:**"], &[5]), (&[], &[])]
    {
        let store = open_with(dir.path(), patterns);
        assert_eq!(found(&store, "order"), expected, "{patterns:?}");
        store.close().unwrap();
        looked(dir.path()).unwrap();
    }
    assert_eq!(rows(), 0);
}

#[test]
fn what_is_trimmed_is_found_no_more() {
    let (dir, store) = talk(&["chat:*"]);
    let gone = all(&store)[..3]
        .iter()
        .map(|event| TrimmedEvent { sequence: event.sequence_number, event_id: event.event_id, content: Arc::from([7_u8]), began: None })
        .collect();
    append(&store, Batch { trim: Trim { events: gone, ..Trim::default() }, ..Batch::of([entry(incoming("test:trimmed"))]) });
    assert_eq!((found(&store, "order"), found(&store, "again")), (vec![6], vec![]));
    store.close().unwrap();
    looked(dir.path()).unwrap();
}

#[test]
fn what_is_made_of_a_log_finds_the_same() {
    let (dir, store) = talk(&["chat:*"]);
    store.close().unwrap();
    let saved = TempDir::new().unwrap();
    salvage(&log_path(dir.path()), &log_path(saved.path()), clock(), Uuid::now_v7, |_, _| ()).unwrap();
    assert_eq!(found(&Store::open_read_only(saved.path()).unwrap(), "order"), [1, 2, 6]);

    let reads = Store::open_read_only(dir.path()).unwrap();
    let (mut lines, mut export) = (Vec::new(), Export::begin(&reads, ExportQuery::default()).unwrap());
    while export.step(&reads, &mut lines).unwrap() {}
    let to = TempDir::new().unwrap();
    // Where a type was opted in before the import, and where one is only afterwards.
    open_with(to.path(), &["chat:heard"]).close().unwrap();
    import(to.path(), lines.as_slice(), |_| ()).unwrap();
    assert_eq!(found(&Store::open_read_only(to.path()).unwrap(), "again"), [3]);
    looked(to.path()).unwrap();
    assert_eq!(found(&open_with(to.path(), &["chat:*"]), "again"), [1, 3]);
}

#[test]
fn a_full_text_that_does_not_follow_from_the_events_is_found_out() {
    let (dir, store) = talk(&["chat:*"]);
    store.close().unwrap();
    let path = log_path(dir.path());
    let whole = std::fs::read(&path).unwrap();
    for (sql, sequence) in [
        ("DELETE FROM full_text WHERE rowid = 2", 2),
        ("INSERT INTO full_text (rowid, words) VALUES (5, 'late order')", 5),
        ("DELETE FROM full_text WHERE rowid = 3; INSERT INTO full_text (rowid, words) VALUES (3, 'again and againn 4711')", 3),
    ] {
        Connection::open(&path).unwrap().execute_batch(sql).unwrap();
        let error = looked(dir.path()).unwrap_err();
        assert!(error.contains(&format!("the full text has other words for event {sequence} than its payload")), "{sql}: {error}");
        std::fs::write(&path, &whole).unwrap();
    }
    looked(dir.path()).unwrap();
}
