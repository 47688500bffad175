//! What a program that embeds the host has: its own handlers beside the components, callbacks, typed events.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde_json::json;
use trackside_engine::{Native, Outcome, RegisterError, Together};
use trackside_model::{
    control::Signal,
    emit::{Emit, ToolCalled},
    event::{Incoming, Severity},
    json::Json,
    plugin::OnFault,
};

use crate::support::*;

fn big(event: &trackside_model::event::Event) -> bool {
    event.payload.to_value()["n"].as_u64().is_some_and(|n| n >= 100)
}

fn bouncer() -> Native {
    Native::control("bouncer", types(&["order:*"]), |event, _, effects| {
        effects.kv_add("asked", 1);
        if big(event) { Signal::Fail("too big".to_owned()) } else { Signal::Proceed(None) }
    })
    .priority(5)
    .version("1.2")
}

fn ledger() -> Native {
    Native::observer("ledger", types(&["order:*"]), |events, _, effects| {
        effects.kv_add("count", i64::try_from(events.len()).map_err(|error| error.to_string())?);
        for event in events {
            effects
                .caused_by(event)
                .publish("ledger:booked", Severity::Debug, json!({"of": event.payload.to_value()}))
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    })
}

#[test]
fn handlers_of_the_program_steer_and_count_beside_components() {
    let seen = Seen::default();
    let after = {
        let seen = seen.clone();
        Scripted::control("after", 50, &["order:*"], move |event, _| {
            seen.note(event.payload.to_string());
            proceed()
        })
    };
    let host = Host::with([after]);
    let engine = host.engine().clone();
    host.run(async {
        engine.register(bouncer()).expect("takes it");
        engine.register(ledger()).expect("takes it");
    });
    let refused = host.publish(order(100));
    assert_eq!((refused.outcome, refused.by.as_deref(), refused.reason.as_deref()), (Outcome::Refused, Some("bouncer"), Some("too big")));
    (0..20).for_each(|n| assert_eq!(host.publish(order(n)).outcome, Outcome::Appended));
    assert_eq!(seen.len(), 20, "it is asked before the component, whose priority is higher");
    host.until("all are booked", |host| host.count("ledger:booked") == 20);
    let booked = &host.of_type("ledger:booked")[3];
    assert_eq!((&*booked.source_component, &booked.payload.to_value()["of"]["n"]), ("ledger", &json!(3)));
    assert_eq!(booked.causation_id.as_deref(), host.of_type("order:placed").get(3).map(|event| event.event_id.to_string()).as_deref());
    assert_eq!((host.kv("ledger", "count").as_deref(), host.kv("bouncer", "asked").as_deref()), (Some("20"), Some("21")));
    // Over a crash it goes on where it was, once it is there again.
    let host = Host::over(host.crashed(), options(), |_| Vec::new());
    host.publish(order(20));
    let engine = host.engine().clone();
    host.run(async { engine.register(ledger()).expect("takes it") });
    host.until("the rest is booked", |host| host.kv("ledger", "count").as_deref() == Some("21"));
    host.until_told("ledger:booked", 21);
    assert!(host.run(async { engine.unregister("ledger") }));
    assert!(!host.run(async { engine.unregister("ledger") }));
    host.publish(order(21));
    assert_eq!(host.kv("ledger", "count").as_deref(), Some("21"));
}

#[test]
fn a_handler_that_panics_or_dawdles_costs_its_own_call() {
    let host = Host::with([]);
    let engine = host.engine().clone();
    let fragile = Native::control("fragile", types(&["order:*"]), |event, _, effects| {
        effects.kv_add("asked", 1);
        match event.payload.to_value()["n"].as_u64() {
            Some(1) => panic!("number one"),
            Some(2) => std::thread::sleep(Duration::from_millis(60)),
            _ => {}
        }
        Signal::Fail("never heard in time".to_owned())
    });
    host.run(async { engine.register(fragile.timeout_ms(50).on_fault(OnFault::Proceed)).expect("takes it") });
    assert_eq!(host.publish(order(1)).outcome, Outcome::Appended, "its faults let the event pass");
    assert_eq!(host.publish(order(2)).outcome, Outcome::Appended);
    assert_eq!(host.publish(order(3)).outcome, Outcome::Refused);
    let faults: Vec<String> = host
        .of_type("plugin:fault")
        .iter()
        .map(|event| event.payload.to_value()["message"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(faults[0], "it panicked: number one");
    assert!(faults[1].starts_with("it came back after") && faults[1].ends_with("50 are allowed"), "{faults:?}");
    assert_eq!(host.kv("fragile", "asked").as_deref(), Some("1"), "what the faulting calls wanted did not happen");
}

#[test]
fn what_follows_from_one_event_of_a_batch_is_correlated_with_that_one() {
    let host = Host::with([]);
    let ledger = Native::observer("ledger", types(&["order:*"]), |events, _, effects| {
        for event in events {
            let publish = effects.caused_by(event).publish("ledger:noted", Severity::Info, Json::from_value(&json!({})));
            publish.map_err(|error| error.to_string())?;
        }
        Ok(())
    });
    host.run(async { host.engine().register(ledger).expect("takes it") });
    let ordered = |basket: &str| Incoming { correlation_id: Some(basket.to_owned()), ..order(1) };
    let orders = ["basket-1", "basket-2", "basket-3"].map(ordered).to_vec();
    assert!(matches!(host.run(host.engine().publish_together(orders, caller())), Together::All(_)));
    host.until_told("ledger:noted", 3);
    let of = |event_type: &str| -> Vec<String> {
        let mut of: Vec<String> = host.of_type(event_type).iter().map(|event| event.correlation_id.to_string()).collect();
        of.sort();
        of
    };
    assert_eq!(of("ledger:noted"), of("order:placed"));
}

#[test]
fn names_are_had_once_and_not_the_hosts() {
    let host = Host::with([counting_nothing("taken")]);
    let engine = host.engine().clone();
    let named = |name: &str| Native::observer(name, types(&["a:b"]), |_, _, _| Ok(()));
    host.run(async {
        assert_eq!(engine.register(named("taken")), Err(RegisterError::Taken("taken".into())));
        assert_eq!(engine.register(named("execution_engine")), Err(RegisterError::Reserved("execution_engine".into())));
        assert_eq!(engine.register(named("")), Err(RegisterError::Nameless));
    });
}

fn counting_nothing(name: &str) -> Scripted {
    Scripted::observer(name, types(&["a:b"]), |_, _| taken())
}

#[test]
fn callbacks_come_once_for_each_event_until_they_are_dropped() {
    let host = Host::with([]);
    let engine = host.engine().clone();
    host.publish(order(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let listening = host.run(async {
        engine
            .subscribe_many(["order:*", "order:placed", "tool:*"], move |event| {
                noted.lock().push(event.event_type.to_string());
            })
            .expect("patterns")
    });
    assert!(host.run(async { engine.subscribe_many(["ord*:x"], |_| ()).is_err() }));
    let answer = host.publish(order(1));
    let cause = host.of_type("order:placed").pop().expect("the order");
    let emitter = engine.emitter("agent").caused_by(&cause);
    let called = ToolCalled { tool: "search".to_owned(), call_id: "1".to_owned(), ..ToolCalled::default() };
    assert_eq!(host.run(emitter.emit(&called)).outcome, Outcome::Appended);
    host.until("both have come", |_| seen.lock().len() == 2);
    assert_eq!(*seen.lock(), ["order:placed", "tool:called"]);
    let told = &host.of_type("tool:called")[0];
    assert_eq!((&*told.source_component, told.causation_id.as_deref()), ("agent", answer.event_id.map(|id| id.to_string()).as_deref()));
    assert_eq!(
        (told.correlation_id.clone(), told.payload.to_value()),
        (cause.correlation_id.clone(), json!({"tool": "search", "call_id": "1"}))
    );
    drop(listening);
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let _others = host.run(async {
        engine
            .subscribe_many(["order:*"], move |_| {
                counted.fetch_add(1, SeqCst);
            })
            .expect("patterns")
    });
    host.publish(order(2));
    host.until("the others have it", |_| count.load(SeqCst) == 1);
    assert_eq!(seen.lock().len(), 2);
}

/// A program's own typed event.
#[derive(serde::Serialize)]
struct CartFilled {
    items: u32,
}

impl Emit for CartFilled {
    const EVENT_TYPE: &'static str = "cart:filled";
}

#[test]
fn a_program_types_its_own_events_and_the_hosts_are_not_its_to_tell() {
    /// A fact of the engine.
    #[derive(serde::Serialize)]
    struct Forged;
    impl Emit for Forged {
        const EVENT_TYPE: &'static str = "task:completed";
    }
    let host = Host::with([]);
    let emitter = host.engine().emitter("shop");
    assert_eq!(host.run(emitter.emit(&CartFilled { items: 3 })).outcome, Outcome::Appended);
    assert_eq!(host.of_type("cart:filled")[0].payload.to_value(), json!({"items": 3}));
    let refused = host.run(emitter.emit(&Forged));
    assert!(refused.rejection.is_some_and(|rejection| rejection.field == "event_type"));
    let reserved = host.run(host.engine().emitter("execution_engine").emit(&CartFilled { items: 1 }));
    assert_eq!(reserved.outcome, Outcome::Refused);
    assert_eq!(host.publish(Incoming::default()).outcome, Outcome::Refused);
}
