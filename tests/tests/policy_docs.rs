//! That `docs/plugins.md`, the settings files that ship and the plugins themselves speak of the same settings, and that its examples load.
//! What the settings do is told by `policies` and by the plugins' own tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use trackside_tests::{Site, Value, eventually, json};

/// Plugins that ship and are not control handlers of which a settings error could be seen in an answer.
const WITHOUT_ANSWERS: [&str; 8] = ["alert", "audit", "files", "metrics", "sim", "spinner", "text", "webhook"];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the repository is there")
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The sections of the page, by plugin.
fn sections() -> BTreeMap<String, String> {
    let page = read("docs/plugins.md");
    let parts = page.split("\n## ").skip(1).filter_map(|part| part.split_once('\n'));
    parts.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
}

/// The settings that a section's table names.
fn documented(section: &str) -> BTreeSet<String> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(setting, _)| setting.to_owned()).collect()
}

/// The settings that a settings file has, those in comments too; `rules[].name` for what stands in a `[[settings.rules]]`.
fn written(settings: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // Where we are: nothing before `[settings]`, and nothing inside of a table that is a setting's value.
    let mut prefix: Option<String> = None;
    for line in settings.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(list) = line.strip_prefix("[[settings.").and_then(|rest| rest.split_once("]]")) {
            found.insert(list.0.to_owned());
            prefix = Some(format!("{}[].", list.0));
        } else if line.starts_with("[settings]") {
            prefix = Some(String::new());
        } else if line.starts_with('[') {
            prefix = None;
        }
        let key =
            line.split_once(" = ").map(|(key, _)| key).filter(|key| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
        if let (Some(prefix), Some(key)) = (&prefix, key) {
            found.insert(format!("{prefix}{key}"));
        }
    }
    found
}

/// The example of a section.
fn example(section: &str) -> Option<&str> {
    Some(section.split_once("```toml\n")?.1.split_once("```")?.0)
}

/// Every plugin that ships, as the binary says.
fn shipped(site: &Site) -> BTreeSet<String> {
    let ran = site.run(["plugin", "add", "no-such-plugin"]);
    let names = ran.stderr.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(names, _)| names.to_owned());
    names.unwrap_or_else(|| panic!("{ran}")).split(", ").map(str::to_owned).collect()
}

#[test]
fn every_plugin_has_a_section_and_a_row_and_no_other_has() {
    let shipped = shipped(&Site::new());
    assert!(shipped.len() > 10, "{shipped:?}");
    assert_eq!(sections().into_keys().collect::<BTreeSet<_>>(), shipped);
    let readme = read("README.md");
    for name in &shipped {
        assert!(readme.contains(&format!("\n| `{name}` |")), "the README's table of plugins lacks {name}");
    }
}

#[test]
fn the_page_and_the_settings_files_name_the_same_settings() {
    for (name, section) in sections() {
        let file = written(&read(&format!("plugins/{name}/{name}.toml")));
        assert_eq!(documented(&section), file, "{name}: on the left docs/plugins.md, on the right {name}.toml");
    }
}

#[test]
fn the_page_and_the_plugins_own_words_are_the_same() {
    for (name, section) in sections() {
        let source = read(&format!("plugins/{name}/src/lib.rs"));
        for row in section.lines().filter(|line| line.starts_with("| `")) {
            assert!(source.contains(&format!("//! {row}\n")), "{name}: plugins/{name}/src/lib.rs does not say: {row}");
        }
    }
}

/// A settings file in which every setting that stood in a comment is given.
fn all_given(settings: &str) -> String {
    let mut given = String::new();
    for line in settings.lines() {
        let setting = line.strip_prefix("# ").filter(|rest| {
            let key = rest.split_once(" = ").map(|(key, _)| key);
            rest.starts_with('[') || key.is_some_and(|key| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        });
        // A list, or a table, that was empty is given by the sections below it.
        let empty = line.starts_with("rules = []") || line.starts_with("flags = []") || line.starts_with("schemas = {}");
        if !empty {
            given.push_str(setting.unwrap_or(line));
            given.push('\n');
        }
    }
    given
}

#[test]
fn settings_files_with_everything_given_and_the_pages_examples_load_and_are_read() {
    for (name, section) in sections() {
        let example = example(&section).unwrap_or_else(|| panic!("{name} has no example")).to_owned();
        for settings in [example, all_given(&read(&format!("plugins/{name}/{name}.toml")))] {
            let site = Site::new();
            fs::create_dir(site.root().join("docs")).expect("a directory can be made");
            site.shipped(&["sim", &name]);
            site.file(&format!("plugins/{name}.toml"), &settings);
            let host = site.start();
            let listed = host.get("/v1/plugins").expect(200);
            assert_eq!(listed["refused"], json!([]), "{name}:\n{settings}");
            // Whatever it says, it says by its settings and not about them.
            for event_type in ["order:placed", "user:created", "order:gift"] {
                let answer = host.publish(&json!({"event_type": event_type, "source_component": "shop", "payload": {"amount": 1}}));
                assert!(!answer.text().contains("setting"), "{name}: {answer}\n{settings}");
            }
            let submitted = host.post("/v1/workflows", &json!({"definition": {"name": "w", "tasks": [{"id": "t", "method": "sim/fail"}]}}));
            assert!(!submitted.text().contains("setting"), "{name}: {submitted}\n{settings}");
            if submitted.status == 201 {
                // To its end, or until it is held.
                eventually(&format!("{name}'s word"), || {
                    ["workflow:failed", "workflow:completed", "control:error"]
                        .iter()
                        .any(|over| !host.events(&format!("type={over}")).is_empty())
                        .then_some(())
                });
            }
            let wrong: Vec<Value> = ["control:error", "plugin:fault", "event:dead_lettered"]
                .iter()
                .flat_map(|event_type| host.events(&format!("type={event_type}")))
                .filter(|event| name != "spinner" || event["event_type"] != "plugin:fault")
                .collect();
            assert_eq!(wrong, [] as [Value; 0], "{name}:\n{settings}");
        }
    }
}

#[test]
fn settings_that_cannot_be_read_are_answered_with_their_name() {
    let controls: Vec<String> = sections().into_keys().filter(|name| !WITHOUT_ANSWERS.contains(&name.as_str())).collect();
    assert_eq!(controls.len(), 9, "{controls:?}");
    for name in controls {
        let site = Site::new();
        site.shipped(&["sim", &name]);
        // Every type that one of them judges.
        let controls =
            "[controls]\nevent_types = ['order:*', 'task:ready', 'assignment:candidate_found', 'task:failed', 'task:completed']\n";
        site.file(&format!("plugins/{name}.toml"), format!("{controls}[settings]\nno_such_setting = 1\n[grants]\nkv = true\n"));
        let host = site.start();
        let answer = host.publish(&json!({"event_type": "order:placed", "source_component": "shop"}));
        host.submit("name: w\ntasks:\n  - {id: t, method: sim/fail}\n");
        let told = host.wait_for("type=control:error", |_| true);
        let reason = told["payload"]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("no_such_setting") && told["payload"]["by"] == *name, "{name}: {answer} {told}");
    }
}
