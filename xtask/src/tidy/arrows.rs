//! The rooms' arrows: which crate may depend on which, which technology belongs to which room, and that versions stand in one place.
//! Reads the manifests as text, line by line, in the forms that cargo's own tools write.

use super::{Finding, Tree};

/// Each room of the host: its package, and the packages of this repository that it may depend on.
const ROOMS: [(&str, &str, &[&str]); 5] = [
    ("host/model", "trackside-model", &[]),
    ("host/store", "trackside-store", &["trackside-model"]),
    ("host/engine", "trackside-engine", &["trackside-store", "trackside-model"]),
    ("host/wasm", "trackside-wasm", &["trackside-model"]),
    ("host/server", "trackside", &["trackside-engine", "trackside-wasm", "trackside-store", "trackside-model"]),
];

/// What plugins may depend on.
const SDK: [&str; 3] = ["trackside-sdk", "trackside-sdk-macros", "trackside-policy-kit"];

/// What tests of every room may use besides.
const FOR_TESTS: [&str; 1] = ["trackside-test-guests"];

/// Crates that are at home in some rooms only: their names (a `*` at the end stands for the rest), the rooms, and why.
const TECHNOLOGIES: [(&[&str], &[&str], &str); 7] = [
    (
        &[
            "tokio",
            "tokio-*",
            "futures",
            "futures-*",
            "crossbeam-channel",
            "parking_lot",
            "tempfile",
            "fastrand",
            "rand",
            "getrandom",
            "libc",
        ],
        &["host/store", "host/engine", "host/wasm", "host/server"],
        "the model is pure: take time, randomness and bytes as arguments, and let the caller wait",
    ),
    (&["rusqlite", "libsqlite3-sys"], &["host/store"], "SQL stays in the store: add a verb to its interface"),
    (&["wasmtime", "wasmtime-*", "cranelift-*"], &["host/wasm"], "wasmtime stays in the wasm room: speak through the ports in the model"),
    (
        &["axum", "axum-*", "hyper-util", "tower", "tower-*", "ureq", "reqwest"],
        &["host/server"],
        "serving HTTP stays in the server: give it a function to call",
    ),
    (
        &["hyper", "http-body-util", "rustls", "rustls-*"],
        &["host/server", "host/wasm"],
        "HTTP is the server's, and the plugin host's for what plugins send: give them a function to call",
    ),
    (&["clap", "anstyle"], &["host/server"], "the command line stays in the server"),
    (&["toml", "serde_ignored"], &["host/server", "host/wasm"], "configuration text is read at the edge: take the values as a struct"),
];

/// The kind of table a dependency stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Product,
    Test,
}

struct Dependency<'a> {
    line: usize,
    name: &'a str,
    kind: Kind,
    /// Whether its version and features are the workspace's.
    shared: bool,
}

/// The dependencies of a manifest, renamed ones by their true names.
fn dependencies(manifest: &str) -> Vec<Dependency<'_>> {
    let mut table = "";
    let mut found: Vec<Dependency> = Vec::new();
    for (index, line) in manifest.lines().enumerate() {
        let line_number = index + 1;
        let text = line.split(" #").next().unwrap_or(line).trim();
        if let Some(header) = text.strip_prefix('[') {
            table = header.trim_matches(['[', ']']);
            if let Some((name, kind)) = in_own_table(table) {
                found.push(Dependency { line: line_number, name, kind, shared: false });
            }
            continue;
        }
        let Some((key, value)) = text.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else { continue };
        let shared = value.contains("workspace = true") || (key.ends_with("workspace") && value == "true");
        let renamed = value.split_once("package").and_then(|(_, rest)| rest.split('"').nth(1));
        if in_own_table(table).is_some() {
            if let Some(last) = found.last_mut() {
                last.shared |= shared;
                if key == "package" {
                    last.name = value.trim_matches('"');
                }
            }
        } else if let Some(kind) = kind_of(table) {
            let name = key.split('.').next().unwrap_or(key).trim_matches('"');
            let shared = shared || value.contains("path =");
            found.push(Dependency { line: line_number, name: renamed.unwrap_or(name), kind, shared });
        }
    }
    found
}

/// What `[dependencies]`, `[build-dependencies]`, `[target.….dev-dependencies]` and the like hold.
fn kind_of(table: &str) -> Option<Kind> {
    match table.rsplit('.').next()? {
        _ if table.starts_with("workspace") => None,
        "dependencies" | "build-dependencies" => Some(Kind::Product),
        "dev-dependencies" => Some(Kind::Test),
        _ => None,
    }
}

/// The dependency that has a table to itself: `[dependencies.NAME]`.
fn in_own_table(table: &str) -> Option<(&str, Kind)> {
    let (tables, name) = table.rsplit_once('.')?;
    Some((name.trim_matches('"'), kind_of(tables)?))
}

fn ours(name: &str) -> bool {
    name == "trackside" || name.starts_with("trackside-")
}

/// server → engine → store → model, wasm → model, server → wasm; plugins know the SDK alone.
pub(super) fn rooms(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, manifest) in tree.ending("/Cargo.toml") {
        let folder = path.trim_end_matches("/Cargo.toml");
        let room = ROOMS.iter().find(|(room, ..)| *room == folder);
        let (name, may) = match room {
            Some((_, name, may)) => (*name, *may),
            None if folder.starts_with("plugins/") => ("a plugin", &SDK[..]),
            None if folder.starts_with("host/") => {
                findings.push(Finding::new(
                    path,
                    0,
                    "a room that nobody knows: draw its arrows in ARCHITECTURE.md, then in `ROOMS` of xtask/src/tidy/arrows.rs",
                ));
                continue;
            }
            None => continue,
        };
        for dependency in dependencies(manifest).into_iter().filter(|dependency| ours(dependency.name)) {
            let for_tests = dependency.kind == Kind::Test && FOR_TESTS.contains(&dependency.name);
            if !may.contains(&dependency.name) && !for_tests {
                let allowed = if may.is_empty() { "nothing of this repository".to_owned() } else { may.join(", ") };
                let message = format!(
                    "{name} must not depend on {}: it may know {allowed}. Move what is needed into a room that both know, or pass it in through a port",
                    dependency.name
                );
                findings.push(Finding::new(path, dependency.line, message));
            }
        }
    }
    findings
}

/// SQL, wasmtime, HTTP and the command line each stay in one room, and the model knows none of them.
pub(super) fn technologies(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, manifest) in tree.ending("/Cargo.toml").filter(|(path, _)| path.starts_with("host/")) {
        let room = path.trim_end_matches("/Cargo.toml");
        for dependency in dependencies(manifest).into_iter().filter(|dependency| dependency.kind == Kind::Product) {
            for (names, rooms, remedy) in TECHNOLOGIES {
                if !rooms.contains(&room) && names.iter().any(|name| stands_for(name, dependency.name)) {
                    let message = format!("{room} must not depend on {}, which belongs to {}; {remedy}", dependency.name, rooms.join(", "));
                    findings.push(Finding::new(path, dependency.line, message));
                }
            }
        }
    }
    findings
}

fn stands_for(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// Versions, features and lints stand once, in the workspace's manifest.
pub(super) fn manifests(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What is built apart from the product, so that its dependencies never meet the product's, has a workspace of its own.
    let apart: Vec<&str> = tree
        .ending("/Cargo.toml")
        .filter(|(_, manifest)| manifest.lines().any(|line| line == "[workspace]"))
        .map(|(path, _)| path.trim_end_matches("Cargo.toml"))
        .collect();
    let own = |path: &str| !path.starts_with("examples/") && !apart.iter().any(|folder| path.starts_with(folder));
    for (path, manifest) in tree.ending("/Cargo.toml").filter(|(path, _)| own(path)) {
        for dependency in dependencies(manifest).into_iter().filter(|dependency| !dependency.shared) {
            let name = dependency.name;
            let message =
                format!("write `{name}.workspace = true`, and the version under [workspace.dependencies] of the repository's Cargo.toml");
            findings.push(Finding::new(path, dependency.line, message));
        }
        let inherits = manifest.split_once("[lints]").is_some_and(|(_, rest)| rest.trim_start().starts_with("workspace = true"));
        if !inherits {
            findings.push(Finding::new(path, 0, "add `[lints]` with `workspace = true`, so that the workspace's lints hold here too"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};

    #[test]
    fn nothing_points_back() {
        red(
            rooms,
            &[("host/model/Cargo.toml", "[dependencies]\nserde.workspace = true\ntrackside-store.workspace = true\n")],
            "host/model/Cargo.toml:3",
            "it may know nothing of this repository",
        );
        red(
            rooms,
            &[("host/store/Cargo.toml", "[dependencies.trackside-engine]\nworkspace = true\n")],
            "host/store/Cargo.toml:1",
            "trackside-model",
        );
        red(
            rooms,
            &[(
                "host/wasm/Cargo.toml",
                "[target.'cfg(unix)'.dependencies]\nlog = { package = \"trackside-engine\", path = \"../engine\" }\n",
            )],
            "host/wasm/Cargo.toml:2",
            "port",
        );
        red(
            rooms,
            &[("host/engine/Cargo.toml", "[dev-dependencies]\ntrackside-wasm.workspace = true\n")],
            "host/engine/Cargo.toml:2",
            "port",
        );
    }

    #[test]
    fn a_new_room_is_drawn_first() {
        red(rooms, &[("host/cluster/Cargo.toml", "[dependencies]\n")], "host/cluster/Cargo.toml", "ARCHITECTURE.md");
    }

    #[test]
    fn plugins_know_the_sdk_alone() {
        red(
            rooms,
            &[("plugins/audit/Cargo.toml", "[dependencies]\ntrackside-model.workspace = true\n")],
            "plugins/audit/Cargo.toml:2",
            "trackside-sdk",
        );
        green(rooms, &[("plugins/audit/Cargo.toml", "[dependencies]\ntrackside-sdk.workspace = true\n")]);
    }

    #[test]
    fn the_arrows_that_are_drawn_are_free() {
        let server = "[dependencies]\ntrackside-engine.workspace = true\ntrackside-wasm.workspace = true\n";
        let wasm = "[dependencies]\ntrackside-model.workspace = true\n[dev-dependencies]\ntrackside-test-guests = { path = \"x\" }\n";
        green(rooms, &[("host/server/Cargo.toml", server), ("host/wasm/Cargo.toml", wasm)]);
        green(rooms, &[("tests/bench/Cargo.toml", "[dependencies]\ntrackside-store.workspace = true\n")]);
    }

    #[test]
    fn technologies_stay_in_their_rooms() {
        let with = |line: &str| format!("[dependencies]\n{line}\n");
        for (path, line, remedy) in [
            ("host/model/Cargo.toml", "tokio.workspace = true", "pure"),
            ("host/engine/Cargo.toml", "rusqlite.workspace = true", "add a verb"),
            ("host/server/Cargo.toml", "wasmtime-wasi.workspace = true", "ports in the model"),
            ("host/engine/Cargo.toml", "axum = \"0.8\"", "HTTP stays in the server"),
            ("host/store/Cargo.toml", "clap.workspace = true", "command line"),
            ("host/engine/Cargo.toml", "toml.workspace = true", "at the edge"),
        ] {
            red(technologies, &[(path, &with(line))], &format!("{path}:2"), remedy);
        }
        green(
            technologies,
            &[("host/store/Cargo.toml", "[dependencies]\nrusqlite.workspace = true\n[dev-dependencies]\ntempfile.workspace = true\n")],
        );
        green(technologies, &[("host/model/Cargo.toml", "[dev-dependencies]\ntempfile.workspace = true\n")]);
    }

    #[test]
    fn versions_stand_in_one_place() {
        let lints = "[lints]\nworkspace = true\n";
        let path = "host/store/Cargo.toml";
        red(manifests, &[(path, &format!("[dependencies]\nserde = \"1\"\n{lints}"))], "host/store/Cargo.toml:2", "serde.workspace = true");
        red(
            manifests,
            &[(path, &format!("[dependencies.serde]\nversion = \"1\"\n{lints}"))],
            "host/store/Cargo.toml:1",
            "[workspace.dependencies]",
        );
        green(
            manifests,
            &[(path, &format!("[dependencies]\nserde = {{ workspace = true, features = [\"rc\"] }}\nx = {{ path = \"../x\" }}\n{lints}"))],
        );
    }

    #[test]
    fn lints_are_inherited() {
        red(manifests, &[("plugins/audit/Cargo.toml", "[package]\nname = \"audit\"\n")], "plugins/audit/Cargo.toml", "workspace = true");
    }

    #[test]
    fn what_has_a_workspace_of_its_own_has_versions_of_its_own() {
        let apart = ("tests/bench/other/Cargo.toml", "[workspace]\nmembers = [\"host\"]\n");
        let member = ("tests/bench/other/host/Cargo.toml", "[dependencies]\nserde = \"1\"\n[lints]\nworkspace = true\n");
        green(manifests, &[apart, member]);
        red(manifests, &[member], "tests/bench/other/host/Cargo.toml:2", "serde.workspace = true");
    }
}
