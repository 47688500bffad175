//! What a reader meets first: how a file opens, and how long files and functions are.
//! Longer is not wrong by itself; it is where a file or a function has come to do two things.

use super::{Finding, Tree, rust};

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 100;

/// Words that a sentence has at least.
const SENTENCE_WORDS: usize = 4;

/// Every Rust file opens with at least one full sentence of `//!`.
pub(super) fn openings(tree: &Tree) -> Vec<Finding> {
    tree.ending(".rs")
        .filter(|(path, text)| !path.starts_with("examples/") && !opens_with_a_sentence(text))
        .map(|(path, _)| Finding::new(path, 1, "open with `//!` and a full sentence: what this file owns, what it leaves to whom"))
        .collect()
}

fn opens_with_a_sentence(text: &str) -> bool {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    let paragraph = lines.map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    let end = ['.', '!', '?', ':'].iter().filter_map(|mark| paragraph.rfind(*mark)).max();
    end.is_some_and(|end| paragraph[..end].split_whitespace().count() >= SENTENCE_WORDS)
}

/// No product file is longer than 600 lines, no function longer than 100; tests do not count.
pub(super) fn lengths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.product() {
        let (code, cut) = rust::without_tests(&rust::code(text));
        let lines = text.lines().count() - cut;
        if lines > MAX_FILE_LINES {
            let message = format!(
                "{lines} lines without its tests, and {MAX_FILE_LINES} are the most: make a folder of it, one file for each thing it does"
            );
            findings.push(Finding::new(path, 0, message));
        }
        for function in rust::functions(&code).into_iter().filter(|function| function.lines > MAX_FUNCTION_LINES) {
            let message = format!(
                "`{}` has {} lines, and {MAX_FUNCTION_LINES} are the most: keep the branches here, and move what they do into functions",
                function.name, function.lines
            );
            findings.push(Finding::new(path, function.line, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};

    #[test]
    fn files_open_with_a_sentence() {
        for text in [
            "use std::fs;\n",
            "//! x\n",
            "//! Three words only.\n",
            "// Not a doc comment, however long it is.\n",
            "\n//! The first line is what counts here.\n",
            "",
        ] {
            red(openings, &[("host/store/src/lib.rs", text)], "host/store/src/lib.rs:1", "what this file owns");
        }
        green(openings, &[("host/store/src/lib.rs", "//! The log's file: one writer,\n//! many readers.\n\nuse std::fs;\n")]);
    }

    #[test]
    fn files_are_not_endless() {
        let long = "fn f() {}\n".repeat(601);
        red(lengths, &[("host/store/src/lib.rs", &long)], "host/store/src/lib.rs", "make a folder of it");
        let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(599), "fn t() {}\n".repeat(300));
        green(lengths, &[("host/store/src/lib.rs", &tests), ("xtask/src/lib.rs", &long)]);
    }

    #[test]
    fn functions_are_not_endless() {
        let function = |lines: usize| format!("fn short() {{}}\nfn long() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
        red(lengths, &[("host/store/src/lib.rs", &function(101))], "host/store/src/lib.rs:2", "`long` has 101 lines");
        green(lengths, &[("host/store/src/lib.rs", &function(100))]);
    }
}
