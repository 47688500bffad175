//! Guests that break no rule but do too much of what is allowed: each is cut at its limit, told, and goes on or not, as the limit says.

use trackside_test_guests as guests;
use trackside_tests::{Value, eventually, json};

use crate::stage::{Stage, case, extra};

#[test]
fn a_log_flood_is_cut_and_said() {
    let mut stage = Stage::new();
    for to in ["log", "stderr"] {
        let flood = extra("log-flood", if to == "log" { "[settings]\nto = 'log'" } else { "[settings]\nto = 'stderr'" });
        for role in ["control", "observer", "worker"] {
            let before = stage.host.output().len();
            stage.enter(&flood, role);
            if role == "worker" {
                let view = stage.host.finish("name: flood\ntasks:\n  - {id: f, method: log-flood/run}\n");
                assert_eq!(view["status"], "completed", "{view}");
            } else {
                stage.publish();
            }
            let said = eventually("the cut", || {
                let output = stage.host.output()[before..].to_owned();
                output.contains("log_bytes allows 65536 a call").then_some(output)
            });
            let lines: Vec<&str> = said.lines().filter(|line| line.contains("ffffffff")).collect();
            assert!(!lines.is_empty() && lines.len() <= 80, "{role}, {to}: {} lines of the flood came through", lines.len());
            stage.leave(&flood);
        }
    }
    assert_eq!(stage.host.events("type=plugin:fault"), [] as [Value; 0], "a flood is cut, and the call goes on");
    let told = eventually("an event of each version", || {
        let told = stage.host.events("type=error:raised");
        (told.len() >= 6).then_some(told)
    });
    assert_eq!(told.len(), 6, "once a version: {told:?}");
    for event in told {
        let error = &event["payload"]["error"];
        assert_eq!((&event["provider_id"], &event["severity"]), (&json!("log-flood"), &json!("warning")));
        assert_eq!((&error["limit"], &error["allowed"]), (&json!("log_bytes"), &json!(65_536)), "{error}");
    }
    stage.work();
    stage.neighbour_is_unharmed();
}

#[test]
fn an_observer_that_publishes_what_is_no_json_is_refused_and_goes_on() {
    let mut stage = Stage::new();
    stage.site.plugin(
        "malformed",
        guests::build().bytes("malformed"),
        "[grants]\npublish = true\n[observes]\nevent_types = ['case:*']\n[controls]\nevent_types = []\n",
    );
    stage.host.reload("malformed").expect(200);
    stage.publish();
    eventually("the observer's call", || (stage.host.plugin("malformed")["calls"].as_u64() >= Some(1)).then_some(()));
    // An error of the observer would be delivered again, and become a dead letter.
    stage.publish();
    stage.neighbour_is_unharmed();
    assert_eq!(stage.host.events("type=malformed:published,plugin:fault,event:dead_lettered"), [] as [Value; 0]);
}

/// Puts a chatterer into service that answers events of some types with events of another.
fn chatter(stage: &Stage, name: &str, hears: &str, settings: &str) {
    let settings = format!("[grants]\npublish = true\n[observes]\nevent_types = [{hears}]\n{settings}");
    stage.site.plugin(name, guests::build().bytes("chatter"), &settings);
    stage.host.reload(name).expect(200);
}

#[test]
fn two_plugins_that_answer_each_other_are_cut_at_the_hops() {
    let mut stage = Stage::new();
    chatter(&stage, "ping", "'case:came', 'pong:said'", "[settings]\nsays = 'ping:said'\n");
    chatter(&stage, "pong", "'ping:said'", "[settings]\nsays = 'pong:said'\n");
    stage.publish();
    let dead = stage.host.wait_for("type=event:dead_lettered", |event| event["payload"]["code"] == "too_many_hops");
    assert!(["ping", "pong"].iter().any(|name| dead["payload"]["plugin"] == *name), "{dead}");
    stage.work();
    stage.neighbour_is_unharmed();
    assert_eq!(stage.host.events("type=event:dead_lettered").len(), 1, "the loop is over");
}

#[test]
fn a_flood_of_publishes_is_cut_at_the_calls_limit() {
    let mut stage = Stage::new();
    chatter(&stage, "chatter", "'case:came'", "[limits]\npublishes = 5\n[settings]\ntimes = 10_000\n");
    stage.publish();
    stage.host.wait_for("type=chatter:said", |event| event["payload"]["time"] == 4);
    stage.publish();
    stage.work();
    stage.neighbour_is_unharmed();
    eventually("both calls' publishes", || (stage.host.events("type=chatter:said").len() == 10).then_some(()));
}

#[test]
fn nobody_publishes_under_anothers_name_or_as_the_host() {
    let mut stage = Stage::new();
    chatter(&stage, "impostor", "'case:came'", "[settings]\nsays = 'impostor:said'\nclaims = 'neighbour'\n");
    stage.publish();
    let said = stage.host.wait_for("type=impostor:said", |_| true);
    assert_eq!(said["source_component"], "impostor", "whatever it calls itself: {said}");
    chatter(&stage, "impostor", "'case:came'", "[settings]\nsays = 'task:completed'\n");
    stage.publish();
    stage.work();
    stage.neighbour_is_unharmed();
    let facts = stage.host.events("type=task:completed&narration=false");
    assert!(facts.iter().all(|fact| fact["source_component"] == "execution_engine"), "{facts:?}");
    let told = stage.host.wait_for("type=plugin:loaded&provider_id=impostor", |_| true);
    assert_eq!(told["payload"]["plugin"], "impostor");
    assert_eq!(stage.host.events("type=plugin:loaded&provider_id=neighbour").len(), 1, "no second neighbour");
}

#[test]
fn a_kv_flood_fills_its_own_space_alone() {
    let mut stage = Stage::new();
    stage.site.plugin("kv-user", guests::build().bytes("kv-user"), "[grants]\nkv = true\n[limits]\nkv_bytes = 100_000\n");
    stage.host.reload("kv-user").expect(200);
    let fills: Vec<String> = (0..20).map(|n| format!("{{fill: [k{n}, 9000]}}")).collect();
    let view = stage
        .host
        .finish(&format!("name: flood\ntasks:\n  - {{id: f, method: kv-user/run, parameters: {{operations: [{}]}}}}\n", fills.join(", ")));
    assert_eq!(view["status"], "completed", "{view}");
    let answers = view["tasks"][0]["result"].as_array().cloned().unwrap_or_default();
    let refused = answers.iter().filter(|answer| answer["refused"] == "Full").count();
    assert!((1..20).contains(&refused), "{answers:?}");
    stage.publish();
    stage.work();
    stage.neighbour_is_unharmed();
}

#[test]
fn who_asks_for_the_whole_log_gets_what_one_call_may_carry() {
    let mut stage = Stage::new();
    let settings = "[grants]\nquery = true\n[limits]\nresult_bytes = 20_000\n";
    stage.site.plugin("historian", guests::build().bytes("historian"), settings);
    stage.host.reload("historian").expect(200);
    for _ in 0..200 {
        stage.publish();
    }
    let look = |pages: u32| {
        stage.host.finish(&format!(
            "name: look\ntasks:\n  - {{id: l, method: historian/look, parameters: {{types: ['**'], limit: 1000000, pages: {pages}}}}}\n"
        ))
    };
    let one = look(1);
    let page = &one["tasks"][0]["result"]["pages"][0];
    assert!(page["next"].is_u64() && page["events"].as_array().is_some_and(|events| !events.is_empty()), "{one}");
    let all = look(1_000);
    assert_eq!((&all["status"], &all["tasks"][0]["error"]["code"]), (&json!("failed"), &json!("bytes")), "{all}");
    stage.work();
    stage.neighbour_is_unharmed();
}

#[test]
fn a_sleep_past_the_deadline_is_cut_at_it() {
    let mut stage = Stage::new();
    let sleeper =
        case("spin-host", "[limits]\ntimeout_ms = 100\n[grants]\ntimers = true\n[settings]\ncall = 'sleep'", "deadline", 100, "100 ms");
    for (role, call) in [("control", "check"), ("observer", "observe")] {
        let after = stage.head();
        stage.enter(&sleeper, role);
        stage.publish();
        stage.fault(&sleeper, call, after);
        stage.leave(&sleeper);
    }
    stage.work();
    stage.neighbour_is_unharmed();
}
