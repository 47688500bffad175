//! One event on its way to readers: its JSON is made once, whoever reads it.

use std::sync::{Arc, OnceLock};

use trackside_model::event::{Event, Position, cloud_event::Form};

/// An event with the text that all its readers are sent.
#[derive(Debug)]
pub struct Frame {
    event: Arc<Event>,
    json: OnceLock<String>,
    cloud_event: OnceLock<String>,
}

impl Frame {
    pub(crate) fn new(event: Arc<Event>) -> Arc<Self> {
        Arc::new(Self { event, json: OnceLock::new(), cloud_event: OnceLock::new() })
    }

    /// The event.
    pub fn event(&self) -> &Arc<Event> {
        &self.event
    }

    /// Where it stands in the log.
    pub fn position(&self) -> Position {
        self.event.position()
    }

    /// The envelope as JSON on one line. Empty only if it cannot be written, which is an error in the host's log.
    pub fn json(&self) -> &str {
        self.json_in(Form::Trackside)
    }

    /// The same in another form.
    pub fn json_in(&self, form: Form) -> &str {
        let made = match form {
            Form::Trackside => &self.json,
            Form::CloudEvents => &self.cloud_event,
        };
        made.get_or_init(|| match form.json(&self.event) {
            // A payload keeps the text it came in, which may be laid out over lines.
            Ok(text) if text.contains(['\n', '\r']) => text.replace(['\n', '\r'], " "),
            Ok(text) => text,
            Err(error) => {
                tracing::error!("event {} could not be written: {error}", self.position());
                String::new()
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_its_payload_was_laid_out_like() {
        let event: Event = serde_json::from_str(
            "{\"event_id\": \"0198f2b4-0000-7000-8000-000000000001\", \"event_type\": \"a:b\", \"timestamp\": \"2026-01-31T10:30:00Z\",
              \"recorded_at\": \"2026-01-31T10:30:00Z\", \"sequence_number\": 12, \"part\": 3, \"source_component\": \"s\",
              \"correlation_id\": \"c\", \"severity\": \"info\", \"payload\": {\n  \"laid\": \"out\\n\"\r\n}}",
        )
        .unwrap();
        let frame = Frame::new(Arc::new(event.clone()));
        assert_eq!(frame.json().lines().count(), 1);
        let again: Event = serde_json::from_str(frame.json()).unwrap();
        assert_eq!(again.payload.to_value(), event.payload.to_value());
    }
}
