//! The contract's doc comments are the author's manual: every interface, world, type and function of `wit/` has one.
//! Fields and cases speak for themselves, or are told in the item's own comment.

use super::{Finding, Tree};

/// Every item is documented on the line above it.
pub(super) fn documented(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    // What is vendored beside the contract is as others wrote it.
    for (path, text) in tree.ending(".wit").filter(|(path, _)| !path.contains("/deps/")) {
        let mut documented = false;
        let mut depth = 0;
        for (index, line) in text.lines().map(str::trim).enumerate() {
            if let Some(name) = item(line, depth).filter(|_| !documented) {
                findings.push(Finding::new(
                    path,
                    index + 1,
                    format!("{name} has no doc comment: write `///` above it, saying what an author needs to know"),
                ));
            }
            let code = line.split("//").next().unwrap_or_default();
            depth += code.matches('{').count();
            depth -= code.matches('}').count().min(depth);
            // An attribute may stand between a comment and its item.
            documented = line.starts_with("///") || line.ends_with("*/") || (documented && line.starts_with('@'));
        }
    }
    findings
}

/// What the line declares, at that depth of braces.
fn item(line: &str, depth: usize) -> Option<String> {
    let mut words = line.split([' ', '{', ';', '(']).filter(|word| !word.is_empty());
    let (first, second) = (words.next()?, words.next().unwrap_or_default());
    match (depth, first) {
        (0, "interface" | "world") => Some(format!("{first} `{second}`")),
        (1, "record" | "variant" | "enum" | "flags" | "resource" | "type") => Some(format!("{first} `{second}`")),
        (1 | 2, name) if name.ends_with(':') && ["func", "async", "static"].contains(&second) => {
            Some(format!("function `{}`", name.trim_end_matches(':')))
        }
        (2, "constructor") => Some("constructor".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::sample::*, *};

    #[test]
    fn items_without_a_comment_are_found() {
        for (item, name) in [
            ("record delay { after: u64 }", "record `delay`"),
            ("type json = string;", "type `json`"),
            ("get: func(name: string) -> option<json>;", "function `get`"),
            ("enum level {\n    low,\n    }", "enum `level`"),
        ] {
            let text = format!("/// I.\ninterface i {{\n    {item}\n}}\n");
            red(documented, &[("wit/a/a.wit", &text)], "wit/a/a.wit:3", name);
        }
        red(documented, &[("wit/a/a.wit", "interface i {\n}\n")], "wit/a/a.wit:1", "interface `i`");
        red(documented, &[("wit/a/a.wit", "/// Far above.\n\nworld w {\n}\n")], "wit/a/a.wit:3", "world `w`");
    }

    #[test]
    fn what_is_vendored_is_left_as_it_is() {
        green(documented, &[("wit/a/deps/b.wit", "interface i {\n}\n")]);
    }

    #[test]
    fn documented_items_their_fields_and_imports_are_not() {
        let text = "package a:b@0.1.0;\n\n/// I { }.\n@since(version = 0.1.0)\ninterface i {\n    use types.{json};\n    /// R.\n    record r {\n        type-name: string,\n    }\n    /// F.\n    f: func();\n}\n\n/// W.\nworld w {\n    import i;\n    export i;\n}\n";
        green(documented, &[("wit/a/a.wit", text)]);
    }
}
