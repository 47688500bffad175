//! W3C trace context, from a publisher's headers to everything that follows from what it published: plugins' publishes and workflows' facts.
//! Which headers and which metadata are well formed is the model's, and tested there too.

use trackside_test_guests as guests;
use trackside_tests::{Host, Site, Value, json};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
/// Publishes one event for each that it observes.
const ECHO: &str = r#"
[settings]
drafts = [{event_type = "echo:heard", payload = {loud = true}}]
[grants]
publish = ["echo:heard"]
[observes]
event_types = ["order:placed"]
"#;
const WORKFLOW: &str =
    "name: traced\ntasks:\n  - id: one\n    method: sim/echo\n  - id: two\n    method: sim/echo\n    dependencies: [one]\n";

fn parent() -> String {
    format!("00-{TRACE}-{SPAN}-01")
}

/// Publishes with these headers, and gives the event as it is in the log.
fn published(host: &Host, headers: &[(&str, &str)], event: &Value) -> Value {
    let headers: Vec<(&str, &str)> = [("Content-Type", "application/json")].into_iter().chain(headers.iter().copied()).collect();
    let answer = host.send("POST", "/v1/events", &headers, event.to_string()).expect(201);
    host.get(&format!("/v1/events/{}", answer["sequence_number"])).expect(200)["event"].take()
}

fn order(number: u32) -> Value {
    json!({"event_type": "order:placed", "source_component": "shop", "payload": {"number": number}})
}

/// Trace and span of an event.
fn span(event: &Value) -> (String, String) {
    let text = event["metadata"]["traceparent"].as_str().unwrap_or_else(|| panic!("no trace: {event}"));
    let parts: Vec<&str> = text.split('-').collect();
    assert_eq!((parts.len(), parts[0], parts[2].len()), (4, "00", 16), "{text}");
    (parts[1].to_owned(), parts[2].to_owned())
}

#[test]
fn a_publish_is_a_child_of_its_publishers_span() {
    let site = Site::new();
    let host = site.start();
    let event = published(&host, &[("traceparent", &parent()), ("tracestate", "shop=1, other=2")], &order(1));
    let (trace, own) = span(&event);
    assert_eq!(trace, TRACE);
    assert_ne!(own, SPAN, "it has a span of its own");
    assert_eq!((&event["metadata"]["parent_span_id"], &event["metadata"]["tracestate"]), (&json!(SPAN), &json!("shop=1,other=2")));

    // In the body as in the headers; what the event says itself comes first.
    let other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let mut said = order(2);
    said["metadata"] = json!({"traceparent": other});
    let event = published(&host, &[("traceparent", &parent()), ("tracestate", "shop=1")], &said);
    assert_eq!((&*span(&event).0, event["metadata"].get("tracestate")), ("0af7651916cd43dd8448eb211c80319c", None), "{event}");

    // Nobody asked for a trace: the correlation is enough.
    assert_eq!(published(&host, &[], &order(3)).get("metadata"), None);
}

#[test]
fn a_header_that_cannot_be_read_begins_a_new_trace_and_metadata_is_refused() {
    let site = Site::new();
    let host = site.start();
    for (number, wrong) in ["nonsense", &format!("00-{TRACE}-{SPAN}"), &format!("00-{}-{SPAN}-01", "0".repeat(32))].into_iter().enumerate()
    {
        let event = published(&host, &[("traceparent", wrong), ("tracestate", "shop=1")], &order(u32::try_from(number).unwrap()));
        assert!(span(&event).0 != TRACE && event["metadata"].get("tracestate").is_none(), "{event}");
    }
    let mut wrong = order(9);
    wrong["metadata"] = json!({"traceparent": "nonsense"});
    let refused = host.publish(&wrong).expect(422);
    assert_eq!(refused["field"], "metadata.traceparent", "{refused}");
    assert!(refused["detail"].as_str().unwrap_or_default().contains("write 00-TRACE-SPAN-FLAGS"), "{refused}");
}

#[test]
fn what_a_plugin_publishes_is_a_child_of_what_it_was_shown() {
    let site = Site::new();
    site.plugin("publisher", guests::build().bytes("publisher"), ECHO);
    let host = site.start();
    let event = published(&host, &[("traceparent", &parent()), ("tracestate", "shop=1")], &order(1));
    let heard = host.wait_for("type=echo:heard", |_| true);
    assert_eq!(span(&heard).0, TRACE);
    assert_eq!(
        (&heard["metadata"]["parent_span_id"], &heard["metadata"]["tracestate"]),
        (&json!(span(&event).1), &json!("shop=1")),
        "{heard}"
    );

    let shown = host.cli(&["events", "trace", event["event_id"].as_str().unwrap_or_default()]).ok();
    assert!(shown.lines().next().is_some_and(|line| line.ends_with(&format!(", trace {TRACE}"))), "{shown}");
    let explained = host.cli(&["events", "explain", &heard["sequence_number"].to_string()]).ok();
    assert!(explained.contains("metadata.traceparent") && explained.contains("metadata.parent_span_id"), "{explained}");
}

#[test]
fn the_facts_of_a_workflow_are_spans_from_cause_to_effect() {
    let site = Site::new();
    site.shipped(&["sim"]);
    let host = site.start();
    let headers = [("Content-Type", "application/yaml"), ("traceparent", &*parent())];
    let submitted = host.send("POST", "/v1/workflows", &headers, WORKFLOW).expect(201);
    let id = submitted["workflow_id"].as_str().unwrap_or_default();
    host.ended(id);
    let facts = host.events(&format!("workflow_id={id}&narration=false"));
    assert_eq!(facts[0]["event_type"], "workflow:submit");
    assert_eq!(facts[0]["metadata"]["parent_span_id"], SPAN);
    assert!(
        facts.iter().any(|fact| fact["event_type"] == "task:completed")
            && facts.iter().any(|fact| fact["event_type"] == "workflow:completed")
    );
    for fact in &facts[1..] {
        let cause = facts.iter().find(|cause| cause["event_id"] == fact["causation_id"]).unwrap_or_else(|| panic!("no cause: {fact}"));
        assert_eq!((&*span(fact).0, &fact["metadata"]["parent_span_id"]), (TRACE, &json!(span(cause).1)), "{fact}");
    }
    // No two events are the same span, and the same log says so again.
    let mut spans: Vec<String> = facts.iter().map(|fact| span(fact).1).collect();
    spans.sort();
    spans.dedup();
    assert_eq!(spans.len(), facts.len());
}
