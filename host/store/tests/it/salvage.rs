//! Damaged logs: refused where it is seen, with what to do; and saved as far as they can be read, whichever page is gone.

use std::{fs, path::Path};

use rusqlite::Connection;
use tempfile::TempDir;
use trackside_model::{
    event::{Position, Text},
    json::Json,
    keeping::{Gap, TrimmedEvents},
    ports::{KvOp, KvWrite},
};
use trackside_store::{Batch, OpenError, Salvaged, Store, log_path, salvage, verify};
use uuid::Uuid;

use crate::support::{all, append, append_types, clock, entry, incoming, open, options};

const PAGE: usize = 4_096;

/// A log of some hundred pages, with something in most tables.
fn log() -> (TempDir, u64) {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    for n in 0..60 {
        let events = (0..10).map(|_| {
            let mut event = incoming(["a:b", "a:c", "d:e"][n % 3]);
            event.payload = Some(Json::trusted(format!("\"{}\"", "x".repeat(40 * n))));
            entry(event)
        });
        let write = KvWrite { key: format!("key-{n}"), op: KvOp::Set { value: vec![7; 500], expires_at: None } };
        let cursors = vec![(format!("observer/o{n}"), Position::end_of(n as u64))];
        append(&store, Batch { kv: vec![(Text::from("p"), vec![write])], cursors, ..Batch::of(events) });
    }
    store.put_blob(vec![1; 9_000].into(), trackside_store::Flush::Now).unwrap().1.wait().unwrap();
    let last = store.appended();
    store.close().unwrap();
    drop(store);
    (dir, last)
}

fn saved(from: &Path, to: &Path) -> Result<Salvaged, String> {
    salvage(from, to, clock(), Uuid::now_v7, |_, _| ()).map_err(|error| error.to_string())
}

#[test]
fn whichever_page_is_gone_the_rest_is_saved() {
    let (dir, last) = log();
    let path = log_path(dir.path());
    let whole = fs::read(&path).unwrap();
    let (mut lossy, mut harmless, mut nothing) = (0, 0, 0);
    for page in (1..whole.len() / PAGE).step_by(8) {
        for fill in [0x00, 0xA5] {
            let mut bytes = whole.clone();
            bytes[page * PAGE..(page + 1) * PAGE].fill(fill);
            let there = TempDir::new().unwrap();
            let (damaged, new) = (there.path().join("damaged.db"), there.path().join("log.db"));
            fs::write(&damaged, bytes).unwrap();
            let saved = match saved(&damaged, &new) {
                Ok(saved) => saved,
                Err(error) => {
                    // Pages that everything hangs on, and that no row can be read without.
                    let hopeless = error.contains("no event of it can be read") || error.contains("not even its tables can be made out");
                    assert!(hopeless, "page {page}: {error}");
                    nothing += 1;
                    continue;
                }
            };
            let lost: u64 = saved.lost.iter().map(Gap::events).sum();
            assert_eq!(saved.saved + lost, last, "page {page}: {saved:?}");
            if lost == 0 {
                harmless += 1
            } else {
                lossy += 1
            }
            assert!(lost < 400, "page {page}: {lost} of {last}");

            // A host goes on with it, and its readers are told.
            let store = Store::open(trackside_store::StoreOptions::new(there.path()), clock).unwrap();
            let events = all(&store);
            let told: TrimmedEvents = events.last().unwrap().payload.read().unwrap();
            assert_eq!((&*told.reason, told.ranges, events.len() as u64), ("salvage", saved.lost, saved.saved + 1));
            append_types(&store, &["a:b"]);
            drop(store);
            verify(&new, |_, _| ()).unwrap();
        }
    }
    assert!(lossy > 5 && harmless > 2 && nothing < 5, "{lossy} {harmless} {nothing}");
}

#[test]
fn a_whole_log_loses_nothing() {
    let (dir, last) = log();
    let new = dir.path().join("new.db");
    let done = saved(&log_path(dir.path()), &new).unwrap();
    assert_eq!((done.saved, done.lost, done.torn), (last, vec![], vec![]));
    let count = |path: &Path, table: &str| -> i64 {
        Connection::open(path).unwrap().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    };
    for table in ["kv", "cursors", "blobs", "decisions", "outbox"] {
        assert_eq!(count(&log_path(dir.path()), table), count(&new, table), "{table}");
    }
    assert!(saved(&log_path(dir.path()), &new).unwrap_err().contains("exists already"));
    assert!(saved(&dir.path().join("none.db"), &dir.path().join("x")).unwrap_err().contains("does not exist"));
}

#[test]
fn a_start_on_a_damaged_log_names_backup_and_salvage() {
    let (dir, _) = log();
    let path = log_path(dir.path());
    let file = Connection::open(&path).unwrap();
    file.execute("DELETE FROM events WHERE sequence = 590", []).unwrap();
    drop(file);
    let error = Store::open(options(&dir), clock).err().unwrap();
    let said = error.to_string();
    assert!(matches!(error, OpenError::Damaged { after: 589, .. }), "{said}");
    assert!(said.contains("docs/backup.md") && said.contains("trackside store salvage FILE"), "{said}");
    let new = dir.path().join("new.db");
    assert_eq!(saved(&path, &new).unwrap().lost, [Gap { from: 590, to: 590 }]);
    fs::rename(&new, &path).unwrap();
    append_types(&open(&dir), &["a:b"]);
    // The end of the file is gone.
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2 / PAGE * PAGE]).unwrap();
    let said = Store::open(options(&dir), clock).err().unwrap().to_string();
    assert!(said.contains("trackside store salvage FILE"), "{said}");
}
