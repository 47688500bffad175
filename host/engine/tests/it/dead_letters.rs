//! Dead letters: kept with what each attempt came to, tried again as they are or changed, given up; each act once, over crashes too.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
};

use serde_json::json;
use trackside_engine::{EngineOptions, RedriveError, redrives};
use trackside_model::{
    control::Signal,
    json::Json,
    keeping::{DeadLettered, Redrive},
};
use trackside_store::{LetterQuery, RetentionRule, log_path, verify};

use crate::support::*;

/// Takes what its gate lets it, and counts and tells of it.
fn picky(takes: &Arc<AtomicBool>, calls: &Arc<AtomicUsize>) -> Scripted {
    let (takes, calls) = (takes.clone(), calls.clone());
    Scripted::observer("picky", types(&["order:*"]), move |events, delivery| {
        let call = calls.fetch_add(1, SeqCst) + 1;
        let good = events.iter().all(|event| event.payload.to_value()["good"] == true);
        if good || takes.load(SeqCst) {
            return taken().adding("count", i64::try_from(events.len()).unwrap());
        }
        answer(Err(format!("no, said call {call}, attempt {}", delivery.attempt)))
    })
}

fn three() -> EngineOptions {
    EngineOptions { observer_deliveries: 3, ..options() }
}

fn letters(host: &Host) -> Vec<u64> {
    let page = host.engine().store().dead_letters(&LetterQuery { limit: 100, ..LetterQuery::default() }).unwrap();
    page.letters.iter().map(|letter| letter.sequence).collect()
}

fn dead(host: &Host) -> DeadLettered {
    host.of_type("event:dead_lettered")[0].payload.read().unwrap()
}

fn errors(dead: &DeadLettered) -> Vec<String> {
    dead.attempts.iter().map(|attempt| format!("{} {}", attempt.attempt, attempt.error)).collect()
}

fn set() -> (Arc<AtomicBool>, Arc<AtomicUsize>) {
    (Arc::default(), Arc::default())
}

#[test]
fn what_was_not_taken_is_handed_over_again_and_counted_once() {
    let (takes, calls) = set();
    let host = Host::tuned(three(), [picky(&takes, &calls)]);
    host.publish(order(1));
    host.until_told("event:dead_lettered", 1);
    let said = ["1 no, said call 1, attempt 1", "2 no, said call 2, attempt 2", "3 no, said call 3, attempt 3"];
    assert_eq!(errors(&dead(&host)), said);
    let [letter] = letters(&host)[..] else { panic!("one letter") };

    // Not yet: it stays, and what it came to is kept.
    let told = host.run(host.engine().redrive(letter, None, "me")).unwrap();
    assert_eq!(told.outcome, Redrive::NotTaken);
    assert_eq!(told.attempt.as_ref().map(|attempt| (attempt.attempt, &*attempt.error)), Some((4, "no, said call 4, attempt 4")));
    assert_eq!(letters(&host), [letter]);
    takes.store(true, SeqCst);
    let told = host.run(host.engine().redrive(letter, None, "me")).unwrap();
    assert_eq!((told.outcome, letters(&host), host.kv("picky", "count")), (Redrive::Taken, Vec::new(), Some("1".to_owned())));
    let event = host.engine().store().event(letter).unwrap().unwrap();
    let told: Vec<Redrive> = redrives(host.engine().store(), &event).unwrap().iter().map(|redriven| redriven.outcome).collect();
    assert_eq!(told, [Redrive::NotTaken, Redrive::Taken]);
    let again = host.run(host.engine().redrive(letter, None, "me"));
    assert!(matches!(again, Err(RedriveError::Unknown(_))), "{again:?}");
    assert_eq!(host.kv("picky", "count").as_deref(), Some("1"));
    verify(&log_path(host.stop().path()), |_, _| ()).unwrap();
}

#[test]
fn another_payload_is_handed_over_in_its_place() {
    let (takes, calls) = set();
    let host = Host::tuned(three(), [picky(&takes, &calls)]);
    host.publish(order(1));
    host.until_told("event:dead_lettered", 1);
    let letter = letters(&host)[0];
    let told = host.run(host.engine().redrive(letter, Some(Json::from(json!({"good": true}))), "me")).unwrap();
    assert_eq!((told.outcome, host.kv("picky", "count").as_deref()), (Redrive::Taken, Some("1")));
    let redriven = host.of_type("event:redriven").remove(0);
    assert_eq!(redriven.payload.to_value()["payload"], json!({"good": true}));
    assert_eq!(host.of_type("order:placed")[0].payload.to_value(), json!({"n": 1}), "the event is what it was");
}

#[test]
fn attempts_are_counted_over_a_crash() {
    let (takes, calls) = set();
    let host = Host::tuned(EngineOptions { observer_deliveries: 4, ..options() }, [picky(&takes, &calls)]);
    host.publish(order(1));
    host.until("it was tried twice", |host| {
        host.events();
        host.engine().store().attempts("observer/picky").unwrap().is_some_and(|(_, attempts)| attempts.len() == 2)
    });
    let left = host.crashed();
    drop(host);
    let again = Arc::new(AtomicUsize::new(0));
    let host = Host::over(left, EngineOptions { observer_deliveries: 4, ..options() }, |_| vec![picky(&takes, &again)]);
    host.until_told("event:dead_lettered", 1);
    let dead = dead(&host);
    let numbers: Vec<u32> = dead.attempts.iter().map(|attempt| attempt.attempt).collect();
    assert_eq!((numbers, again.load(SeqCst)), (vec![1, 2, 3, 4], 2));
    assert_eq!(dead.attempts[3].error, "no, said call 2, attempt 4");
    assert_eq!(host.engine().store().attempts("observer/picky").unwrap(), None, "they stand in the letter now");
}

#[test]
fn attempts_are_forgotten_when_it_is_taken() {
    let (takes, calls) = set();
    let host = Host::with([picky(&takes, &calls)]);
    host.publish(order(1));
    host.until("it was tried", |host| host.engine().store().attempts("observer/picky").unwrap().is_some());
    takes.store(true, SeqCst);
    host.until("it is taken", |host| host.kv("picky", "count").is_some());
    host.until("nothing is left", |host| host.engine().store().attempts("observer/picky").unwrap().is_none());
}

#[test]
fn what_was_refused_goes_through_the_door_once_more() {
    let forging = Scripted::observer("forger", types(&["order:*"]), |events, _| {
        taken().publishing(events[0].event_id, "task:completed", &events[0].payload.to_value())
    });
    let host = Host::tuned(EngineOptions { most_hops: 2, ..options() }, [forging]);
    host.publish(order(7));
    host.until_told("event:dead_lettered", 1);
    let letter = letters(&host)[0];
    let told = host.run(host.engine().redrive(letter, Some(Json::from(json!({"n": 8}))), "me")).unwrap();
    assert_eq!(told.outcome, Redrive::Published);
    // The door says no once more: a letter of its own, under the new id and with the new payload.
    host.until_told("event:dead_lettered", 2);
    let second: DeadLettered = host.of_type("event:dead_lettered")[1].payload.read().unwrap();
    assert_eq!((second.event_id, second.payload.map(|payload| payload.to_value())), (told.event_id, Some(json!({"n": 8}))));
    assert_ne!(dead(&host).event_id, told.event_id);
    assert!(!letters(&host).contains(&letter) && letters(&host).len() == 1);
}

#[test]
fn a_publish_that_may_now_go_is_published() {
    let opened = Arc::new(AtomicBool::new(false));
    let open = opened.clone();
    let gate = Scripted::control(
        "gate",
        1,
        &["pong:*"],
        move |_, _| {
            if open.load(SeqCst) { proceed() } else { answer(Signal::Fail("no".to_owned())) }
        },
    );
    let telling = |name: &str, on: &'static str, what: &'static str| {
        Scripted::observer(name, types(&[on]), move |events, _| taken().publishing(events[0].event_id, what, &json!({"at": "last"})))
    };
    let host = Host::tuned(
        EngineOptions { most_hops: 1, ..options() },
        [telling("one", "order:placed", "ping:said"), telling("two", "ping:said", "pong:said"), gate],
    );
    host.publish(order(1));
    host.until_told("event:dead_lettered", 1);
    assert_eq!(dead(&host).code.to_string(), "too_many_hops");
    opened.store(true, SeqCst);
    let told = host.run(host.engine().redrive(letters(&host)[0], None, "me")).unwrap();
    host.until_told("pong:said", 1);
    let pong = host.of_type("pong:said").remove(0);
    assert_eq!((Some(pong.event_id), &*pong.source_component, pong.payload.to_value()), (told.event_id, "two", json!({"at": "last"})));
    assert_eq!(letters(&host), Vec::<u64>::new());
}

#[test]
fn purged_letters_are_gone_and_the_table_follows_from_the_log() {
    let (takes, calls) = set();
    let host = Host::tuned(EngineOptions { observer_deliveries: 1, observer_batch: 1, ..options() }, [picky(&takes, &calls)]);
    for n in 0..5 {
        host.publish(order(n));
    }
    host.until_told("event:dead_lettered", 5);
    let all = letters(&host);
    assert_eq!(host.run(host.engine().purge(&[all[0], all[2], 1, all[0]], "me", Some("old"))).unwrap(), 2);
    assert_eq!(letters(&host), [all[1], all[3], all[4]]);
    assert_eq!(host.of_type("event:purged")[0].payload.to_value()["reason"], "old");
    let dir = host.stop();
    assert_eq!(verify(&log_path(dir.path()), |_, _| ()).unwrap().dead_letters, 3);
}

#[test]
fn retention_leaves_dead_letters_alone_until_somebody_has_decided() {
    let (takes, calls) = set();
    let everything = RetentionRule { max_age_ms: Some(1), ..RetentionRule::default() };
    let options = EngineOptions {
        observer_deliveries: 1,
        observer_batch: 1,
        retention: vec![everything],
        retention_interval_ms: 20,
        dedup_window_ms: 0,
        ..options()
    };
    let host = Host::tuned(options, [picky(&takes, &calls)]);
    let order_at = host.publish(order(1)).sequence_number.unwrap();
    host.until_told("event:dead_lettered", 1);
    let letter = letters(&host)[0];
    let good = host.publish(incoming("order:placed", &json!({"good": true}))).sequence_number.unwrap();
    let store = host.engine().store();
    host.until("another one is gone", |_| store.event(good).unwrap().is_none());
    assert!(store.event(order_at).unwrap().is_some() && store.event(letter).unwrap().is_some());
    takes.store(true, SeqCst);
    host.run(host.engine().redrive(letter, None, "me")).unwrap();
    host.until("it is gone", |_| store.event(order_at).unwrap().is_none() && store.event(letter).unwrap().is_none());
    verify(&log_path(host.stop().path()), |_, _| ()).unwrap();
}
