//! The three roles, in both shapes, by components that do as they should.

use trackside_model::{
    control::Signal,
    plugin::{EffectClass, OnFault, Roles},
    ports::{KvOp, Subject},
};

use crate::support::{Bench, check, context, event, observe, run};

#[test]
fn a_component_without_settings_serves_all_its_roles() {
    let bench = Bench::new();
    let guest = bench.load_alone("neighbour");
    let info = guest.info();
    assert_eq!(info.roles, Roles { observer: true, control: true, worker: true });
    assert_eq!((&*info.name, info.display_name.as_str(), info.priority, info.on_fault), ("neighbour", "neighbour", 100, OnFault::Proceed));
    assert_eq!(info.effect_class, EffectClass::Stateful);
    assert_eq!(info.methods.len(), 1);

    let checked = check(&*guest);
    assert_eq!(checked.outcome.unwrap(), Signal::Proceed(None));
    let [write] = checked.outbox.kv_writes.as_slice() else { panic!("{:?}", checked.outbox) };
    assert_eq!((write.key.as_str(), &write.op), ("checked", &KvOp::Add { by: 1, expires_at: None }));
    assert!(checked.outbox.kv_reads.is_empty(), "an addition rests on nothing");
    assert!(checked.usage.fuel > 0 && checked.usage.duration_ns > 0);

    let observed = observe(&*guest, 3);
    assert_eq!(observed.outcome.unwrap(), Ok(()));
    assert_eq!(observed.outbox.kv_writes[0].op, KvOp::Add { by: 3, expires_at: None });

    let worked = run(&*guest, "neighbour/echo", r#"{"a":[1,2]}"#);
    assert_eq!(worked.outcome.unwrap().unwrap().as_str(), r#"{"a":[1,2]}"#);
    assert!(bench.not_granted().is_empty());
}

#[test]
fn the_same_call_burns_the_same_fuel() {
    let bench = Bench::new();
    let guest = bench.load("minimal", "");
    let first = check(&*guest).usage.fuel;
    // A warm instance may have set itself up in its first call; after that, each call is like the other.
    let second = check(&*guest).usage.fuel;
    assert_eq!(check(&*guest).usage.fuel, second);
    assert!(first > 0 && second > 0);
}

#[test]
fn every_signal_arrives() {
    let bench = Bench::new();
    let signal = |settings: &str| check(&*bench.load("steer", &format!("[settings]\n{settings}"))).outcome.unwrap();
    assert_eq!(signal(""), Signal::Proceed(None));
    assert_eq!(signal("signal = 'amend'\nvalue = {a = 1}"), Signal::Proceed(Some(trackside_model::json::Json::trusted(r#"{"a":1}"#))));
    assert_eq!(signal("signal = 'skip'\nreason = 'no'"), Signal::Skip("no".into()));
    assert_eq!(signal("signal = 'retry'\nafter_ms = 5"), Signal::Retry { after_ms: Some(5), reason: "steered".into() });
    let Signal::Fallback { value, reason } = signal("signal = 'fallback'\nvalue = [1]") else { panic!("fallback") };
    assert_eq!((value.as_str(), reason.as_str()), ("[1]", "steered"));
    assert_eq!(signal("signal = 'fail'"), Signal::Fail("steered".into()));
    assert_eq!(signal("signal = 'error'"), Signal::Error("steered".into()));
}

#[test]
fn packed_and_record_calls_answer_alike() {
    let bench = Bench::new();
    bench.load("steer", "[settings]\nsignal = 'skip'\ntasks = ['']");
    let mut raw = bench.host.raw_control("steer").unwrap();
    assert!(raw.has_packed());
    let event = event("order:placed", 1);
    let subject = Subject::new(&event, Some("alice"));
    let packed = raw.check_packed(&subject, &context()).unwrap();
    assert_eq!(packed, raw.check_record(&subject, &context()).unwrap());
    assert_eq!(packed, Signal::Skip("steered".into()));
}

#[test]
fn a_memoryless_handler_with_nothing_granted_is_pure() {
    let bench = Bench::new();
    assert_eq!(bench.load("minimal", "").info().effect_class, EffectClass::Pure);
    assert_eq!(bench.load("steer", "").info().effect_class, EffectClass::Stateful, "it keeps memory");
    assert_eq!(bench.load("steer", "fresh = true").info().effect_class, EffectClass::Pure);
    assert_eq!(bench.load("neighbour", "fresh = true\n[grants]\nkv = false").info().effect_class, EffectClass::Pure);
}

#[test]
fn fresh_instances_answer_like_warm_ones() {
    let bench = Bench::new();
    let guest = bench.load("steer", "fresh = true\n[settings]\nsignal = 'fail'");
    for _ in 0..5 {
        assert_eq!(check(&*guest).outcome.unwrap(), Signal::Fail("steered".into()));
    }
}

#[test]
fn the_operators_word_wins_over_the_description() {
    let bench = Bench::new();
    let guest = bench.load("steer", "priority = 7\non_fault = 'fail'\n[controls]\nevent_types = ['order:*']\n[limits]\ntimeout_ms = 33");
    let info = guest.info();
    assert_eq!((info.priority, info.on_fault, info.limits.timeout_ms), (7, OnFault::Fail, 33));
    assert!(info.controls.matches_type("order:placed") && !info.controls.matches_type("task:ready"));
}

#[test]
fn many_threads_share_a_pool() {
    let bench = Bench::new();
    let guest = bench.load("steer", "");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    assert_eq!(check(&*guest).outcome.unwrap(), Signal::Proceed(None));
                }
            });
        }
    });
}

#[test]
fn a_guest_outlives_its_host() {
    let Bench { dir, calls, host } = Bench::new();
    trackside_test_guests::build().install("minimal", &dir.path().join("plugins"), None);
    let guest = host.load("minimal").unwrap();
    drop((host, calls));
    assert_eq!(check(&*guest).outcome.unwrap(), Signal::Proceed(None));
}
