//! The demo, as the first thing that anybody types: in a pipe, with a log to be kept, over files of one's own, and wrongly called.
//! What it shows on a terminal is for eyes.

use std::fs;

use trackside_tests::{Ran, Site, Value, run};

fn demo(site: &Site, arguments: &[&str]) -> Ran {
    // Its temporary directory is where nothing else is.
    let temporary = site.root().join("tmp");
    fs::create_dir_all(&temporary).expect("a directory can be made");
    run(site.command(["demo"]).args(arguments).env("TMPDIR", temporary))
}

fn lines_with<'a>(text: &'a str, what: &str) -> Vec<&'a str> {
    text.lines().filter(|line| line.contains(what)).collect()
}

#[test]
fn it_shows_everything_and_leaves_nothing() {
    let site = Site::new();
    let ran = demo(&site, &[]);
    assert_eq!(ran.code, 0, "{ran}");
    let text = ran.stdout;
    assert!(!text.contains('\x1b') && !text.contains('\r'), "no colour and no redrawing in a pipe");
    for event_type in [
        "provider:registered",
        "workflow:submitted",
        "task:started",
        "task:completed",
        "task:retry_scheduled",
        "workflow:completed",
        "plugin:fault",
        "plugin:quarantined",
    ] {
        assert!(!lines_with(&text, event_type).is_empty(), "{event_type} is missing in\n{text}");
    }
    for expected in
        ["Digest of 3 texts", "keywords", "summary", "answered at last", "control check", "append", "p50", "p99", "attempts", "faults"]
    {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    for plugin in ["audit", "files", "retry-policy", "sim", "spinner", "text"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(plugin)), "{plugin} has no line in\n{text}");
    }
    let spinner = lines_with(&text, "spinner");
    assert!(spinner.iter().any(|line| line.contains("quarantined") && line.contains("deadline")), "{spinner:#?}");
    assert!(text.contains("trackside events --data"), "how to read the story is missing in\n{text}");
    let left: Vec<_> = fs::read_dir(site.root().join("tmp")).expect("the temporary directory").collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(ran.stderr, "");
}

#[test]
fn the_log_that_it_keeps_tells_the_whole_story() {
    let site = Site::new();
    let kept = site.data();
    let ran = demo(&site, &["--data", &kept.to_string_lossy()]);
    assert_eq!(ran.code, 0, "{ran}");
    let events = site.read(["events", "--json"]).json_lines();
    let of_type = |event_type: &str| events.iter().filter(|event| event["event_type"] == event_type).cloned().collect::<Vec<Value>>();
    let sequences: Vec<u64> =
        events.iter().filter(|event| event.get("part").is_none()).filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>(), "every fact, without a gap");

    // Providers register and beat.
    for provider in ["files", "sim", "text"] {
        assert!(of_type("provider:registered").iter().any(|event| event["provider_id"] == provider), "{provider}");
    }
    assert!(!of_type("provider:heartbeat").is_empty(), "no provider's heart beats");
    // The flaky service is brought home by the policy; the spinner is cut, quarantined and named, and nobody else faults.
    let retries = of_type("task:retry_scheduled");
    assert_eq!(retries.len(), 2);
    assert!(retries.iter().all(|event| event["task_id"] == "flaky" && event["payload"]["by"] == "retry-policy"), "{retries:?}");
    let faults = of_type("plugin:fault");
    assert!(
        faults.len() >= 2 && faults.iter().all(|fault| fault["payload"]["plugin"] == "spinner" && fault["payload"]["kind"] == "deadline"),
        "{faults:?}"
    );
    assert!(of_type("plugin:quarantined").iter().all(|event| event["payload"]["plugin"] == "spinner"));

    let shown = of_type("workflow:completed");
    let id = shown[0]["workflow_id"].as_str().expect("an id");
    let view = site.read(["workflow", "show", id, "--json"]).json();
    assert_eq!((view["status"].as_str(), view["tasks"].as_array().map(Vec::len)), (Some("completed"), Some(7)));
    assert!(ran.stdout.contains(&format!("workflow show {id}")), "{ran}");
    // The audit has counted what it had been handed when the demo ended, and nothing twice.
    let counted = site.kv_number("audit", "count/task:completed");
    assert!((1..=of_type("task:completed").len() as u64).contains(&counted), "{counted}");
    // Once more on the same directory is a second story behind the first.
    assert_eq!(demo(&site, &["--data", &kept.to_string_lossy()]).code, 0);
    assert_eq!(site.read(["workflow", "list", "--json"]).json_lines().len(), 2);
}

#[test]
fn it_runs_over_ones_own_files() {
    let site = Site::new();
    site.file("mine/engines.txt", "The steam engine changed the railway. The railway changed the town. Every town wanted a station.");
    site.file("mine/deep/signals.md", "# Signals\n\nA signal protects a section of track. A signal box controls many signals.");
    site.file("mine/picture.png", [0x89, b'P', b'N', b'G', 0, 1, 2, 0xff]);
    let ran = demo(&site, &["--input", "mine", "--data", "data"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains("Digest of 2 texts"), "{ran}");
    assert!(ran.stdout.contains("signal"), "{ran}");
    // Nothing was granted but the input, and nothing in it was changed.
    let files: Vec<String> = walk(&site.root().join("mine"));
    assert_eq!(files, ["deep/signals.md", "engines.txt", "picture.png"]);
    assert_eq!(site.read(["events", "--type", "error:raised", "--json"]).stdout, "");
}

fn walk(root: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be read").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => found.push(path.strip_prefix(root).expect("inside").to_string_lossy().into_owned()),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_folder_with_nothing_to_read_is_no_failure_of_the_demo() {
    let site = Site::new();
    fs::create_dir(site.root().join("bare")).expect("a directory can be made");
    let ran = demo(&site, &["--input", "bare"]);
    assert_eq!(ran.code, 0, "{ran}");
    assert!(ran.stdout.contains("Digest of 0 texts"), "{ran}");
}

#[test]
fn it_says_what_is_wrong_with_its_input() {
    let site = Site::new();
    site.file("file.txt", "a file");
    for input in ["nowhere", "file.txt"] {
        let ran = demo(&site, &["--input", input]);
        assert_eq!(ran.code, 1, "{ran}");
        assert!(ran.stderr.contains(&format!("--input {input}: is not a folder; name one that holds text files")), "{ran}");
        assert_eq!(ran.stdout, "", "nothing was begun");
    }
    assert_eq!(fs::read_dir(site.root().join("tmp")).expect("the temporary directory").count(), 0);
    let ran = demo(&site, &["--inptu", "x"]);
    assert_eq!(ran.code, 2, "{ran}");
    assert!(ran.stderr.contains("--input"), "it names the near one: {ran}");
}

#[test]
fn what_is_kept_is_said() {
    let site = Site::new();
    let ran = demo(&site, &["--keep"]);
    assert_eq!(ran.code, 0, "{ran}");
    let root: Vec<_> = fs::read_dir(site.root().join("tmp")).expect("the temporary directory").flatten().collect();
    assert_eq!(root.len(), 1);
    let data = root[0].path().join("data");
    assert!(ran.stdout.contains(&format!("trackside events --data {}", data.display())), "{ran}");
    assert!(!site.run(["events", "--json", "--data", &data.to_string_lossy()]).ok().is_empty());
}
