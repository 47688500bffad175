//! The house rules: each is a function from the tree to what it finds wrong, and each finding says what to do instead.
//! Runs as `cargo xtask tidy` and as a test of this crate. What a rule needs to know of Rust is `rust`'s; each rule's file has the rule and its samples.

mod arrows;
mod calls;
mod guests;
mod layout;
mod lock;
mod markdown;
mod rust;
mod text;
mod tree;
mod wit;

use std::fmt;

use self::tree::Tree;
use crate::shell;

/// Something that a rule found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// The file, from the repository's folder.
    path: String,
    /// The line, from 1; 0 for the file as a whole.
    line: usize,
    /// What is wrong, and what to do instead.
    message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// A rule: its name, and what finds where it is broken.
type Rule = (&'static str, fn(&Tree) -> Vec<Finding>);

const RULES: [Rule; 14] = [
    ("the arrows between the rooms", arrows::rooms),
    ("each technology in its room", arrows::technologies),
    ("one way to build every crate", arrows::manifests),
    ("calls that product code does not make", calls::bans),
    ("lints are expected, with a reason", calls::allows),
    ("every file opens by saying what it owns", layout::openings),
    ("files and functions stay readable", layout::lengths),
    ("every fixture guest is named by a test", guests::named),
    ("every item of the contract is documented", wit::documented),
    ("no banned crate is locked", lock::banned),
    ("links lead somewhere", markdown::links),
    ("nothing knows a developer's machine", text::machines),
    ("no trailing whitespace", text::whitespace),
    ("every text ends with one newline", text::endings),
];

/// Holds the tree to every rule.
///
/// # Errors
/// If a rule is broken; the findings are on stdout.
pub(crate) fn run() -> Result<(), String> {
    let tree = Tree::read(&shell::root())?;
    let mut broken = 0;
    for (name, rule) in RULES {
        let findings = sorted(rule(&tree));
        println!("{} {name}", if findings.is_empty() { "ok  " } else { "FAIL" });
        for finding in &findings {
            println!("     {finding}");
        }
        broken += findings.len();
    }
    match broken {
        0 => Ok(()),
        1 => Err("one finding; it says what to do".into()),
        many => Err(format!("{many} findings; each says what to do")),
    }
}

fn sorted(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort();
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So that CI's test run holds the rules, and names the one that is broken.
    #[test]
    fn the_tree_keeps_the_house_rules() {
        let tree = Tree::read(&shell::root()).expect("the tree can be read");
        let broken: Vec<String> = RULES
            .iter()
            .flat_map(|(name, rule)| sorted(rule(&tree)).into_iter().map(move |finding| format!("{name}: {finding}")))
            .collect();
        assert!(broken.is_empty(), "{} findings:\n{}", broken.len(), broken.join("\n"));
    }
}

/// What rules are tried on.
#[cfg(test)]
mod sample {
    use super::{Finding, Tree};

    /// Runs `rule` over a tree of `files`; the findings as they are printed.
    pub(super) fn check(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
        super::sorted(rule(&Tree::of(files))).iter().map(ToString::to_string).collect()
    }

    /// `rule` finds one thing in `files`: at `place`, with `remedy` in its message.
    #[track_caller]
    pub(super) fn red(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)], place: &str, remedy: &str) {
        let found = check(rule, files);
        assert_eq!(found.len(), 1, "one finding was expected: {found:#?}");
        assert!(found[0].starts_with(&format!("{place}: ")), "it is at {place}: {}", found[0]);
        assert!(found[0].contains(remedy), "its message has '{remedy}': {}", found[0]);
    }

    /// `rule` has nothing to say about `files`.
    #[track_caller]
    pub(super) fn green(rule: fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)]) {
        assert_eq!(check(rule, files), Vec::<String>::new());
    }
}
