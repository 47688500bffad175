//! What is locked: no crate that `deny.toml` bans, and nothing from outside crates.io.
//! Licences and advisories are cargo-deny's, where it is installed.

use super::{Finding, Tree};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Holds Cargo.lock to `deny.toml`.
pub(super) fn banned(tree: &Tree) -> Vec<Finding> {
    let (Some(lock), Some(deny)) = (tree.text("Cargo.lock"), tree.text("deny.toml")) else {
        return vec![Finding::new("Cargo.lock", 0, "Cargo.lock and deny.toml are both tracked: what is built must not depend on the day")];
    };
    let bans: Vec<(&str, &str)> = deny.lines().filter_map(ban).collect();
    let mut findings = Vec::new();
    let mut package = "";
    for (index, line) in lock.lines().enumerate() {
        let quoted = line.split('"').nth(1).unwrap_or_default();
        if line.starts_with("name = ") {
            package = quoted;
            if let Some((name, reason)) = bans.iter().find(|(name, _)| *name == quoted) {
                let message =
                    format!("{name} is banned ({reason}): `cargo tree --invert {name}` shows who brings it; switch that feature off");
                findings.push(Finding::new("Cargo.lock", index + 1, message));
            }
        }
        if line.starts_with("source = ") && quoted != CRATES_IO {
            findings.push(Finding::new(
                "Cargo.lock",
                index + 1,
                format!("{package} comes from {quoted}: depend on a released version from crates.io"),
            ));
        }
    }
    findings
}

/// The crate and the reason in a line such as `{ crate = "openssl", reason = "…" },`.
fn ban(line: &str) -> Option<(&str, &str)> {
    let mut parts = line.trim().strip_prefix("{ crate = ")?.split('"');
    Some((parts.nth(1)?, parts.nth(1).unwrap_or("see deny.toml")))
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};

    const DENY: (&str, &str) = ("deny.toml", "deny = [\n    { crate = \"openssl\", reason = \"one TLS stack: rustls\" },\n]\n");

    #[test]
    fn a_banned_crate_is_found() {
        let lock =
            "[[package]]\nname = \"openssl\"\nversion = \"0.10.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
        red(banned, &[DENY, ("Cargo.lock", lock)], "Cargo.lock:2", "(one TLS stack: rustls): `cargo tree --invert openssl`");
    }

    #[test]
    fn a_crate_from_elsewhere_is_found() {
        let lock = "[[package]]\nname = \"serde\"\nversion = \"1.0.0\"\nsource = \"git+https://example.com/serde#abc\"\n";
        red(banned, &[DENY, ("Cargo.lock", lock)], "Cargo.lock:4", "serde comes from git+https://example.com");
    }

    #[test]
    fn a_tree_without_a_lock_is_found() {
        red(banned, &[DENY], "Cargo.lock", "both tracked");
    }

    #[test]
    fn the_rest_is_free() {
        let lock = "[[package]]\nname = \"openssl-probe\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n[[package]]\nname = \"xtask\"\n";
        green(banned, &[DENY, ("Cargo.lock", lock)]);
    }
}
