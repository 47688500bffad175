//! `kv` over the outbox: what a call sees, what it leaves behind, and every refusal.

use expect_test::{Expect, expect};
use trackside_model::ports::{FaultKind, Guest};

use crate::support::{Bench, expect_fault, run};

/// Does operations and shows what they gave, and what would be released.
fn show(guest: &dyn Guest, operations: &str, expected: Expect) {
    let report = run(guest, "kv-user/run", &format!(r#"{{"operations": {operations}}}"#));
    let answer = report.outcome.unwrap().unwrap();
    let mut text = answer.to_string();
    for write in &report.outbox.kv_writes {
        text.push_str(&format!("\n{} {}", write.key, op(&write.op)));
    }
    for read in &report.outbox.kv_reads {
        text.push_str(&format!("\nread {} at {}", read.key, read.stamp));
    }
    expected.assert_eq(&text);
}

fn op(op: &trackside_model::ports::KvOp) -> String {
    use trackside_model::ports::KvOp;
    match op {
        KvOp::Set { value, expires_at } => {
            let until = expires_at.map_or(String::new(), |time| format!(" until {time}"));
            let text = String::from_utf8_lossy(value);
            if text.len() > 20 { format!("set {} bytes{until}", text.len()) } else { format!("set {text}{until}") }
        }
        KvOp::Delete => "delete".to_owned(),
        KvOp::Add { by, .. } => format!("add {by}"),
    }
}

#[test]
fn a_call_sees_its_own_writes_and_notes_what_it_rests_on() {
    let bench = Bench::new();
    bench.calls.space.lock().insert("old".into(), b"3".to_vec());
    let guest = bench.load("kv-user", "");
    show(
        &*guest,
        r#"[{"get": "a"}, {"set": ["a", "1"]}, {"get": "a"}, {"delete": "a"}, {"get": "a"}]"#,
        expect![[r#"
        [null,null,"1",true,null]
        a set 1
        a delete
        read a at 7"#]],
    );
    show(
        &*guest,
        r#"[{"set": ["b", "1"]}, {"get": "b"}]"#,
        expect![[r#"
        [null,"1"]
        b set 1"#]],
    );
    show(
        &*guest,
        r#"[{"increment": ["old", 4]}, {"increment": ["old", 1]}]"#,
        expect![[r#"
        [7,8]
        old add 4
        old add 1"#]],
    );
    show(
        &*guest,
        r#"[{"increment": ["old", 4]}, {"get": "old"}]"#,
        expect![[r#"
        [7,"7"]
        old add 4
        read old at 7"#]],
    );
    show(
        &*guest,
        r#"[{"swap": ["old", "3", "4"]}, {"swap": ["old", "3", "5"]}, {"swap": ["new", null, "x"]}, {"swap": ["old", "4", null]}]"#,
        expect![[r#"
        [null,{"refused":"Conflict"},null,null]
        old set 4
        new set x
        old delete
        read old at 7
        read new at 7"#]],
    );
    show(
        &*guest,
        r#"[{"set_for_ms": ["t", "x", 1500]}]"#,
        expect![[r#"
        [null]
        t set x until 2025-06-15T15:06:41.500000000Z"#]],
    );
}

#[test]
fn keys_are_those_of_the_call() {
    let bench = Bench::new();
    for key in ["p/a", "p/c", "q"] {
        bench.calls.space.lock().insert(key.into(), Vec::new());
    }
    let guest = bench.load("kv-user", "");
    show(
        &*guest,
        r#"[{"set": ["p/b", "1"]}, {"delete": "p/c"}, {"keys": "p/"}]"#,
        expect![[r#"
        [null,true,["p/a","p/b"]]
        p/b set 1
        p/c delete
        read p/c at 7"#]],
    );
}

#[test]
fn each_refusal_has_its_name() {
    let bench = Bench::new();
    bench.calls.space.lock().insert("text".into(), b"abc".to_vec());
    let guest = bench.load("kv-user", "[limits]\nkv_bytes = 1000");
    let long = "k".repeat(513);
    show(
        &*guest,
        &format!(r#"[{{"get": "{long}"}}, {{"fill": ["v", 262145]}}, {{"fill": ["v", 996]}}, {{"increment": ["text", 1]}}]"#),
        expect![[r#"
        [{"refused":"KeyTooLong"},{"refused":"ValueTooLarge"},{"refused":"Full"},{"refused":"NotANumber"}]"#]],
    );
    show(
        &*guest,
        r#"[{"fill": ["v", 990]}, {"set": ["w", "more"]}, {"delete": "v"}, {"set": ["w", "more"]}]"#,
        expect![[r#"
        [null,{"refused":"Full"},true,null]
        v set 990 bytes
        v delete
        w set more"#]],
    );
}

#[test]
fn what_is_replaced_makes_room() {
    let bench = Bench::new();
    bench.calls.space.lock().insert("v".into(), vec![b'x'; 990]);
    let guest = bench.load("kv-user", "[limits]\nkv_bytes = 1000");
    show(
        &*guest,
        r#"[{"fill": ["v", 991]}, {"set": ["w", "more than that"]}]"#,
        expect![[r#"
        [null,{"refused":"Full"}]
        v set 991 bytes"#]],
    );
}

#[test]
fn without_the_grant_every_call_is_refused_and_reported_once() {
    let bench = Bench::new();
    let guest = bench.load("kv-user", "[grants]\nkv = false");
    for _ in 0..2 {
        show(
            &*guest,
            r#"[{"get": "a"}, {"set": ["a", "1"]}, {"keys": ""}]"#,
            expect![[r#"[{"refused":"NotGranted"},{"refused":"NotGranted"},{"refused":"NotGranted"}]"#]],
        );
    }
    assert_eq!(bench.not_granted(), [("its key-value space (kv)".to_owned(), "[grants]\nkv = true".to_owned())]);
}

#[test]
fn a_failure_and_a_trap_release_nothing() {
    let bench = Bench::new();
    let guest = bench.load("kv-user", "");
    let failed = run(&*guest, "kv-user/run", r#"{"operations": [{"set": ["a", "1"]}], "then": "fail"}"#);
    let failure = failed.outcome.unwrap().unwrap_err();
    assert!(failure.retryable && failure.details.is_some());
    assert!(failed.outbox.is_empty());
    expect_fault(&run(&*guest, "kv-user/run", r#"{"operations": [{"set": ["a", "1"]}], "then": "trap"}"#), FaultKind::Trap);
}

#[test]
fn a_space_that_cannot_be_read_is_a_fault_of_the_host() {
    let bench = Bench::new();
    let guest = bench.load("kv-user", "");
    let fault = expect_fault(&run(&*guest, "kv-user/run", r#"{"operations": [{"get": "broken"}]}"#), FaultKind::Unavailable);
    assert!(fault.message.contains("the disk is gone"), "{fault}");
}
