//! A control handler reloaded again and again under a steady stream of publishes: no event is lost, doubled or refused because of it, and
//! every decision was taken by a version that was current when the event came.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst},
    thread,
};

use trackside_test_guests as guests;
use trackside_tests::{Host, Site, Value, json};

/// Times that the plugin's files are put in place anew.
const RELOADS: u32 = 200;
/// One in so many is a broken file.
const BROKEN_EVERY: u32 = 10;
/// Whoever publishes at a time.
const PUBLISHERS: u64 = 3;
/// Events of one request.
const BATCH: u64 = 20;

/// Which versions there were, by number; counted by whoever reloads.
#[derive(Default)]
struct Course {
    /// The last of which the reload was asked for.
    begun: AtomicU32,
    /// The last of which the reload was answered.
    done: AtomicU32,
    over: AtomicBool,
    numbers: AtomicU64,
}

/// What a publisher knows of an event that was taken.
struct Sent {
    number: u64,
    /// The version that was in service for certain when it was sent, and the last one that can have been when it was answered.
    versions: (u32, u32),
}

fn settings(mark: u32) -> String {
    // Not about time: a machine that stands still must not become a fault of the handler.
    format!("[limits]\ntimeout_ms = 60_000\n[settings]\nmark = {mark}\n")
}

fn publish(host: &Host, course: &Course) -> Vec<Sent> {
    let mut all = Vec::new();
    while !course.over.load(SeqCst) {
        let first = course.numbers.fetch_add(BATCH, SeqCst);
        let events: Vec<Value> = (first..first + BATCH)
            .map(|number| json!({"event_type": "load:came", "source_component": "test", "payload": {"number": number}}))
            .collect();
        let in_service = course.done.load(SeqCst);
        let answers = host.post("/v1/events", &Value::from(events)).expect(200);
        let newest = course.begun.load(SeqCst);
        for (number, answer) in (first..).zip(answers.as_array().expect("an answer an event")) {
            assert_eq!(answer["outcome"], "appended", "{answer}");
            all.push(Sent { number, versions: (in_service, newest) });
        }
    }
    all
}

/// Gives the digests of each version that came into service.
fn reload(site: &Site, host: &Host, course: &Course, components: &[Vec<u8>; 2]) -> BTreeMap<u32, (String, String)> {
    let mut versions = BTreeMap::new();
    let mut note = |mark: u32, plugin: &Value| {
        let short = |name: &str| plugin[name].as_str().unwrap_or_default()[..12].to_owned();
        versions.insert(mark, (short("version"), short("settings")));
    };
    note(0, &host.plugin("marker"));
    for mark in 1..=RELOADS {
        if mark % BROKEN_EVERY == 0 {
            site.plugin("marker", &components[0][..components[0].len() / 2], &settings(mark));
            host.reload("marker").expect(422);
            continue;
        }
        site.plugin("marker", &components[mark as usize % 2], &settings(mark));
        course.begun.store(mark, SeqCst);
        note(mark, &host.reload("marker").expect(200)["plugin"]);
        course.done.store(mark, SeqCst);
    }
    course.over.store(true, SeqCst);
    versions
}

#[test]
fn a_handler_is_reloaded_under_load_and_nobody_notices() {
    let site = Site::new();
    let component = guests::build().bytes("marker");
    let components = [guests::distinct(&component, 0), guests::distinct(&component, 1)];
    site.plugin("marker", &components[0], &settings(0));
    let host = site.start_with(|command| command.env("TRACKSIDE_ENGINE_CHAIN_BUDGET_MS", "60000"));
    let course = Course::default();
    let (versions, sent) = thread::scope(|scope| {
        let publishers: Vec<_> = (0..PUBLISHERS).map(|_| scope.spawn(|| publish(&host, &course))).collect();
        let versions = reload(&site, &host, &course, &components);
        let sent: Vec<Sent> = publishers.into_iter().flat_map(|publisher| publisher.join().expect("a publisher ends well")).collect();
        (versions, sent)
    });
    assert!(sent.len() as u64 > u64::from(RELOADS), "hardly anything was published: {}", sent.len());

    // Each event once, and by a version that was current.
    let events = host.events("type=load:came&narration=false");
    let mut marks = BTreeMap::new();
    for event in &events {
        let number = event["payload"]["number"].as_u64().expect("a number");
        let mark = u32::try_from(event["payload"]["seen_by"].as_u64().expect("a mark")).expect("a small one");
        assert!(marks.insert(number, (mark, event["sequence_number"].as_u64())).is_none(), "event {number} is there twice");
    }
    assert_eq!(marks.len(), sent.len());
    let decisions: BTreeMap<u64, Value> = site.decisions().into_iter().collect();
    for Sent { number, versions: (oldest, newest) } in &sent {
        let (mark, sequence) = marks[number];
        assert!((*oldest..=*newest).contains(&mark), "event {number} was seen by version {mark}; current were {oldest} to {newest}");
        let records = &decisions[&sequence.expect("a sequence")];
        let check = &records[0]["checks"][0];
        let named = (check["version"].as_str().unwrap_or_default(), check["settings"].as_str().unwrap_or_default());
        let (version, settings) = &versions[&mark];
        assert_eq!(named, (version.as_str(), settings.as_str()), "the record names who looked: {records}");
    }
    let count = |event_type: &str| host.events(&format!("type={event_type}&narration=false")).len() as u32;
    assert_eq!(count("plugin:reload_failed"), RELOADS / BROKEN_EVERY);
    assert_eq!(count("plugin:reloaded"), RELOADS - RELOADS / BROKEN_EVERY);
    assert_eq!(count("plugin:fault,plugin:quarantined"), 0);
    assert_eq!(host.plugin("marker")["settings"].as_str().map(|settings| &settings[..12]), Some(&*versions[&(RELOADS - 1)].1));
}
