//! Who works with the host: publishers that number what they send and send again what was not answered, a client of a durable reader, a process that
//! writes into the inbox. Each goes on over the host's restarts, and stops when it is told to.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use fastrand::Rng;
use parking_lot::Mutex;
use rusqlite::Connection;
use serde_json::json;
use trackside_engine::{Answer, DurableReader, Engine, Outcome, SubmitRequest, Together};
use trackside_model::{
    event::{Incoming, Metadata},
    json::Json,
    workflow::Format,
};
use trackside_store::Inbox;
use uuid::Uuid;

use crate::{
    books::Books,
    host::{LONGEST, caller},
};

const WORKFLOW: &str = r#"
name: steps
tasks:
  - {id: a, method: loss/echo, parameters: {v: 1}}
  - {id: b, method: loss/echo, parameters: {v: "${a.v}"}}
  - {id: c, method: loss/echo, parameters: {v: "${a.v}"}}
  - {id: d, method: loss/echo, parameters: {v: ["${b.v}", "${c.v}"]}}
"#;

/// What a publisher has sent and not been answered.
#[derive(Clone, Debug)]
enum Sent {
    One(Box<Incoming>),
    Together(Vec<Incoming>),
    /// The submission of a workflow, by its id.
    Workflow(Uuid),
}

/// Sends until it is told to stop, and begins with what it has not been answered.
#[derive(Debug)]
pub(crate) struct Publisher {
    name: String,
    random: Rng,
    numbered: i64,
    open: Vec<Sent>,
    /// The last of its chain, each of which expects the one before.
    last_link: u64,
    /// Workflows that were taken.
    pub(crate) workflows: BTreeSet<String>,
}

impl Publisher {
    pub(crate) fn new(number: usize, random: Rng) -> Self {
        Self { name: format!("p{number}"), random, numbered: 0, open: Vec::new(), last_link: 0, workflows: BTreeSet::new() }
    }

    fn event(&mut self, event_type: &str) -> Incoming {
        self.numbered += 1;
        Incoming {
            event_id: Some(Uuid::from_u128(self.random.u128(..))),
            event_type: event_type.to_owned(),
            source_component: self.name.clone(),
            payload: Some(Json::from_value(&json!({"n": self.numbered}))),
            ..Incoming::default()
        }
    }

    fn next(&mut self) -> Sent {
        match self.random.u8(..16) {
            0..7 => Sent::One(Box::new(self.event("order:placed"))),
            7..10 => Sent::Together(vec![self.event("pair:first"), self.event("pair:second")]),
            10..12 => {
                let correlation_id = Some(format!("chain-{}", self.name));
                Sent::One(Box::new(Incoming { correlation_id, expected_sequence: Some(self.last_link), ..self.event("link:added") }))
            }
            12..15 => Sent::One(Box::new(self.event("noise:made"))),
            _ => Sent::Workflow(Uuid::from_u128(self.random.u128(..))),
        }
    }

    /// Works until it is told to stop.
    pub(crate) async fn work(&mut self, engine: &Engine, books: &Mutex<Books>, stop: &AtomicBool) {
        let mut again = std::mem::take(&mut self.open);
        again.reverse();
        while !stop.load(SeqCst) {
            let (sent, is_new) = match again.pop() {
                Some(sent) => (sent, false),
                None => (self.next(), true),
            };
            if !self.send(&sent, is_new, engine, books).await {
                self.open.push(sent);
                break;
            }
        }
        again.reverse();
        self.open.append(&mut again);
    }

    /// Sends again what has not been answered, until all of it is.
    pub(crate) async fn settle(&mut self, engine: &Engine, books: &Mutex<Books>) {
        for sent in std::mem::take(&mut self.open) {
            assert!(self.send(&sent, false, engine, books).await, "on a whole disk everything is answered: {sent:?}");
        }
    }

    /// `false`: nobody can say whether it is in the log.
    async fn send(&mut self, sent: &Sent, is_new: bool, engine: &Engine, books: &Mutex<Books>) -> bool {
        loop {
            let answered = tokio::time::timeout(LONGEST, ask(sent, engine)).await;
            let answers = answered.unwrap_or_else(|_| panic!("{sent:?} is never answered"));
            match answers[0].outcome {
                Outcome::Appended | Outcome::Duplicate => {
                    assert!(!is_new || answers[0].outcome == Outcome::Appended, "{sent:?} is new, and was answered {:?}", answers[0]);
                    self.note(sent, &answers, books);
                    return true;
                }
                Outcome::Unknown => return false,
                Outcome::Busy if engine.trouble().is_some() => return false,
                Outcome::Busy => tokio::time::sleep(Duration::from_millis(2)).await,
                Outcome::Skipped | Outcome::Refused => panic!("{sent:?} was answered {:?}", answers[0]),
            }
        }
    }

    fn note(&mut self, sent: &Sent, answers: &[Answer], books: &Mutex<Books>) {
        let ids: Vec<Uuid> = match sent {
            Sent::One(incoming) => vec![incoming.event_id.unwrap()],
            Sent::Together(incoming) => incoming.iter().map(|incoming| incoming.event_id.unwrap()).collect(),
            Sent::Workflow(event_id) => vec![*event_id],
        };
        assert_eq!(ids.len(), answers.len(), "{sent:?} was answered {answers:?}");
        for (event_id, answer) in ids.iter().zip(answers) {
            let sequence = answer.sequence_number.unwrap_or_else(|| panic!("{sent:?} was answered {answer:?}"));
            assert_eq!(answer.event_id, Some(*event_id), "{sent:?} was answered {answer:?}");
            books.lock().acknowledged.insert(sequence, *event_id);
        }
        match sent {
            Sent::One(incoming) if incoming.expected_sequence.is_some() => self.last_link = answers[0].sequence_number.unwrap(),
            Sent::Workflow(_) => drop(self.workflows.insert(answers[0].workflow_id.as_ref().unwrap().to_string())),
            _ => {}
        }
    }
}

async fn ask(sent: &Sent, engine: &Engine) -> Vec<Answer> {
    match sent {
        Sent::One(incoming) => vec![engine.publish((**incoming).clone(), caller()).await],
        Sent::Together(incoming) => match engine.publish_together(incoming.clone(), caller()).await {
            Together::All(answers) => answers,
            Together::None { answer, .. } => vec![*answer],
        },
        Sent::Workflow(event_id) => vec![engine.submit(submission(*event_id), caller()).await.unwrap()],
    }
}

fn submission(event_id: Uuid) -> SubmitRequest {
    SubmitRequest {
        definition: WORKFLOW.to_owned(),
        format: Format::guess(WORKFLOW),
        input: Json::from_value(&json!({})),
        event_id: Some(event_id),
        correlation_id: None,
        metadata: Metadata::new(),
    }
}

/// A client of the durable reader: acknowledges most of what it is handed, gives some of it back, and lets some lie.
pub(crate) async fn handle(reader: &DurableReader, random: &mut Rng, books: &Mutex<Books>, stop: &AtomicBool) {
    while !stop.load(SeqCst) {
        let handed = match tokio::time::timeout(Duration::from_millis(20), reader.next(8)).await {
            Err(_) => continue,
            Ok(Err(_)) => return,
            Ok(Ok(handed)) => handed,
        };
        let mut done = Vec::new();
        for delivery in handed {
            let position = delivery.position;
            assert!(!books.lock().settled.contains(&position), "{position} was settled, and is handed out again");
            match random.u8(..8) {
                0 => drop(reader.give_back(position, delivery.delivery, "later", Some(1))),
                1 => {}
                _ => done.push(position),
            }
        }
        if done.is_empty() {
            continue;
        }
        books.lock().perhaps_settled.extend(&done);
        if reader.acknowledge(&done).await.is_err() {
            return;
        }
        books.lock().settled.extend(&done);
    }
}

/// Handles everything that is left.
pub(crate) async fn handle_all(reader: &DurableReader, books: &Mutex<Books>, wanted: &BTreeSet<u64>) {
    loop {
        let left = {
            let books = books.lock();
            let is_settled = |sequence: &u64| {
                [&books.settled, &books.perhaps_settled].iter().any(|some| some.iter().any(|position| position.sequence == *sequence))
            };
            wanted.iter().filter(|sequence| !is_settled(sequence)).count()
        };
        if left == 0 {
            return;
        }
        let handed = tokio::time::timeout(LONGEST, reader.next(64)).await;
        let handed = handed.unwrap_or_else(|_| panic!("{left} events are never handed out")).unwrap();
        let done: Vec<_> = handed.iter().map(|delivery| delivery.position).collect();
        assert!(done.iter().all(|position| !books.lock().settled.contains(position)), "settled, and handed out again");
        reader.acknowledge(&done).await.unwrap();
        books.lock().settled.extend(&done);
    }
}

/// A process that puts rows into the inbox by SQL, with a connection of its own.
#[derive(Debug)]
pub(crate) struct Outsider {
    random: Rng,
    numbered: i64,
    /// Whether SQLite syncs its commits: those that it does not the power may take away.
    is_careful: bool,
    /// Rows that were committed and synced.
    pub(crate) committed: Arc<Mutex<BTreeSet<i64>>>,
}

impl Outsider {
    pub(crate) fn new(mut random: Rng) -> Self {
        let is_careful = random.u8(..3) > 0;
        Self { random, numbered: 0, is_careful, committed: Arc::default() }
    }

    pub(crate) fn work(&mut self, data_dir: &Path, stop: &AtomicBool) {
        let Ok(connection) = Connection::open(Inbox::path(data_dir).1) else { return };
        let synchronous = if self.is_careful { "FULL" } else { "NORMAL" };
        let ready =
            connection.busy_timeout(Duration::from_secs(5)).and_then(|()| connection.pragma_update(None, "synchronous", synchronous));
        if ready.is_err() {
            return;
        }
        while !stop.load(SeqCst) {
            self.numbered += 1;
            let sql = "INSERT INTO inbox (event_type, source_component, payload) VALUES ('row:put', 'outside', ?1)";
            match connection.execute(sql, [json!({"n": self.numbered}).to_string()]) {
                Ok(_) if self.is_careful => drop(self.committed.lock().insert(self.numbered)),
                Ok(_) => {}
                Err(_) => return,
            }
            std::thread::sleep(Duration::from_micros(self.random.u64(500..6_000)));
        }
    }
}

/// What became of every row that is still in the inbox: its number, its outcome, and where it is in the log.
pub(crate) fn rows(data_dir: &Path) -> BTreeMap<i64, (Option<String>, Option<u64>)> {
    let connection = Connection::open(Inbox::path(data_dir).1).unwrap();
    let mut select = connection.prepare("SELECT payload ->> 'n', outcome, sequence_number FROM inbox").unwrap();
    let rows = select.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get::<_, Option<i64>>(2)?.map(i64::cast_unsigned))))).unwrap();
    rows.map(Result::unwrap).collect()
}
