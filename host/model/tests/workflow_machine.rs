//! The workflow machine under a seed: any DAG, any order of completions and failures, control verdicts, cancellations and crashes.
//! Each run checks the invariants after every step; a failing seed is printed by proptest and can be run again.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use proptest::prelude::*;
use trackside_model::{
    control::{DecisionPoint, Origin, Signal, Verdict},
    event::{Event, Metadata, Text},
    json::Json,
    plugin::{Digest, EffectClass},
    ports::{Failure, Fault, FaultKind},
    time::Timestamp,
    workflow::{
        Chance, Definition, Effect, Env, Format, Input, Machine, Points, Provider, Question, RunKey, State, Step, Submission, TaskStatus,
        WorkflowStatus,
    },
};
use uuid::Uuid;

const ALL_POINTS: [DecisionPoint; 5] = [
    DecisionPoint::WorkflowSubmitted,
    DecisionPoint::TaskReady,
    DecisionPoint::CandidateFound,
    DecisionPoint::TaskCompleted,
    DecisionPoint::TaskFailed,
];
const CAPACITY: u32 = 3;

/// One source of all that is random in a run.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        // SplitMix64, by Sebastiano Vigna: small, and every seed is a good one.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}

impl Chance for Seeded {
    fn id(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The world outside of the machine.
struct World {
    machine: Machine,
    log: Vec<Event>,
    blobs: HashMap<Digest, Json>,
    definitions: Vec<Arc<Definition>>,
    chance: Seeded,
    now: Timestamp,
    runs: Vec<RunKey>,
    questions: Vec<Question>,
    points: Points,
    ended: Vec<Text>,
    /// From here on, everything goes well, so that every run comes to an end.
    calm: bool,
}

impl World {
    fn new(seed: u64, controlled: bool) -> Self {
        let mut world = Self {
            machine: Machine::default(),
            log: Vec::new(),
            blobs: HashMap::new(),
            definitions: Vec::new(),
            chance: Seeded(seed),
            now: Timestamp(1_000_000_000_000),
            runs: Vec::new(),
            questions: Vec::new(),
            points: Points::of(if controlled { ALL_POINTS.to_vec() } else { Vec::new() }),
            ended: Vec::new(),
            calm: false,
        };
        world.introduce();
        world
    }

    fn introduce(&mut self) {
        self.step(Input::Points(self.points));
        let provider = |id: &str| Provider {
            provider_id: Text::from(id),
            version: Text::from("v"),
            methods: vec![Text::from("a/x"), Text::from("a/y")],
            capacity: CAPACITY,
            effect_class: EffectClass::Stateful,
            timeout_ms: 30_000,
            allowed: true,
        };
        self.step(Input::Providers(vec![provider("one"), provider("two")]));
    }

    fn step(&mut self, input: Input) -> bool {
        let Step { facts, blobs, effects, accepted, .. } = self.machine.step(input, &mut Env { now: self.now, chance: &mut self.chance });
        for decided in facts {
            let mut event = (**decided.fact.draft()).clone();
            event.sequence_number = self.log.len() as u64 + 1;
            self.log.push(event);
        }
        self.blobs.extend(blobs);
        for effect in effects {
            match effect {
                Effect::Ask(question) => {
                    let same =
                        |other: &Question| (&other.key.workflow_id, other.key.task) == (&question.key.workflow_id, question.key.task);
                    let ended = self.ended.contains(&question.key.workflow_id);
                    assert!(ended || !self.questions.iter().any(same), "a task is asked about twice at a time: {:?}", question.key);
                    self.questions.push(question);
                }
                Effect::Run { key, call, .. } => {
                    assert!(!self.ended.contains(&key.workflow_id), "a task runs after its workflow's end");
                    assert_eq!(call.attempt, key.attempt);
                    assert!(!self.runs.contains(&key), "one attempt is out twice");
                    assert!(!call.parameters.as_str().contains("digest"), "a reference gives the content, not its name");
                    self.runs.push(key);
                }
                Effect::Cut(key) => self.runs.retain(|run| *run != key),
                Effect::Ended(workflow_id) => {
                    assert!(!self.ended.contains(&workflow_id), "a workflow ends twice");
                    self.ended.push(workflow_id);
                }
            }
        }
        self.check();
        accepted
    }

    /// What must hold after every step.
    fn check(&self) {
        assert!(self.fold() == self.machine.state, "the log does not give the live state");
        for provider in ["one", "two"] {
            assert!(self.machine.running(provider) <= CAPACITY, "more tasks than a provider takes");
        }
        for workflow in self.machine.state.workflows.values() {
            let failed = workflow.tasks.iter().any(|task| task.status == TaskStatus::Failed);
            assert!(!failed || workflow.status.is_final(), "a failed task in a workflow that goes on");
        }
    }

    fn fold(&self) -> State {
        let mut state = State::default();
        for definition in &self.definitions {
            state.provide(definition.clone());
        }
        for event in &self.log {
            // As it comes back from the log: through JSON.
            let text = serde_json::to_string(event).expect("events have a JSON form");
            let event: Event = serde_json::from_str(&text).expect("which can be read back");
            state.apply(&event).expect("the log fits itself");
        }
        state
    }

    fn submit(&mut self, definition: &Arc<Definition>) {
        self.definitions.push(definition.clone());
        let id = Text::from(self.chance.id().to_string());
        self.step(Input::Submit(Submission {
            workflow_id: id.clone(),
            definition: definition.clone(),
            input: Json::trusted(r#"{"n":1}"#),
            correlation_id: id.clone(),
            cause: id,
            metadata: Metadata::new(),
            origin: Origin::Embedded,
            principal: None,
        }));
    }

    /// Something happens outside. `false` if nothing can any more.
    fn happens(&mut self) -> bool {
        if !self.calm && self.chance.one_in(25) {
            self.crash();
            return true;
        }
        if !self.calm && self.chance.one_in(60) {
            let workflow = self.machine.state.workflows.values().map(|workflow| workflow.workflow_id.clone()).min();
            if let Some(workflow_id) = workflow {
                let by = Text::from("somebody");
                self.step(Input::Cancel { workflow_id: workflow_id.clone(), reason: "no more".to_owned(), by, cause: workflow_id });
            }
            return true;
        }
        if !self.calm && self.chance.one_in(20) {
            // Bypassed, restored or gone: what it held is asked about again.
            self.step(Input::Freed(Text::from("handler")));
            return true;
        }
        let choices = self.runs.len() + self.questions.len();
        if choices == 0 || self.chance.one_in(8) {
            return self.time_passes() || choices > 0;
        }
        let choice = self.chance.below(choices);
        if choice < self.runs.len() {
            let key = self.runs.swap_remove(choice);
            if !self.calm && self.chance.one_in(12) {
                // Its provider is left out until there is word of it.
                self.step(Input::NotCalled { key });
                self.introduce();
                return true;
            }
            let outcome = self.outcome();
            self.step(Input::Finished { key: key.clone(), outcome: outcome.clone() });
            if self.chance.one_in(10) {
                assert!(!self.step(Input::Finished { key, outcome }), "an attempt's result is used twice");
            }
        } else {
            let question = self.questions.swap_remove(choice - self.runs.len());
            let verdict = self.verdict();
            self.step(Input::Answer { key: question.key, verdict, record: None });
        }
        true
    }

    fn outcome(&mut self) -> Result<Result<Json, Failure>, Fault> {
        let failure = |retryable| Failure { message: "no".to_owned(), code: None, retryable, retry_after_ms: Some(5), details: None };
        match if self.calm { 9 } else { self.chance.below(10) } {
            0 => Ok(Err(failure(false))),
            1 | 2 => Ok(Err(failure(true))),
            3 => Err(Fault { kind: FaultKind::Trap, message: "trap".to_owned(), used: 0, allowed: 0 }),
            4 => Ok(Ok(Json::trusted(format!(r#"{{"items":[1,{{"x":"{}"}}]}}"#, "y".repeat(70_000))))),
            _ => Ok(Ok(Json::trusted(r#"{"items":[1,{"x":"y"}]}"#))),
        }
    }

    fn verdict(&mut self) -> Verdict {
        let by = Text::from("handler");
        let reason = "because".to_owned();
        let signal = match if self.calm { 99 } else { self.chance.below(14) } {
            0 => Signal::Skip(reason),
            1 => Signal::Retry { after_ms: Some(10), reason },
            2 => Signal::Fallback { value: Json::trusted("7"), reason },
            3 => Signal::Fail(reason),
            4 => Signal::Error(reason),
            5 => return Verdict::Held { by, reason, retry_after_ms: 10 },
            6 => return Verdict::Proceed(Some(Json::trusted(r#"{"amended":true}"#))),
            _ => return Verdict::Proceed(None),
        };
        Verdict::Signal { by, signal }
    }

    fn time_passes(&mut self) -> bool {
        let Some(deadline) = self.machine.next_deadline() else { return false };
        self.now = Timestamp(self.now.0.max(deadline.0));
        self.step(Input::Tick);
        true
    }

    /// All that is not in the log is gone.
    fn crash(&mut self) {
        self.runs.clear();
        self.questions.clear();
        self.machine = Machine::new(self.fold());
        for (workflow_id, digest) in self.machine.missing_blobs() {
            self.machine.provide_blob(workflow_id, digest, self.blobs[&digest].clone());
        }
        self.introduce();
        self.step(Input::Recovered);
    }
}

fn dag(seed: u64) -> Arc<Definition> {
    let mut chance = Seeded(seed);
    let tasks = 1 + chance.below(9);
    let mut text = String::from("name: any\n");
    if chance.one_in(4) {
        text.push_str("timeout: 60s\n");
    }
    text.push_str("tasks:\n");
    for task in 0..tasks {
        let method = if chance.one_in(2) { "a/x" } else { "a/y" };
        text.push_str(&format!("  - id: t{task}\n    method: {method}\n    priority: {}\n", chance.below(100)));
        if chance.one_in(3) {
            text.push_str("    timeout: 2s\n");
        }
        if chance.one_in(2) {
            text.push_str("    retry: {max_attempts: 3, base_delay: 10ms}\n");
        }
        let needed: Vec<usize> = (0..task).filter(|_| chance.one_in(3)).collect();
        if !needed.is_empty() {
            let list: Vec<String> = needed.iter().map(|task| format!("t{task}")).collect();
            text.push_str(&format!("    dependencies: [{}]\n", list.join(", ")));
            if chance.one_in(3) {
                text.push_str(&format!("    parameters: {{from: \"${{t{}.items[1].x}}\", n: \"${{workflow.input.n}}\"}}\n", needed[0]));
            }
        }
    }
    Arc::new(Definition::parse(&text, Format::Yaml).unwrap_or_else(|errors| panic!("{errors:?}\n{text}")))
}

fn run(seed: u64, controlled: bool) -> World {
    let mut world = World::new(seed, controlled);
    for number in 0..1 + world.chance.below(3) {
        world.submit(&dag(seed ^ (number as u64 + 1).wrapping_mul(0xABCD)));
    }
    for turn in 0..6_000 {
        world.calm = turn > 400;
        if !world.happens() {
            break;
        }
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_task_reaches_one_final_state_and_the_log_gives_the_live_state(seed in any::<u64>(), controlled in any::<bool>()) {
        let world = run(seed, controlled);
        for workflow in world.machine.state.workflows.values() {
            prop_assert!(workflow.status.is_final(), "a workflow is left {:?}: {:#?}", workflow.status, workflow.tasks);
            prop_assert!(workflow.tasks.iter().all(|task| task.status.is_final()));
            prop_assert!(world.ended.contains(&workflow.workflow_id));
        }
        let mut used = HashSet::new();
        for event in world.log.iter().filter(|event| matches!(&*event.event_type, "task:completed" | "task:failed")) {
            let attempt = event.payload.to_value()["attempt"].as_u64();
            let key = (event.workflow_id.clone(), event.task_id.clone(), attempt);
            // A verdict before the next attempt ends a task without an outcome of its own.
            let verdict = matches!(event.payload.to_value()["error"]["code"].as_str(), Some("refused" | "put_off" | "held" | "parameters"));
            let fallback = event.payload.to_value()["by"].is_string();
            prop_assert!(attempt == Some(0) || verdict || fallback || used.insert(key), "an attempt's outcome was used twice: {event:?}");
        }
    }
}

#[test]
fn a_chain_without_handlers_takes_two_facts_a_task() {
    let mut world = World::new(1, false);
    world.calm = true;
    let text = "name: chain\ntasks:\n  - {id: a, method: a/x}\n  - {id: b, method: a/x, parameters: {v: '${a}'}}\n  - {id: c, method: a/x, parameters: {v: '${task_b_result}'}}\n";
    world.submit(&Arc::new(Definition::parse(text, Format::Yaml).unwrap()));
    while world.happens() {}
    let types: Vec<&str> = world.log.iter().map(|event| &*event.event_type).collect();
    expect_test::expect![[r#"
        workflow:submitted
        workflow:started
        task:started
        task:completed
        task:started
        task:completed
        task:started
        task:completed
        workflow:completed"#]]
    .assert_eq(&types.join("\n"));
    assert_eq!(world.machine.state.workflows.values().next().unwrap().status, WorkflowStatus::Completed);
}
