//! Plugins in the operator's hands: added, listed, checked, swapped, broken, removed, and granted what they may reach.
//! What a hostile one may not do is `hostile`'s.

use std::{fs, os::unix::fs::symlink};

use trackside_test_guests as guests;
use trackside_tests::{Host, Site, Value, json};

const SHIPPED: [&str; 16] = [
    "alert",
    "audit",
    "authorize",
    "circuit-breaker",
    "fallback-cache",
    "feature-flag",
    "files",
    "metrics",
    "rate-limit",
    "redact",
    "retry-policy",
    "route",
    "schema-guard",
    "sim",
    "spinner",
    "text",
];

#[test]
fn what_ships_is_added_with_its_grants_shown_and_never_over_something_else() {
    let site = Site::new();
    let add = |name: &str, more: &[&str]| site.run([&["plugin", "add", name, "--plugins", "new/plugins"], more].concat());
    for name in SHIPPED {
        let said = add(name, &[]).ok();
        assert!(site.root().join(format!("new/plugins/{name}.wasm")).is_file(), "{said}");
        assert!(site.root().join(format!("new/plugins/{name}.toml")).is_file(), "{said}");
        assert!(said.contains(&format!("wrote new/plugins/{name}.wasm")), "{said}");
    }
    let said = add("sim", &["--force"]).ok();
    assert!(said.contains("it is granted:") && said.contains("timers = true"), "{said}");
    assert!(add("text", &[]).ok().contains("it needs no grants"));
    let said = add("files", &[]).ok();
    assert!(said.contains("folders = ") && said.contains("the folder './docs' is not here"), "{said}");

    let settings = site.root().join("new/plugins/sim.toml");
    fs::write(&settings, "# mine\n").expect("a file can be written");
    let ran = add("sim", &[]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(ran.stderr.contains("sim.toml is there with other content; --force writes over it"), "{ran}");
    assert_eq!(fs::read_to_string(&settings).expect("a file can be read"), "# mine\n");

    // All that ships loads as it is added, once `files` has its folder.
    fs::create_dir(site.root().join("docs")).expect("a directory can be made");
    add("sim", &["--force"]).ok();
    for name in SHIPPED {
        fs::rename(site.root().join(format!("new/plugins/{name}.wasm")), site.plugins().join(format!("{name}.wasm")))
            .expect("a file can be moved");
        fs::rename(site.root().join(format!("new/plugins/{name}.toml")), site.plugins().join(format!("{name}.toml")))
            .expect("a file can be moved");
    }
    let host = site.start();
    let listed = host.get("/v1/plugins").expect(200);
    let names: Vec<&str> = listed["plugins"].as_array().into_iter().flatten().filter_map(|plugin| plugin["name"].as_str()).collect();
    assert_eq!((names, &listed["refused"]), (SHIPPED.to_vec(), &json!([])));
}

#[test]
fn ones_own_component_is_added_by_its_path() {
    let site = Site::new();
    let component = guests::path("minimal");
    let said = site.run(["plugin", "add", &component.to_string_lossy(), "--plugins", "plugins"]).ok();
    assert!(said.contains("wrote plugins/minimal.wasm"), "{said}");
    let host = site.start();
    assert_eq!(host.plugin("minimal")["roles"], json!({"observer": false, "control": true, "worker": false}));
    let said = site.run(["plugin", "remove", "minimal", "--plugins", "plugins"]).ok();
    assert!(said.contains("removed plugins/minimal.wasm") && said.contains("trackside plugin reload minimal"), "{said}");
    host.plugin("minimal");
    let token = site.data().join("token");
    let said = host.cli(&["plugin", "reload", "minimal", "--token-file", &token.to_string_lossy()]).ok();
    assert_eq!(said, "minimal is out of service\n");
    assert_eq!(host.get("/v1/plugins").expect(200)["plugins"], json!([]));
    host.wait_for("type=plugin:unloaded", |event| event["payload"]["plugin"] == "minimal");
    let ran = site.run(["plugin", "remove", "minimal", "--plugins", "plugins"]);
    assert_eq!(ran.code, 1, "{ran}");
}

#[test]
fn only_who_has_the_token_changes_plugins() {
    let site = Site::new();
    site.shipped(&["sim"]);
    let host = site.start();
    let reload = |headers: &[(&str, &str)]| host.send("POST", "/v1/plugins/sim/reload", headers, "");
    let bearer = format!("Bearer {}", host.token());
    for wrong in [vec![], vec![("Authorization", "Bearer wrong")], vec![("Authorization", "Basic YTpi")]] {
        let answer = reload(&wrong);
        let problem = answer.expect(401);
        assert!(answer.header("www-authenticate").is_some_and(|asked| asked.starts_with("Bearer")), "{answer}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("Authorization: Bearer TOKEN")), "{problem}");
    }
    assert_eq!(host.events("type=plugin:reloaded"), [] as [Value; 0]);
    // The right token does not help a page of another origin.
    assert_eq!(reload(&[("Authorization", &bearer), ("Origin", "http://evil.example")]).status, 403);
    assert_eq!(reload(&[("Authorization", &bearer)]).expect(200)["outcome"], "loaded");

    // The command line finds it in a variable, in a named file, or says where to look.
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        trackside_tests::run(
            site.command(["plugin", "reload", "sim", "--url", &host.url()]).args(arguments).envs(variables.iter().copied()),
        )
    };
    let token = site.data().join("token");
    assert_eq!(run(&["--token-file", &token.to_string_lossy()], &[]).code, 0);
    assert_eq!(run(&[], &[("TRACKSIDE_TOKEN", &host.token())]).code, 0);
    let ran = run(&[], &[]);
    assert!(ran.code == 1 && ran.stderr.contains("--token-file FILE"), "{ran}");
    let ran = run(&[], &[("TRACKSIDE_TOKEN", "wrong")]);
    assert!(ran.code == 1 && ran.stderr.contains("is none of this host's"), "{ran}");
}

fn echo(host: &Host, plugin: &str) -> String {
    let view = host.finish(&format!("name: e\ntasks:\n  - {{id: e, method: {plugin}/echo, parameters: {{a: 1}}}}\n"));
    view["status"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_version_is_swapped_in_one_step_and_named() {
    let site = Site::new();
    let component = guests::build().bytes("neighbour");
    site.plugin("neighbour", &component, "");
    let host = site.start();
    let before = host.plugin("neighbour")["version"].as_str().expect("a version").to_owned();
    host.publish(&json!({"event_type": "swap:seen", "source_component": "test", "payload": 1})).expect(201);

    // The same behaviour in other bytes is another version.
    site.plugin("neighbour", guests::distinct(&component, 7), "");
    let answer = host.reload("neighbour").expect(200);
    let after = answer["plugin"]["version"].as_str().expect("a version").to_owned();
    assert_ne!(before, after);
    assert_eq!(host.plugin("neighbour")["version"], after);
    let reloaded = host.wait_for("type=plugin:reloaded", |_| true);
    assert_eq!((&reloaded["payload"]["version"], &reloaded["payload"]["before"]), (&json!(after), &json!(before[..12])), "{reloaded}");

    // Decisions name the version that took them.
    host.publish(&json!({"event_type": "swap:seen", "source_component": "test", "payload": 2})).expect(201);
    let deciders: Vec<String> = host
        .events("type=swap:seen")
        .iter()
        .map(|event| {
            let explained = host.get(&format!("/v1/events/{}", event["sequence_number"])).expect(200);
            explained["decisions"][0]["checks"][0]["version"].as_str().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(deciders, [&before[..12], &after[..12]]);

    // Settings are part of what is named.
    site.file("plugins/neighbour.toml", "priority = 5\n");
    host.reload("neighbour").expect(200);
    let settings = &reloaded["payload"]["settings"];
    host.wait_for("type=plugin:reloaded", |event| event["payload"]["settings"] != *settings);
    assert_eq!(host.plugin("neighbour")["priority"], 5);
}

#[test]
fn what_does_not_load_leaves_what_runs_in_place() {
    let site = Site::new();
    let component = guests::build().bytes("neighbour");
    site.plugin("neighbour", &component, "");
    let host = site.start();
    let version = host.plugin("neighbour")["version"].clone();
    let broken: [(&[u8], &str, &str); 4] = [
        (b"junk", "", "is not a WebAssembly component"),
        (&component[..component.len() / 2], "", "neighbour.wasm: "),
        (&component, "prioritty = 5\n", "neighbour.toml: line 1: unknown key 'prioritty'; did you mean 'priority'?"),
        (&component, "[limits]\ntimeout_ms = 0\n", "neighbour.toml: line 2: timeout_ms: 0 would let no call succeed"),
    ];
    for (bytes, settings, says) in broken {
        site.plugin("neighbour", bytes, settings);
        let problem = host.reload("neighbour").expect(422);
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("what was in service stays") && detail.contains(says), "{problem}");
        let event = host
            .wait_for("type=plugin:reload_failed", |event| event["payload"]["reason"].as_str().is_some_and(|reason| reason.contains(says)));
        assert!(
            version.as_str().is_some_and(|version| version.starts_with(event["payload"]["running"].as_str().unwrap_or("?"))),
            "{event}"
        );
        assert_eq!(host.plugin("neighbour")["version"], version);
        assert_eq!(echo(&host, "neighbour"), "completed");
    }
    // Turned off is out of service, and no failure.
    site.plugin("neighbour", &component, "enabled = false\n");
    assert_eq!(host.reload("neighbour").expect(200)["outcome"], "unloaded");
    site.plugin("neighbour", &component, "enabled = true\n");
    host.reload("neighbour").expect(200);
    assert_eq!(echo(&host, "neighbour"), "completed");
    // What is not there cannot be loaded.
    assert!(host.reload("nobody").expect(404)["detail"].as_str().is_some_and(|detail| detail.contains("there is no plugin 'nobody'")));
    host.reload("No..Name").expect(422);
}

#[test]
fn plugins_are_listed_for_people_and_programs() {
    let site = Site::new();
    site.shipped(&["sim", "audit"]);
    site.plugin("plain-text", guests::build().bytes("plain-text"), "");
    let host = site.start();
    host.finish("name: e\ntasks:\n  - {id: e, method: sim/echo}\n");
    let listed = host.cli(&["plugin", "list", "--json"]).json_lines();
    assert_eq!(listed.iter().filter_map(|plugin| plugin["name"].as_str()).collect::<Vec<_>>(), ["audit", "sim"]);
    let sim = &listed[1];
    assert_eq!(
        (&sim["effect_class"], &sim["state"], &sim["calls"], &sim["faults"]),
        (&json!("stateful"), &json!("serving"), &json!(1), &json!(0)),
        "{sim}"
    );
    let text = host.cli(&["plugin", "list"]).ok();
    for expected in
        ["audit", "observer", "sim", "worker", "serving", "refused: plain-text: plain-text.wasm: is not a WebAssembly component"]
    {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
}

#[test]
fn a_component_is_checked_without_a_host() {
    let site = Site::new();
    for name in ["minimal", "neighbour", "publisher", "sim"] {
        let component = site.file(&format!("mine/{name}.wasm"), guests::build().bytes(name));
        let said = site.run(["plugin", "check", &component.to_string_lossy()]).ok();
        assert!(said.contains("would load") && said.contains("effect class"), "{said}");
    }
    let report = site.run(["plugin", "check", "mine/minimal.wasm", "--json"]).json();
    assert_eq!(
        (&report["name"], &report["effect_class"], &report["roles"]["control"]),
        (&json!("minimal"), &json!("pure"), &json!(true)),
        "{report}"
    );
    let said = site.run(["plugin", "check", "mine/sim.wasm"]).ok();
    assert!(said.contains("not granted") && said.contains("timers = true"), "{said}");
    site.file("mine/sim.toml", "[grants]\ntimers = true\nclock = true\n");
    assert!(!site.run(["plugin", "check", "mine/sim.wasm"]).ok().contains("not granted"));

    for (name, says) in [
        ("unknown-import", "imports `acme:oracle/tomorrow@1.0.0`"),
        ("core-module", "is a core module, not a component; build it for wasm32-wasip2"),
        ("plain-text", "is not a WebAssembly component"),
        ("empty", "is not a WebAssembly component"),
        ("truncated", "is not a valid component"),
    ] {
        let component = site.file(&format!("bad/{name}.wasm"), guests::build().bytes(name));
        let ran = site.run(["plugin", "check", &component.to_string_lossy()]);
        assert_eq!(ran.code, 1, "{ran}");
        assert!(ran.stderr.contains(says) && ran.stderr.contains(&*component.to_string_lossy()), "{ran}");
        assert_eq!(ran.stdout, "", "{ran}");
    }
    let ran = site.run(["plugin", "check", "mine/nobody.wasm"]);
    assert!(ran.code == 1 && ran.stderr.contains("there is no component at mine/nobody.wasm"), "{ran}");
}

#[test]
fn granted_folders_are_read_and_nothing_else_is() {
    let site = Site::new();
    site.file("open/inside.txt", "inside");
    site.file("secret/outside.txt", "outside");
    symlink(site.root().join("secret/outside.txt"), site.root().join("open/link.txt")).expect("a link can be made");
    symlink(site.root().join("secret"), site.root().join("open/folder")).expect("a link can be made");
    site.shipped(&["files"]);
    site.file("plugins/files.toml", "[settings]\nroot = '/in'\n[grants]\nfolders = [{path = 'open', guest = '/in'}]\n");
    let host = site.start();
    let read = |path: &str| {
        let view = host.finish(&format!("name: r\ntasks:\n  - {{id: r, method: files/read, parameters: {{paths: ['{path}']}}}}\n"));
        (view["status"].as_str().unwrap_or_default().to_owned(), view.to_string())
    };
    let (status, view) = read("/in/inside.txt");
    assert_eq!(status, "completed", "{view}");
    assert!(view.contains("\"inside\""), "{view}");
    for path in [
        "/in/link.txt",
        "/in/folder/outside.txt",
        "/in/../secret/outside.txt",
        "../secret/outside.txt",
        "/etc/passwd",
        "/secret/outside.txt",
    ] {
        let (status, view) = read(path);
        assert_eq!(status, "failed", "{path}: {view}");
        assert!(!view.contains("\"outside\"") && !view.contains("root:"), "{path}: {view}");
    }
    let listed = host.finish("name: l\ntasks:\n  - {id: l, method: files/list, parameters: {path: /in}}\n");
    assert!(listed.to_string().contains("inside.txt") && !listed.to_string().contains("outside.txt"), "{listed}");

    // Without the grant there is nothing to be seen at all.
    site.file("plugins/files.toml", "[settings]\nroot = '/in'\n");
    host.reload("files").expect(200);
    assert_eq!(read("/in/inside.txt").0, "failed");
}

#[test]
fn what_was_not_granted_answers_so_and_is_reported_once() {
    let site = Site::new();
    let build = guests::build();
    site.plugin("sim", build.bytes("sim"), "");
    site.plugin("publisher", build.bytes("publisher"), "");
    site.plugin("kv-user", build.bytes("kv-user"), "[grants]\nkv = false\n");
    let host = site.start();
    let run = |method: &str, parameters: Value| {
        let view = host.finish(&format!("name: g\ntasks:\n  - {{id: g, method: {method}, parameters: {parameters}}}\n"));
        view["tasks"][0].clone()
    };
    // A wait is a fault that names the grant.
    for _ in 0..2 {
        let task = run("sim/sleep", json!({"ms": 10}));
        assert_eq!(task["error"]["code"], "not_granted", "{task}");
        assert!(task["error"]["message"].as_str().is_some_and(|message| message.contains("timers = true")), "{task}");
    }
    // A publish and the key-value space answer that they are not granted, and the call goes on.
    for _ in 0..2 {
        let task = run("publisher/publish", json!({"drafts": [{"event_type": "made:up"}]}));
        assert_eq!(
            (&task["status"], &task["result"]),
            (&json!("completed"), &json!({"published": [], "refused": ["NotGranted"]})),
            "{task}"
        );
        let task = run("kv-user/run", json!({"operations": [{"set": ["a", "b"]}, {"get": "a"}]}));
        assert_eq!(task["result"], json!([{"refused": "NotGranted"}, {"refused": "NotGranted"}]), "{task}");
    }
    assert_eq!(host.events("type=made:up"), [] as [Value; 0]);
    for (plugin, line) in [("sim", "timers = true"), ("publisher", "publish = "), ("kv-user", "kv = true")] {
        let told: Vec<Value> = host.events("type=error:raised").into_iter().filter(|event| event["payload"]["plugin"] == plugin).collect();
        assert_eq!(told.len(), 1, "{plugin}: once, not at every call: {told:?}");
        assert!(told[0]["payload"]["error"]["grant"].as_str().is_some_and(|grant| grant.contains(line)), "{told:?}");
    }
    // A small space of its own needs no word.
    site.plugin("kv-user", build.bytes("kv-user"), " ");
    host.reload("kv-user").expect(200);
    let mut operations = vec![json!({"set": ["a", "b"]}), json!({"get": "a"})];
    operations.extend((0..20).map(|number| json!({"fill": [format!("k{number}"), 60_000]})));
    let task = run("kv-user/run", json!({"operations": operations}));
    let given = task["result"].as_array().expect("a list");
    assert_eq!((&given[1], &given[2], given.last()), (&json!("b"), &json!(null), Some(&json!({"refused": "Full"}))), "{task}");
}

#[test]
fn a_policy_judges_what_its_filter_names() {
    let site = Site::new();
    site.shipped(&["sim"]);
    site.plugin("minimal", guests::build().bytes("minimal"), "");
    let host = site.start();
    let status = |id: &str| host.finish(&format!("name: m\ntasks:\n  - {{id: {id}, method: sim/echo}}\n"))["status"].clone();
    assert_eq!((status("welcome"), status("refused")), (json!("completed"), json!("failed")));
}
