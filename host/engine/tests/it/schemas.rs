//! Schemas at the door: who is held to them, who is not, and when they are asked. What a schema refuses is the model's, and tested there.

use std::sync::Arc;

use expect_test::expect;
use serde_json::{Value, json};
use trackside_engine::{Outcome, Together};
use trackside_model::{
    control::Signal,
    event::{Incoming, Rejection},
    schema::Schema,
};

use crate::{support::*, workflows::echo};

fn hold(host: &Host, schemas: &[(&str, Value)]) {
    let compiled = schemas.iter().map(|(name, text)| Arc::new(Schema::compile(name, &text.to_string()).unwrap()));
    host.engine().set_schemas(compiled.collect());
}

fn numbered() -> Value {
    json!({"properties": {"n": {"maximum": 9}}, "required": ["n"]})
}

#[test]
fn nobody_is_asked_about_what_does_not_fit() {
    let seen = Seen::default();
    let looks = seen.clone();
    let host = Host::with([Scripted::control("gate", 1, &["**"], move |event, _| {
        looks.note(format!("{} {}", event.event_type, event.payload));
        proceed()
    })]);
    host.publish(order(11));
    hold(&host, &[("order:placed", numbered())]);
    assert_eq!(host.publish(order(11)).outcome, Outcome::Duplicate, "what was there before is there");
    assert_eq!(host.publish(order(1)).outcome, Outcome::Appended);
    let refused = host.publish(order(12));
    assert_eq!(refused.outcome, Outcome::Refused);
    expect!["payload/n: value is greater than the maximum of 9 (schema 'order:placed', rule /properties/n/maximum)"]
        .assert_eq(&refused.rejection.as_ref().map(Rejection::to_string).unwrap_or_default());
    assert_eq!(host.publish(incoming("order:paid", &json!("anything"))).outcome, Outcome::Appended);
    assert_eq!(seen.all(), ["order:placed {\"n\":11}", "order:placed {\"n\":1}", "order:paid \"anything\""]);
    hold(&host, &[]);
    assert_eq!(host.publish(order(12)).outcome, Outcome::Appended, "what was refused left no trace in the window");
}

#[test]
fn of_events_that_go_together_one_that_does_not_fit_stands_against_all() {
    let host = Host::with([]);
    hold(&host, &[("order:*", numbered())]);
    let Together::None { place, answer } = host.run(host.engine().publish_together(vec![order(1), order(10)], caller())) else {
        panic!("the second does not fit");
    };
    assert_eq!((place, answer.rejection.map(|rejection| rejection.field).as_deref()), (1, Some("payload/n")));
    assert_eq!(host.count("order:placed"), 0);
}

#[test]
fn what_handlers_put_in_its_place_is_refused_in_the_name_of_the_last_of_them() {
    let host = Host::with([
        Scripted::control("first", 1, &["order:*"], |_, _| amend(&json!({"n": 2}))),
        Scripted::control("second", 2, &["order:*"], |_, _| amend(&json!({"n": 20}))),
        Scripted::control("third", 3, &["order:*"], |_, _| proceed()),
        Scripted::control("fallback", 1, &["cart:*"], |_, _| answer(Signal::Fallback { value: json!({}).into(), reason: "so".to_owned() })),
    ]);
    hold(&host, &[("order:*", numbered()), ("cart:*", numbered())]);
    expect!["refused by second: the payload that it gave the event does not fit: payload/n: value is greater than the maximum of 9 (schema 'order:*', rule /properties/n/maximum)"]
        .assert_eq(&told(&host.publish(order(1))));
    expect![[r#"refused by fallback: the payload that it gave the event does not fit: payload: "n" is a required property (schema 'cart:*', rule /required)"#]]
        .assert_eq(&told(&host.publish(incoming("cart:closed", &json!({"n": 1})))));
    assert_eq!(host.types(), ["control:error", "control:error"]);
}

#[test]
fn what_a_plugin_publishes_is_a_dead_letter_that_names_plugin_and_place() {
    let host = Host::with([Scripted::observer("clerk", types(&["order:*"]), |events, _| {
        taken().publishing(events[0].event_id, "cart:closed", &json!({"n": "many"}))
    })]);
    hold(&host, &[("cart:*", json!({"properties": {"n": {"type": "integer"}}}))]);
    host.publish(order(1));
    host.until_told("event:dead_lettered", 1);
    let [dead] = &host.of_type("event:dead_lettered")[..] else { panic!("one letter") };
    let dead: Value = dead.payload.to_value();
    assert_eq!((&dead["plugin"], &dead["code"], &dead["event_type"]), (&json!("clerk"), &json!("refused"), &json!("cart:closed")));
    expect![[r#"payload/n: value is not of type "integer" (schema 'cart:*', rule /properties/n/type)"#]]
        .assert_eq(dead["reason"].as_str().unwrap_or_default());
    assert_eq!(host.count("cart:closed"), 0);
}

#[test]
fn facts_and_commands_are_not_the_operators_to_describe() {
    let hanging = Scripted::worker("hanging", &["sim/hang"], |_| std::future::pending());
    let host = Host::with([echo(), hanging]);
    hold(&host, &[("everything", json!({"x-event-types": ["**"], "required": ["never"]}))]);
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/echo, parameters: {v: 1}}]");
    assert_eq!(host.ended(&workflow).status.as_str(), "completed");
    let goes_on = host.submit("name: w\ntasks: [{id: a, method: sim/hang}]");
    let cancel = Incoming { workflow_id: Some(goes_on), ..incoming("workflow:cancel", &json!({})) };
    assert_eq!(host.publish(cancel).outcome, Outcome::Appended);
    assert_eq!(host.publish(order(1)).outcome, Outcome::Refused, "an application's own are");
}
