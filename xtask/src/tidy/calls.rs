//! Calls that product code does not make, each with what to do instead and the few files in which it is at home.
//! Clippy holds some of them by type (`.clippy.toml`); this looks at the text, and so at code that is not compiled on this machine too.

use super::{Finding, Tree, rust};

/// Files in which a banned call is at home: where its path begins so, and why.
type Homes = &'static [(&'static str, &'static str)];

struct Ban {
    /// As they are written, without what stands before.
    calls: &'static [&'static str],
    /// Where the ban holds: product files whose path begins so.
    within: &'static str,
    homes: Homes,
    remedy: &'static str,
}

const BANS: [Ban; 9] = [
    Ban {
        calls: &["tokio::spawn", "task::spawn", "task::spawn_local", "spawn_blocking"],
        within: "",
        homes: &[("host/engine/src/tasks.rs", "the registry, which gives each task its owner and its fate")],
        remedy: "a task without an owner fails unseen: start it through the registry in host/engine/src/tasks.rs, with a name and a fate",
    },
    Ban {
        calls: &["thread::spawn", "thread::Builder"],
        within: "",
        homes: &[
            ("host/engine/src/tasks.rs", "the registry, which names, counts and joins them"),
            ("host/store/src/open.rs", "the writer and the checkpointer: the store joins them when it closes, and knows no engine"),
            ("host/wasm/src/ticker.rs", "the one epoch ticker, joined when the plugin host is dropped, which knows no engine"),
        ],
        remedy: "a thread without an owner is never joined: start it through the registry in host/engine/src/tasks.rs",
    },
    Ban {
        calls: &["unbounded_channel", "channel::unbounded", "crossbeam_channel::unbounded", "std::sync::mpsc::channel"],
        within: "host/",
        homes: &[],
        remedy: "every queue has a limit with a name and an answer for when it is full: use the bounded channel",
    },
    Ban {
        calls: &["broadcast::channel"],
        within: "host/",
        homes: &[],
        remedy: "it loses what a slow reader has not read: read the log from a cursor, and wake with `watch` or `Notify`",
    },
    Ban {
        calls: &["println!", "eprintln!", "print!", "eprint!"],
        within: "",
        homes: &[("host/server/src/", "the command line, whose output it is")],
        remedy: "only the command line prints: use `tracing` in the host, `trackside_sdk::log` in a plugin",
    },
    Ban {
        calls: &[".unwrap()", ".unwrap_err()"],
        within: "",
        homes: &[],
        remedy: "return an error, or `expect` with the reason why it cannot happen",
    },
    Ban {
        calls: &["todo!", "unimplemented!", "dbg!"],
        within: "",
        homes: &[],
        remedy: "write it now, or refuse what is not there by name",
    },
    Ban {
        calls: &["process::exit", "process::abort"],
        within: "",
        homes: &[
            ("host/server/src/main.rs", "where the process ends"),
            ("host/server/src/failpoint.rs", "which ends a debug build as a kill does, for tests"),
        ],
        remedy: "nothing is flushed or joined: return an error, and let `main` turn it into an exit code",
    },
    Ban {
        calls: &[
            "SystemTime::now",
            "Instant::now",
            "Zoned::now",
            "Timestamp::now",
            "Uuid::new_v4",
            "Uuid::now_v7",
            "std::fs",
            "std::net",
            "std::env",
            "std::thread",
        ],
        within: "host/model/",
        homes: &[],
        remedy: "the model is pure: take time, randomness and bytes as arguments",
    },
];

/// Nobody makes a banned call outside the files where it is at home.
pub(super) fn bans(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.product() {
        let (code, _) = rust::without_tests(&rust::code(text));
        for ban in BANS.iter().filter(|ban| path.starts_with(ban.within) && !ban.homes.iter().any(|(home, _)| path.starts_with(home))) {
            for call in ban.calls {
                for at in rust::words(&code, call) {
                    findings.push(Finding::new(path, rust::line_of(&code, at), format!("`{call}`: {}", ban.remedy)));
                }
            }
        }
    }
    findings.sort();
    // `tokio::task::spawn` is also a `task::spawn`: one place, one finding.
    findings.dedup_by(|a, b| (&a.path, a.line) == (&b.path, b.line));
    findings
}

/// Where a lint may be allowed: the file, and why an expectation cannot stand there.
const ALLOWS: [(&str, &str); 1] = [("plugins/sdk/src/bindings.rs", "generated code, which trips other lints on other targets")];

/// A lint that is silenced is expected, and says why; an expectation that nothing meets is a warning.
pub(super) fn allows(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".rs").filter(|(path, _)| !ALLOWS.iter().any(|(home, _)| home == path)) {
        let code = rust::code(text);
        for call in ["#[allow(", "#![allow("] {
            for (at, _) in code.match_indices(call) {
                let message = format!("`{call}…)]`: write `#[expect(lint, reason = \"…\")]`, which says when it is no longer needed");
                findings.push(Finding::new(path, rust::line_of(&code, at), message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};

    #[test]
    fn banned_calls_are_found_with_their_remedy() {
        for (path, call, remedy) in [
            ("host/wasm/src/http.rs", "tokio::spawn(run())", "through the registry"),
            ("host/engine/src/loop.rs", "tokio::task::spawn(run())", "through the registry"),
            ("host/engine/src/loop.rs", "handle.spawn_blocking(run)", "through the registry"),
            ("host/store/src/read.rs", "std::thread::spawn(run)", "never joined"),
            ("host/engine/src/pool.rs", "thread::Builder::new()", "never joined"),
            ("host/engine/src/bus.rs", "mpsc::unbounded_channel()", "limit with a name"),
            ("host/engine/src/bus.rs", "broadcast::channel(16)", "from a cursor"),
            ("host/engine/src/bus.rs", "println!(\"x\")", "`tracing`"),
            ("plugins/audit/src/lib.rs", "eprintln!(\"x\")", "trackside_sdk::log"),
            ("host/store/src/lib.rs", "x.unwrap()", "`expect` with the reason"),
            ("plugins/audit/src/lib.rs", "todo!()", "write it now"),
            ("host/server/src/cli.rs", "std::process::exit(2)", "`main`"),
            ("host/model/src/retry.rs", "Instant::now()", "arguments"),
        ] {
            let text = format!("//! x\nfn f() {{\n    {call};\n}}\n");
            red(bans, &[(path, &text)], &format!("{path}:3"), remedy);
        }
    }

    #[test]
    fn calls_are_free_at_home_in_tests_and_in_words() {
        green(bans, &[("host/engine/src/tasks.rs", "fn f() { tokio::spawn(x); std::thread::Builder::new(); }")]);
        green(bans, &[("host/server/src/cli/events.rs", "fn f() { println!(\"x\"); }")]);
        green(bans, &[("host/server/src/main.rs", "fn f() { std::process::exit(1) }")]);
        green(bans, &[("host/store/src/lib.rs", "#[cfg(test)]\nmod tests {\n fn f() { x.unwrap(); println!(); }\n}\n")]);
        green(bans, &[("host/store/src/lib.rs", "//! Not `tokio::spawn`.\nfn f() { g(\"todo!\"); h.unwrap_or(0) }")]);
        green(bans, &[("host/store/tests/all.rs", "fn f() { x.unwrap() }")]);
        green(bans, &[("host/engine/src/clock.rs", "fn f() { Instant::now(); }")]);
    }

    #[test]
    fn lints_are_expected_and_not_allowed() {
        red(allows, &[("tests/src/lib.rs", "//! x\n#[allow(dead_code, reason = \"x\")]\nfn f() {}\n")], "tests/src/lib.rs:2", "#[expect(");
        red(allows, &[("host/store/src/lib.rs", "//! x\n#![allow(unused)]\n")], "host/store/src/lib.rs:2", "#[expect(");
        green(allows, &[("host/store/src/lib.rs", "//! Not `#[allow(x)]`.\n#[expect(unused, reason = \"x\")]\nfn f() {}\n")]);
    }
}
