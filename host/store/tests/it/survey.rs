//! Surveys: counts, durations and rates, compared with what a loop over all events says; and every bound, reached.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::{AtomicU64, Ordering},
};

use tempfile::TempDir;
use trackside_model::{
    event::{Condition, Event, Filter, Incoming, Pattern, Severity},
    json::Json,
    time::Timestamp,
};
use trackside_store::{
    Batch, Bounds, By, Cut, Durations, DurationsAnswer, DurationsOf, Extent, Group, Pairing, Rates, RatesAnswer, ReadStore, Stats,
    StatsAnswer, Store, Surveyed,
};
use uuid::Uuid;

use crate::support::{all, append, entry, incoming, options};

const MINUTE: u64 = 60_000_000_000;

static NOW: AtomicU64 = AtomicU64::new(0);

fn set_clock() -> Timestamp {
    Timestamp(NOW.load(Ordering::Relaxed))
}

/// Some thousand events over three hours, of few types and sources; a third with the correlation of another, some in workflows.
fn log() -> (TempDir, Store) {
    let dir = TempDir::new().unwrap();
    let store = Store::open(options(&dir), set_clock).unwrap();
    let random = fastrand_like();
    for batch in 0..180 {
        NOW.fetch_max(MINUTE * (1_000 + batch), Ordering::Relaxed);
        let events = (0..20).map(|place| {
            let dice = random(batch * 20 + place);
            let types = ["order:placed", "order:shipped", "order:failed", "stock:low", "task:done"];
            let mut event: Incoming = incoming(types[(dice % 5) as usize]);
            event.source_component = format!("shop{}", dice / 7 % 3);
            event.severity = Some(Severity::ALL[(dice / 31 % 5) as usize]);
            event.correlation_id = match dice / 101 % 4 {
                0 => None,
                1 => Some(format!("c{}", dice / 401 % 50)),
                _ => Some(Uuid::from_u128(u128::from(dice / 401 % 50)).to_string()),
            };
            if dice.is_multiple_of(3) {
                event.workflow_id = Some(format!("w{}", dice / 801 % 20));
                event.task_id = dice.is_multiple_of(2).then(|| format!("t{}", dice / 1_601 % 3));
            }
            event.payload = Some(Json::trusted(format!("{{\"amount\":{}}}", dice % 100)));
            entry(event)
        });
        append(&store, Batch::of(events.collect::<Vec<_>>()));
    }
    (dir, store)
}

/// Numbers that look like chance and are the same in every run.
fn fastrand_like() -> impl Fn(u64) -> u64 {
    |n| {
        let mixed = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 20
    }
}

fn filters() -> Vec<Filter> {
    let texts = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
    let id = Uuid::from_u128(7).to_string();
    vec![
        Filter::default(),
        Filter::types(["order:*"]).unwrap(),
        Filter::types([]).unwrap(),
        Filter { min_severity: Some(Severity::Error), ..Filter::default() },
        Filter { source_components: texts(&["shop1", "none"]), ..Filter::default() },
        Filter { correlation_ids: texts(&["c7", &id]), ..Filter::default() },
        Filter { workflow_ids: texts(&["w3", "w4"]), task_ids: texts(&["t1"]), ..Filter::default() },
        Filter { when: Some(Condition::parse("event.payload.amount > 50").unwrap()), ..Filter::types(["order:**", "stock:low"]).unwrap() },
    ]
}

fn stats(store: &ReadStore, surveyed: Surveyed, by: Vec<By>, bounds: Bounds) -> StatsAnswer {
    let mut stats = Stats::begin(store, surveyed, by, bounds).unwrap();
    while stats.step(store).unwrap() {}
    stats.answer()
}

fn group_of(event: &Event, by: &[By]) -> Group {
    let mut group = Group::default();
    for by in by {
        match by {
            By::Type => group.event_type = Some(event.event_type.as_str().into()),
            By::Component => group.event_type = Some(event.event_type.component().into()),
            By::Source => group.source = Some(event.source_component.clone()),
            By::Severity => group.severity = Some(event.severity),
            By::Minute => group.at = Some(Timestamp(event.recorded_at.0 / MINUTE * MINUTE)),
            By::Hour => group.at = Some(Timestamp(event.recorded_at.0 / (60 * MINUTE) * 60 * MINUTE)),
        }
    }
    group
}

#[test]
fn counts_are_those_of_a_loop_over_all_events() {
    let (_dir, store) = log();
    let events = all(&store);
    let middle = events[events.len() / 2].recorded_at;
    for filter in filters() {
        for by in [vec![], vec![By::Type], vec![By::Component, By::Source], vec![By::Severity, By::Minute], vec![By::Hour, By::Type]] {
            for (since, until) in [(None, None), (Some(middle), None), (None, Some(middle))] {
                let mut expected: BTreeMap<Group, u64> = BTreeMap::new();
                let timely = |event: &&Event| {
                    since.is_none_or(|since| event.recorded_at >= since) && until.is_none_or(|until| event.recorded_at < until)
                };
                for event in events.iter().filter(timely).filter(|event| filter.matches(event)) {
                    *expected.entry(group_of(event, &by)).or_default() += 1;
                }
                let answer = stats(&store, Surveyed { filter: filter.clone(), since, until }, by.clone(), Bounds::default());
                assert_eq!(answer.groups.iter().cloned().collect::<BTreeMap<_, _>>(), expected, "{filter:?} {by:?}");
                assert_eq!((answer.events, answer.others, answer.extent.cut), (expected.values().sum(), 0, None));
            }
        }
    }
    let by_type = stats(&store, Surveyed::default(), vec![By::Type], Bounds::default());
    assert!(by_type.groups.is_sorted_by(|one, other| one.1 >= other.1), "the largest first: {by_type:?}");
    let by_minute = stats(&store, Surveyed::default(), vec![By::Minute], Bounds::default());
    assert!(by_minute.groups.is_sorted_by(|one, other| one.0.at <= other.0.at), "in the order of time");
}

fn durations(store: &ReadStore, filter: Filter, of: &DurationsOf, bounds: Bounds) -> DurationsAnswer {
    let mut durations = Durations::begin(store, Surveyed { filter, ..Surveyed::default() }, of.clone(), bounds).unwrap();
    while durations.step(store).unwrap() {}
    durations.answer()
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

#[test]
fn durations_are_those_of_a_loop_over_all_events() {
    let (_dir, store) = log();
    let events = all(&store);
    for by in [Pairing::Correlation, Pairing::Workflow, Pairing::Task] {
        for filter in filters().into_iter().map(|filter| Filter { event_types: None, ..filter }) {
            let of = DurationsOf { start: patterns(&["order:placed"]), end: patterns(&["order:shipped", "*:failed"]), by };
            let (mut open, mut took, mut unstarted, mut without_key) = (HashMap::new(), Vec::new(), 0, 0);
            for event in events.iter().filter(|event| filter.matches(event)) {
                let (starts, ends) =
                    (&*event.event_type == "order:placed", ["order:shipped", "order:failed"].contains(&&*event.event_type));
                if !starts && !ends {
                    continue;
                }
                let key = match by {
                    Pairing::Correlation => Some((event.correlation_id.clone(), None)),
                    Pairing::Workflow => event.workflow_id.clone().map(|id| (id, None)),
                    Pairing::Task => event.workflow_id.clone().zip(event.task_id.clone().map(Some)),
                };
                match key {
                    None => without_key += 1,
                    Some(key) if starts => drop(open.entry(key).or_insert(event.recorded_at)),
                    Some(key) => match open.remove(&key) {
                        Some(began) => took.push(event.recorded_at.0 - began.0),
                        None => unstarted += 1,
                    },
                }
            }
            took.sort_unstable();
            let extent = Extent { from: 1, through: 3_600, to: 3_600, cut: None };
            let expected = DurationsAnswer { extent, took_ns: took, unfinished: open.len() as u64, unstarted, without_key };
            assert_eq!(durations(&store, filter.clone(), &of, Bounds::default()), expected, "{by:?} {filter:?}");
        }
    }
}

#[test]
fn percentiles_are_by_the_nearest_rank() {
    let of = |took_ns: Vec<u64>| DurationsAnswer { extent: Extent::default(), took_ns, unfinished: 0, unstarted: 0, without_key: 0 };
    let hundred = of((1..=100).collect());
    assert_eq!([0.5, 0.95, 0.99, 1.0].map(|part| hundred.percentile_ns(part)), [Some(50), Some(95), Some(99), Some(100)]);
    assert_eq!(of(vec![7]).percentile_ns(0.5), Some(7));
    assert_eq!(of(vec![]).percentile_ns(0.5), None);
}

fn rates(store: &ReadStore, by: Vec<By>, bounds: Bounds) -> RatesAnswer {
    let success = patterns(&["order:*"]);
    let mut rates = Rates::begin(store, Surveyed::default(), &success, patterns(&["*:failed"]), by, bounds).unwrap();
    while rates.step(store).unwrap() {}
    rates.answer()
}

#[test]
fn rates_say_how_much_failed() {
    let (_dir, store) = log();
    let mut expected: BTreeMap<Group, (u64, u64)> = BTreeMap::new();
    for event in all(&store) {
        let (succeeded, failed) = expected.entry(group_of(&event, &[By::Source])).or_default();
        match &*event.event_type {
            "order:failed" => *failed += 1,
            "order:placed" | "order:shipped" => *succeeded += 1,
            _ => {}
        }
    }
    let answer = rates(&store, vec![By::Source], Bounds::default());
    assert_eq!(answer.groups.iter().cloned().collect::<BTreeMap<_, _>>(), expected);
    let sum = |pick: fn(&(u64, u64)) -> u64| expected.values().map(pick).sum::<u64>();
    assert_eq!(answer.all, (sum(|both| both.0), sum(|both| both.1)));
}

#[test]
fn what_is_cut_short_says_so() {
    let (_dir, store) = log();
    let few = stats(&store, Surveyed::default(), vec![By::Type], Bounds { events: 100, ..Bounds::default() });
    assert_eq!((few.events, few.extent), (100, Extent { from: 1, through: 100, to: 3_600, cut: Some(Cut::Events) }));
    let none = stats(&store, Surveyed::default(), vec![By::Type], Bounds { ms: 0, ..Bounds::default() });
    assert_eq!((none.events, none.extent.cut), (0, Some(Cut::Time)));
    let two = stats(&store, Surveyed::default(), vec![By::Type], Bounds { groups: 2, ..Bounds::default() });
    assert_eq!((two.groups.len(), two.events), (2, 3_600));
    assert_eq!(two.others, 3_600 - two.groups.iter().map(|(_, count)| count).sum::<u64>());
    let one = rates(&store, vec![By::Source], Bounds { groups: 1, ..Bounds::default() });
    assert!(one.groups.len() == 1 && one.others.0 > 0 && one.all == rates(&store, vec![], Bounds::default()).all, "{one:?}");
    let of = DurationsOf { start: patterns(&["order:placed"]), end: patterns(&["order:shipped"]), by: Pairing::Correlation };
    let kept = durations(&store, Filter::default(), &of, Bounds { kept: 0, ..Bounds::default() });
    assert_eq!((kept.extent.cut, kept.took_ns.len()), (Some(Cut::Kept), 0));
}
