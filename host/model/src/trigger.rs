//! Triggers: events that start a one-task workflow. Which events, which method, and how many events go into one start.
//! Pure: the time is handed in. Reading the log, and submitting, is the engine's.

use std::{collections::VecDeque, sync::Arc};

use serde::Serialize;

use crate::{
    event::{Event, Filter, Position, Text},
    time::Timestamp,
};

/// Events in one start at most, whatever a trigger asks for.
pub const MOST_EVENTS: u32 = 1_000;
/// The longest pause of a trigger: a day, in milliseconds.
pub const MOST_PAUSE_MS: u64 = 86_400_000;
/// How many times its own length a `debounce` waits at most: what never pauses is not never started.
const MOST_DEBOUNCES: u64 = 10;
/// Bytes of events, by [`Event::text_bytes`], in one start; one event goes whatever it has.
const START_BYTES: u64 = 256 << 10;

/// What a plugin says is to be started by events.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trigger {
    /// Which events start it.
    pub filter: Filter,
    /// What it starts, `namespace/name`.
    pub method: Text,
    /// Milliseconds without a further event that it waits for. What came until then is one start, with the last `batch_max` of the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub debounce_ms: Option<u64>,
    /// Milliseconds from one start to the next at least. What came meanwhile is one start, with the last `batch_max` of the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle_ms: Option<u64>,
    /// Events in one start at most.
    pub batch_max: u32,
}

impl Trigger {
    /// Whether a start stands for many events, of which those that do not fit into it are passed over.
    pub fn coalesces(&self) -> bool {
        self.debounce_ms.is_some() || self.throttle_ms.is_some()
    }
}

/// What has come for a trigger since its last start.
#[derive(Debug, Default)]
pub struct Gathering {
    waiting: VecDeque<Arc<Event>>,
    /// Of those that wait.
    bytes: u64,
    passed_over: u64,
    first_came: Timestamp,
    last_came: Timestamp,
    last_start: Option<Timestamp>,
}

/// The events of one start.
#[derive(Debug, PartialEq)]
pub struct Start {
    /// In order, one at least.
    pub events: Vec<Arc<Event>>,
    /// Events before these that the start stands for too.
    pub passed_over: u64,
}

impl Gathering {
    /// Nothing waits; the last start was then, as far as anybody knows.
    pub fn since(last_start: Option<Timestamp>) -> Self {
        Self { last_start, ..Self::default() }
    }

    /// When it last started something.
    pub fn last_start(&self) -> Option<Timestamp> {
        self.last_start
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Where the first event that waits stands.
    pub fn first(&self) -> Option<Position> {
        self.waiting.front().map(|event| event.position())
    }

    /// Whether as many wait as one start can have: the log can wait with more.
    pub fn is_full(&self, trigger: &Trigger) -> bool {
        !trigger.coalesces() && self.waiting.len() >= trigger.batch_max as usize
    }

    /// Takes an event that the filter asks for.
    pub fn came(&mut self, trigger: &Trigger, event: Arc<Event>, now: Timestamp) {
        if self.waiting.is_empty() {
            self.first_came = now;
        }
        self.last_came = now;
        self.bytes += event.text_bytes();
        self.waiting.push_back(event);
        // What would not fit into the start is not held until then.
        while trigger.coalesces() && self.waiting.len() > 1 && (self.waiting.len() > trigger.batch_max as usize || self.bytes > START_BYTES)
        {
            let Some(over) = self.waiting.pop_front() else { break };
            self.bytes -= over.text_bytes();
            self.passed_over += 1;
        }
    }

    /// When the next start is due; `None`: nothing waits.
    pub fn due(&self, trigger: &Trigger) -> Option<Timestamp> {
        if self.waiting.is_empty() {
            return None;
        }
        let quiet = trigger.debounce_ms.map(|pause_ms| {
            let latest = self.first_came.plus_ms(pause_ms.saturating_mul(MOST_DEBOUNCES));
            self.last_came.plus_ms(pause_ms).min(latest)
        });
        let apart = trigger.throttle_ms.and_then(|pause_ms| Some(self.last_start?.plus_ms(pause_ms)));
        Some(self.first_came.max(quiet.max(apart).unwrap_or_default()))
    }

    /// Takes what goes into a start, at the time at which it is due or later.
    pub fn take(&mut self, trigger: &Trigger, now: Timestamp) -> Option<Start> {
        let mut bytes = 0;
        let mut fits = |event: &Arc<Event>| {
            bytes += event.text_bytes();
            bytes <= START_BYTES
        };
        let most = trigger.batch_max.max(1) as usize;
        let events: Vec<Arc<Event>> = if trigger.coalesces() {
            let fitting = self.waiting.iter().rev().take(most).take_while(|event| fits(event)).count().max(1);
            let over = self.waiting.len().saturating_sub(fitting);
            self.passed_over += over as u64;
            self.waiting.drain(..).skip(over).collect()
        } else {
            let fitting = self.waiting.iter().take(most).take_while(|event| fits(event)).count().max(1);
            self.waiting.drain(..fitting.min(self.waiting.len())).collect()
        };
        if events.is_empty() {
            return None;
        }
        self.bytes = self.waiting.iter().map(|event| event.text_bytes()).sum();
        self.last_start = Some(now);
        Some(Start { events, passed_over: std::mem::take(&mut self.passed_over) })
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{event::Incoming, json::Json};

    fn trigger(debounce_ms: Option<u64>, throttle_ms: Option<u64>, batch_max: u32) -> Trigger {
        Trigger { filter: Filter::default(), method: Text::from("a/b"), debounce_ms, throttle_ms, batch_max }
    }

    fn event(number: u64, bytes: usize) -> Arc<Event> {
        let incoming = Incoming {
            event_type: "order:placed".to_owned(),
            source_component: "shop".to_owned(),
            payload: Some(Json::from(serde_json::json!("x".repeat(bytes)))),
            ..Incoming::default()
        };
        let draft = incoming.into_draft(Timestamp(1), Uuid::from_u128(u128::from(number)), &Default::default()).unwrap();
        Arc::new(draft.into_event(number, Timestamp(2)))
    }

    /// Milliseconds at which events come → what is started when: the milliseconds, the numbers of the events, how many were passed over.
    fn started(trigger: &Trigger, came_ms: &[u64]) -> Vec<(u64, Vec<u64>, u64)> {
        let begun = Timestamp(1_000_000);
        let at = |ms: u64| begun.plus_ms(ms);
        let ms = |time: Timestamp| time.ms_since(begun);
        let mut gathering = Gathering::default();
        let mut told = Vec::new();
        let mut start_until = |gathering: &mut Gathering, until: Timestamp| {
            let mut now = Timestamp(0);
            while let Some(due) = gathering.due(trigger).filter(|due| *due <= until) {
                now = now.max(due);
                let Start { events, passed_over } = gathering.take(trigger, now).expect("something is due");
                told.push((ms(now), events.iter().map(|event| event.sequence_number).collect(), passed_over));
            }
        };
        for (number, came) in (1..).zip(came_ms) {
            start_until(&mut gathering, Timestamp(at(*came).0.saturating_sub(1)));
            gathering.came(trigger, event(number, 1), at(*came));
        }
        start_until(&mut gathering, at(1_000_000));
        assert!(gathering.is_empty());
        told
    }

    #[test]
    fn without_more_each_event_is_a_start_at_once() {
        let plain = trigger(None, None, 1);
        assert_eq!(started(&plain, &[0, 0, 5]), [(0, vec![1], 0), (0, vec![2], 0), (5, vec![3], 0)]);
    }

    #[test]
    fn a_batch_is_what_waits() {
        let three = trigger(None, None, 3);
        assert_eq!(started(&three, &[0, 0, 0, 0, 9]), [(0, vec![1, 2, 3], 0), (0, vec![4], 0), (9, vec![5], 0)]);
    }

    #[test]
    fn a_burst_is_one_start_once_it_is_over() {
        assert_eq!(started(&trigger(Some(100), None, 1), &[0, 50, 140, 900]), [(240, vec![3], 2), (1_000, vec![4], 0)]);
        assert_eq!(started(&trigger(Some(100), None, 2), &[0, 50, 140]), [(240, vec![2, 3], 1)]);
        // What never pauses is started all the same, ten pauses after it began.
        let endless: Vec<u64> = (0..15).map(|number| number * 99).collect();
        let told = started(&trigger(Some(100), None, 1), &endless);
        assert_eq!(told[0], (1_000, vec![11], 10));
    }

    #[test]
    fn starts_keep_apart() {
        let apart = trigger(None, Some(100), 1);
        assert_eq!(started(&apart, &[0, 10, 20, 300]), [(0, vec![1], 0), (100, vec![3], 1), (300, vec![4], 0)]);
        assert_eq!(started(&trigger(None, Some(100), 10), &[0, 10, 20]), [(0, vec![1], 0), (100, vec![2, 3], 0)]);
        let both = trigger(Some(30), Some(100), 1);
        assert_eq!(started(&both, &[0, 40, 50]), [(30, vec![1], 0), (130, vec![3], 1)]);
    }

    #[test]
    fn what_would_not_fit_into_a_start_is_not_held_until_then() {
        let (trigger, mut gathering) = (trigger(None, Some(1_000), 1_000), Gathering::since(Some(Timestamp(0))));
        let large = START_BYTES as usize / 4;
        (1..=50).for_each(|number| gathering.came(&trigger, event(number, large), Timestamp(1)));
        assert!(gathering.bytes <= START_BYTES && gathering.waiting.len() < 4, "{} bytes", gathering.bytes);
        let start = gathering.take(&trigger, Timestamp(u64::MAX)).unwrap();
        assert_eq!((start.events.len() as u64 + start.passed_over, start.events.last().unwrap().sequence_number), (50, 50));
        assert_eq!(gathering.bytes, 0);
    }

    #[test]
    fn a_start_has_bounded_bytes_and_one_event_at_least() {
        let large = START_BYTES as usize / 2;
        let mut gathering = Gathering::default();
        let four = trigger(None, None, 4);
        for number in 1..=3 {
            gathering.came(&four, event(number, large), Timestamp(0));
        }
        gathering.came(&four, event(4, 2 * large), Timestamp(0));
        assert!(gathering.is_full(&four));
        let mut numbers =
            || gathering.take(&four, Timestamp(0)).map(|start| start.events.iter().map(|event| event.sequence_number).collect());
        let told: Vec<Vec<u64>> = std::iter::from_fn(&mut numbers).collect();
        assert_eq!(told, [vec![1], vec![2], vec![3], vec![4]]);
    }
}
