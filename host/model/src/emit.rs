//! Typed events: what a publisher may say with the open types of the catalogue, one struct each. A program adds its own by the same trait.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Severity;

/// A payload that knows its event's type.
pub trait Emit: Serialize {
    /// `component:action`.
    const EVENT_TYPE: &'static str;
    /// How much it matters, if nothing else is said.
    const SEVERITY: Severity = Severity::Info;
}

/// Declares payloads with their types, and the list of them.
macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident = $event_type:literal, $severity:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
            #[serde(default)]
            pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

            impl Emit for $name {
                const EVENT_TYPE: &'static str = $event_type;
                const SEVERITY: Severity = Severity::$severity;
            }
        )*

        /// The types of all of them.
        pub const EMITTED: &[&str] = &[$($event_type),*];
    };
}

payloads! {
    /// Something is as somebody must know.
    AlertTriggered = "alert:triggered", Warning {
        /// Which rule says so.
        rule: String,
        /// Of what: a value of the field that the rule counts by.
        #[serde(skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// How often it happened within the rule's window.
        count: u64,
        /// The window, in milliseconds.
        window_ms: u64,
    }

    /// A background process has begun.
    DaemonStarted = "daemon:started", Info {
        /// Its name.
        daemon: String,
        /// Where it runs.
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<String>,
    }

    /// A background process is in another state.
    DaemonStatusChanged = "daemon:status_changed", Info {
        /// Its name.
        daemon: String,
        /// The state before.
        from: String,
        /// The state now.
        to: String,
    }

    /// A background process has ended.
    DaemonStopped = "daemon:stopped", Info {
        /// Its name.
        daemon: String,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }

    /// A language model was asked something.
    LlmPromptSent = "llm:prompt_sent", Info {
        /// The model.
        model: String,
        /// Which question, to find its answer by.
        request_id: String,
        /// The prompt, or what of it may be kept.
        #[serde(skip_serializing_if = "Value::is_null")]
        prompt: Value,
        /// Tokens of the prompt.
        #[serde(skip_serializing_if = "Option::is_none")]
        tokens: Option<u64>,
    }

    /// A language model has answered.
    LlmResponseReceived = "llm:response_received", Info {
        /// The model.
        model: String,
        /// The question.
        request_id: String,
        /// The answer, or what of it may be kept.
        #[serde(skip_serializing_if = "Value::is_null")]
        response: Value,
        /// Tokens of the answer.
        #[serde(skip_serializing_if = "Option::is_none")]
        tokens: Option<u64>,
        /// How long it took, in milliseconds.
        duration_ms: u64,
    }

    /// Measurements of one stretch of time.
    MetricsCollected = "metrics:collected", Debug {
        /// The figures, by name.
        figures: Value,
        /// The length of the stretch, in milliseconds.
        window_ms: u64,
    }

    /// A tool was called.
    ToolCalled = "tool:called", Info {
        /// The tool.
        tool: String,
        /// Which call, to find its end by.
        call_id: String,
        /// What it was given.
        #[serde(skip_serializing_if = "Value::is_null")]
        arguments: Value,
    }

    /// A tool has answered, or failed.
    ToolCompleted = "tool:completed", Info {
        /// The tool.
        tool: String,
        /// The call.
        call_id: String,
        /// How long it took, in milliseconds.
        duration_ms: u64,
        /// What came of it.
        #[serde(skip_serializing_if = "Value::is_null")]
        result: Value,
        /// Why it failed, if it did.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{ENTRIES, Owner};

    #[test]
    fn every_open_type_of_the_catalogue_is_typed() {
        let open: Vec<&str> = ENTRIES.iter().filter(|entry| entry.owner == Owner::Open).map(|entry| entry.event_type).collect();
        assert_eq!(open, EMITTED);
    }

    #[test]
    fn what_is_not_said_is_left_out() {
        let called = ToolCalled { tool: "search".to_owned(), call_id: "1".to_owned(), ..ToolCalled::default() };
        assert_eq!(serde_json::to_string(&called).unwrap(), r#"{"tool":"search","call_id":"1"}"#);
        assert_eq!((ToolCalled::EVENT_TYPE, AlertTriggered::SEVERITY), ("tool:called", Severity::Warning));
    }
}
