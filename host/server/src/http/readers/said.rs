//! What a client says of events that a durable reader handed it: done, given back, or more time. The same over HTTP and over a WebSocket.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use trackside_engine::{DurableReader, ReadersError};
use trackside_model::{event::Position, reader::Place};

use super::Problem;

/// Things said in one message at most.
const MOST_SAID: usize = 10_000;

/// What a client says.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Said {
    /// These are done.
    acknowledge: Vec<Place>,
    /// These could not be done.
    give_back: Vec<GivenBack>,
    /// These need more time.
    extend: Vec<Held>,
}

/// One that could not be done.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenBack {
    position: Place,
    delivery: u32,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

/// One that a client has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    position: Place,
    delivery: u32,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Heard {
    /// Durable now: they do not come again.
    acknowledged: Vec<Place>,
    /// They come again, or are dead letters.
    given_back: Vec<Place>,
    /// They have as much time again.
    extended: Vec<Place>,
    /// They were not out: settled before, or handed out again since.
    not_out: Vec<Place>,
}

impl Said {
    /// Reads a message.
    ///
    /// # Errors
    /// A problem (422) that says what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let wrong = |detail: String| Problem::refused(StatusCode::UNPROCESSABLE_ENTITY, detail);
        let said: Self = serde_json::from_str(text).map_err(|error| {
            wrong(format!(
                "{error}; write {{\"acknowledge\": [\"12\"], \"give_back\": [{{\"position\": \"13\", \"delivery\": 1, \"reason\": \"…\"}}], \
                 \"extend\": [{{\"position\": \"14\", \"delivery\": 1}}]}}, or some of it"
            ))
        })?;
        let count = said.acknowledge.len() + said.give_back.len() + said.extend.len();
        if count > MOST_SAID {
            return Err(wrong(format!("{count} events are more than the {MOST_SAID} of one message; say it in several")));
        }
        Ok(said)
    }

    /// Tells the reader, and waits until what is done is durable.
    pub(super) async fn tell(self, reader: &DurableReader) -> Result<Heard, ReadersError> {
        let mut heard = Heard::default();
        for GivenBack { position, delivery, reason, retry_after_ms } in self.give_back {
            let reason = if reason.is_empty() { "given back without a reason" } else { &reason };
            let given = reader.give_back(position.0, delivery, reason, retry_after_ms)?;
            if given { &mut heard.given_back } else { &mut heard.not_out }.push(position);
        }
        for Held { position, delivery } in self.extend {
            let extended = reader.extend(position.0, delivery)?;
            if extended { &mut heard.extended } else { &mut heard.not_out }.push(position);
        }
        if !self.acknowledge.is_empty() {
            let positions: Vec<Position> = self.acknowledge.iter().map(|place| place.0).collect();
            let before = reader.acknowledge(&positions).await?;
            let (not_out, acknowledged): (Vec<Place>, Vec<Place>) =
                self.acknowledge.into_iter().partition(|place| before.contains(&place.0));
            heard.acknowledged = acknowledged;
            heard.not_out.extend(not_out);
        }
        Ok(heard)
    }

    /// The events that it is about and that the client has no more.
    pub(super) fn settles(&self) -> impl Iterator<Item = Position> {
        self.acknowledge.iter().map(|place| place.0).chain(self.give_back.iter().map(|given| given.position.0))
    }
}
