//! Versions that take each other's place, and plugins that are passed over: what the log is told, who is asked, and what outlives a crash.

use serde_json::{Value, json};
use trackside_engine::{BypassError, MOST_BYPASS_MS, Outcome};
use trackside_model::{control::Signal, plugin::Digest, workflow::WorkflowStatus};

use crate::support::*;

const HOUR_MS: u64 = 3_600_000;

fn refusing() -> Scripted {
    Scripted::control("refusing", 10, &["order:*"], |_, _| answer(Signal::Fail("no".to_owned())))
}

#[test]
fn a_swap_tells_what_it_changes_and_which_methods_are_gone() {
    let worker = |methods: &[&str]| Scripted::worker("busy", methods, |_| async { result(&json!(1)) });
    let host = Host::with([worker(&["sim/one", "sim/two"])]);
    host.install(worker(&["sim/two", "sim/three"]).with(|info| info.version = Digest::of(b"2")));
    host.until_told("method:unavailable", 1);
    let payload = |event_type: &str| host.of_type(event_type)[0].payload.to_value();
    assert_eq!(payload("method:unavailable")["method"], "sim/one");
    let change = json!({"what": "methods", "before": "sim/one, sim/two", "after": "sim/two, sim/three", "grows": true});
    assert_eq!((&payload("plugin:reloaded")["changes"], &payload("plugin:reloaded")["accepted_by"]), (&json!([change]), &Value::Null));
}

#[test]
fn who_is_passed_over_is_not_asked_until_that_ends() {
    let host = Host::with([refusing()]);
    assert_eq!(host.publish(order(1)).outcome, Outcome::Refused);
    let bypass = host.run(host.engine().bypass("refusing", HOUR_MS, "operator", Some("it refuses".to_owned()))).unwrap();
    assert_eq!(host.publish(order(2)).outcome, Outcome::Appended);
    assert_eq!(host.engine().plugins()[0].bypass.as_deref(), Some(&bypass));
    // Another version finds it, too.
    host.install(refusing().with(|info| info.version = Digest::of(b"2")));
    assert_eq!(host.publish(order(3)).outcome, Outcome::Appended);
    assert!(host.run(host.engine().end_bypass("refusing", "operator")).unwrap());
    assert_eq!(host.publish(order(4)).outcome, Outcome::Refused);
    assert!(!host.run(host.engine().end_bypass("refusing", "operator")).unwrap(), "there is none any more");
    for (plugin, for_ms) in [("nobody", HOUR_MS), ("refusing", 0), ("refusing", MOST_BYPASS_MS + 1)] {
        let refused = host.run(host.engine().bypass(plugin, for_ms, "operator", None));
        assert!(matches!(refused, Err(BypassError::Unknown(_) | BypassError::Length)), "{refused:?}");
    }
    assert_eq!((host.count("plugin:bypassed"), host.count("plugin:bypass_ended")), (1, 1));
}

#[test]
fn a_bypass_outlives_a_crash_and_its_end_does_too() {
    let host = Host::with([refusing()]);
    host.run(host.engine().bypass("refusing", HOUR_MS, "operator", None)).unwrap();
    let host = Host::over(host.crashed(), options(), |_| vec![refusing()]);
    assert_eq!(host.publish(order(1)).outcome, Outcome::Appended);
    host.run(host.engine().end_bypass("refusing", "operator")).unwrap();
    let host = Host::over(host.crashed(), options(), |_| vec![refusing()]);
    assert_eq!(host.publish(order(2)).outcome, Outcome::Refused);
    // One that takes another's place lasts as long as it says itself.
    host.run(host.engine().bypass("refusing", 50, "operator", None)).unwrap();
    host.run(host.engine().bypass("refusing", HOUR_MS, "operator", None)).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(host.publish(order(3)).outcome, Outcome::Appended);
    assert_eq!(host.count("plugin:bypass_ended"), 1);
}

#[test]
fn one_that_ran_out_while_the_host_was_gone_is_told_to_have_ended() {
    let host = Host::with([refusing()]);
    host.run(host.engine().bypass("refusing", 1, "operator", None)).unwrap();
    let host = Host::over(host.crashed(), options(), |_| vec![refusing()]);
    host.until_told("plugin:bypass_ended", 1);
    assert_eq!(host.publish(order(1)).outcome, Outcome::Refused);
}

#[test]
fn what_a_handler_held_goes_on_as_soon_as_it_is_passed_over() {
    let echo = Scripted::worker("echo", &["sim/echo"], |_| async { result(&json!(1)) });
    let failing = Scripted::control("failing", 10, &["task:ready"], |_, _| fault(trackside_model::ports::FaultKind::Trap)).holding();
    let host = Host::with([echo, failing]);
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/echo}]\n");
    // Held several times: by then the pause is seconds long.
    host.until_told("control:error", 3);
    let begun = host.count("control:error");
    host.run(host.engine().bypass("failing", HOUR_MS, "operator", None)).unwrap();
    assert_eq!(host.ended(&workflow).status, WorkflowStatus::Completed);
    assert_eq!(host.count("control:error"), begun, "nobody held it again");
}
