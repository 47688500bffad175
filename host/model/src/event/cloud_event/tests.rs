//! CloudEvents in both directions: where each attribute goes, what is refused, and that nothing is lost. HTTP is tested where it is spoken.

use expect_test::{Expect, expect};
use proptest::{collection::btree_map, option, prelude::*};
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    event::{Draft, EnvelopeLimits, Event, Incoming, Rejection},
    json::Json,
    time::Timestamp,
};

fn limits() -> EnvelopeLimits {
    EnvelopeLimits::default()
}

fn entered(text: &str) -> Result<Draft, Rejection> {
    read(text, &limits())?.into_draft(Timestamp(1_700_000_000_000_000_000), Uuid::nil(), &limits())
}

fn written(event: &Event) -> Value {
    serde_json::to_value(CloudEvent::of(event)).unwrap()
}

fn recorded(draft: Draft) -> Event {
    draft.into_event(7, Timestamp(1_700_000_001_000_000_000))
}

fn event(value: &Value) -> Event {
    recorded(entered(&value.to_string()).unwrap_or_else(|error| panic!("{error}: {value}")))
}

#[test]
fn an_event_of_the_specification_goes_where_it_belongs() {
    let event = event(&json!({
        "specversion": "1.0", "type": "com.github.pull_request.opened", "source": "https://github.com/cloudevents/spec/pull",
        "subject": "123", "id": "A234-1234-1234", "time": "2018-04-05T17:31:00Z", "comexampleextension1": "value",
        "comexampleothervalue": 5, "urgent": true, "nothing": null, "correlationid": "c-1", "severity": "warning",
        "datacontenttype": "text/xml", "data": "<much wow=\"xml\"/>"
    }));
    assert_eq!(
        (&*event.event_type, &*event.source_component),
        ("com.github.pull_request:opened", "https://github.com/cloudevents/spec/pull")
    );
    assert_eq!((&*event.correlation_id, event.severity.as_str(), event.payload.as_str()), ("c-1", "warning", r#""<much wow=\"xml\"/>""#));
    assert_eq!(event.event_id, identity("https://github.com/cloudevents/spec/pull", "A234-1234-1234"));
    let metadata: Vec<String> = event.metadata.iter().map(|(key, value)| format!("{key}={value}")).collect();
    expect![[
        "ce-datacontenttype=text/xml ce-id=A234-1234-1234 ce-subject=123 ce-time=2018-04-05T17:31:00Z ce-type=com.github.pull_request.opened ce-type.comexampleothervalue=integer ce-type.urgent=boolean comexampleextension1=value comexampleothervalue=5 urgent=true"
    ]]
    .assert_eq(&metadata.join(" "));
}

#[test]
fn types_are_brought_into_form() {
    let check = |text: &str, expected: Expect| expected.assert_eq(event_type_of(text).as_deref().unwrap_or("none"));
    check("order:placed", expect!["order:placed"]);
    check("OrderPlaced", expect!["order:placed"]);
    check("PeriodicTick", expect!["tick:periodic"]);
    check("com.example.OrderPlaced", expect!["com.example:order_placed"]);
    check("Microsoft.Storage.BlobCreated", expect!["microsoft.storage:blob_created"]);
    check("google.cloud.storage.object.v1.finalized", expect!["google.cloud.storage.object.v1:finalized"]);
    check("order", expect!["none"]);
    check("/a/b", expect!["none"]);
    check("com.example.", expect!["none"]);
}

#[test]
fn what_is_wrong_is_named() {
    let check = |change: Value, expected: Expect| {
        let mut value = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b"});
        let members = value.as_object_mut().unwrap();
        members.extend(change.as_object().unwrap().clone());
        members.retain(|_, value| *value != json!("absent"));
        expected.assert_eq(&entered(&value.to_string()).map_or_else(|error| error.to_string(), |_| "taken".to_owned()));
    };
    check(json!({}), expect!["taken"]);
    check(json!({"specversion": "0.3"}), expect!["specversion: this host speaks CloudEvents 1.0"]);
    check(json!({"specversion": "absent"}), expect!["specversion: required: \"1.0\""]);
    check(json!({"id": "absent"}), expect!["id: required, and not empty"]);
    check(json!({"source": ""}), expect!["source: required, and not empty"]);
    check(json!({"source": 1}), expect!["source: expected a string, found a number"]);
    check(
        json!({"type": "order"}),
        expect![
            "type: event type 'order' is one word; write 'component:action', for example 'order:happened', or a name with a reversed domain, such as 'com.example.order.placed'"
        ],
    );
    check(json!({"time": "noon"}), expect!["time: 'noon' is not an RFC 3339 time after 1970, such as 2026-01-31T10:30:00Z"]);
    check(json!({"myExtension": "x"}), expect!["myExtension: is no name of an attribute: these are of a-z and 0-9"]);
    check(json!({"far": 2147483648u64}), expect!["far: 2147483648 is no integer of 32 bits, which numbers are in CloudEvents"]);
    check(json!({"deep": {}}), expect!["deep: an attribute is a string, a number or a boolean, not an object"]);
    check(json!({"data": 1, "data_base64": "AA=="}), expect!["data_base64: there is 'data' besides; an event has one of them"]);
    check(json!({"data_base64": "A"}), expect!["data_base64: is not base64: Invalid input length: 1"]);
    check(json!({"eventid": "x"}), expect!["eventid: 'x' is not a UUID"]);
    check(
        json!({"tracksidemetadata": "x"}),
        expect!["tracksidemetadata: expected the text of a JSON object of strings: expected value at line 1 column 1"],
    );
    let refused = entered("[]").unwrap_err().to_string();
    assert!(refused.starts_with("an event is a JSON object such as"), "{refused}");
}

#[test]
fn what_was_not_there_is_not_there_afterwards() {
    let event = event(&json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b"}));
    assert_eq!(event.payload.as_str(), "{}");
    let again = written(&event);
    assert!(again.get("data").is_none() && again.get("data_base64").is_none() && again.get("eventid").is_none(), "{again}");
}

#[test]
fn a_payload_that_was_amended_is_written_as_it_is_now() {
    let draft = entered(r#"{"specversion": "1.0", "id": "1", "source": "/s", "type": "a.b", "data_base64": "AA=="}"#).unwrap();
    assert_eq!(written(&recorded(draft.clone()))["data_base64"], "AA==");
    let amended = recorded(draft.with_payload(Json::trusted("[1]")));
    assert_eq!((written(&amended).get("data_base64"), &written(&amended)["data"]), (None, &json!([1])));
}

fn text() -> impl Strategy<Value = String> {
    "[ -~é\u{1F600}]{1,12}"
}

fn types() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{2,6}:[a-z]{2,6}", "([a-z]{2,5}\\.){1,3}[a-zA-Z]{2,8}", "[A-Z][a-z]{2,5}[A-Z][a-z]{2,5}"]
}

fn data() -> impl Strategy<Value = Option<(&'static str, Value)>> {
    let json = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from),
        btree_map("[a-z]{0,5}", text(), 0..3).prop_map(|members| json!(members)),
        Just(json!({})),
    ];
    let bytes = proptest::collection::vec(any::<u8>(), 0..20)
        .prop_map(|bytes| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes).into());
    option::of(prop_oneof![json.prop_map(|data| ("data", data)), bytes.prop_map(|data| ("data_base64", data))])
}

fn attribute() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(json!("5")),
        Just(json!("true"))
    ]
}

fn time() -> impl Strategy<Value = String> {
    (
        1_970u16..2_200,
        1u8..13,
        1u8..29,
        0u8..24,
        0u8..60,
        0u32..1_000_000_000,
        prop_oneof![Just("Z"), Just("+00:00"), Just("+05:30"), Just("-08:00")],
        0usize..10,
    )
        .prop_map(|(year, month, day, hour, minute, ns, zone, digits)| {
            let fraction = if digits == 0 { String::new() } else { format!(".{}", &format!("{ns:09}")[..digits]) };
            format!("{year}-{month:02}-{:02}T{hour:02}:{minute:02}:07{fraction}{zone}", day.max(2))
        })
}

proptest! {
    #[test]
    fn nothing_of_a_cloud_event_is_lost(
        id in text(),
        source in "[a-z/:.?#=%& é-]{1,20}",
        event_type in types(),
        time in option::of(time()),
        data in data(),
        kept in btree_map(prop_oneof![Just("subject"), Just("datacontenttype"), Just("dataschema"), Just("correlationid"), Just("causationid"),
                                      Just("workflowid"), Just("taskid"), Just("providerid"), Just("sourcecomponent")], text(), 0..6),
        severity in option::of(prop_oneof![Just("debug"), Just("info"), Just("critical")]),
        extensions in btree_map(prop_oneof!["[a-z0-9]{1,8}".boxed(), Just("hops".to_owned()).boxed(), Just("metadata".to_owned()).boxed()], attribute(), 0..5),
    ) {
        let mut members = Map::from_iter(extensions.into_iter().filter(|(name, _)| !NAMED.contains(&name.as_str()) || name == "hops"));
        members.extend(kept.into_iter().map(|(name, value)| (name.to_owned(), value.into())));
        members.extend([("specversion", "1.0"), ("id", &id), ("source", &source), ("type", &event_type)].map(|(name, value)| (name.to_owned(), value.into())));
        members.extend(time.map(|time| ("time".to_owned(), time.into())));
        members.extend(severity.map(|severity| ("severity".to_owned(), severity.into())));
        members.extend(data.map(|(name, data)| (name.to_owned(), data)));
        let once = event(&Value::Object(members.clone()));
        let again = written(&once);
        for (name, value) in &members {
            prop_assert_eq!(again.get(name), Some(value), "{}: {}", name, again);
        }
        prop_assert_eq!(again.get("data").is_some(), members.contains_key("data"));
        prop_assert_eq!(again.get("data_base64").is_some(), members.contains_key("data_base64"));
        prop_assert_eq!(event(&again), once);
    }

    #[test]
    fn nothing_of_an_event_is_lost(
        event_id in any::<u128>(),
        source in text(),
        event_type in types(),
        ids in proptest::collection::vec(option::of(text()), 5),
        metadata in btree_map("[a-z0-9_-]{1,8}|id|data|severity|part", text(), 0..5),
        payload in data(),
    ) {
        let [correlation_id, causation_id, workflow_id, task_id, provider_id] = ids.try_into().unwrap();
        let incoming = Incoming {
            event_id: Some(Uuid::from_u128(event_id)),
            event_type: event_type_of(&event_type).unwrap().to_string(),
            source_component: source,
            correlation_id, causation_id, workflow_id, task_id, provider_id,
            payload: payload.map(|(_, payload)| Json::from_value(&payload)),
            metadata: metadata.into_iter().filter(|(key, _)| !key.starts_with("ce-")).collect(),
            ..Incoming::default()
        };
        let Ok(draft) = incoming.into_draft(Timestamp(5), Uuid::nil(), &limits()) else { return Ok(()) };
        let once = recorded(draft);
        prop_assert_eq!(event(&written(&once)), once);
    }
}
