//! Replays: the past, handed once more to one observer or durable reader, marked, once over crashes, with nobody's own cursor moved.
//! What may be asked for is the model's tests.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::json;
use trackside_engine::{MOST_REPLAYS, ReplayError, ReplayRequest, ReplayStatus};
use trackside_model::{
    event::{Filter, Position, Text},
    plugin::EffectClass,
    reader::{Order, ReaderOptions},
    replay::{Pace, Target},
};

use crate::support::*;

/// Notes each event with how it was handed over, and counts it in its kv space and on the bus.
fn counter(seen: &Seen) -> Scripted {
    let seen = seen.clone();
    Scripted::observer("counter", types(&["order:*"]), move |events, delivery| {
        for event in events {
            seen.note(format!("{}{}", event.payload.to_value()["n"], if delivery.replay { " replayed" } else { "" }));
        }
        let counted = taken().adding("count", i64::try_from(events.len()).unwrap());
        events.iter().fold(counted, |report, event| report.publishing(event.event_id, "order:counted", &event.payload.to_value()))
    })
}

fn wanted(to: &str) -> ReplayRequest {
    ReplayRequest {
        to: to.parse().unwrap(),
        filter: Filter::default(),
        since: None,
        until: None,
        from: None,
        through: None,
        pace: Pace::Full,
        effects_of: None,
    }
}

fn begin(host: &Host, request: ReplayRequest) -> Result<ReplayStatus, ReplayError> {
    host.run(host.engine().replay(request, "test"))
}

/// What became of it.
fn ended(host: &Host, replay: &ReplayStatus) -> ReplayStatus {
    host.until("the replay has ended", |host| host.engine().replays().iter().all(|other| other.id != replay.id));
    host.engine().replay_status(replay.id).expect("it is in the log")
}

fn replayed(seen: &Seen) -> Vec<String> {
    seen.all().into_iter().filter_map(|note| note.strip_suffix(" replayed").map(str::to_owned)).collect()
}

#[test]
fn an_observer_is_handed_what_it_wants_of_a_stretch_once_more() {
    let seen = Seen::default();
    let host = Host::with([counter(&seen)]);
    (0..20).for_each(|n| drop(host.publish(order(n))));
    host.publish(incoming("parcel:sent", &json!({"n": 99})));
    host.until("all are counted", |host| host.kv("counter", "count").as_deref() == Some("20"));
    host.until_told("order:counted", 20);
    let placed = host.of_type("order:placed");
    let cursor = host.engine().store().cursor("observer/counter").unwrap();
    let request =
        ReplayRequest { from: Some(placed[5].sequence_number), through: Some(placed[14].sequence_number), ..wanted("observer/counter") };
    let replay = begin(&host, request).expect("begins");
    let end = ended(&host, &replay);
    assert_eq!((end.state, end.events, end.at), ("completed", 10, placed[14].sequence_number));
    assert_eq!(replayed(&seen), (5..15).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(host.kv("counter", "count").as_deref(), Some("30"));
    // What it published then is not published twice, and its own cursor has not gone back.
    host.publish(order(20));
    host.until("it goes on", |host| host.kv("counter", "count").as_deref() == Some("31"));
    host.until_told("order:counted", 21);
    assert_eq!((host.count("order:counted"), host.count("event:dead_lettered")), (21, 0));
    assert!(host.engine().store().cursor("observer/counter").unwrap() >= cursor);
    assert_eq!(host.engine().store().cursor(&format!("replay/{}", replay.id)).unwrap(), None, "nothing is held back by it any more");
    let [started, told] = [host.of_type("replay:started"), host.of_type("replay:ended")].map(|events| events[0].clone());
    assert_eq!((told.correlation_id.clone(), started.event_id), (started.correlation_id.clone(), replay.id));
}

#[test]
fn a_newcomer_catches_up_and_what_it_publishes_says_why() {
    let seen = Seen::default();
    let host = Host::with([]);
    (0..5).for_each(|n| drop(host.publish(order(n))));
    host.install(counter(&seen));
    let filter = Filter { when: Some(trackside_model::event::Condition::parse("event.payload.n != 2").unwrap()), ..Filter::default() };
    let replay = begin(&host, ReplayRequest { filter, ..wanted("observer/counter") }).expect("begins");
    assert_eq!(ended(&host, &replay).events, 4);
    assert_eq!(replayed(&seen), ["0", "1", "3", "4"]);
    host.until_told("order:counted", 4);
    let counted = host.of_type("order:counted");
    assert!(counted.iter().all(|event| event.metadata["replay"] == replay.id.to_string()));
    // Each follows from the event of the batch that it names.
    let orders = host.of_type("order:placed");
    for (event, order) in counted.iter().zip([0, 1, 3, 4].map(|n| orders[n].event_id.to_string())) {
        assert_eq!((event.causation_id.as_deref(), &*event.correlation_id), (Some(order.as_str()), order.as_str()), "{event:?}");
    }
}

#[test]
fn a_replay_goes_on_after_a_crash_and_counts_each_event_once() {
    let seen = Seen::default();
    let host = Host::with([]);
    (0..2_000).for_each(|n| drop(host.run(host.engine().publish(order(n), caller()))));
    let gate = Arc::new(AtomicBool::new(false));
    let gated = |seen: &Seen| {
        let (seen, gate) = (seen.clone(), gate.clone());
        Scripted::observer("counter", types(&["order:*"]), move |events, _| {
            // The first batches are taken, what follows waits for the crash.
            if seen.len() >= 100 && !gate.load(SeqCst) {
                return answer(Err("not now".to_owned()));
            }
            events.iter().for_each(|event| seen.note(event.payload.to_value()["n"].to_string()));
            taken().adding("count", i64::try_from(events.len()).unwrap())
        })
    };
    host.install(gated(&seen));
    let replay = begin(&host, wanted("observer/counter")).expect("begins");
    host.until("some of it is done", |_| seen.len() >= 100);
    host.events();
    let crashed = host.crashed();
    drop(host);
    gate.store(true, SeqCst);
    let again = Seen::default();
    let host = Host::over(crashed, options(), |_| vec![gated(&again)]);
    let end = ended(&host, &replay);
    assert_eq!((end.state, end.events), ("completed", 2_000), "what was done before the crash is counted too");
    assert_eq!(host.kv("counter", "count").as_deref(), Some("2000"));
    let (before, after) = (seen.len(), again.len());
    assert!(after < 2_000 && before + after >= 2_000, "{before} before the crash, {after} behind it");
}

#[test]
fn what_an_observer_does_not_take_ends_its_replay_and_is_named() {
    let host = Host::tuned(trackside_engine::EngineOptions { observer_deliveries: 2, ..options() }, []);
    (0..10).for_each(|n| drop(host.publish(order(n))));
    host.install(Scripted::observer("picky", types(&["order:*"]), |events, _| {
        let bad = events.iter().any(|event| event.payload.to_value()["n"] == 6);
        if bad { answer(Err("not six".to_owned())) } else { taken().adding("count", i64::try_from(events.len()).unwrap()) }
    }));
    let replay = begin(&host, wanted("observer/picky")).expect("begins");
    let end = ended(&host, &replay);
    let six = host.of_type("order:placed")[6].sequence_number;
    assert_eq!((end.state, end.events, end.at), ("failed", 6, six - 1));
    let reason = end.reason.unwrap();
    assert!(reason.contains(&format!("the event at {six}")) && reason.contains("not six"), "{reason}");
    assert_eq!((host.kv("picky", "count").as_deref(), host.count("event:dead_lettered")), (Some("6"), 0));
    let replay = begin(&host, ReplayRequest { from: Some(six + 1), ..wanted("observer/picky") }).expect("begins behind it");
    assert_eq!((ended(&host, &replay).events, host.kv("picky", "count").as_deref()), (3, Some("9")));
}

#[test]
fn who_reaches_the_world_outside_must_be_named() {
    let seen = Seen::default();
    let host = Host::with([counter(&seen).with(|info| info.effect_class = EffectClass::Effectful)]);
    host.publish(order(1));
    host.until("it is counted", |_| seen.len() == 1);
    let refused = begin(&host, wanted("observer/counter")).unwrap_err();
    assert!(matches!(&refused, ReplayError::Effects(name) if &**name == "counter"), "{refused}");
    let other = ReplayRequest { effects_of: Some(Text::from("other")), ..wanted("observer/counter") };
    assert!(matches!(begin(&host, other), Err(ReplayError::Effects(_))));
    assert_eq!(host.count("replay:started"), 0);
    let named = ReplayRequest { effects_of: Some(Text::from("counter")), ..wanted("observer/counter") };
    let replay = begin(&host, named).expect("begins");
    assert_eq!(ended(&host, &replay).events, 1);
}

#[test]
fn a_durable_reader_is_handed_the_past_beside_what_comes() {
    let host = Host::with([]);
    let options = ReaderOptions { filter: types(&["order:*"]), in_flight: 4, ..ReaderOptions::default() };
    host.run(host.engine().set_reader("billing", options, None, "test")).unwrap();
    (0..30).for_each(|n| drop(host.publish(order(n))));
    let mut handed: BTreeMap<(u64, bool), usize> = BTreeMap::new();
    let mut take = |host: &Host, most: usize| {
        let reader = host.engine().reader("billing").unwrap();
        let Ok(next) = host.run(async { tokio::time::timeout(Duration::from_secs(2), reader.next(most)).await }) else { return 0 };
        let next = next.unwrap();
        let of_the_past = next.iter().filter(|delivery| delivery.replayed).count();
        assert!(of_the_past <= 2, "the other half of its places is for what comes");
        for delivery in &next {
            *handed.entry((delivery.frame.event().payload.to_value()["n"].as_u64().unwrap(), delivery.replayed)).or_default() += 1;
        }
        let positions: Vec<Position> = next.iter().map(|delivery| delivery.position).collect();
        host.run(reader.acknowledge(&positions)).unwrap();
        next.len()
    };
    let mut first = 0;
    while first < 30 {
        first += take(&host, 4);
    }
    let through = host.of_type("order:placed")[19].sequence_number;
    let replay = begin(&host, ReplayRequest { through: Some(through), ..wanted("reader/billing") }).expect("begins");
    (30..35).for_each(|n| drop(host.publish(order(n))));
    let mut second = 0;
    while second < 15 {
        second += take(&host, 4);
    }
    // Over a crash: what is in its hands and what is to come.
    let host = Host::over(host.crashed(), self::options(), |_| Vec::new());
    while second < 25 {
        second += take(&host, 4);
    }
    let end = ended(&host, &replay);
    assert_eq!((end.state, end.events, end.at), ("completed", 20, through));
    assert_eq!(take(&host, 4), 0);
    let expected = (0..35).map(|n| ((n, false), 1)).chain((0..20).map(|n| ((n, true), 1))).collect();
    assert_eq!(handed, expected);
}

#[test]
fn a_reader_in_order_is_handed_one_after_the_other() {
    let host = Host::with([]);
    let options = ReaderOptions { filter: types(&["order:*"]), order: Order::Log, ..ReaderOptions::default() };
    host.run(host.engine().set_reader("billing", options, None, "test")).unwrap();
    (0..5).for_each(|n| drop(host.publish(order(n))));
    let reader = host.engine().reader("billing").unwrap();
    let ahead = begin(&host, wanted("reader/billing")).map(|replay| replay.started.plan.through);
    // Nothing of the orders is settled: only what came before them.
    assert!(ahead.is_ok_and(|through| through < host.of_type("order:placed")[0].sequence_number));
    let order_of = |count: usize| -> Vec<u64> {
        let one = || {
            let next = host.run(reader.next(10)).unwrap();
            assert_eq!(next.len(), 1);
            host.run(reader.acknowledge(&[next[0].position])).unwrap();
            next[0].frame.event().payload.to_value()["n"].as_u64().unwrap()
        };
        (0..count).map(|_| one()).collect()
    };
    assert_eq!(order_of(5), [0, 1, 2, 3, 4]);
    let replay = begin(&host, wanted("reader/billing")).expect("begins");
    assert_eq!(order_of(5), [0, 1, 2, 3, 4]);
    assert_eq!(ended(&host, &replay).events, 5);
}

#[test]
fn a_recorded_pace_keeps_the_pauses_and_can_be_stopped() {
    let seen = Seen::default();
    let host = Host::with([]);
    host.publish(order(0));
    std::thread::sleep(Duration::from_millis(300));
    host.publish(order(1));
    host.install(counter(&seen));
    let begun = std::time::Instant::now();
    let replay = begin(&host, ReplayRequest { pace: Pace::Recorded(1.0), ..wanted("observer/counter") }).expect("begins");
    assert_eq!(ended(&host, &replay).events, 2);
    assert!(begun.elapsed() >= Duration::from_millis(300), "no earlier than it was recorded");
    // A thousand times slower it would take minutes.
    let slow = begin(&host, ReplayRequest { pace: Pace::Recorded(0.001), ..wanted("observer/counter") }).expect("begins");
    host.until("the first is handed over", |_| replayed(&seen).len() == 3);
    let stopped = host.run(host.engine().stop_replay(slow.id, "somebody")).expect("stops");
    assert_eq!((stopped.state, stopped.events), ("stopped", 1));
    let told: trackside_model::replay::ReplayEnded = host.of_type("replay:ended")[1].payload.read().unwrap();
    assert_eq!((told.by.as_deref(), &told.to), (Some("somebody"), &Target::Observer(Text::from("counter"))));
    assert!(matches!(host.run(host.engine().stop_replay(slow.id, "somebody")), Err(ReplayError::Unknown(_))));
}

#[test]
fn what_cannot_be_replayed_is_refused_and_leaves_nothing_behind() {
    let seen = Seen::default();
    let host = Host::with([counter(&seen)]);
    host.publish(order(0));
    let head = host.engine().store().durable_head();
    let refused = |request: ReplayRequest| begin(&host, request).unwrap_err().to_string();
    assert!(refused(wanted("observer/nobody")).contains("'nobody' is not in service"));
    assert!(refused(wanted("reader/nobody")).contains("no durable reader 'nobody'"));
    assert!(refused(ReplayRequest { from: Some(head + 1_000), ..wanted("observer/counter") }).contains("the log ends at"));
    assert!(refused(ReplayRequest { from: Some(0), ..wanted("observer/counter") }).contains("is no stretch"));
    assert!(refused(ReplayRequest { pace: Pace::Recorded(0.0), ..wanted("observer/counter") }).contains("speed: 0"));
    host.publish(order(1));
    let slow = || ReplayRequest { pace: Pace::Recorded(0.001), ..wanted("observer/counter") };
    std::thread::sleep(Duration::from_millis(20));
    host.publish(order(2));
    let under_way: Vec<_> = (0..MOST_REPLAYS).map(|_| begin(&host, slow()).expect("begins")).collect();
    assert!(refused(slow()).contains("which is the most"));
    assert_eq!(host.engine().replays().len(), MOST_REPLAYS);
    assert!(host.engine().remove("counter", "test"));
    under_way.iter().for_each(|replay| {
        host.run(host.engine().stop_replay(replay.id, "test")).map_or_else(|error| assert!(matches!(error, ReplayError::Unknown(_))), drop);
    });
    assert_eq!(host.count("replay:started"), MOST_REPLAYS);
}
