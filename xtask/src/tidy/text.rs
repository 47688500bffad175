//! Rules for every text file: nothing of one developer's machine, no blanks at the ends of lines, one newline at the end of the file.
//! What is written in the lines is other rules' business.

use super::{Finding, Tree};

/// Paths that exist on one machine. In pieces, so that this file does not break its own rule.
const MACHINE_PATHS: [&str; 5] =
    [concat!("/", "work/"), concat!("/", "tmp/target"), concat!("/", "root/"), concat!("/", "home/"), concat!("/", "Users/")];

/// Nothing names a path or a tool of a developer's machine.
pub(super) fn machines(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| *path != "Cargo.lock") {
        for (index, line) in text.lines().enumerate() {
            for machine in MACHINE_PATHS.iter().filter(|machine| stands_alone(line, machine)) {
                let message =
                    format!("'{machine}…' exists on one machine only: write a path of the repository, or a variable such as $HOME");
                findings.push(Finding::new(path, index + 1, message));
            }
        }
    }
    findings
}

/// Whether a path begins there, rather than going on from a folder or a variable that stands before it.
fn stands_alone(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| !line[..at].ends_with(|before: char| before.is_alphanumeric() || "._-~})$*".contains(before)))
}

/// No line ends in a blank.
pub(super) fn whitespace(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        for (index, line) in text.split('\n').enumerate() {
            if line.ends_with([' ', '\t', '\r']) {
                findings.push(Finding::new(path, index + 1, "the line ends in a blank: remove it"));
            }
        }
    }
    findings
}

/// A text file ends with one newline, unless it is empty.
pub(super) fn endings(tree: &Tree) -> Vec<Finding> {
    let well = |text: &str| text.is_empty() || (text.ends_with('\n') && !text.ends_with("\n\n"));
    let lines = |text: &str| text.lines().count();
    tree.texts()
        .filter(|(_, text)| !well(text))
        .map(|(path, text)| Finding::new(path, lines(text), "end the file with one newline"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};

    #[test]
    fn a_developers_machine_is_found() {
        for machine in MACHINE_PATHS {
            let text = format!("x\ncd {machine}x\n");
            red(machines, &[("docs/a.md", &text)], "docs/a.md:2", "a path of the repository");
        }
        let text = format!("x = \"docs{}x\" y = ${{ROOT}}{}x\n", MACHINE_PATHS[3], MACHINE_PATHS[0]);
        green(machines, &[("docs/a.md", &text)]);
    }

    #[test]
    fn blanks_at_the_end_of_a_line_are_found() {
        for text in ["a\nb \nc\n", "a\nb\t\n", "a\nb\r\nc\n"] {
            red(whitespace, &[("README.md", text)], "README.md:2", "remove it");
        }
        green(whitespace, &[("README.md", "a\n\n b\n")]);
    }

    #[test]
    fn files_end_with_one_newline() {
        for text in ["a\nb", "a\nb\n\n"] {
            assert_eq!(check(endings, &[("README.md", text)]).len(), 1, "{text:?}");
        }
        green(endings, &[("README.md", "a\n"), ("empty", "")]);
    }
}
