//! Links in Markdown: those that point into the repository lead to a file, a folder or a heading that is there.
//! Links to the web are not followed: a test must not fail because a site is down.

use super::{Finding, Tree, rust};

/// Every link into the repository resolves.
pub(super) fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".md") {
        let prose = prose(text);
        for (at, target) in targets(&prose) {
            if let Err(message) = resolve(tree, path, target) {
                findings.push(Finding::new(path, rust::line_of(&prose, at), message));
            }
        }
    }
    findings
}

/// `text` with fenced blocks emptied and code spans blanked; lines stay where they are.
fn prose(text: &str) -> String {
    let mut fence: Option<&str> = None;
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, None) => out.push_str(&without_spans(line)),
            (None, Some(_)) => fence = mark,
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
        }
        out.push('\n');
    }
    out
}

fn without_spans(line: &str) -> String {
    let parts: Vec<&str> = line.split('`').collect();
    let closed = parts.len() % 2 == 1;
    let blank = |part: &str| " ".repeat(part.len());
    let hide = |(index, part): (usize, &&str)| if closed && index % 2 == 1 { blank(part) } else { (*part).to_owned() };
    parts.iter().enumerate().map(hide).collect::<Vec<_>>().join(" ")
}

/// Where each link's target begins, and the target: `](target "title")`, and `[name]: target` at the start of a line.
fn targets(prose: &str) -> Vec<(usize, &str)> {
    let inline = prose.match_indices("](").map(|(at, open)| at + open.len());
    let defined = prose.match_indices("]: ").filter(|(at, _)| {
        let line = prose[..*at].rsplit('\n').next().unwrap_or_default();
        line.starts_with('[') && !line.contains(']')
    });
    let starts = inline.chain(defined.map(|(at, open)| at + open.len()));
    starts.map(|at| (at, prose[at..].split([')', ' ', '\n']).next().unwrap_or_default().trim_matches(['<', '>']))).collect()
}

fn resolve(tree: &Tree, from: &str, target: &str) -> Result<(), String> {
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
        return Ok(());
    }
    let (file, heading) = target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
    let file = file.replace("%20", " ");
    let path = if file.is_empty() { Some(from.to_owned()) } else { join(from, &file) };
    let Some(path) = path.filter(|path| tree.has(path)) else {
        return Err(format!("the link to '{target}' leads to no file of the repository: correct the path, from this file's folder"));
    };
    match (heading, tree.text(&path)) {
        (Some(heading), Some(text)) if path.ends_with(".md") && !headings(text).iter().any(|there| there == heading) => {
            Err(format!("the link to '{target}' leads to no heading of {path}: its headings are {}", headings(text).join(", ")))
        }
        _ => Ok(()),
    }
}

/// The path of `file` as seen from the folder of `from`; `None` if it leads out of the repository.
fn join(from: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = if file.starts_with('/') { Vec::new() } else { from.split('/').collect() };
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The anchors of a file's headings, as the usual sites make them.
fn headings(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut anchors: Vec<String> = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        let Some(title) = line.strip_prefix('#').filter(|_| !fenced) else { continue };
        let title = title.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|character| character.is_alphanumeric() || [' ', '-', '_'].contains(character));
        let anchor: String = kept.map(|character| if character == ' ' { '-' } else { character }).collect();
        let twins = anchors.iter().filter(|other| **other == anchor).count();
        anchors.push(if twins == 0 { anchor } else { format!("{anchor}-{twins}") });
    }
    anchors
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};

    #[test]
    fn links_to_nowhere_are_found() {
        red(links, &[("README.md", "x\n[here](docs/gone.md)\n")], "README.md:2", "correct the path");
        red(links, &[("README.md", "[x]\n\n[x]: gone.md\n")], "README.md:3", "correct the path");
        red(links, &[("docs/a.md", "![p](../../p.png \"title\")\n")], "docs/a.md:1", "correct the path");
        red(links, &[("README.md", "# One\n[x](#two)\n")], "README.md:2", "its headings are one");
        red(links, &[("README.md", "[x](a.md#two)\n"), ("a.md", "# One & only\n")], "README.md:1", "one--only");
    }

    #[test]
    fn links_that_lead_somewhere_are_not() {
        let text = "# The path of one event\n[a](docs/b.md) [b](docs) [c](https://example.com/x.md) [d](#the-path-of-one-event) [e](docs/b.md#it-s)\n";
        green(links, &[("README.md", text), ("docs/b.md", "# It s\n[up](../README.md) [top](/README.md)\n")]);
    }

    #[test]
    fn code_has_no_links() {
        green(links, &[("README.md", "`[a](b.md)`\n\n```rust\nlet x = y[0](gone);\n```\n")]);
    }
}
