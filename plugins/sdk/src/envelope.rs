//! Owns writing an event as the JSON that every edge of the host speaks, for plugins that hand events on.
//! Leaves reading its fields to `event`.

use crate::Event;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The envelope, in the order in which the host writes it.
#[derive(Serialize)]
struct Envelope<'a> {
    event_id: &'a str,
    event_type: &'a str,
    timestamp: String,
    recorded_at: String,
    sequence_number: u64,
    #[serde(skip_serializing_if = "is_zero")]
    part: u32,
    source_component: &'a str,
    correlation_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_id: Option<&'a str>,
    severity: &'a str,
    payload: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
}

fn is_zero(part: &u32) -> bool {
    *part == 0
}

impl Event<'_> {
    /// The event as JSON, as clients of the host read it: times in RFC 3339, absent fields left out, the payload as it was published.
    #[must_use]
    pub fn to_json(&self) -> String {
        let envelope = Envelope {
            event_id: self.event_id(),
            event_type: self.event_type(),
            timestamp: rfc3339(self.timestamp_ns()),
            recorded_at: rfc3339(self.recorded_at_ns()),
            sequence_number: self.sequence_number(),
            part: self.part(),
            source_component: self.source_component(),
            correlation_id: self.correlation_id(),
            causation_id: self.causation_id(),
            workflow_id: self.workflow_id(),
            task_id: self.task_id(),
            provider_id: self.provider_id(),
            severity: self.severity().as_str(),
            // The host hands over nothing that is not JSON.
            payload: serde_json::from_str(self.payload_text()).ok(),
            metadata: self.metadata_pairs().into_iter().collect(),
        };
        serde_json::to_string(&envelope).unwrap_or_default()
    }
}

/// Nanoseconds since 1970 as RFC 3339 in UTC, with nanoseconds.
fn rfc3339(ns: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    const DAY: u64 = 86_400;
    let (seconds, ns) = (ns / SECOND, ns % SECOND);
    let (days, seconds) = (seconds / DAY, seconds % DAY);
    // Years that begin in March, in eras of 400 years, so that a leap day comes last (Howard Hinnant's `civil_from_days`).
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ns:09}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EventBuf;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_827_696_000_000_001, "2000-02-29T12:34:56.000000001Z"),
            (1_709_251_199_999_999_999, "2024-02-29T23:59:59.999999999Z"),
            (1_709_251_200_000_000_000, "2024-03-01T00:00:00.000000000Z"),
            (1_767_225_599_000_000_000, "2025-12-31T23:59:59.000000000Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000000Z"),
        ] {
            assert_eq!(rfc3339(ns), text);
        }
    }

    #[test]
    fn an_event_is_the_envelope_that_clients_read() {
        let event = EventBuf::new("order:placed").source_component("shop").correlation_id("c").workflow_id("w").metadata("k", "v");
        let json: serde_json::Value = serde_json::from_str(&event.payload(serde_json::json!({"n": 1.50})).view().to_json()).unwrap();
        assert_eq!((&json["event_type"], &json["workflow_id"], &json["severity"]), (&"order:placed".into(), &"w".into(), &"info".into()));
        assert_eq!((&json["payload"]["n"], &json["metadata"]["k"]), (&1.5.into(), &"v".into()));
        assert!(json.get("task_id").is_none() && json.get("part").is_none(), "{json}");
    }
}
