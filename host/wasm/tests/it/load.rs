//! Each way in which loading fails, in words that say what, where and what to do; the report of `check_file`.

use expect_test::{Expect, expect};
use trackside_model::ports::Guest;

use crate::support::Bench;

/// The message, with the directory cut off.
fn check(bench: &Bench, result: Result<(), trackside_wasm::LoadError>, expected: Expect) {
    let message = result.unwrap_err().to_string();
    expected.assert_eq(&message.replace(bench.dir.path().to_str().unwrap(), ""));
}

fn refused(name: &str, settings: &str, expected: Expect) {
    let bench = Bench::new();
    let result = bench.try_load(name, settings).map(|_| ());
    check(&bench, result, expected);
}

#[test]
fn triggers_are_of_own_methods_and_of_others_by_a_grant() {
    let bench = Bench::new();
    let names = |guest: &dyn Guest| guest.info().triggers.iter().map(|trigger| trigger.method.to_string()).collect::<Vec<_>>();
    let guest = bench.load("reactor", "");
    assert_eq!(names(&*guest), ["reactor/each", "reactor/burst"]);
    let burst = &guest.info().triggers[1];
    assert_eq!((burst.debounce_ms, burst.throttle_ms, burst.batch_max), (Some(1_000), None, 3));
    assert_eq!(guest.info().triggers[0].filter.when.as_ref().unwrap().as_str(), "event.payload.number > 0");
    let told = ("starting neighbour/echo, which is another plugin's, at events (a trigger)", "[grants]\npublish = [\"workflow:submit\"]");
    assert_eq!(bench.not_granted(), [(told.0.to_owned(), told.1.to_owned())]);
    assert_eq!(names(&*bench.load("reactor", "[grants]\npublish = ['workflow:*']")).len(), 3);
    assert!(names(&*bench.load("reactor", "triggers = false")).is_empty());
}

#[test]
fn what_is_no_component_says_what_it_is() {
    refused(
        "core-module",
        "",
        expect![
            "/plugins/core-module.wasm: is a core module, not a component; build it for wasm32-wasip2, or wrap it with: wasm-tools component new FILE -o FILE"
        ],
    );
    refused("plain-text", "", expect!["/plugins/plain-text.wasm: is not a WebAssembly component: it begins with [54, 68, 69, 73]"]);
    refused("empty", "", expect!["/plugins/empty.wasm: is not a WebAssembly component: it is empty"]);
    refused("truncated", "", expect!["/plugins/truncated.wasm: is not a valid component: unexpected end-of-file (at offset 0xfbd)"]);
}

#[test]
fn an_unknown_import_is_named_with_what_there_is() {
    refused(
        "unknown-import",
        "",
        expect![
            "/plugins/unknown-import.wasm: imports `acme:oracle/tomorrow@1.0.0`, which this host does not offer; it offers what the worlds observer-plugin, control-plugin and worker-plugin of trackside:plugin@0.1.0 import, and wasi:cli, clocks, filesystem, http, io, random and sockets 0.2"
        ],
    );
}

#[test]
fn a_wrong_settings_file_is_named_with_its_line() {
    refused("minimal", "priority = 1\n[limit]\n", expect!["/plugins/minimal.toml: line 2: unknown key 'limit'; did you mean 'limits'?"]);
    refused("minimal", "enabled = false", expect!["/plugins/minimal.toml: is turned off; remove `enabled = false` to load it"]);
}

#[test]
fn a_missing_file_and_a_wrong_name_are_named() {
    let bench = Bench::new();
    check(
        &bench,
        bench.host.load("nobody").map(|_| ()),
        expect!["/plugins/nobody.wasm: cannot be read: No such file or directory (os error 2)"],
    );
    check(
        &bench,
        bench.host.load("../x").map(|_| ()),
        expect!["/plugins/../x.wasm: '../x' is not a plugin name: use up to 64 of a-z, 0-9, '-' and '_', beginning with a letter or digit"],
    );
    check(
        &bench,
        bench.host.load("plugin_host").map(|_| ()),
        expect!["/plugins/plugin_host.wasm: 'plugin_host' is the name of a host component; rename the file"],
    );
}

#[test]
fn a_component_that_is_too_large_is_refused_unread() {
    let bench = Bench::with(|options| options.compile.component_bytes = 1_000);
    let result = bench.try_load("minimal", "").map(|_| ());
    check(&bench, result, expect!["/plugins/minimal.wasm: is larger than the 1000 bytes allowed for a component"]);
}

#[test]
fn a_missing_plugin_directory_is_named() {
    let bench = Bench::new();
    std::fs::remove_dir(bench.plugins()).unwrap();
    assert!(bench.host.scan().unwrap_err().to_string().contains("give an existing directory with --plugins"));
}

#[test]
fn a_file_is_checked_without_being_loaded() {
    let bench = Bench::new();
    trackside_test_guests::build().install("neighbour", &bench.plugins(), Some("[grants]\nclock = true"));
    let report = bench.host.check_file(&bench.plugins().join("neighbour.wasm")).unwrap();
    assert!(report.info.roles.control && report.info.roles.worker && report.info.roles.observer);
    assert!(report.describe_fuel > 0 && report.component_bytes > 0);
    let kv = report.grant_uses.iter().find(|grant| grant.line == "kv = true").unwrap();
    assert!(kv.granted);
    assert!(report.info.imports.iter().any(|import| import.starts_with("trackside:plugin/kv@")));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["name"], "neighbour");
    assert_eq!(json["grants"]["clock"], true);
}
