//! The reader under a seed: any order of reading, handing out, settling, giving back, waiting and crashing. What is settled never comes again,
//! nothing is forgotten, and the orders hold.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Events of the log: half of them wanted, in three correlations.
const EVENTS: u64 = 40;

fn wanted(sequence: u64) -> bool {
    sequence.is_multiple_of(2)
}

fn correlation(sequence: u64) -> Text {
    Text::from(format!("c{}", sequence % 3))
}

#[derive(Clone, Debug)]
enum Step {
    Read(u64),
    HandOut(usize),
    Acknowledge(usize),
    GiveBack(usize),
    Extend(usize),
    Wait(u64),
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1..6u64).prop_map(Step::Read),
        4 => (1..5usize).prop_map(Step::HandOut),
        4 => (0..5usize).prop_map(Step::Acknowledge),
        2 => (0..5usize).prop_map(Step::GiveBack),
        1 => (0..5usize).prop_map(Step::Extend),
        2 => (0..60u64).prop_map(Step::Wait),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 0..120)
}

fn options() -> impl Strategy<Value = ReaderOptions> {
    (1..5u32, prop_oneof![Just(Order::None), Just(Order::Correlation), Just(Order::Log)], 1..4u32).prop_map(
        |(in_flight, order, deliveries)| ReaderOptions {
            in_flight,
            order,
            deliveries,
            ack_wait_ms: 50,
            backoff_ms: 10,
            most_backoff_ms: 40,
            ..ReaderOptions::default()
        },
    )
}

/// The reader with what a client and the log know beside it.
struct Scene {
    reader: Reader<u64>,
    options: ReaderOptions,
    now: Timestamp,
    /// Deliveries that a client has.
    out: Vec<Handed<u64>>,
    /// How each was settled: `true` by an acknowledgement.
    settled: BTreeMap<u64, bool>,
    deliveries: BTreeMap<u64, u32>,
}

impl Scene {
    fn read(&mut self, count: u64) {
        let from = self.reader.looked.sequence + u64::from(self.reader.looked.part == u32::MAX);
        for sequence in from.max(1)..(from.max(1) + count).min(EVENTS + 1) {
            if self.reader.room() == 0 {
                return;
            }
            if wanted(sequence) {
                self.reader.take(Position { sequence, part: 0 }, &correlation(sequence), 1, sequence);
            }
            self.reader.pass(Position::end_of(sequence));
        }
    }

    fn hand_out(&mut self, most: usize) {
        for handed in self.reader.hand_out(self.now, most) {
            let sequence = handed.position.sequence;
            assert!(!self.settled.contains_key(&sequence), "{sequence} is settled and comes again");
            let deliveries = self.deliveries.entry(sequence).or_default();
            *deliveries = (*deliveries + 1).min(self.options.deliveries);
            assert_eq!(handed.delivery, *deliveries, "{sequence}");
            match self.options.order {
                Order::None => {}
                Order::Correlation => {
                    let before = (1..sequence).filter(|other| wanted(*other) && correlation(*other) == correlation(sequence));
                    assert!(before.into_iter().all(|other| self.settled.contains_key(&other)), "{sequence} before its turn");
                }
                Order::Log => assert!((1..sequence).filter(|other| wanted(*other)).all(|other| self.settled.contains_key(&other))),
            }
            self.out.retain(|other| other.position != handed.position);
            self.out.push(handed);
        }
        assert!(self.reader.in_flight() <= self.options.in_flight as usize);
    }

    fn dead(&mut self, dead: impl IntoIterator<Item = Dead<u64>>) {
        for dead in dead {
            assert_eq!(dead.deliveries, self.options.deliveries);
            assert_eq!(self.settled.insert(dead.position.sequence, false), None);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Read(count) => self.read(count),
            Step::HandOut(most) => self.hand_out(most),
            Step::Acknowledge(which) if !self.out.is_empty() => {
                let handed = self.out.remove(which % self.out.len());
                let before = self.settled.contains_key(&handed.position.sequence);
                let settled = self.reader.acknowledge(handed.position);
                // Late, it counts all the same, unless the event is gone.
                assert_eq!(settled == Settled::Before, before || settled == Settled::Before);
                if settled == Settled::Now {
                    assert_eq!(self.settled.insert(handed.position.sequence, true), None);
                }
            }
            Step::GiveBack(which) if !self.out.is_empty() => {
                let handed = self.out.remove(which % self.out.len());
                let dead = self.reader.give_back(handed.position, handed.delivery, self.now, None, "no luck");
                self.dead(dead);
            }
            Step::Extend(which) if !self.out.is_empty() => {
                let handed = &self.out[which % self.out.len()];
                self.reader.extend(handed.position, handed.delivery, self.now);
            }
            Step::Wait(ms) => {
                self.now = self.now.plus_ms(ms);
                let dead = self.reader.expire(self.now);
                self.dead(dead);
            }
            Step::Crash => {
                let kept = serde_json::to_string(&self.reader.memory()).unwrap();
                self.reader = Reader::new(self.options.clone(), self.reader.cursor(), serde_json::from_str(&kept).unwrap());
            }
            Step::Acknowledge(_) | Step::GiveBack(_) | Step::Extend(_) => {}
        }
        let cursor = self.reader.cursor();
        let unsettled = (1..=EVENTS).find(|sequence| wanted(*sequence) && !self.settled.contains_key(sequence));
        assert!(unsettled.is_none_or(|first| cursor < Position { sequence: first, part: 0 }), "the cursor passes {unsettled:?}");
    }

    /// Settles all that is left.
    fn end(mut self) {
        for _ in 0..10_000 {
            self.step(Step::Read(5));
            self.hand_out(3);
            while !self.out.is_empty() {
                self.step(Step::Acknowledge(0));
            }
            if self.reader.cursor() == Position::end_of(EVENTS) {
                break;
            }
            self.step(Step::Wait(20));
        }
        let all: BTreeSet<u64> = (1..=EVENTS).filter(|sequence| wanted(*sequence)).collect();
        assert_eq!(self.settled.keys().copied().collect::<BTreeSet<_>>(), all);
        assert_eq!(self.reader.memory(), ReaderMemory::default(), "nothing is kept of what is behind the cursor");
    }
}

proptest! {
    #[test]
    fn everything_is_settled_once_whatever_happens(options in options(), steps in steps()) {
        let mut scene = Scene {
            reader: Reader::new(options.clone(), Position::default(), ReaderMemory::default()),
            options,
            now: Timestamp(1_000_000_000),
            out: Vec::new(),
            settled: BTreeMap::new(),
            deliveries: BTreeMap::new(),
        };
        for step in steps {
            scene.step(step);
        }
        scene.end();
    }
}

fn at(sequence: u64) -> Position {
    Position { sequence, part: 0 }
}

fn reader(options: ReaderOptions) -> Reader<u64> {
    let mut reader = Reader::new(options, Position::default(), ReaderMemory::default());
    for sequence in 1..=3 {
        reader.take(at(sequence), &Text::from("c"), 1, sequence);
    }
    reader
}

#[test]
fn a_pause_grows_to_its_bound_and_the_last_failure_is_told() {
    let mut reader =
        reader(ReaderOptions { deliveries: 3, backoff_ms: 100, most_backoff_ms: 150, order: Order::Log, ..ReaderOptions::default() });
    let mut now = Timestamp(0);
    for (delivery, pause) in [(1, 100), (2, 150)] {
        let handed = reader.hand_out(now, 9);
        assert_eq!(handed.iter().map(|handed| (handed.position, handed.delivery)).collect::<Vec<_>>(), [(at(1), delivery)]);
        assert_eq!(reader.give_back(at(1), delivery, now, None, "no"), None);
        assert!(!reader.has_ready(now.plus_ms(pause - 1)), "{delivery}");
        now = now.plus_ms(pause);
        assert!(reader.has_ready(now));
    }
    reader.hand_out(now, 9);
    assert_eq!(reader.give_back(at(1), 1, now, None, "late word of the first delivery"), None);
    let dead = reader.give_back(at(1), 3, now, None, "never").unwrap();
    let said: Vec<(u32, &str)> = dead.failures.iter().map(|failure| (failure.attempt, failure.error.as_str())).collect();
    assert_eq!((dead.deliveries, said, dead.event), (3, vec![(1, "no"), (2, "no"), (3, "never")], 1));
    assert_eq!(reader.cursor(), Position::end_of(1), "and the next one is not held up");
    assert_eq!(reader.hand_out(now, 9)[0].event, 2);
}

#[test]
fn what_is_settled_out_of_turn_is_remembered_until_the_cursor_is_behind_it() {
    let mut reader = reader(ReaderOptions::default());
    reader.hand_out(Timestamp(0), 9);
    assert_eq!(reader.acknowledge(at(2)), Settled::Now);
    assert_eq!(reader.acknowledge(at(2)), Settled::Before);
    assert_eq!(serde_json::to_string(&reader.memory()).unwrap(), r#"{"ahead":["2.0"],"deliveries":{"1.0":1,"3.0":1}}"#);
    assert_eq!(reader.cursor(), Position::end_of(0));
    reader.acknowledge(at(1));
    assert_eq!(reader.cursor(), Position::end_of(2));
}

#[test]
fn what_was_settled_is_handed_out_once_more_if_somebody_wants_it() {
    let mut reader = reader(ReaderOptions::default());
    reader.hand_out(Timestamp(0), 9);
    (1..=3).for_each(|sequence| assert_eq!(reader.acknowledge(at(sequence)), Settled::Now));
    reader.pass(at(3));
    assert!(
        reader.again(at(2), &Text::from("c"), 1, 2, false)
            && !reader.again(at(2), &Text::from("c"), 1, 2, false)
            && !reader.again(at(4), &Text::from("c"), 1, 4, false)
    );
    assert_eq!((reader.cursor(), serde_json::to_string(&reader.memory()).unwrap().as_str()), (at(3), r#"{"again":["2.0"]}"#));
    // What comes meanwhile goes its way.
    reader.take(at(4), &Text::from("d"), 1, 4);
    let handed: Vec<u64> = reader.hand_out(Timestamp(0), 9).iter().map(|handed| handed.event).collect();
    assert_eq!(handed, [2, 4]);
    reader.acknowledge(at(4));
    assert_eq!((reader.cursor(), reader.acknowledge(at(2))), (at(4), Settled::Now));
    assert_eq!(reader.memory(), ReaderMemory::default());
}

#[test]
fn what_is_replayed_says_so_and_is_kept_apart_until_it_is_settled() {
    let mut reader = reader(ReaderOptions { deliveries: 2, backoff_ms: 0, ..ReaderOptions::default() });
    reader.hand_out(Timestamp(0), 9);
    (1..=3).for_each(|sequence| assert_eq!(reader.acknowledge(at(sequence)), Settled::Now));
    reader.pass(at(3));
    reader.take(at(4), &Text::from("d"), 1, 4);
    assert!((1..=2).all(|sequence| reader.again(at(sequence), &Text::from("c"), 1, sequence, true)));
    let handed: Vec<(u64, bool)> = reader.hand_out(Timestamp(0), 9).iter().map(|handed| (handed.event, handed.replayed)).collect();
    assert_eq!((handed, reader.replaying()), (vec![(1, true), (2, true), (4, false)], 2));
    let kept = serde_json::to_string(&reader.memory()).unwrap();
    assert_eq!(kept, r#"{"again":["1.0","2.0"],"replayed":["1.0","2.0"],"deliveries":{"4.0":1}}"#);
    reader.acknowledge(at(1));
    assert_eq!(reader.replaying(), 1);
    // One that cannot be done is a dead letter like any other.
    assert_eq!(reader.give_back(at(2), 1, Timestamp(0), None, "no"), None);
    reader.hand_out(Timestamp(0), 9);
    let dead = reader.give_back(at(2), 2, Timestamp(0), None, "no").expect("dead");
    assert_eq!((dead.deliveries, reader.replaying(), reader.cursor()), (2, 0, Position::end_of(3)));
}

#[test]
fn options_and_names_have_bounds() {
    assert_eq!(
        ReaderOptions { in_flight: 0, ..ReaderOptions::default() }.check().unwrap_err().to_string(),
        "in_flight: 0 is not from 1 to 1000"
    );
    assert_eq!(ReaderOptions::default().check(), Ok(()));
    for name in ["", "a b", "a/b", &"x".repeat(101)] {
        assert!(check_name(name).is_err(), "{name}");
    }
    assert_eq!(check_name("billing-2.eu_west"), Ok(()));
}

#[test]
fn no_more_is_held_than_there_is_room_for() {
    let mut reader = Reader::new(ReaderOptions { in_flight: 1, ..ReaderOptions::default() }, Position::default(), ReaderMemory::default());
    for sequence in 1..=1 + MOST_HELD as u64 {
        assert!(reader.room() > 0, "{sequence}");
        reader.take(at(sequence), &Text::from("c"), 1, sequence);
    }
    assert_eq!((reader.room(), reader.hand_out(Timestamp(0), 9).len()), (0, 1));
    reader.acknowledge(at(1));
    assert_eq!(reader.room(), 1);
    let mut reader = Reader::new(ReaderOptions::default(), Position::default(), ReaderMemory::default());
    reader.take(at(1), &Text::from("c"), MOST_HELD_BYTES, 1);
    assert_eq!(reader.room(), 0);
    reader.hand_out(Timestamp(0), 1);
    reader.acknowledge(at(1));
    assert!(reader.room() > 0);
}
