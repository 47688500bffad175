//! One request: what it carries, how it is signed, and what its answer means.
//! Which events go together is the plugin's.

use trackside_sdk::{Delivery, Error, Event, http, secrets};

use crate::settings::Wanted;

/// What became of a request that was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Taken.
    Delivered,
    /// Refused with this status, and would be again.
    GivenUp(u16),
}

/// Posts these events.
///
/// # Errors
/// Where posting again may help, and where the operator has to do something first.
pub(crate) fn post(wanted: &Wanted, events: &[Event], delivery: &Delivery) -> Result<Outcome, Error> {
    let body = body(wanted, events);
    let mut request = http::post(&wanted.url)
        .header("content-type", "application/json")
        .header("user-agent", concat!("trackside-webhook/", env!("CARGO_PKG_VERSION")))
        .timeout_ms(wanted.timeout_ms);
    for (name, value) in &wanted.headers {
        request = request.header(name, value.as_str());
    }
    if let [event] = events {
        request = request.header("idempotency-key", event.event_id());
        // A delivery may have events of several traces, of which the host cannot know which one this request is about.
        for header in ["traceparent", "tracestate"] {
            if let Some(value) = event.metadata(header) {
                request = request.header(header, value);
            }
        }
    }
    if let Some(secret) = &wanted.secret {
        let at_s = delivery.now_ns / 1_000_000_000;
        let signature = secrets::hmac_hex(secret, signed(at_s, &body).as_bytes()).map_err(|refusal| of_secret(secret, refusal))?;
        request = request.header("trackside-signature", format!("t={at_s},v1={signature}"));
    }
    if let Some(secret) = &wanted.bearer {
        request = request.bearer(&secrets::placeholder(secret).map_err(|refusal| of_secret(secret, refusal))?);
    }
    let answer = request.body(body).send().map_err(|error| Error::new(format!("{}: {error}", place(&wanted.url))))?;
    outcome(wanted, answer.status)
}

/// One event is an object, where one is asked for; else they are an array, however few are left.
fn body(wanted: &Wanted, events: &[Event]) -> String {
    match events {
        [event] if wanted.batch == 1 => event.to_json(),
        events => format!("[{}]", events.iter().map(Event::to_json).collect::<Vec<_>>().join(",")),
    }
}

/// What the signature is of: a time, so that nobody can send it again much later, and the body.
fn signed(at_s: u64, body: &str) -> String {
    format!("{at_s}.{body}")
}

fn of_secret(name: &str, refusal: secrets::Refusal) -> Error {
    Error::new(format!("the secret '{name}': {refusal}"))
}

/// A URL without its path, which may hold what a log should not.
fn place(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    &url[..url[host..].find(['/', '?']).map_or(url.len(), |at| host + at)]
}

fn outcome(wanted: &Wanted, status: u16) -> Result<Outcome, Error> {
    match status {
        200..300 => Ok(Outcome::Delivered),
        status if wanted.retried.contains(&status) => Err(Error::new(format!("{} answered {status}", place(&wanted.url)))),
        status => Ok(Outcome::GivenUp(status)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use trackside_policy_kit::read;
    use trackside_sdk::EventBuf;

    fn wanted(batch: usize) -> Wanted {
        read(&json!({"url": "https://a.test/T0/secret?x=1", "batch": batch})).unwrap()
    }

    #[test]
    fn answers_deliver_repeat_or_give_up() {
        let wanted = wanted(1);
        for (status, expected) in [
            (200, Ok(Outcome::Delivered)),
            (204, Ok(Outcome::Delivered)),
            (302, Ok(Outcome::GivenUp(302))),
            (400, Ok(Outcome::GivenUp(400))),
            (410, Ok(Outcome::GivenUp(410))),
            (429, Err(Error::new("https://a.test answered 429"))),
            (503, Err(Error::new("https://a.test answered 503"))),
        ] {
            assert_eq!(outcome(&wanted, status), expected);
        }
    }

    #[test]
    fn one_event_is_an_object_and_batches_are_arrays() {
        let event = EventBuf::new("a:b");
        assert!(body(&wanted(1), &[event.view()]).starts_with("{\"event_id\""));
        let both = body(&wanted(2), &[event.view(), event.view()]);
        assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&both).unwrap().len(), 2);
        assert!(body(&wanted(2), &[event.view()]).starts_with("[{"), "also where one is left");
    }
}
