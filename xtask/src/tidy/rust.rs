//! As much of Rust's syntax as the rules need: code without its comments, strings and tests, and where each function begins and ends.
//! Works on any text and never fails: what does not parse is the compiler's to refuse.

/// `text` with comments, and the insides of strings and characters, as spaces; every line stays where it is.
pub(super) fn code(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    let mut after_word = false;
    while let Some(next) = rest.chars().next() {
        let (len, hidden) = match lexeme(rest, after_word) {
            Some(len) => (len, true),
            None => (next.len_utf8(), false),
        };
        let (this, tail) = rest.split_at(len);
        if hidden {
            out.extend(this.chars().map(|character| if character == '\n' { '\n' } else { ' ' }));
        } else {
            out.push_str(this);
        }
        after_word = !hidden && is_word(next);
        rest = tail;
    }
    out
}

/// The length of the comment, string or character that `rest` begins with, if it begins with one.
fn lexeme(rest: &str, after_word: bool) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('"') {
        return Some(string(rest));
    }
    if rest.starts_with('\'') {
        return character(rest);
    }
    if after_word {
        return None;
    }
    let prefix = ["br", "cr", "r", "b", "c"].into_iter().find(|prefix| {
        let tail = rest.strip_prefix(prefix).map(|tail| if prefix.ends_with('r') { tail.trim_start_matches('#') } else { tail });
        tail.is_some_and(|tail| tail.starts_with('"'))
    })?;
    let tail = &rest[prefix.len()..];
    Some(prefix.len() + if prefix.ends_with('r') { raw_string(tail) } else { string(tail) })
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn string(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()),
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// From the `#`s on.
fn raw_string(rest: &str) -> usize {
    let marks = rest.len() - rest.trim_start_matches('#').len();
    let end = format!("\"{}", "#".repeat(marks));
    let open = marks + 1;
    rest[open..].find(&end).map_or(rest.len(), |at| open + at + end.len())
}

/// `'x'` and `'\n'`, but not a lifetime.
fn character(rest: &str) -> Option<usize> {
    let mut characters = rest.char_indices().skip(1);
    match characters.next()?.1 {
        '\\' => {
            characters.next()?;
            characters.find(|(_, character)| *character == '\'').map(|(at, _)| at + 1)
        }
        _ => characters.next().filter(|(_, character)| *character == '\'').map(|(at, _)| at + 1),
    }
}

pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// `code` with everything under `#[cfg(test)]` as spaces, and how many lines that took away.
pub(super) fn without_tests(code: &str) -> (String, usize) {
    if code.contains("#![cfg(test)]") {
        return (blank(code), code.lines().count());
    }
    let (mut out, mut cut, mut from) = (String::with_capacity(code.len()), 0, 0);
    while let Some(found) = ["#[cfg(test)]", "#[cfg(all(test,"].iter().filter_map(|mark| code[from..].find(mark)).min() {
        let start = from + found;
        let end = item_end(code, start);
        out.push_str(&code[from..start]);
        out.push_str(&blank(&code[start..end]));
        cut += code[start..end].lines().count();
        from = end;
    }
    out.push_str(&code[from..]);
    (out, cut)
}

fn blank(text: &str) -> String {
    text.chars().map(|character| if character == '\n' { '\n' } else { ' ' }).collect()
}

/// Where the item that begins at `start` is over: behind its `;`, its `,`, or its closing brace.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_i32;
    for (at, character) in code[start..].char_indices() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return brace_end(code, start + at),
            ';' if depth == 0 => return start + at + 1,
            ',' if depth == 0 && !generic(&code[start..start + at]) => return start + at + 1,
            _ => {}
        }
    }
    code.len()
}

/// Whether a comma behind `head` belongs to generic parameters; elsewhere it ends a field, a variant or an argument.
fn generic(head: &str) -> bool {
    ["fn", "impl", "struct", "enum", "trait", "type"].iter().any(|keyword| words(head, keyword).next().is_some())
}

/// Behind the brace that closes the one at `open`.
fn brace_end(code: &str, open: usize) -> usize {
    let mut depth = 0_i32;
    for (at, character) in code[open..].char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + at + 1;
        }
    }
    code.len()
}

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    /// The line of `fn`, from 1.
    pub(super) line: usize,
    /// Lines from `fn` to the closing brace, both counted.
    pub(super) lines: usize,
}

/// Every function in `code`, which has no comments and strings any more; one inside another is counted in both.
pub(super) fn functions(code: &str) -> Vec<Function<'_>> {
    let mut functions = Vec::new();
    for at in words(code, "fn") {
        let tail = &code[at + 2..];
        let name = tail.trim_start();
        let name = &name[..name.find(|character| !is_word(character)).unwrap_or(name.len())];
        let end = item_end(code, at);
        if !name.is_empty() && code[..end].ends_with('}') {
            functions.push(Function { name, line: line_of(code, at), lines: code[at..end].lines().count() });
        }
    }
    functions
}

/// Where `word` stands in `code`, with nothing of a word right before it or right behind it.
pub(super) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let open_end = !word.ends_with(is_word);
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = code[..*at].chars().next_back();
        let behind = code[at + word.len()..].chars().next();
        (!word.starts_with(is_word) || !before.is_some_and(is_word)) && (open_end || !behind.is_some_and(is_word))
    })
}

/// The line, from 1, of the byte at `at`.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_not_code() {
        let cases = [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("\"x", y)"#, "f(     , y)"),
            (r##"f(r#"a"b"#, br"c")"##, "f(        ,      )"),
            ("'a' '\\'' &'a str", "         &'a str"),
            ("'\\u{1f}' 'é'", "              "),
            ("bar\"x\"", "bar   "),
        ];
        for (text, expected) in cases {
            let found = code(text);
            assert_eq!(found.trim_end(), expected.trim_end(), "{text}");
        }
    }

    #[test]
    fn tests_are_cut_off_and_lines_stay() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { x.unwrap() }\n}\nfn c() {}\n#[cfg(test)]\nmod more;\n";
        let (code, cut) = without_tests(text);
        assert_eq!(cut, 6);
        assert_eq!(code.lines().count(), text.lines().count());
        assert!(!code.contains("unwrap") && !code.contains("more") && code.contains("fn a") && code.contains("fn c"));
    }

    #[test]
    fn a_test_only_member_takes_nothing_else_with_it() {
        let (code, _) = without_tests("struct S {\n #[cfg(test)]\n seen: u8,\n kept: u8,\n}\n");
        assert!(code.contains("kept") && !code.contains("seen"));
    }

    #[test]
    fn functions_are_measured() {
        let text = "fn two<A, B>(a: A) -> Result<A, B>\n{ a }\ntrait T { fn none(&self) -> [u8; 3]; }\nfn one() {}\npub fn three(\n  f: impl Fn(u8) -> u8,\n) -> fn(u8) -> u8 { f }\n";
        let found: Vec<_> = functions(text).into_iter().map(|function| (function.name, function.line, function.lines)).collect();
        assert_eq!(found, [("two", 1, 2), ("one", 4, 1), ("three", 5, 3)]);
    }

    #[test]
    fn words_stand_alone() {
        assert_eq!(words("println! eprintln! println!", "println!").collect::<Vec<_>>(), [0, 19]);
        assert_eq!(words("thread::spawner thread::spawn", "thread::spawn").collect::<Vec<_>>(), [16]);
        assert_eq!(words("a.unwrap() b.unwrap_or(c)", ".unwrap()").collect::<Vec<_>>(), [1]);
    }
}
