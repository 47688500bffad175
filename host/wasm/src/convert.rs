//! Owns the translation between the contract's generated types and the model's.
//! Leaves checking what a plugin may say to the linker's files and to `describe`.

use trackside_model::{
    control::{CheckContext, Signal},
    event::{Condition, Event, Filter, FilterError, Pattern, Severity, Text},
    json::{Json, JsonError},
    ports::{Failure, TaskCall},
};

use crate::{
    bindings::{
        exports::trackside::{packed::control as packed, plugin::control, plugin::worker},
        trackside::plugin::{events::Refusal, types},
    },
    fault,
};

/// Levels of nesting in JSON that a plugin hands back.
const JSON_DEPTH: usize = 64;

/// JSON from a plugin. Its size is bounded already: nothing larger comes through a host call.
pub(crate) fn json(text: &str) -> Result<Json, JsonError> {
    Json::check(text, usize::MAX, JSON_DEPTH)
}

pub(crate) fn refusal_of_json(error: &JsonError) -> Refusal {
    match error {
        JsonError::Syntax { .. } => Refusal::Invalid,
        JsonError::TooLarge { .. } | JsonError::TooDeep { .. } => Refusal::TooLarge,
    }
}

pub(crate) fn severity(severity: types::Severity) -> Severity {
    Severity::ALL[severity as usize]
}

/// A filter of the contract.
pub(crate) fn filter(filter: types::Filter) -> Result<Filter, FilterError> {
    let patterns = |texts: Vec<String>| texts.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>();
    Ok(Filter {
        event_types: filter.event_types.map(patterns).transpose()?,
        min_severity: filter.min_severity.map(severity),
        source_components: filter.source_components,
        correlation_ids: filter.correlation_ids,
        workflow_ids: filter.workflow_ids,
        task_ids: filter.task_ids,
        provider_ids: filter.provider_ids,
        when: filter.when.as_deref().map(Condition::parse).transpose()?,
    })
}

/// An event of the log, handed to a guest.
pub(crate) fn event(event: &Event) -> types::EventResult {
    let text = |text: &Option<Text>| text.as_deref().map(str::to_owned);
    types::EventResult {
        event_id: event.event_id.to_string(),
        event_type: event.event_type.to_string(),
        sequence_number: event.sequence_number,
        part: event.part,
        timestamp: event.timestamp.0,
        recorded_at: event.recorded_at.0,
        source_component: event.source_component.to_string(),
        correlation_id: event.correlation_id.to_string(),
        causation_id: text(&event.causation_id),
        workflow_id: text(&event.workflow_id),
        task_id: text(&event.task_id),
        provider_id: text(&event.provider_id),
        severity: severity_of(event.severity),
        payload: event.payload.to_string(),
        metadata: event.metadata.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

fn severity_of(severity: Severity) -> types::Severity {
    match severity {
        Severity::Debug => types::Severity::Debug,
        Severity::Info => types::Severity::Info,
        Severity::Warning => types::Severity::Warning,
        Severity::Error => types::Severity::Error,
        Severity::Critical => types::Severity::Critical,
    }
}

/// The texts of an event that its record borrows: they must live while the record is lowered.
pub(crate) struct RecordTexts<'a> {
    event: &'a Event,
    id: [u8; uuid::fmt::Hyphenated::LENGTH],
    metadata: Vec<(&'a str, &'a str)>,
}

impl<'a> RecordTexts<'a> {
    pub(crate) fn new(event: &'a Event) -> Self {
        let mut id = [0; uuid::fmt::Hyphenated::LENGTH];
        event.event_id.hyphenated().encode_lower(&mut id);
        let metadata = event.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        Self { event, id, metadata }
    }

    pub(crate) fn record(&self) -> types::EventParam<'_> {
        let event = self.event;
        types::EventParam {
            event_id: std::str::from_utf8(&self.id).expect("a UUID's digits are ASCII"),
            event_type: &event.event_type,
            sequence_number: event.sequence_number,
            part: event.part,
            timestamp: event.timestamp.0,
            recorded_at: event.recorded_at.0,
            source_component: &event.source_component,
            correlation_id: &event.correlation_id,
            causation_id: event.causation_id.as_deref(),
            workflow_id: event.workflow_id.as_deref(),
            task_id: event.task_id.as_deref(),
            provider_id: event.provider_id.as_deref(),
            severity: severity_of(event.severity),
            payload: event.payload.as_str(),
            metadata: &self.metadata,
        }
    }
}

pub(crate) fn context<'a>(context: &CheckContext, principal: Option<&'a str>, remaining_ms: u64) -> control::Context<'a> {
    const POINTS: [control::DecisionPoint; 6] = [
        control::DecisionPoint::Publish,
        control::DecisionPoint::WorkflowSubmitted,
        control::DecisionPoint::TaskReady,
        control::DecisionPoint::CandidateFound,
        control::DecisionPoint::TaskCompleted,
        control::DecisionPoint::TaskFailed,
    ];
    const ORIGINS: [control::Origin; 7] = [
        control::Origin::Http,
        control::Origin::Cli,
        control::Origin::StreamClient,
        control::Origin::Inbox,
        control::Origin::Plugin,
        control::Origin::Embedded,
        control::Origin::Host,
    ];
    control::Context {
        point: POINTS[usize::from(context.point.ordinal())],
        attempt: context.attempt,
        now: context.now.0,
        elapsed_ms: context.elapsed_ms,
        remaining_ms,
        origin: ORIGINS[usize::from(context.origin.ordinal())],
        principal,
    }
}

/// A signal's value, which must be JSON.
fn value(signal: &str, text: &str) -> wasmtime::Result<Json> {
    json(text).map_err(|error| fault::malformed(format!("it answered {signal} with a value that is not JSON: {error}")))
}

fn proceed(amendment: Option<String>) -> wasmtime::Result<Signal> {
    Ok(Signal::Proceed(amendment.map(|text| value("proceed", &text)).transpose()?))
}

pub(crate) fn signal(signal: control::Signal) -> wasmtime::Result<Signal> {
    Ok(match signal {
        control::Signal::Proceed(amendment) => return proceed(amendment),
        control::Signal::Skip(reason) => Signal::Skip(reason),
        control::Signal::Retry(delay) => Signal::Retry { after_ms: delay.after_ms, reason: delay.reason },
        control::Signal::Fallback(with) => Signal::Fallback { value: value("fallback", &with.value)?, reason: with.reason },
        control::Signal::Fail(reason) => Signal::Fail(reason),
        control::Signal::Error(reason) => Signal::Error(reason),
    })
}

pub(crate) fn packed_signal(signal: packed::Signal) -> wasmtime::Result<Signal> {
    Ok(match signal {
        packed::Signal::Proceed(amendment) => return proceed(amendment),
        packed::Signal::Skip(reason) => Signal::Skip(reason),
        packed::Signal::Retry(delay) => Signal::Retry { after_ms: delay.after_ms, reason: delay.reason },
        packed::Signal::Fallback(with) => Signal::Fallback { value: value("fallback", &with.value)?, reason: with.reason },
        packed::Signal::Fail(reason) => Signal::Fail(reason),
        packed::Signal::Error(reason) => Signal::Error(reason),
    })
}

/// The answers of a batch, as many as were announced, each about another of its events, in their order.
pub(crate) fn verdicts(answers: Vec<(u32, packed::Signal)>, announced: u32, asked: usize) -> wasmtime::Result<Vec<(usize, Signal)>> {
    if answers.len() != announced as usize {
        let given = answers.len();
        return Err(fault::malformed(format!("it announced {announced} verdicts about a batch and gave {given}")));
    }
    let mut next = 0;
    let in_order = answers.into_iter().map(|(place, answer)| {
        let place = place as usize;
        if place < next || place >= asked {
            return Err(fault::malformed(format!(
                "it gave a verdict about event {place} of a batch of {asked}, out of order or beyond it"
            )));
        }
        next = place + 1;
        Ok((place, packed_signal(answer)?))
    });
    in_order.collect()
}

/// The metadata of a task, as its record borrows it.
pub(crate) fn task_metadata(task: &TaskCall) -> Vec<(&str, &str)> {
    task.metadata.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

pub(crate) fn task<'a>(task: &'a TaskCall, metadata: &'a [(&'a str, &'a str)], timeout_ms: u64) -> worker::Task<'a> {
    worker::Task {
        method: &task.method,
        parameters: task.parameters.as_str(),
        workflow_id: &task.workflow_id,
        task_id: &task.task_id,
        attempt: task.attempt,
        idempotency_key: &task.idempotency_key,
        correlation_id: &task.correlation_id,
        timeout_ms,
        metadata,
    }
}

/// Bytes of a task's texts.
pub(crate) fn task_bytes(task: &TaskCall) -> u64 {
    let texts = [&task.method, &task.workflow_id, &task.task_id, &task.idempotency_key, &task.correlation_id];
    let texts: usize = texts.into_iter().map(|text| text.len()).sum();
    let metadata: usize = task.metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    (texts + metadata + task.parameters.as_str().len()) as u64
}

pub(crate) fn result(answer: Result<String, worker::Failure>) -> wasmtime::Result<Result<Json, Failure>> {
    match answer {
        Ok(text) => json(&text).map(Ok).map_err(|error| fault::malformed(format!("its result is not JSON: {error}"))),
        Err(failure) => {
            let details = failure.details.as_deref().map(json).transpose();
            let details = details.map_err(|error| fault::malformed(format!("the details of its failure are not JSON: {error}")))?;
            let worker::Failure { message, code, retryable, retry_after_ms, .. } = failure;
            Ok(Err(Failure { message, code, retryable, retry_after_ms, details }))
        }
    }
}
