//! Rounds: start a host on what the last one left, set it to work, take its disk or its process away at a moment of chance, and look at what is left.
//! A disk lives for some rounds; at its end everything is settled in peace, and all of it must be there.

use std::{
    collections::BTreeSet,
    env,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use fastrand::Rng;
use parking_lot::Mutex;
use trackside_loss_tests::{Disk, Trouble, install};
use trackside_model::{
    event::{Filter, Position},
    reader::{Order, ReaderOptions},
    workflow::WorkflowStatus,
};
use trackside_store::{
    Store, backup,
    failpoint::{self, STEPS, Side},
};

use crate::{
    books::{Books, read},
    clients::{self, Outsider, Publisher},
    host::{Host, LONGEST, open},
};

/// Rounds of a run, if nothing else is said.
const ROUNDS: u64 = 300;
/// Rounds of one disk.
const ROUNDS_OF_A_DISK: u64 = 20;
/// The longest that a host is at work, in milliseconds.
const LONGEST_WORK_MS: u64 = 120;
const PUBLISHERS: usize = 3;

/// The failpoint at which the disk is taken away: the step, the side, the how manyth time, and which disk.
struct Armed {
    step: &'static str,
    side: Side,
    left: AtomicU64,
    disk: Weak<Disk>,
}

static ARMED: Mutex<Option<Armed>> = Mutex::new(None);

/// Called at every failpoint of the host.
fn at_failpoint(step: &'static str, side: Side) {
    let armed = ARMED.lock();
    if let Some(armed) = armed.as_ref().filter(|armed| armed.step == step && armed.side == side)
        && armed.left.fetch_sub(1, SeqCst) == 1
        && let Some(disk) = armed.disk.upgrade()
    {
        disk.cut();
    }
}

/// How a round ends.
#[derive(Debug)]
enum End {
    /// Something goes wrong with the disk.
    Trouble(Trouble),
    /// The host comes past a failpoint.
    Failpoint(&'static str, Side, u64),
    /// So many milliseconds have passed.
    After(u64),
}

fn end(random: &mut Rng) -> End {
    match random.u8(..20) {
        0..8 => End::Trouble(Trouble::PowerAt(random.u64(1..600))),
        8..11 => End::Trouble(Trouble::SyncAt(random.u64(1..60))),
        11..13 => End::Trouble(Trouble::FullAfter(random.u64(0..1 << 20))),
        13..17 => {
            let step = STEPS[random.usize(..STEPS.len())];
            End::Failpoint(step, if random.bool() { Side::Before } else { Side::After }, random.u64(1..12))
        }
        _ => End::After(random.u64(..LONGEST_WORK_MS)),
    }
}

/// Everything of one disk that outlives its hosts.
struct Life {
    random: Rng,
    disk: Arc<Disk>,
    books: Mutex<Books>,
    publishers: Vec<Publisher>,
    outsider: Outsider,
    rounds: u64,
}

impl Life {
    fn new(mut random: Rng) -> Self {
        let publishers = (0..PUBLISHERS).map(|number| Publisher::new(number, random.fork())).collect();
        let outsider = Outsider::new(random.fork());
        Self { disk: Disk::empty(), books: Mutex::default(), publishers, outsider, rounds: 0, random }
    }

    /// One round; what it did, for whoever has to find out why.
    fn round(&mut self) -> String {
        let end = end(&mut self.random);
        // Some disks fail while the host is still about to start.
        let early = self.random.u8(..4) == 0;
        if early {
            self.arm(&end);
        }
        let pages = self.random.u32(16..400);
        let what = match self.start(pages) {
            Ok(host) => {
                if !early {
                    self.arm(&end);
                }
                self.work(&host, &end);
                host.take_down(Duration::ZERO);
                format!("{end:?}")
            }
            Err(error) => format!("{end:?}: {error}"),
        };
        *ARMED.lock() = None;
        let is_kill = self.random.u8(..3) == 0;
        self.disk = if is_kill { self.disk.after_kill() } else { self.disk.after_power_loss(&mut self.random) };
        self.rounds += 1;
        format!("{what}, {}", if is_kill { "killed" } else { "without power" })
    }

    fn arm(&self, end: &End) {
        match end {
            End::Trouble(trouble) => self.disk.plan(Some(*trouble)),
            End::Failpoint(step, side, nth) => {
                let disk = Arc::downgrade(&self.disk);
                *ARMED.lock() = Some(Armed { step, side: *side, left: AtomicU64::new(*nth), disk });
            }
            End::After(_) => {}
        }
    }

    /// Opens the log, and holds the books against it before anybody writes.
    fn start(&self, pages: u32) -> Result<Host, String> {
        let store = open(&self.disk, pages).map_err(|error| error.to_string())?;
        self.compare(&store);
        let started = Host::start(&self.disk, store.clone());
        if started.is_err() {
            let _ = store.close();
        }
        let host = started?;
        let options = ReaderOptions {
            filter: Filter::types(["order:*", "row:*"]).unwrap(),
            order: if self.rounds.is_multiple_of(2) { Order::None } else { Order::Correlation },
            ack_wait_ms: 30,
            deliveries: 1_000,
            backoff_ms: 1,
            most_backoff_ms: 4,
            ..ReaderOptions::default()
        };
        // It begins with the log; later it goes on where it stands. What the disk does about that is seen by everybody else, too.
        let from = host.engine.reader("desk").is_none().then(Position::default);
        let set = host.run(host.engine.set_reader("desk", options, from, "test"));
        if let Err(error) = set {
            host.take_down(Duration::ZERO);
            return Err(error.to_string());
        }
        Ok(host)
    }

    /// What can be read must be right; a disk that is gone while it is read says nothing.
    fn compare(&self, store: &Store) {
        if !self.disk.has_power() {
            return;
        }
        let mut books = self.books.lock();
        let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| books.compare(store, self.disk.path())));
        if let Err(panic) = compared
            && self.disk.has_power()
        {
            std::panic::resume_unwind(panic);
        }
    }

    fn work(&mut self, host: &Host, end: &End) {
        let stop = AtomicBool::new(false);
        let (engine, books, disk) = (&host.engine, &self.books, &self.disk);
        let mut random = self.random.fork();
        let backs_up = random.u8(..5) == 0;
        let (publishers, outsider) = (&mut self.publishers, &mut self.outsider);
        thread::scope(|scope| {
            let handle = host.runtime().handle();
            for publisher in publishers {
                scope.spawn(|| handle.block_on(publisher.work(engine, books, &stop)));
            }
            if let Some(reader) = engine.reader("desk") {
                let (mut random, stop) = (random.fork(), &stop);
                scope.spawn(move || handle.block_on(clients::handle(&reader, &mut random, books, stop)));
            }
            scope.spawn(|| outsider.work(disk.path(), &stop));
            if backs_up {
                // It may fail with the disk; that it is whole it says itself.
                scope.spawn(|| backup(disk.path(), &disk.path().join("copy.db"), |_, _| ()));
            }
            match end {
                End::After(ms) => thread::sleep(Duration::from_millis(*ms)),
                End::Failpoint(..) | End::Trouble(Trouble::PowerAt(_)) => {
                    disk.wait_for_loss(Duration::from_millis(2 * LONGEST_WORK_MS));
                }
                End::Trouble(Trouble::SyncAt(_) | Trouble::FullAfter(_)) => {
                    for _ in 0..LONGEST_WORK_MS {
                        if engine.trouble().is_some() {
                            break;
                        }
                        thread::sleep(Duration::from_millis(2));
                    }
                }
            }
            disk.cut();
            stop.store(true, SeqCst);
        });
    }

    /// Settles everything in peace: every question is answered, every event is where it belongs.
    fn settle(&mut self) {
        let host = self.start(64).unwrap();
        for publisher in &mut self.publishers {
            host.run(publisher.settle(&host.engine, &self.books));
        }
        for workflow in self.publishers.iter().flat_map(|publisher| &publisher.workflows) {
            let waited = host.run(async { tokio::time::timeout(LONGEST, host.engine.wait(workflow)).await });
            let view = waited.unwrap_or_else(|_| panic!("workflow {workflow} does not end")).unwrap().unwrap();
            assert_eq!(view.status, WorkflowStatus::Completed, "{view:?}");
        }
        let store = host.engine.store().clone();
        host.until("no workflow is left", |_| store.unfinished_workflows().unwrap().is_empty());
        host.until("every row of the inbox is settled", |_| clients::rows(self.disk.path()).values().all(|(outcome, _)| outcome.is_some()));
        let last_counted = || read(&store).values().rev().find(|event| wanted(&event.event_type)).map_or(0, |event| event.sequence_number);
        for name in ["observer/ledger", "observer/neighbour", "observer/grumbler"] {
            host.until("observers have come to the end", |_| store.cursor(name).unwrap().unwrap_or_default().sequence >= last_counted());
        }
        host.until("the outbox is empty", |_| store.outbox(0, 1).unwrap().is_empty());
        let handed: BTreeSet<u64> =
            read(&store).values().filter(|event| wanted(&event.event_type)).map(|event| event.sequence_number).collect();
        let desk = host.engine.reader("desk").unwrap();
        host.run(clients::handle_all(&desk, &self.books, &handed));
        drop(desk);
        host.take_down(Duration::from_secs(10));
        let store = open(&self.disk, 64).unwrap();
        self.compare(&store);
        self.at_the_end(&store);
        store.close().unwrap();
    }

    fn at_the_end(&self, store: &Store) {
        let books = self.books.lock();
        let of_type = |event_type: &str| books.shown.values().filter(|shown| shown.event_type == event_type).count();
        assert_eq!(of_type("ledger:noted"), of_type("order:placed"), "each order is noted once");
        assert_eq!(of_type("pair:first"), of_type("pair:second"), "what goes together is there together");
        let dead = books.shown.values().filter(|shown| shown.is_order_or_row() && shown.hopeless).count();
        assert_eq!(of_type("event:dead_lettered"), dead, "each event that was never taken is a dead letter once");
        let ended = of_type("workflow:completed");
        assert_eq!((ended, ended * 4), (of_type("workflow:submitted"), of_type("task:completed")), "each task has ended once");
        let of_outside = |number: i64| {
            let same = |shown: &&crate::books::Shown| shown.event_type == "row:put" && shown.number == number;
            books.shown.values().filter(same).count()
        };
        for number in self.outsider.committed.lock().iter() {
            assert_eq!(of_outside(*number), 1, "row {number} was committed into the inbox");
        }
        for (number, (outcome, sequence)) in clients::rows(self.disk.path()) {
            let shown = sequence.and_then(|sequence| books.shown.get(&sequence));
            assert_eq!(shown.map(|shown| shown.number), Some(number), "row {number} was told {outcome:?} as event {sequence:?}");
        }
        drop(books);
        let _ = store;
    }
}

fn wanted(event_type: &str) -> bool {
    event_type.starts_with("order:") || event_type.starts_with("row:")
}

fn number_of(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn what_was_said_is_so_whatever_is_lost() {
    install();
    failpoint::hook(at_failpoint);
    let seed = number_of("TRACKSIDE_LOSS_SEED").unwrap_or_else(|| fastrand::u64(..));
    let rounds = number_of("TRACKSIDE_LOSS_ROUNDS").unwrap_or(ROUNDS);
    println!("TRACKSIDE_LOSS_SEED={seed} TRACKSIDE_LOSS_ROUNDS={rounds}");
    let mut random = Rng::with_seed(seed);
    let mut told = Told { seed, round: 0, last: Vec::new() };
    while told.round < rounds {
        let mut life = Life::new(random.fork());
        told.last.clear();
        for _ in 0..ROUNDS_OF_A_DISK.min(rounds - told.round) {
            told.round += 1;
            told.last.push("(this one)".to_owned());
            let what = life.round();
            *told.last.last_mut().unwrap() = what;
        }
        life.settle();
        let books = life.books.lock();
        println!(
            "round {}: {} events shown, {} acknowledged, {} settled",
            told.round,
            books.shown.len(),
            books.acknowledged.len(),
            books.settled.len()
        );
        assert!(!books.acknowledged.is_empty(), "nobody was answered in any round");
    }
}

/// Says where it was, if it does not come to its end.
struct Told {
    seed: u64,
    round: u64,
    last: Vec<String>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("in round {} of TRACKSIDE_LOSS_SEED={}; the rounds of this disk were", self.round, self.seed);
            self.last.iter().for_each(|what| eprintln!("  {what}"));
        }
    }
}
