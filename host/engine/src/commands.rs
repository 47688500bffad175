//! Commands: what edges ask the engine for. They come through the same door as every event, and the workflow loop appends them
//! in one commit with what follows from them.

use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use tokio::sync::oneshot;
use trackside_model::{
    control::{DecisionRecord, Passed},
    event::{Draft, Incoming, Metadata, Rejection, RejectionKind, Text},
    json::Json,
    plugin::Digest,
    ports::Outbox,
    workflow::{Definition, DefinitionError, Format, Submission},
};
use trackside_store::{AppendError, Appended};
use uuid::Uuid;

use crate::{
    answer::{Answer, Caller},
    chain::Asked,
    clock,
    engine::Shared,
    publish::{AtDoor, CHANGED_UNDER_HANDLERS, Judged, MOST_RERUNS, without_the_hosts},
    workflows::{Command, Does, Message},
};

/// A workflow to be run.
#[derive(Clone, Debug)]
pub struct SubmitRequest {
    /// Its definition, YAML or JSON.
    pub definition: String,
    /// Which of the two.
    pub format: Format,
    /// What it runs on; references reach it as `${workflow.input.…}`.
    pub input: Json,
    /// The submitter's name for this request: the same again answers with the first one's workflow.
    pub event_id: Option<Uuid>,
    /// Of all the workflow's events; the workflow's id if absent.
    pub correlation_id: Option<String>,
    /// Carried on to every event of the workflow.
    pub metadata: Metadata,
}

/// Why a workflow is not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SubmitError {
    /// Everything that is wrong with the definition.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Definition(Vec<DefinitionError>),
    /// Something else about the request.
    #[error(transparent)]
    Rejected(#[from] Rejection),
}

/// The payload of `workflow:submit` from an edge: the definition itself, or the digest of one that the host has.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubmitPayload {
    definition: serde_json::Value,
    #[serde(default)]
    input: Option<Json>,
    #[serde(default)]
    #[expect(dead_code, reason = "part of the event as it stands in the log; the definition's own name is what counts")]
    name: Option<String>,
}

/// The payload of `workflow:cancel`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CancelPayload {
    #[serde(default)]
    workflow_id: Option<String>,
    #[serde(default)]
    reason: Option<String>,
}

impl Shared {
    /// Submits a workflow.
    pub(crate) async fn submit(self: &Arc<Self>, request: SubmitRequest, caller: Caller) -> Result<Answer, SubmitError> {
        if self.stopping.is_set() {
            return Ok(Answer::stopping());
        }
        let Ok(_slot) = self.slots.try_acquire() else {
            return Ok(Answer::busy(format!("{} publishes are under way, which is the most at a time", self.options.publish_slots), 50));
        };
        let definition = self.definition(&request.definition, request.format, request.event_id).map_err(SubmitError::Definition)?;
        let payload = serde_json::json!({"name": &*definition.name, "definition": definition.digest, "input": request.input});
        let origin = serde_json::to_value(caller.origin).ok().and_then(|origin| origin.as_str().map(str::to_owned));
        let incoming = Incoming {
            event_id: request.event_id,
            event_type: "workflow:submit".to_owned(),
            source_component: caller.principal.as_deref().map(str::to_owned).or(origin).unwrap_or_default(),
            correlation_id: request.correlation_id,
            payload: Some(payload.into()),
            metadata: without_the_hosts(request.metadata),
            ..Incoming::default()
        };
        let (given_id, given_correlation) = (incoming.event_id, incoming.correlation_id.is_some());
        let draft = incoming.into_draft(clock::now(), clock::fresh_id(), &self.options.envelope)?;
        let at_door =
            AtDoor { draft, given_id, given_correlation, caller, expected: None, outbox_row: None, hops: 0, content: OnceLock::new() };
        Ok(self.submitted(at_door, definition, request.input).await)
    }

    /// A command that came as an event.
    pub(crate) async fn command(self: &Arc<Self>, at_door: AtDoor) -> Answer {
        match &*at_door.draft.event_type {
            "workflow:submit" => match self.read_submit(&at_door.draft, at_door.given_id) {
                Ok((definition, input)) => self.submitted(at_door, definition, input).await,
                Err(rejection) => Answer::rejected(rejection),
            },
            "workflow:cancel" => self.cancelled(at_door).await,
            other => {
                let message = format!("this host does not carry out '{other}'; it knows workflow:submit and workflow:cancel");
                Answer::rejected(Rejection { kind: RejectionKind::Forbidden, field: "event_type".to_owned(), message })
            }
        }
    }

    fn read_submit(&self, draft: &Draft, given_id: Option<Uuid>) -> Result<(Arc<Definition>, Json), Rejection> {
        let payload: SubmitPayload = draft.payload.read().map_err(|error| Rejection::malformed("payload", error.to_string()))?;
        let wrong = |errors: Vec<DefinitionError>| {
            Rejection::malformed("payload.definition", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        };
        let definition = match payload.definition {
            serde_json::Value::String(digest) => {
                let digest: Digest = digest.parse().map_err(|error: String| Rejection::malformed("payload.definition", error))?;
                let bytes = self.store.blob(&digest).map_err(|error| Rejection::malformed("payload.definition", error.to_string()))?;
                let bytes = bytes
                    .ok_or_else(|| Rejection::malformed("payload.definition", format!("no definition {digest} is here; send it whole")))?;
                self.definition(&String::from_utf8_lossy(&bytes), Format::Json, given_id).map_err(wrong)?
            }
            other => self.definition(&other.to_string(), Format::Json, given_id).map_err(wrong)?,
        };
        Ok((definition, payload.input.unwrap_or_else(|| Json::trusted("{}"))))
    }

    /// Reads a definition, or remembers it, and checks that somebody offers its methods: unless it was submitted before, since who asks again
    /// after a plugin has gone is to be told of the first time.
    fn definition(&self, text: &str, format: Format, given_id: Option<Uuid>) -> Result<Arc<Definition>, Vec<DefinitionError>> {
        self.offered_definition(text, format).or_else(|errors| {
            let submitted_before = given_id.is_some_and(|id| matches!(self.store.find(&id), Ok(Some(_))));
            if submitted_before { Definition::parse(text, format).map(Arc::new) } else { Err(errors) }
        })
    }

    fn offered_definition(&self, text: &str, format: Format) -> Result<Arc<Definition>, Vec<DefinitionError>> {
        let methods = self.roster.load().methods();
        let offered = methods.iter().map(|method| &**method);
        let digest = Digest::of(text.as_bytes());
        let remembered = self.definitions.lock().get(&digest).cloned();
        if let Some(definition) = remembered {
            let errors = definition.check_methods(offered);
            return if errors.is_empty() { Ok(definition) } else { Err(errors) };
        }
        let definition = Arc::new(Definition::parse_offered(text, format, offered)?);
        self.definitions.lock().put(digest, definition.clone());
        Ok(definition)
    }

    async fn submitted(self: &Arc<Self>, at_door: AtDoor, definition: Arc<Definition>, input: Json) -> Answer {
        // The submission's id is the workflow's: whoever submits twice is told of the same one.
        let workflow_id = Text::from(at_door.draft.event_id.to_string());
        let draft = at_door.draft.clone().of_workflow(&workflow_id).with_payload(Json::from_value(
            &serde_json::json!({"name": &*definition.name, "definition": definition.digest, "input": input}),
        ));
        let submission = Submission {
            workflow_id,
            definition,
            input,
            correlation_id: draft.correlation_id.clone(),
            cause: Text::from(draft.event_id.to_string()),
            metadata: draft.metadata.clone(),
            origin: at_door.caller.origin,
            principal: at_door.caller.principal.clone(),
        };
        self.carry_out(AtDoor { draft, ..at_door }, Does::Submit(submission)).await
    }

    async fn cancelled(self: &Arc<Self>, at_door: AtDoor) -> Answer {
        let payload: CancelPayload = match at_door.draft.payload.read() {
            Ok(payload) => payload,
            Err(error) => return Answer::rejected(Rejection::malformed("payload", error.to_string())),
        };
        let Some(workflow_id) = payload.workflow_id.map(Text::from).or_else(|| at_door.draft.workflow_id.clone()) else {
            return Answer::rejected(Rejection::malformed("workflow_id", "required: the workflow to be cancelled"));
        };
        if let Some(id) = at_door.given_id
            && let Ok(Some(found)) = self.store.find(&id)
        {
            let at_door = AtDoor { draft: at_door.draft.clone().of_workflow(&workflow_id), ..at_door };
            return self.twin_of(&at_door, &found).await;
        }
        if self.show(&workflow_id).await.is_none_or(|view| view.status.is_final()) {
            let message = match self.store.workflow(&workflow_id) {
                Ok(Some(row)) if row.ended_at.is_some() => format!("'{workflow_id}' has ended already: {}", row.status),
                Ok(_) => format!("no workflow '{workflow_id}' is known; `trackside workflow list` shows them"),
                Err(error) => return Answer::unknown(error.to_string(), at_door.draft.event_id),
            };
            return Answer::rejected(Rejection::malformed("workflow_id", message));
        }
        let by = at_door.caller.principal.clone().unwrap_or_else(|| at_door.draft.source_component.clone());
        let draft = at_door.draft.clone().of_workflow(&workflow_id);
        let does = Does::Cancel { workflow_id, reason: payload.reason.unwrap_or_else(|| "cancelled".to_owned()), by };
        self.carry_out(AtDoor { draft, ..at_door }, does).await
    }

    /// Identity → chain → loop; the answer goes out after the commit.
    async fn carry_out(self: &Arc<Self>, at_door: AtDoor, does: Does) -> Answer {
        let claim = match self.identify(&at_door).await {
            Ok(claim) => claim,
            Err(answer) => return answer,
        };
        let event_id = at_door.draft.event_id;
        for _ in 0..=MOST_RERUNS {
            let asked = match self.ask_about(&at_door).await {
                Ok(asked) => asked,
                Err(answer) => return answer,
            };
            let Asked { verdict, record, outboxes } = asked;
            let passed = verdict.let_through(at_door.draft.clone());
            let told = match passed {
                Ok(passed) => self.tell_of_command(&at_door, passed, record, outboxes, does.clone()),
                Err(draft) => {
                    let judged = Judged { passed: Err(draft), verdict, record, outboxes };
                    match self.append_judged(&at_door, judged) {
                        Ok((answer, original)) => return self.reply(answer, original, claim).await,
                        Err(AppendError::Conflict { .. }) => continue,
                        Err(error) => return Answer::not_appended(&error, event_id),
                    }
                }
            };
            match told.await {
                Ok(Err(AppendError::Conflict { .. })) => {}
                Ok(appended) => {
                    drop(claim);
                    return self.command_answer(appended, event_id, at_door.draft.workflow_id.clone()).await;
                }
                Err(_) => return Answer::unknown("the workflows stand still; restart the host", event_id),
            }
        }
        Answer::busy(CHANGED_UNDER_HANDLERS, 50)
    }

    fn tell_of_command(
        &self,
        at_door: &AtDoor,
        passed: Passed,
        record: Option<Arc<DecisionRecord>>,
        released: Vec<(Text, Outbox)>,
        does: Does,
    ) -> oneshot::Receiver<Result<Appended, AppendError>> {
        let (reply, told) = oneshot::channel();
        let command = Command {
            passed,
            given_id: at_door.given_id.is_some(),
            record,
            released,
            outbox_row: at_door.outbox_row,
            hops: at_door.hops,
            does,
            reply,
        };
        self.tell_loop(Message::Command(Box::new(command)));
        told
    }

    async fn command_answer(&self, appended: Result<Appended, AppendError>, event_id: Uuid, workflow_id: Option<Text>) -> Answer {
        let (ticket, answer) = match appended {
            Ok(appended) => {
                let sequence = appended.events.first().map_or(0, |event| event.sequence_number);
                (appended.ticket, Answer::appended(sequence, event_id, workflow_id))
            }
            Err(AppendError::Duplicate { found, .. }) => (
                found.ticket.clone(),
                Answer::duplicate(found.sequence, event_id, found.event().and_then(|event| event.workflow_id.clone())),
            ),
            Err(error) => return Answer::not_appended(&error, event_id),
        };
        match ticket.durable().await {
            Ok(()) => answer,
            Err(poisoned) => Answer::unknown(poisoned.to_string(), event_id),
        }
    }
}
