//! Owns the matching of paths against patterns: `*` and `?` inside a segment, `**` over any number of segments.
//! Leaves walking the folders to `list`.

/// Whether a path, relative to the listed folder, fits a pattern. A pattern without `/` is for the file's name alone.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let path: Vec<&str> = path.split('/').collect();
    if !pattern.contains('/') && pattern != "**" {
        return path.last().is_some_and(|name| segment(pattern.as_bytes(), name.as_bytes()));
    }
    let pattern: Vec<&str> = pattern.split('/').collect();
    segments(&pattern, &path)
}

/// Whether a list of segments fits. The last `**` seen is the only one that needs to grow, so this takes the product of both lengths at most.
fn segments(pattern: &[&str], path: &[&str]) -> bool {
    let (mut p, mut s, mut grow) = (0, 0, None);
    while s < path.len() {
        match pattern.get(p) {
            Some(&"**") => {
                grow = Some((p, s));
                p += 1;
            }
            Some(part) if segment(part.as_bytes(), path[s].as_bytes()) => (p, s) = (p + 1, s + 1),
            _ => match grow {
                Some((star, at)) => {
                    grow = Some((star, at + 1));
                    (p, s) = (star + 1, at + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|part| *part == "**")
}

/// Whether one segment fits: the same walk with `*` over bytes. `?` takes a whole character.
fn segment(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut s, mut grow) = (0, 0, None);
    while s < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                grow = Some((p, s));
                p += 1;
            }
            Some(b'?') => (p, s) = (p + 1, s + character_bytes(text[s])),
            Some(byte) if *byte == text[s] => (p, s) = (p + 1, s + 1),
            _ => match grow {
                Some((star, at)) => {
                    grow = Some((star, at + 1));
                    (p, s) = (star + 1, at + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How many bytes the UTF-8 character takes that begins with this one.
fn character_bytes(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_they_should_and_nothing_else() {
        let cases = [
            ("*.md", "a.md", true),
            ("*.md", "deep/er/a.md", true),
            ("*.md", "a.mdx", false),
            ("docs/*.md", "docs/a.md", true),
            ("docs/*.md", "docs/x/a.md", false),
            ("docs/**/*.md", "docs/a.md", true),
            ("docs/**/*.md", "docs/x/y/a.md", true),
            ("**/test_?.rs", "a/b/test_1.rs", true),
            ("**/test_?.rs", "a/b/test_12.rs", false),
            ("**", "any/thing", true),
            ("?", "é", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("", "a", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn a_pattern_of_stars_does_not_take_for_ever() {
        let pattern = "*a".repeat(40) + "b";
        assert!(!matches(&pattern, &"a".repeat(10_000)));
    }
}
