//! The stop: nothing that was acknowledged is lost, nothing more comes in, and it comes to an end.

use std::time::{Duration, Instant};

use serde_json::json;
use trackside_engine::Outcome;
use trackside_model::{ports::FaultKind, workflow::WorkflowStatus};

use crate::{support::*, workflows::echo};

#[test]
fn what_was_acknowledged_before_is_there_after() {
    let host = Host::with([echo()]);
    let engine = host.engine().clone();
    let acknowledged = host.run(async {
        let mut publishing = tokio::task::JoinSet::new();
        for n in 0..500 {
            let engine = engine.clone();
            publishing.spawn(async move { engine.publish(order(n), caller()).await });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        engine.stop(Duration::from_secs(30)).await;
        publishing.join_all().await
    });
    for answer in &acknowledged {
        assert!(matches!(answer.outcome, Outcome::Appended | Outcome::Busy), "{answer:?}");
    }
    let appended = acknowledged.iter().filter(|answer| answer.outcome == Outcome::Appended).count();
    let host = Host::over(host.stop(), options(), |_| Vec::new());
    assert_eq!(host.count("order:placed"), appended);
}

#[test]
fn after_the_stop_everything_is_answered_busy() {
    let host = Host::with([echo()]);
    let workflow = host.submit("name: w\nwait_for_provider: true\ntasks: [{id: a, method: not/here}]\n");
    host.run(host.engine().stop(Duration::from_secs(30)));
    assert_eq!(told(&host.publish(order(1))), "busy: the host is stopping (again in 5000 ms)");
    let submitted = host.try_submit("name: w\ntasks: [{id: a, method: sim/echo}]\n", &json!({})).unwrap();
    assert_eq!(told(&submitted), "busy: the host is stopping (again in 5000 ms)");
    let cancelled = host.run(host.engine().cancel(&workflow, String::new(), caller()));
    assert_eq!(told(&cancelled), "busy: the host is stopping (again in 5000 ms)");
    let types: Vec<String> = host.events().iter().map(|event| event.event_type.to_string()).collect();
    assert_eq!(types[types.len() - 2..], ["system:stopping", "engine:stopped"]);
    let view = host.run(host.engine().wait(&workflow)).unwrap().unwrap();
    assert_eq!(view.status, WorkflowStatus::Running, "whoever waits is not left waiting");
}

#[test]
fn calls_that_are_out_have_the_grace_to_end() {
    let slow = Scripted::worker("slow", &["sim/slow"], |_| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        result(&json!("in time"))
    });
    let observer = Scripted::observer("ledger", types(&["order:*"]), |events, _| {
        std::thread::sleep(Duration::from_millis(50));
        taken().adding("count", i64::try_from(events.len()).unwrap())
    });
    let host = Host::with([slow, observer]);
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/slow}]\n");
    host.until_told("task:started", 1);
    host.publish(order(1));
    std::thread::sleep(Duration::from_millis(10));
    let host = Host::over(host.stop(), options(), |_| Vec::new());
    assert_eq!(host.kv("ledger", "count").as_deref(), Some("1"));
    assert_eq!(host.ended(&workflow).tasks[0].result.as_ref().unwrap().as_str(), r#""in time""#);
    assert_eq!(host.count("task:started"), 1, "it was not done again");
}

#[test]
fn guests_that_do_not_end_do_not_keep_the_host() {
    // Each as bounded as the port promises: a blocking call by its deadline, a worker by being cut.
    let spinning = Scripted::observer("spinning", types(&["order:*"]), |_, _| {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(400) {
            std::hint::spin_loop();
        }
        fault(FaultKind::Deadline)
    });
    let hanging = Scripted::worker("hanging", &["sim/hang"], |_| std::future::pending());
    let host = Host::with([spinning, hanging]);
    let workflow = host.submit("name: w\ntasks: [{id: a, method: sim/hang}]\n");
    host.until_told("task:started", 1);
    host.publish(order(1));
    let begun = Instant::now();
    host.run(host.engine().stop(Duration::from_millis(1_000)));
    // The grace, once, and the bounded call: not the sum of what each could take, by a wide margin.
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let worker = Scripted::worker("hanging", &["sim/hang"], |_| async { result(&json!("after the restart")) });
    let host = Host::over(host.stop(), options(), |_| vec![worker]);
    let view = host.ended(&workflow);
    assert_eq!((view.status, view.tasks[0].attempts), (WorkflowStatus::Completed, 1));
}
