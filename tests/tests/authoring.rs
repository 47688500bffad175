//! From nothing to a handler that decides, in every language: projects begun, built, run beside a host and inside `plugin dev`, and the examples, whose
//! three roles are seen at work. The tools come from PyPI and npm, once; where python3 or npm is missing, these tests fail with what to install.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use trackside_tests::{Host, Ran, Site, Value, eventually, json, run};

/// Bytes that a minimal control handler in Rust may have.
const SMALL_BYTES: u64 = 60_000;
/// It reads a field of the event, and no JSON.
const MINIMAL: &str = "\
use trackside_sdk::*;

struct Curfew;

impl Plugin for Curfew {
    fn describe() -> Description {
        Description::new(\"curfew\").controls(Filter::types([\"order:placed\"]))
    }
}

impl Control for Curfew {
    fn check(event: &Event, _: &Context) -> Signal {
        if event.source_component() == \"night-shift\" { Signal::fail(\"the shop is closed\") } else { Signal::proceed() }
    }
}

export!(Curfew: control);
";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The verb in this site, with cargo's folder shared, so that what projects have in common is compiled once.
fn plugin(site: &Site, words: &[&str]) -> Command {
    let mut command = site.command([&["plugin"], words].concat());
    command.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("authors"));
    for flags in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTDOCFLAGS"] {
        command.env_remove(flags);
    }
    command
}

fn did(site: &Site, words: &[&str]) -> Ran {
    run(&mut plugin(site, words))
}

fn replace(path: &Path, what: &str, by: &str) {
    let text = fs::read_to_string(path).expect("the project has this file");
    assert!(text.contains(what), "{} does not say {what}", path.display());
    fs::write(path, text.replace(what, by)).expect("a file can be written");
}

fn order(amount: u64) -> Value {
    json!({"event_type": "order:placed", "source_component": "shop", "payload": {"amount": amount}})
}

/// A copy of an example, as its author has written it.
fn example(site: &Site, language: &str) -> PathBuf {
    let (from, to) = (repository().join("examples/plugins").join(language), site.root().join(language));
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        fs::create_dir_all(to.join(&inner)).expect("a directory can be made");
        for entry in fs::read_dir(from.join(&inner)).expect("the example can be read").flatten() {
            let (path, name) = (inner.join(entry.file_name()), entry.file_name().to_string_lossy().into_owned());
            match entry.path().is_dir() {
                // What was built in the repository is not the author's.
                true if ["trackside", "target", "__pycache__", ".trackside"].contains(&&*name) => {}
                true => folders.push(path),
                false => drop(fs::copy(entry.path(), to.join(path)).expect("a file can be copied")),
            }
        }
    }
    to
}

/// Builds an example and puts it into the site's plugin directory, as a user would.
fn add_example(site: &Site, language: &str, name: &str) -> PathBuf {
    let folder = example(site, language);
    let said = did(site, &["build", language]).ok();
    assert!(said.contains(&format!("wrote {language}/{name}.wasm")), "{said}");
    did(site, &["add", &format!("{language}/{name}.wasm"), "--plugins", "plugins"]).ok();
    folder
}

/// The result of a workflow's only task, or why it failed.
fn task(host: &Host, method: &str, parameters: &Value) -> Value {
    let ended = host.finish(&format!("name: ask\ntasks:\n  - id: ask\n    method: {method}\n    parameters: {parameters}\n"));
    let task = ended["tasks"][0].clone();
    if task["status"] == "completed" { task["result"].clone() } else { task["error"].clone() }
}

#[test]
fn a_rust_handler_is_begun_built_and_decides() {
    let site = Site::new();
    let said = did(&site, &["new", "night-watch"]).ok();
    assert!(said.contains("night-watch/") && said.contains("trackside plugin dev night-watch"), "{said}");
    let twice = did(&site, &["new", "night-watch"]);
    assert!(twice.code == 1 && twice.stderr.contains("night-watch is there already, with .gitignore, Cargo.lock"), "{twice}");

    did(&site, &["build", "night-watch"]).ok();
    let component = site.root().join("night-watch/night-watch.wasm");
    let built = fs::read(&component).expect("it was built");
    let tested = did(&site, &["test", "night-watch/night-watch.wasm", "--events", "night-watch/events"]).ok();
    assert!(tested.contains("2 passed, 0 failed"), "{tested}");
    did(&site, &["add", "night-watch/night-watch.wasm", "--plugins", "plugins"]).ok();
    let host = site.start();
    assert_eq!(host.publish(&order(20)).status, 201);
    let refused = host.publish(&order(9_000)).expect(403);
    assert_eq!(refused["by"], "night-watch", "{refused}");
    assert!(refused["reason"].as_str().is_some_and(|reason| reason.contains("9000 is more than the 500")), "{refused}");

    // What is wrong is said by the compiler, and what was built stays.
    let main = site.root().join("night-watch/src/lib.rs");
    replace(&main, "Signal::proceed()\n", "Signal::procede()\n");
    let broken = did(&site, &["build", "night-watch"]);
    assert!(broken.code == 1 && broken.stderr.contains("procede") && broken.stderr.contains("src/lib.rs"), "{broken}");
    assert!(broken.stderr.contains("night-watch was not built"), "{broken}");
    assert!(fs::read(&component).expect("it stays") == built);

    fs::write(&main, MINIMAL).expect("a file can be written");
    did(&site, &["build", "night-watch"]).ok();
    let bytes = fs::metadata(&component).expect("it was built").len();
    assert!(bytes <= SMALL_BYTES, "{bytes} bytes");
}

#[test]
fn stock_in_rust_steers_watches_and_works() {
    let site = Site::new();
    add_example(&site, "rust", "stock");
    let host = site.start();
    let publish = |event_type: &str, item: &str, count: i64| {
        host.publish(&json!({"event_type": event_type, "source_component": "shop", "payload": {"item": item, "count": count}}))
    };
    assert_eq!(publish("order:placed", "tea", 1).expect(403)["reason"], "tea is out of stock");
    assert_eq!(publish("stock:delivered", "tea", 5).status, 201);
    eventually("the delivery counted", || (site.kv_number("stock", "tea") == 5).then_some(()));
    assert_eq!(publish("order:placed", "tea", 2).status, 201);
    eventually("the order counted", || (site.kv_number("stock", "tea") == 3).then_some(()));
    assert_eq!(publish("order:placed", "tea", 4).expect(403)["reason"], "there are 3 of tea, and 4 are wanted");
    assert_eq!(task(&host, "stock/level", &json!({"item": "tea"})), json!({"item": "tea", "count": 3}));
    assert_eq!(host.plugin("stock")["faults"], 0);
}

/// The result of the workflow of one task that a trigger has started.
fn started_by_an_event(host: &Host, method: &str) -> Value {
    let of_it = |event: &Value| event["payload"]["name"].as_str().is_some_and(|name| name.starts_with(method));
    let started = host.wait_for("type=workflow:submitted", of_it);
    let view = host.ended(started["workflow_id"].as_str().unwrap_or_default());
    assert_eq!(view["status"], "completed", "{view}");
    view["tasks"][0]["result"].clone()
}

#[test]
fn moderation_in_python_steers_watches_and_works() {
    let site = Site::new();
    let folder = add_example(&site, "python", "moderation");
    let host = site.start();
    let publish = |text: &str| {
        let payload = json!({"text": text, "author": "ada"});
        host.publish(&json!({"event_type": "comment:posted", "source_component": "forum", "payload": payload}))
    };
    let posted = publish("Balderdash, and fiddlesticks").expect(201);
    let logged = host.get(&format!("/v1/events/{}", posted["sequence_number"])).expect(200);
    assert_eq!(logged["event"]["payload"]["text"], "✱✱✱, and ✱✱✱", "{logged}");
    assert_eq!(publish("WHY DOES NOBODY LISTEN").expect(403)["reason"], "please do not shout");
    eventually("the words counted", || (site.kv_number("moderation", "masked/ada") == 2).then_some(()));
    assert_eq!(task(&host, "moderation/score", &json!({"text": "Plain balderdash"}))["masked"], 1);
    let failed = task(&host, "moderation/score", &json!({}));
    assert_eq!((&failed["code"], &failed["message"]), (&json!("invalid-parameters"), &json!("there is no text")), "{failed}");

    host.publish(&json!({"event_type": "comment:reported", "source_component": "forum", "payload": {"text": "SO RUDE"}})).expect(201);
    assert_eq!(started_by_an_event(&host, "moderation/review"), json!({"words": 2, "shouting": 1.0, "masked": 0}));

    // An exception is a fault by its own name, and its traceback is in the host's log.
    let broken = host.publish(&json!({"event_type": "comment:posted", "source_component": "forum", "payload": {"txt": ""}}));
    assert_eq!(broken.status, 201, "by on_fault, it goes on without");
    let fault = host.wait_for("type=plugin:fault", |event| event["payload"]["call"] == "check");
    assert_eq!(fault["payload"]["message"], "it exited with status 1: KeyError: 'text'", "{fault}");
    assert!(host.output().contains("File \"plugin.py\", line") && host.output().contains("in check"), "{}", host.output());

    let tested = run(Command::new("python3").args(["-m", "unittest"]).current_dir(&folder));
    assert_eq!(tested.code, 0, "{tested}");
}

#[test]
fn pricing_in_javascript_steers_watches_and_works() {
    let site = Site::new();
    let folder = add_example(&site, "js", "pricing");
    let host = site.start();
    let publish = |payload: Value| host.publish(&json!({"event_type": "order:placed", "source_component": "shop", "payload": payload}));
    let placed = publish(json!({"item": "tea", "count": 10, "amount": 1})).expect(201);
    let logged = host.get(&format!("/v1/events/{}", placed["sequence_number"])).expect(200);
    assert_eq!(logged["event"]["payload"]["amount"].as_f64(), Some(36.0), "{logged}");
    assert_eq!(publish(json!({"item": "gold"})).expect(403)["reason"], "gold has no price");
    assert_eq!(publish(json!({"item": "piano"})).status, 201);
    let reached = host.wait_for("type=revenue:reached", |event| event["payload"]["reached"] == 2_000);
    assert_eq!(reached["source_component"], "pricing");
    eventually("the revenue", || (site.kv_number("pricing", "revenue") == 2_936).then_some(()));
    assert_eq!(task(&host, "pricing/quote", &json!({"item": "coffee"})), json!({"item": "coffee", "count": 1, "amount": 7}));
    assert_eq!(task(&host, "pricing/quote", &json!({"item": "gold"}))["code"], "no-price");

    for item in ["tea", "gold"] {
        host.publish(&json!({"event_type": "quote:asked", "source_component": "shop", "payload": {"item": item}})).expect(201);
    }
    assert_eq!(started_by_an_event(&host, "pricing/quotes"), json!([4, null]), "one start for both");

    // No text, and no number either.
    assert_eq!(publish(json!({"item": {"toString": 1, "valueOf": 1}})).status, 201, "by on_fault, it goes on without");
    let fault = host.wait_for("type=plugin:fault", |event| event["payload"]["call"] == "check");
    assert!(fault["payload"]["message"].as_str().is_some_and(|message| message.contains("Failed to call 'check'")), "{fault}");
    assert!(host.output().contains("at check (plugin.js:"), "{}", host.output());

    let tested = run(Command::new("node").arg("--test").current_dir(&folder));
    assert_eq!(tested.code, 0, "{tested}");
}

/// What the host answers, through the SDK: a control handler that collects refusals, and a worker that reports.
const ASKS_IN_PYTHON: &str = "\
from trackside import Draft, Filter, Plugin, Refused, Severity, Signal, events, kv, progress, schedule

plugin = Plugin(\"asks\")


@plugin.control(\"order:placed\")
def check(event, context):
    kv.set(\"word\", \"abc\")
    said = [kv.get_text(\"word\"), *kv.keys(\"wo\"), str(kv.delete(\"none\")).lower(), context.point.name.lower(), event.metadata[\"from\"]]
    for ask in (
        lambda: kv.compare_and_swap(\"word\", \"xyz\", None),
        lambda: kv.increment(\"word\"),
        lambda: events.publish(Draft(\"other:made\", {\"n\": 1})),
        lambda: events.query(Filter(event_types=[\"order:*\"], min_severity=Severity.INFO)),
        lambda: schedule.after(1000, Draft(\"note:later\")),
    ):
        try:
            ask()
        except Refused as refused:
            said.append(refused.reason)
    events.publish(Draft(\"note:made\", {\"n\": 1}, Severity.WARNING, {\"kind\": \"trial\"}))
    return Signal.fail(\" \".join(said))


@plugin.method(\"asks/report\", parameters={\"type\": \"object\"})
def report(parameters, task):
    progress.report(0.5, {\"half\": True})
    return [progress.cancelled(), task.attempt, task.method]
";
const ASKS_IN_JAVASCRIPT: &str = "\
import { Refused, Signal, events, kv, plugin, progress, schedule } from \"./trackside/index.js\";

export default plugin({
  name: \"asks\",
  control: {
    filter: { eventTypes: [\"order:placed\"], minSeverity: \"info\" },
    check(event, context) {
      kv.set(\"word\", \"abc\");
      const said = [kv.getText(\"word\"), ...kv.keys(\"wo\"), String(kv.delete(\"none\")), context.point, event.metadata.from];
      for (const ask of [
        () => kv.compareAndSwap(\"word\", \"xyz\", null),
        () => kv.increment(\"word\"),
        () => events.publish({ eventType: \"other:made\", payload: { n: 1 } }),
        () => events.query({ eventTypes: [\"order:*\"] }),
        () => schedule.after(1000, { eventType: \"note:later\" }),
      ]) {
        try {
          ask();
        } catch (refused) {
          if (!(refused instanceof Refused)) throw refused;
          said.push(refused.reason);
        }
      }
      events.publish({ eventType: \"note:made\", payload: { n: 1 }, severity: \"warning\", metadata: { kind: \"trial\" } });
      return Signal.fail(said.join(\" \"));
    },
  },
  methods: {
    \"asks/report\": {
      parameters: { type: \"object\" },
      run(parameters, task) {
        progress.report(0.5, { half: true });
        return [progress.cancelled(), task.attempt, task.method];
      },
    },
  },
});
";

#[test]
fn the_host_answers_python_and_javascript_alike() {
    for (language, main, source) in [("python", "plugin.py", ASKS_IN_PYTHON), ("js", "plugin.js", ASKS_IN_JAVASCRIPT)] {
        let site = Site::new();
        did(&site, &["new", "asks", "--role", "control,worker", "--lang", language]).ok();
        site.file(&format!("asks/{main}"), source);
        site.file("asks/asks.toml", "[grants]\nkv = true\npublish = [\"note:*\"]\n");
        did(&site, &["build", "asks"]).ok();
        did(&site, &["add", "asks/asks.wasm", "--plugins", "plugins"]).ok();
        let host = site.start();
        let asked = json!({"event_type": "order:placed", "source_component": "shop", "metadata": {"from": "here"}});
        let told = host.publish(&asked).expect(403);
        let expected = "abc word false publish here conflict not-a-number not-granted not-granted not-granted";
        assert_eq!(told["reason"], expected, "{language}: {told}");
        // Any verdict releases the outbox.
        let made = host.wait_for("type=note:made", |_| true);
        assert_eq!((&made["source_component"], &made["severity"]), (&json!("asks"), &json!("warning")), "{made}");
        assert_eq!((&made["metadata"]["kind"], &made["payload"]["n"]), (&json!("trial"), &json!(1)), "{made}");
        assert_eq!(task(&host, "asks/report", &json!({})), json!([false, 1, "asks/report"]), "{language}");
        let progress = host.wait_for("type=task:progress", |_| true);
        assert_eq!(progress["payload"]["chunks"], json!([{"half": true}]), "{progress}");
    }
}

#[test]
fn what_an_author_got_wrong_is_said_in_the_words_of_the_language() {
    let site = Site::new();
    for (language, main, roles, manifest) in [
        ("python", "plugin.py", "functions for ['control']: make them the same", "pyproject.toml"),
        ("js", "plugin.js", "functions for [control]: make them the same", "package.json"),
    ] {
        let name = format!("wrong-{language}");
        did(&site, &["new", &name, "--lang", language]).ok();
        let folder = site.root().join(&name);
        let main = folder.join(main);
        let right = fs::read_to_string(&main).expect("the project has a main module");
        fs::write(&main, format!("{right}\n}}\n")).expect("a file can be written");
        let refused = did(&site, &["build", &name]);
        assert!(refused.code == 1 && refused.stderr.contains(&format!("{name} was not built:")), "{refused}");
        let lines = right.lines().count() + 2;
        let place = if language == "python" { format!("File \"plugin.py\", line {lines}") } else { format!("at plugin.js:{lines}:") };
        assert!(refused.stderr.contains(&place) && !refused.stderr.contains("backtrace"), "{refused}");

        fs::write(&main, right).expect("a file can be written");
        replace(&folder.join(manifest), "\"control\"", "\"control\", \"observer\"");
        let refused = did(&site, &["build", &name]);
        assert!(refused.code == 1 && refused.stderr.contains(roles), "{refused}");
        assert!(!folder.join(format!("{name}.wasm")).exists());
    }
    let nowhere = did(&site, &["build", "plugins"]);
    assert!(nowhere.code == 1 && nowhere.stderr.contains("`trackside plugin new NAME` begins one"), "{nowhere}");
}

#[test]
fn where_a_tool_is_missing_it_is_said_what_to_type() {
    let site = Site::new();
    fs::create_dir(site.root().join("bin")).expect("a directory can be made");
    let build = |language: &str| {
        let mut command = plugin(&site, &["build", &format!("a-{language}")]);
        command
            .env("PATH", site.root().join("bin"))
            .env("TRACKSIDE_TOOLS_DIR", site.root().join("tools"))
            .env_remove("CARGO")
            .env_remove("RUSTC");
        run(&mut command)
    };
    for (language, missing, remedy) in [
        ("rust", "cargo is not on the PATH", "https://rustup.rs"),
        ("python", "python3 is not on the PATH", "sudo apt-get install python3 python3-venv"),
        ("js", "node is not on the PATH", "sudo apt-get install nodejs npm"),
    ] {
        did(&site, &["new", &format!("a-{language}"), "--lang", language]).ok();
        let refused = build(language);
        assert!(refused.code == 1 && refused.stderr.contains(missing) && refused.stderr.contains(remedy), "{refused}");
    }
    // They are there, but cannot fetch anything.
    for (tool, language, said) in [("python3", "python", "it needs Python 3.10 or later"), ("npm", "js", "npm config set registry URL")] {
        for name in [tool, "node"] {
            let script = site.file(&format!("bin/{name}"), "#!/bin/sh\necho no network here >&2\nexit 1\n");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            fs::set_permissions(script, mode).expect("a file can be made to run");
        }
        for _ in 0..2 {
            let refused = build(language);
            assert!(refused.code == 1 && refused.stderr.contains("no network here") && refused.stderr.contains(said), "{refused}");
        }
    }
}

/// A `plugin dev` that runs; killed when it is dropped.
struct Dev {
    child: Child,
    folder: PathBuf,
    output: PathBuf,
}

impl Dev {
    fn start(site: &Site, name: &str, more: &[&str]) -> Self {
        let output = site.root().join("dev.out");
        let log = File::create(&output).expect("its output has a file");
        let mut command = plugin(site, &[&["dev", name], more].concat());
        let child = command.stdout(log.try_clone().expect("a file has a second handle")).stderr(log).stdin(Stdio::null()).spawn();
        Self { child: child.expect("it starts"), folder: site.root().join(name), output }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    fn wait_for(&mut self, what: &str) -> String {
        eventually(what, || {
            assert!(self.child.try_wait().expect("a child can be waited for").is_none(), "it has ended:\n{}", self.said());
            Some(self.said()).filter(|said| said.contains(what))
        })
    }

    fn url(&mut self) -> String {
        self.wait_for("listening on ");
        let address = self.folder.join(".trackside/dev/address");
        fs::read_to_string(address).expect("it says where it listens").trim().to_owned()
    }

    /// Its exit code, when it is told to end as a terminal does.
    fn interrupt(mut self) -> i32 {
        let sent = Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status();
        assert!(sent.expect("there is a kill").success());
        eventually("its end", || self.child.try_wait().expect("a child can be waited for")).code().unwrap_or(-1)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- what plugin dev said\n{}", self.said());
        }
    }
}

fn publish(site: &Site, url: &str, amount: u64) -> Ran {
    let payload = json!({"amount": amount}).to_string();
    run(&mut site.command(["publish", "--url", url, "--type", "order:placed", "--source", "shop", "--payload", &payload]))
}

/// The way of one project: built, decided by, changed, decided by anew, broken and mended.
fn hot_reload(language: &str, main: &str, broken: (&str, &str), complaint: &str) {
    let site = Site::new();
    did(&site, &["new", "watch", "--role", "control,observer", "--lang", language]).ok();
    let main = site.root().join("watch").join(main);
    let mut dev = Dev::start(&site, "watch", &["--port", "0"]);
    let url = dev.url();
    let refused = publish(&site, &url, 9_000);
    assert!(refused.code == 1 && refused.stderr.contains("9000 is more than the 500"), "{refused}");
    dev.wait_for("fail: 9000 is more than the 500");
    publish(&site, &url, 20).ok();
    let said = dev.wait_for("order:placed number 1");
    assert!(said.contains("control   order:placed") && said.contains("proceed"), "{said}");
    dev.wait_for("1 kv write");

    replace(&main, "amount > most", "amount > 100 * most");
    eventually("the change decides", || (publish(&site, &url, 9_000).code == 0).then_some(()));
    // It decides before that is told.
    eventually("the second version to be told of", || (dev.said().matches("  loaded    version").count() == 2).then_some(()));

    replace(&main, broken.0, broken.1);
    dev.wait_for(complaint);
    let refused = publish(&site, &url, 90_000);
    assert!(refused.code == 1 && refused.stderr.contains("90000 is more"), "what was there goes on: {refused}");

    replace(&main, broken.1, broken.0);
    replace(&site.root().join("watch/watch.toml"), "most = 500", "most = 5000");
    eventually("settings decide", || (publish(&site, &url, 400_000).code == 0).then_some(()));
    // More authority is taken, and shown.
    replace(&site.root().join("watch/watch.toml"), "kv = true", "kv = true\npublish = [\"order:*\"]");
    let said = dev.wait_for("  accepted  it could do less before: ");
    assert!(said.contains("grants.publish"), "{said}");
    assert_eq!(dev.interrupt(), 0);
}

#[test]
fn a_rust_project_is_reloaded_while_it_decides() {
    hot_reload("rust", "src/lib.rs", ("Signal::proceed()\n}", "Signal::procede()\n}"), "watch was not built; what is wrong is said above");
}

#[test]
fn a_javascript_project_is_reloaded_while_it_decides() {
    hot_reload("js", "plugin.js", ("export default", "export defalt"), "watch was not built:");
}

#[test]
fn a_project_that_does_not_build_is_waited_for_beside_other_plugins() {
    let site = Site::new();
    site.shipped(&["audit"]);
    did(&site, &["new", "watch", "--lang", "js"]).ok();
    let main = site.root().join("watch/plugin.js");
    replace(&main, "Signal.fail(", "Signal.fail((");
    let mut dev = Dev::start(&site, "watch", &["--with", "plugins", "--port", "0"]);
    let url = dev.url();
    assert!(dev.said().contains("error: watch was not built:"), "{}", dev.said());
    publish(&site, &url, 9_000).ok();
    dev.wait_for("audit");
    replace(&main, "Signal.fail((", "amount.no.such || Signal.fail(");
    dev.wait_for("  loaded    version");
    publish(&site, &url, 9_001).ok();
    let said = dev.wait_for("fault: trap");
    assert!(said.contains("TypeError: cannot read property 'such' of undefined"), "its true cause: {said}");
    assert_eq!(dev.interrupt(), 0);
}
