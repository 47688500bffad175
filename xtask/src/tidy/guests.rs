//! Fixture guests: each is declared, and each is named by a test, so that none lies about unused.
//! What they do is told at the top of each file in `tests/guests/examples`.

use super::{Finding, Tree};

const MANIFEST: &str = "tests/guests/Cargo.toml";
const FOLDER: &str = "tests/guests/examples/";

/// Every guest is an example of the manifest, and its name stands in quotes in a test.
pub(super) fn named(tree: &Tree) -> Vec<Finding> {
    let manifest = tree.text(MANIFEST).unwrap_or_default();
    let mut declared = declared(manifest);
    let mut findings = Vec::new();
    for (path, _) in tree.ending(".rs").filter(|(path, _)| path.starts_with(FOLDER)) {
        let name = path[FOLDER.len()..].trim_end_matches(".rs").trim_end_matches("/main");
        if name.contains('/') {
            continue;
        }
        if !declared.contains(&name) {
            findings.push(Finding::new(
                path,
                0,
                format!("add [[example]] with name = \"{name}\" and crate-type = [\"cdylib\"] to {MANIFEST}"),
            ));
            declared.push(name);
        }
    }
    for name in declared {
        if !tests(tree).any(|(_, text)| names(text, name)) {
            let message = format!("no test names the guest \"{name}\": write one under tests/ or host/*/tests, or remove the guest");
            findings.push(Finding::new(MANIFEST, 0, message));
        }
    }
    findings
}

fn declared(manifest: &str) -> Vec<&str> {
    let examples = manifest.split("[[example]]").skip(1);
    examples.filter_map(|example| example.split("name = \"").nth(1)?.split('"').next()).collect()
}

/// Where tests are: `tests/` without the guests themselves, and every room's `tests`.
fn tests(tree: &Tree) -> impl Iterator<Item = (&str, &str)> {
    tree.ending(".rs").filter(|(path, _)| {
        let whole = path.starts_with("tests/") && !path.starts_with("tests/guests/");
        whole || (path.starts_with("host/") && path.contains("/tests/"))
    })
}

/// In quotes, as a test hands it to what builds or loads it.
fn names(text: &str, name: &str) -> bool {
    ["\"", ".wasm\"", ".toml\""].iter().any(|end| text.contains(&format!("\"{name}{end}")))
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};

    const SPIN: (&str, &str) = (MANIFEST, "[[example]]\nname = \"spin\"\ncrate-type = [\"cdylib\"]\n");
    const FILE: (&str, &str) = ("tests/guests/examples/spin.rs", "//! x");

    #[test]
    fn a_guest_that_no_test_names_is_found() {
        red(named, &[SPIN, FILE], MANIFEST, "no test names the guest \"spin\"");
        red(named, &[SPIN, FILE, ("tests/src/hostile.rs", "// spin\nrun(\"spinner\");")], MANIFEST, "no test names");
        red(named, &[SPIN, FILE, ("tests/guests/src/lib.rs", "&[\"spin\"]")], MANIFEST, "no test names");
    }

    #[test]
    fn a_guest_that_is_not_declared_is_found() {
        let test = ("tests/hostile.rs", "run(\"spin\");");
        red(named, &[(MANIFEST, ""), FILE, test], FILE.0, "add [[example]]");
    }

    #[test]
    fn one_test_is_enough() {
        green(named, &[SPIN, FILE, ("tests/tests/hostile.rs", "run(\"spin\");")]);
        green(named, &[SPIN, FILE, ("host/wasm/tests/limits.rs", "load(\"spin.wasm\");")]);
    }
}
