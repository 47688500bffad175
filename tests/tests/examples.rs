//! The examples, as their READMEs tell them: built, run and spoken to.
//! What the verbs do in general is tested beside them.

use std::{fs, path::Path};

use trackside_test_guests as guests;
use trackside_tests::{Site, json};

fn example(path: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    fs::read_to_string(folder.join(path)).expect("the example has this file")
}

#[test]
fn the_order_desks_policy_holds_its_cases() {
    let site = Site::new();
    site.plugin("order-limit", guests::build().bytes("order-limit"), &example("order-desk/order-limit.toml"));
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/order-desk/cases");
    let said = site.run(["plugin", "test", "plugins/order-limit.wasm", "--events", &cases.to_string_lossy()]).ok();
    assert!(said.ends_with("3 passed, 0 failed\n"), "{said}");
}

#[test]
fn the_order_desk_takes_small_orders_and_refuses_large_ones() {
    let site = Site::new();
    let policy = fs::read(guests::path("order-limit")).expect("the policy is built");
    site.plugin("order-limit", policy, &example("order-desk/order-limit.toml"));
    site.shipped(&["audit", "sim"]);
    let host = site.start();

    host.cli(&["publish", "--type", "order:placed", "--source", "shop", "--payload", r#"{"amount": 20, "item": "tea"}"#]).ok();
    let taken = host.events("type=order:placed");
    assert_eq!(taken[0]["payload"], json!({"amount": 20.0, "currency": "EUR", "item": "tea"}), "the policy names the currency");

    let refused = host.cli(&["publish", "--type", "order:placed", "--source", "shop", "--payload", r#"{"amount": 9000, "item": "piano"}"#]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.stderr.contains("9000 is more than the 500"), "{refused}");
    let told = host.cli(&["events", "--type", "control:*"]).ok();
    assert!(told.contains("control:failed"), "{told}");

    let workflow = site.file("nightly.yaml", example("order-desk/nightly.yaml"));
    let ended = host.cli(&["submit", &workflow.to_string_lossy(), "--input", r#"{"day": "Monday"}"#, "--wait", "--json"]).json();
    let report = ended["tasks"].as_array().and_then(|tasks| tasks.iter().find(|task| task["id"] == "report"));
    assert_eq!(report.map(|report| &report["result"]["text"]), Some(&json!("On Monday there were 3 orders")));
}
