//! The policies and observers that ship, each at its work in a real host: added as a user adds them, with settings of the test, and seen by
//! what stands in the log. What is common to all plugins is `plugins`', and that their settings are documented is `policy_docs`'.

use std::{sync::atomic::AtomicUsize, sync::atomic::Ordering, thread};

use trackside_test_guests as guests;
use trackside_tests::{Host, Site, Value, eventually, json};

/// A site with these plugins, added as a user adds them, and these settings files in place of those that they came with.
fn site(plugins: &[(&str, &str)]) -> Site {
    let site = Site::new();
    for (name, settings) in plugins {
        site.shipped(&[name]);
        if !settings.is_empty() {
            site.file(&format!("plugins/{name}.toml"), settings);
        }
    }
    site
}

fn event(event_type: &str, source: &str, payload: Value) -> Value {
    json!({"event_type": event_type, "source_component": source, "payload": payload})
}

/// What the host answered: the HTTP status, and the reason.
fn said(host: &Host, event: &Value) -> (u16, String) {
    let answer = host.publish(event);
    let body = answer.json();
    let reason = ["reason", "detail"].iter().find_map(|member| body[*member].as_str());
    (answer.status, reason.unwrap_or_default().to_owned())
}

fn one_task(name: &str, method: &str, parameters: &Value) -> String {
    format!("name: {name}\ntasks:\n  - {{id: t, method: {method}, parameters: {parameters}}}\n")
}

/// Who did the task of each of so many workflows.
fn providers(host: &Host, name: &str, times: usize) -> Vec<String> {
    let ids: Vec<Value> = (0..times).map(|_| host.finish(&one_task(name, "sim/echo", &json!({})))["workflow_id"].clone()).collect();
    let started = host.events("type=task:started");
    let of = |id: &Value| {
        started.iter().find(|event| event["workflow_id"] == *id).map(|event| event["provider_id"].as_str().unwrap_or_default())
    };
    ids.iter().map(|id| of(id).unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_provider_that_keeps_failing_is_passed_over() {
    let site = site(&[
        ("sim", ""),
        (
            "circuit-breaker",
            "[settings]\nfailures = 2\nwindow_ms = 3_600_000\ncooldown_ms = 3_600_000\nmax_cooldown_ms = 3_600_000\n[grants]\nkv = true\n",
        ),
    ]);
    let host = site.start();
    // A failure of which trying again does not help says nothing about the provider.
    for retryable in [false, true, true] {
        assert_eq!(host.finish(&one_task("f", "sim/fail", &json!({"retryable": retryable})))["status"], "failed");
    }
    let waits = host.submit(&one_task("w", "sim/echo", &json!({})));
    let skipped = host.wait_for("type=control:skipped", |event| event["workflow_id"] == *waits);
    assert_eq!(
        (&skipped["payload"]["by"], &skipped["payload"]["point"]),
        (&json!("circuit-breaker"), &json!("candidate_found")),
        "{skipped}"
    );
    assert!(skipped["payload"]["reason"].as_str().is_some_and(|reason| reason.contains("the circuit of sim is open")), "{skipped}");
    assert_eq!(host.events("type=control:skipped").iter().filter(|event| event["workflow_id"] != *waits).count(), 0, "nobody before it");

    // Another provider of the method takes the work over, what waits too.
    site.plugin("sim-b", guests::build().bytes("sim"), "[grants]\ntimers = true\nclock = true\n");
    host.reload("sim-b").expect(200);
    assert_eq!(host.ended(&waits)["status"], "completed");
    assert_eq!(providers(&host, "w", 5), ["sim-b"; 5]);
}

#[test]
fn a_probe_that_succeeds_closes_the_circuit() {
    // The cooldown is over as soon as it has begun: the next task is the probe.
    let site =
        site(&[("sim", ""), ("circuit-breaker", "[settings]\nfailures = 2\ncooldown_ms = 1\nmax_cooldown_ms = 1\n[grants]\nkv = true\n")]);
    let host = site.start();
    let fail = || host.finish(&one_task("f", "sim/fail", &json!({"retryable": true})))["status"].clone();
    assert_eq!((fail(), fail()), (json!("failed"), json!("failed")));
    eventually("the circuit is open", || site.kv("circuit-breaker", "open/sim"));
    assert_eq!(fail(), "failed", "a probe");
    eventually("the circuit is open again", || site.kv("circuit-breaker", "open/sim"));
    assert_eq!(host.finish(&one_task("p", "sim/echo", &json!({})))["status"], "completed");
    eventually("the circuit is closed", || site.kv("circuit-breaker", "open/sim").is_none().then_some(()));
    assert!(fail() == "failed" && site.kv("circuit-breaker", "open/sim").is_none(), "one failure does not open it");
}

#[test]
fn an_empty_bucket_answers_with_the_exact_wait() {
    let site = site(&[(
        "rate-limit",
        "[controls]\nevent_types = [\"order:*\"]\n[settings]\nrate_per_s = 0.001\nburst = 5\n[grants]\nkv = true\n",
    )]);
    let host = site.start();
    let publish = |source: &str, number: usize| host.publish(&event("order:placed", source, json!(number)));
    // All at once: however they meet, no more get a token than there are.
    let appended = AtomicUsize::new(0);
    thread::scope(|scope| {
        for publisher in 0..8 {
            let (appended, publish) = (&appended, &publish);
            scope.spawn(move || {
                for number in 0..5 {
                    appended.fetch_add(usize::from(publish("shop", publisher * 100 + number).status == 201), Ordering::Relaxed);
                }
            });
        }
    });
    let at_once = appended.into_inner();
    assert!((1..=5).contains(&at_once), "{at_once} of a bucket of 5");
    let one_by_one = (0..5).filter(|number| publish("shop", 1_000 + number).status == 201).count();
    assert_eq!((at_once + one_by_one, host.events("type=order:placed").len()), (5, 5));
    let answer = publish("shop", 2_000);
    let wait_s: u64 = answer.header("retry-after").and_then(|text| text.parse().ok()).unwrap_or_default();
    assert!(answer.status == 429 && (1..=1_000).contains(&wait_s), "{answer}");
    // A bucket of its own, and types that take no token.
    publish("desk", 0).expect(201);
    host.publish(&event("user:created", "shop", json!({}))).expect(201);
    let told = host.wait_for("type=control:retried", |_| true);
    assert!(told["payload"]["reason"].as_str().is_some_and(|reason| reason.contains("'shop' has used up its 5 tokens")), "{told}");
}

#[test]
fn what_no_rule_allows_is_refused_and_a_broken_rule_fails_closed() {
    let rules = |more: &str| {
        format!(
            "[settings]\ndefault = 'deny'\nrules = [\n\
             {{name = 'clients submit', effect = 'allow', when = \"event_type == 'workflow:submit' && origin == 'http'\"}},\n\
             {{name = 'orders by the shop', effect = 'allow', when = \"event_type.startsWith('order:') && source == 'shop'\"}},\n\
             {{name = 'tasks', effect = 'allow', when = \"point == 'task_ready' && workflow == 'known'\"}},\n\
             {{name = 'no failing', effect = 'deny', when = \"method == 'sim/fail'\"}},\n{more}]\n"
        )
    };
    let site = site(&[("sim", ""), ("authorize", &rules(""))]);
    let host = site.start();
    host.publish(&event("order:placed", "shop", json!(1))).expect(201);
    let (status, reason) = said(&host, &event("order:placed", "night-shift", json!(2)));
    assert!(status == 403 && reason.contains("no rule allows it"), "{status} {reason}");
    let ended = |name: &str, method: &str| host.finish(&one_task(name, method, &json!({})));
    assert_eq!(ended("known", "sim/echo")["status"], "completed");
    assert_eq!(ended("unknown", "sim/echo")["status"], "failed");
    let view = ended("known", "sim/fail");
    assert!(view["status"] == "failed" && view.to_string().contains("denied by the rule 'no failing'"), "{view}");
    assert_eq!(host.events("type=task:started").len(), 1, "what is refused is not begun");

    // A rule that cannot be evaluated for an event, and one that does not read at all.
    for (more, names) in [
        ("{name = 'half', effect = 'deny', when = 'payload.tenant == 1'},", "the rule 'half' cannot be evaluated"),
        ("{name = 'broken', effect = 'allow', when = 'sorce =='},", "setting `rules`: 'broken'"),
        ("{name = 'typo', effect = 'allow', when = 'sorce == 1'},", "setting `rules`: 'typo': there is no 'sorce'"),
    ] {
        site.file("plugins/authorize.toml", rules(more));
        host.reload("authorize").expect(200);
        let (status, reason) = said(&host, &event("order:placed", "shop", json!({"more": more})));
        assert!(status >= 400 && reason.contains(names), "{status} {reason}");
    }
    assert_eq!(host.events("type=order:placed").len(), 1);
}

#[test]
fn secrets_never_reach_the_log() {
    let site = site(&[("sim", ""), ("redact", "")]);
    let host = site.start();
    let user = json!({
        "name": "Ann", "Password": "hunter2", "contacts": [{"note": "ann@example.com, card 4111 1111 1111 1111"}],
        "header": "Bearer abcdefghijklmnop123456", "age": 42,
    });
    host.publish(&event("user:created", "desk", user.clone())).expect(201);
    let logged = host.wait_for("type=user:created", |_| true);
    let expected = json!({
        "name": "Ann", "Password": "[redacted]", "contacts": [{"note": "[redacted], card [redacted]"}],
        "header": "Bearer [redacted]", "age": 42,
    });
    assert_eq!(logged["payload"], expected);
    // Who repeats the event has published it already; workflows are what their sender wrote.
    host.publish(&event("user:created", "desk", user)).expect(200);
    assert_eq!(host.finish(&one_task("e", "sim/echo", &json!({"token": "t"})))["tasks"][0]["result"], json!({"token": "t"}));

    // With a key, digests that can be compared and not read.
    site.file(
        "plugins/redact.toml",
        "[settings]\npatterns = ['email']\nkeys = []\npointers = ['/people/*/phone']\ndigest_key = 'a secret of this site'\n",
    );
    host.reload("redact").expect(200);
    let people = json!({"people": [{"phone": 1, "mail": "x@example.com"}, {"phone": 1, "mail": "y@example.com"}]});
    host.publish(&event("people:met", "desk", people)).expect(201);
    let people = host.wait_for("type=people:met", |_| true)["payload"]["people"].clone();
    assert!(people[0]["phone"] == people[1]["phone"] && people[0]["mail"] != people[1]["mail"], "{people}");
    assert!(people[0]["phone"].as_str().is_some_and(|digest| digest.starts_with("hmac:")) && !people.to_string().contains('@'), "{people}");
}

#[test]
fn a_flag_leaves_out_whom_it_does_not_let_in() {
    let flags = "[controls]\nevent_types = ['order:*', 'task:ready']\n\
                 [[settings.flags]]\nname = 'gifts'\ntypes = ['order:gift']\npercent = 50\nallow_metadata = {tenant = ['acme']}\n\
                 [[settings.flags]]\nname = 'echo'\nmethods = ['sim/echo']\nworkflows = ['trial']\npercent = 0\n";
    let site = site(&[("sim", ""), ("feature-flag", flags)]);
    let host = site.start();
    let publish = |correlation: &str, number: usize, metadata: Value| {
        let mut gift = event("order:gift", "shop", json!(number));
        gift["correlation_id"] = json!(correlation);
        gift["metadata"] = metadata;
        host.publish(&gift).json()["outcome"].clone()
    };
    let outcomes: Vec<Value> = (0..40).map(|number| publish(&format!("c-{number}"), 0, json!({}))).collect();
    let inside = outcomes.iter().filter(|outcome| **outcome == "appended").count();
    assert!((5..=35).contains(&inside) && outcomes.iter().all(|outcome| outcome == "appended" || outcome == "skipped"), "{outcomes:?}");
    let again: Vec<Value> = (0..40).map(|number| publish(&format!("c-{number}"), 1, json!({}))).collect();
    assert_eq!(again, outcomes, "a correlation stays on its side");
    let outside = outcomes.iter().position(|outcome| outcome == "skipped").unwrap_or_default();
    assert_eq!(publish(&format!("c-{outside}"), 2, json!({"tenant": "acme"})), "appended");
    // A task that is left out, in the workflow that the flag names and in no other.
    let status = |name: &str| host.finish(&one_task(name, "sim/echo", &json!({})))["tasks"][0]["status"].clone();
    assert_eq!((status("trial"), status("other")), (json!("skipped"), json!("completed")));
}

#[test]
fn a_task_that_has_failed_for_good_has_its_last_good_result() {
    let site = site(&[("sim", ""), ("fallback-cache", "")]);
    let host = site.start();
    let flaky = |retry: &str, result: &str| {
        let parameters = json!({"fail_first": 1, "result": result});
        host.finish(&format!("name: f\ntasks:\n  - {{id: t, method: sim/flaky, parameters: {parameters}{retry}}}\n"))
    };
    assert_eq!(flaky("", "rates")["status"], "failed", "there is no good result yet");
    let retried = flaky(", retry: {max_attempts: 2, base_delay: 1ms}", "rates");
    assert_eq!(retried["tasks"][0]["result"], "rates", "the attempt that failed was not the last: {retried}");
    assert_eq!(host.events("type=control:fallback"), [] as [Value; 0]);
    let fallen_back = flaky("", "rates");
    assert_eq!((&fallen_back["status"], &fallen_back["tasks"][0]["result"]), (&json!("completed"), &json!("rates")), "{fallen_back}");
    let told = host.wait_for("type=control:fallback", |_| true);
    assert!(
        told["payload"]["by"] == "fallback-cache"
            && told["payload"]["reason"].as_str().is_some_and(|reason| reason.contains("the last good result")),
        "{told}"
    );
    assert_eq!(flaky("", "other")["status"], "failed", "other parameters, other results");
}

#[test]
fn what_was_redacted_does_not_come_back_as_a_fallback() {
    let site = site(&[("sim", ""), ("fallback-cache", ""), ("redact", "[settings]\npoints = ['task_completed']\n")]);
    let host = site.start();
    let result = |retry: &str| {
        let parameters = json!({"fail_first": 1, "result": "from ann@example.com"});
        let view = host.finish(&format!("name: f\ntasks:\n  - {{id: t, method: sim/flaky, parameters: {parameters}{retry}}}\n"));
        view["tasks"][0]["result"].clone()
    };
    assert_eq!(result(", retry: {max_attempts: 2, base_delay: 1ms}"), "from [redacted]");
    assert_eq!(result(""), "from [redacted]");
    assert_eq!(host.events("type=control:fallback").len(), 1);
}

#[test]
fn a_payload_that_breaks_its_schema_is_refused_by_its_place() {
    let settings = "[controls]\nevent_types = ['order:*']\n[settings]\nuncovered = 'fail'\n[settings.schemas.'order:placed']\n\
                    type = 'object'\nrequired = ['amount']\nproperties = {amount = {type = 'number', exclusiveMinimum = 0}}\n";
    let site = site(&[("schema-guard", settings)]);
    let host = site.start();
    host.publish(&event("order:placed", "shop", json!({"amount": 1}))).expect(201);
    for (payload, says) in [
        (json!({"amount": 0}), "payload/amount: expected more than 0, found 0"),
        (json!({"amount": "1"}), "payload/amount: expected number, found \"1\""),
        (json!({}), "payload: expected a member 'amount', found none"),
    ] {
        let (status, reason) = said(&host, &event("order:placed", "shop", payload));
        assert!(status == 403 && reason.contains(says), "{status} {reason}");
    }
    let (status, reason) = said(&host, &event("order:lost", "shop", json!({})));
    assert!(status == 403 && reason.contains("there is no schema for order:lost"), "{status} {reason}");
    host.publish(&event("user:created", "shop", json!(1))).expect(201);
    // A keyword that is not kept to is never passed over.
    site.file("plugins/schema-guard.toml", format!("{settings}format = 'order'\n"));
    host.reload("schema-guard").expect(200);
    let (status, reason) = said(&host, &event("order:placed", "shop", json!({"amount": 2})));
    assert!(status >= 400 && reason.contains("keyword 'format' is not supported"), "{status} {reason}");
    assert_eq!(host.events("type=order:placed").len(), 1);
}

#[test]
fn tasks_go_where_the_rules_say() {
    let rules = "[settings]\nrules = [{workflows = ['gold'], forbid = ['sim']}, {workflows = ['batch'], prefer = ['sim-b']}, {workflows = ['dear'], prefer = ['nobody']}]\n[grants]\nkv = true\n";
    let site = site(&[("sim", ""), ("route", rules)]);
    site.plugin("sim-b", guests::build().bytes("sim"), "[grants]\ntimers = true\nclock = true\n");
    let host = site.start();
    assert_eq!(providers(&host, "gold", 8), ["sim-b"; 8]);
    assert_eq!(providers(&host, "batch", 8), ["sim-b"; 8]);
    let told = host.events("type=control:skipped");
    for says in ["rule 1 does not let sim have it", "rule 2 prefers others to sim"] {
        assert!(told.iter().any(|event| event["payload"]["reason"] == says), "{says}: {told:?}");
    }
    // A preference for somebody who is not there is no refusal.
    assert_eq!(host.finish(&one_task("dear", "sim/echo", &json!({})))["status"], "completed");
}

#[test]
fn sums_are_published_and_count_each_event_once() {
    let site = site(&[
        ("sim", ""),
        ("metrics", "[settings]\npublish_every_ms = 1\nbuckets_ms = [1_000_000]\n[grants]\nkv = true\npublish = ['metrics:collected']\n"),
    ]);
    let host = site.start();
    let publish = |host: &Host, numbers: std::ops::Range<u32>| {
        numbers.for_each(|number| drop(host.publish(&event("order:placed", "shop", json!(number))).expect(201)));
    };
    publish(&host, 0..20);
    for _ in 0..3 {
        host.finish(&one_task("e", "sim/echo", &json!({})));
    }
    let whole = |host: &Host, orders: u64| {
        host.wait_for("type=metrics:collected", |event| {
            let sums = &event["payload"];
            assert!(sums["events"]["by_type"]["order:placed"].as_u64().unwrap_or_default() <= orders, "{sums}");
            sums["events"]["by_type"]["order:placed"] == orders && sums["durations"]["workflows"]["e"]["count"] == 3
        })
    };
    publish(&host, 20..40);
    let sums = whole(&host, 40)["payload"].clone();
    assert_eq!(sums["durations"]["tasks"]["sim/echo"]["count"], 3, "{sums}");
    assert_eq!(sums["durations"]["workflows"]["e"]["buckets"], json!([3, 0]), "{sums}");
    assert_eq!(sums["events"]["by_source"]["shop"], 40, "{sums}");
    // A host that is killed goes on counting where it was.
    host.kill();
    let host = site.start();
    publish(&host, 40..50);
    host.publish(&event("user:created", "shop", json!(1))).expect(201);
    whole(&host, 50);
}

#[test]
fn an_alert_comes_once_a_crossing() {
    let rules = "[[settings.rules]]\nname = 'refusals'\ntypes = ['order:refused']\nper = '/item'\nwhen = [{field = '/amount', above = 10}]\n\
                 count = 3\nwindow_ms = 3_600_000\ncooldown_ms = 0\nseverity = 'critical'\n[grants]\nkv = true\npublish = ['alert:triggered']\n";
    let site = site(&[("alert", rules), ("audit", "")]);
    let host = site.start();
    let refuse = |host: &Host, item: &str, amount: u32| {
        drop(host.publish(&event("order:refused", "shop", json!({"item": item, "amount": amount}))).expect(201))
    };
    (0..10).for_each(|amount| refuse(&host, "tea", amount));
    (20..22).for_each(|amount| refuse(&host, "tea", amount));
    (20..23).for_each(|amount| refuse(&host, "salt", amount));
    let alert = host.wait_for("type=alert:triggered", |_| true);
    let payload = &alert["payload"];
    assert_eq!((&alert["severity"], &alert["source_component"]), (&json!("critical"), &json!("alert")), "{alert}");
    assert_eq!((&payload["rule"], &payload["group"], &payload["count"]), (&json!("refusals"), &json!("salt"), &json!(3)), "{alert}");
    let cause = host.wait_for("type=order:refused", |event| event["event_id"] == alert["causation_id"]);
    assert_eq!(cause["payload"], json!({"item": "salt", "amount": 22}));

    // Killed and started again, it knows what it has told, and what it has counted.
    host.kill();
    let host = site.start();
    (30..35).for_each(|amount| refuse(&host, "salt", amount));
    refuse(&host, "tea", 30);
    host.wait_for("type=alert:triggered", |event| event["payload"]["group"] == "tea");
    let groups: Vec<Value> = host.events("type=alert:triggered").iter().map(|event| event["payload"]["group"].clone()).collect();
    assert_eq!(groups, [json!("salt"), json!("tea")]);
}
