//! The watch over the plugin directory: what is put there, changed there and taken away is taken up by itself, whole and once.
//! Settling as such, with its times, is tested beside the code.

use std::{
    fs::{self, File},
    io::Write as _,
    os::unix::fs::symlink,
    thread,
    time::Duration,
};

use trackside_test_guests as guests;
use trackside_tests::{Host, Site, Value, eventually, json};

/// Long enough for a host to do what it must not do; a slower one is not found out, but does no harm to a right one.
const A_WHILE: Duration = Duration::from_millis(400);

fn version(host: &Host, name: &str) -> Option<Value> {
    let listed = host.get("/v1/plugins").expect(200);
    listed["plugins"].as_array()?.iter().find(|plugin| plugin["name"] == name).cloned()
}

fn in_service(host: &Host, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    eventually(&format!("{name} in service"), || version(host, name).filter(|plugin| is_it(plugin)))
}

fn told(host: &Host, event_type: &str) -> usize {
    host.events(&format!("type={event_type}")).len()
}

#[test]
fn what_comes_changes_and_goes_is_taken_up_by_itself() {
    let site = Site::new();
    let host = site.start_watching();
    let component = guests::build().bytes("neighbour");
    site.plugin("neighbour", &component, "");
    let first = in_service(&host, "neighbour", |_| true);

    site.plugin("neighbour", guests::distinct(&component, 1), "");
    let second = in_service(&host, "neighbour", |plugin| plugin["version"] != first["version"]);

    // Its settings alone; later in the chain is no growth.
    site.file("plugins/neighbour.toml", "priority = 150\n");
    in_service(&host, "neighbour", |plugin| plugin["priority"] == 150 && plugin["version"] == second["version"]);

    // Broken: said once, and what runs goes on.
    site.plugin("neighbour", b"junk", "");
    let failed = host.wait_for("type=plugin:reload_failed", |_| true);
    assert_eq!(failed["payload"]["running"].as_str(), second["version"].as_str().map(|version| &version[..12]), "{failed}");
    assert_eq!(version(&host, "neighbour").expect("it runs")["version"], second["version"]);
    thread::sleep(A_WHILE);
    assert_eq!(told(&host, "plugin:reload_failed"), 1);

    site.plugin("neighbour", &component, "");
    in_service(&host, "neighbour", |plugin| plugin["version"] == first["version"]);
    eventually("nothing refused", || (host.get("/v1/plugins").expect(200)["refused"] == json!([])).then_some(()));

    fs::remove_file(site.plugins().join("neighbour.wasm")).expect("a file can be removed");
    eventually("neighbour out of service", || version(&host, "neighbour").is_none().then_some(()));
    host.wait_for("type=plugin:unloaded", |event| event["payload"]["plugin"] == "neighbour");
}

#[test]
fn half_a_file_is_not_taken_up() {
    let site = Site::new();
    let component = guests::build().bytes("neighbour");
    site.plugin("neighbour", &component, "");
    let host = site.start_watching();
    let before = host.plugin("neighbour")["version"].clone();
    let changed = guests::distinct(&component, 2);
    let (half, rest) = changed.split_at(changed.len() / 2);
    let mut file = File::create(site.plugins().join("neighbour.wasm")).expect("a file can be made");
    for part in [half, rest] {
        file.write_all(part).expect("a file can be written");
        file.flush().expect("a file can be written");
        thread::sleep(A_WHILE);
        assert_eq!((told(&host, "plugin:reload_failed"), &host.plugin("neighbour")["version"]), (0, &before), "it is still being written");
    }
    drop(file);
    in_service(&host, "neighbour", |plugin| plugin["version"] != before);
    eventually("the reload's event", || (told(&host, "plugin:reloaded") == 1).then_some(()));
    assert_eq!(told(&host, "plugin:reload_failed"), 0);
}

#[test]
fn a_burst_ends_with_what_stands_there_and_takes_up_nothing_half() {
    let site = Site::new();
    let component = guests::build().bytes("neighbour");
    site.plugin("neighbour", &component, "");
    let host = site.start_watching();
    for number in 0..30 {
        site.plugin("neighbour", guests::distinct(&component, number), &format!("priority = {}\n", 200 + number));
    }
    in_service(&host, "neighbour", |plugin| plugin["priority"] == 229);
    thread::sleep(A_WHILE);
    assert_eq!(told(&host, "plugin:reload_failed"), 0);
    let reloaded = told(&host, "plugin:reloaded");
    assert!((1..30).contains(&reloaded), "{reloaded} reloads of a burst of 30");
}

#[test]
fn what_editors_leave_beside_it_is_nobodys() {
    let site = Site::new();
    site.shipped(&["sim"]);
    let host = site.start_watching();
    for name in [".sim.toml.swp", "sim.toml~", "4913", "sim.wasm.part", ".sim.wasm.new", "#sim.toml#"] {
        site.file(&format!("plugins/{name}"), "x");
    }
    // Saved as editors do: the old one moved away, the new one put in its place.
    let settings = site.plugins().join("sim.toml");
    let text = fs::read_to_string(&settings).expect("settings");
    fs::rename(&settings, site.plugins().join("sim.toml~")).expect("a file can be moved");
    fs::write(&settings, format!("{text}\n[settings]\nx = 1\n")).expect("a file can be written");
    let before = host.plugin("sim")["settings"].clone();
    in_service(&host, "sim", |plugin| plugin["settings"] != before);
    eventually("the reload's event", || (told(&host, "plugin:reloaded") == 1).then_some(()));
    assert_eq!(told(&host, "plugin:reload_failed"), 0);
    // A component of a name that no plugin can have is told, until it is gone.
    site.file("plugins/Sim.wasm", "x");
    let refused = host.wait_for("type=plugin:reload_failed", |_| true);
    assert!(refused["payload"]["reason"].as_str().is_some_and(|reason| reason.contains("'Sim' is not a plugin name")), "{refused}");
    fs::remove_file(site.plugins().join("Sim.wasm")).expect("a file can be removed");
    eventually("nothing refused", || (host.get("/v1/plugins").expect(200)["refused"] == json!([])).then_some(()));
}

#[test]
fn what_the_system_does_not_tell_is_found_by_looking() {
    let site = Site::new();
    let component = guests::build().bytes("neighbour");
    let [one, two] = [1, 2].map(|number| {
        site.file(&format!("releases/{number}/neighbour.wasm"), guests::distinct(&component, number));
        site.root().join(format!("releases/{number}"))
    });
    fs::remove_dir(site.plugins()).expect("it is empty");
    symlink(&one, site.plugins()).expect("a link can be made");
    let host = site.start_with(|command| command.env_remove("TRACKSIDE_PLUGINS_WATCH").env("TRACKSIDE_PLUGINS_RESCAN_MS", "200"));
    let first = host.plugin("neighbour")["version"].clone();
    // In one step, as deployments do: nothing happens in the directory that is watched.
    let beside = site.root().join("next");
    symlink(&two, &beside).expect("a link can be made");
    fs::rename(&beside, site.plugins()).expect("a link can be replaced");
    let second = in_service(&host, "neighbour", |plugin| plugin["version"] != first)["version"].clone();
    // From then on the new directory is the watched one.
    fs::write(two.join("neighbour.wasm"), guests::distinct(&component, 3)).expect("a file can be written");
    in_service(&host, "neighbour", |plugin| plugin["version"] != second && plugin["version"] != first);
    // A directory that is gone says nothing of the plugins.
    fs::remove_file(site.plugins()).expect("a link can be removed");
    eventually("the host's word", || host.output().contains("cannot be read").then_some(()));
    host.plugin("neighbour");
}

#[test]
fn without_the_watch_nothing_is_taken_up_until_somebody_says_so() {
    let site = Site::new();
    let component = guests::build().bytes("neighbour");
    site.plugin("neighbour", &component, "");
    let host = site.start_with(|command| command.env_remove("TRACKSIDE_PLUGINS_WATCH").arg("--no-watch"));
    site.plugin("neighbour", &component, "priority = 150\n");
    thread::sleep(4 * A_WHILE);
    assert_eq!(host.plugin("neighbour")["priority"], 100);
    host.reload("neighbour").expect(200);
    assert_eq!(host.plugin("neighbour")["priority"], 150);
}

#[test]
fn what_the_host_itself_writes_there_is_nothing_new() {
    let site = Site::new();
    let component = guests::build().bytes("neighbour");
    site.plugin("neighbour", &component, "");
    let host = site.start_watching();
    let first = host.plugin("neighbour")["version"].clone();
    host.change("PUT", "neighbour", guests::distinct(&component, 1)).expect(200);
    host.change("POST", "neighbour/rollback", "").expect(200);
    eventually("an event of each swap", || (told(&host, "plugin:reloaded") == 2).then_some(()));
    thread::sleep(A_WHILE);
    assert_eq!((told(&host, "plugin:reloaded"), &host.plugin("neighbour")["version"]), (2, &first));
}
