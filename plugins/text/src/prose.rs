//! Owns the cutting of text: Markdown into blocks, blocks into sentences, sentences into words.
//! Leaves counting and ranking to the methods.

/// What a block of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A paragraph or a list item: made of sentences.
    Prose,
    /// A heading: words, but no sentence.
    Heading,
    /// Code or a table: neither.
    Other,
}

/// A run of lines that belong together, joined by spaces and without their markup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// Cuts text into blocks. Plain text comes out as its paragraphs.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut paragraph = String::new();
    let mut fence = None;
    for line in text.lines() {
        let trimmed = line.trim();
        let mark = trimmed.chars().next().filter(|first| matches!(first, '`' | '~'));
        let is_fence = trimmed.starts_with("```") || trimmed.starts_with("~~~");
        match fence {
            Some(open) if is_fence && mark == Some(open) => fence = None,
            Some(_) => blocks.push(Block { kind: Kind::Other, text: line.into() }),
            None if is_fence => {
                close(&mut paragraph, &mut blocks);
                fence = mark;
            }
            None => take_line(trimmed, &mut paragraph, &mut blocks),
        }
    }
    close(&mut paragraph, &mut blocks);
    blocks
}

/// Takes one line outside of code into the paragraph at hand, or ends that and begins another block.
fn take_line(line: &str, paragraph: &mut String, blocks: &mut Vec<Block>) {
    let heading = line.trim_start_matches('#');
    let underline = line.len() >= 3 && (line.bytes().all(|byte| byte == b'=') || line.bytes().all(|byte| byte == b'-'));
    if line.is_empty() {
        close(paragraph, blocks);
    } else if heading.len() < line.len() && heading.starts_with(' ') {
        close(paragraph, blocks);
        blocks.push(Block { kind: Kind::Heading, text: without_markup(heading.trim()) });
    } else if underline {
        let kind = if paragraph.is_empty() { Kind::Other } else { Kind::Heading };
        let text = without_markup(&std::mem::take(paragraph));
        blocks.extend((kind == Kind::Heading).then_some(Block { kind, text }));
    } else if line.starts_with('|') {
        close(paragraph, blocks);
        blocks.push(Block { kind: Kind::Other, text: line.into() });
    } else {
        let (item, rest) = list_item(line.trim_start_matches("> "));
        if item {
            close(paragraph, blocks);
        }
        if !paragraph.is_empty() {
            paragraph.push(' ');
        }
        paragraph.push_str(rest);
    }
}

/// Ends the paragraph at hand.
fn close(paragraph: &mut String, blocks: &mut Vec<Block>) {
    if !paragraph.is_empty() {
        blocks.push(Block { kind: Kind::Prose, text: without_markup(&std::mem::take(paragraph)) });
    }
}

/// Whether the line begins a list item, and the line without the item's mark.
fn list_item(line: &str) -> (bool, &str) {
    for mark in ["- ", "* ", "+ "] {
        if let Some(rest) = line.strip_prefix(mark) {
            return (true, rest.trim_start());
        }
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    match line[digits..].strip_prefix(". ").or_else(|| line[digits..].strip_prefix(") ")) {
        Some(rest) if (1..=3).contains(&digits) => (true, rest.trim_start()),
        _ => (false, line),
    }
}

/// The text without Markdown's emphasis, code marks and link targets.
fn without_markup(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '[', ']']) {
        plain.push_str(&rest[..at]);
        let mark = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        // After a link's text comes its target: neither is read aloud.
        if mark == b']' && rest.starts_with('(') {
            rest = rest.find(')').map_or(rest, |end| &rest[end + 1..]);
        }
    }
    plain.push_str(rest);
    plain
}

/// Words before whose point a sentence goes on.
const ABBREVIATIONS: [&str; 24] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "vs", "e.g", "i.e", "etc", "cf", "al", "fig", "no", "vol", "pp", "ca", "approx", "inc", "ltd",
    "jr", "sr", "z.b", "bzw",
];

/// Cuts a block into sentences: at `.`, `!`, `?` and their kin before white space, unless the sentence plainly goes on.
pub(crate) fn sentences(block: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for (at, mark) in block.char_indices().filter(|(_, c)| matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？')) {
        let after_mark = at + mark.len_utf8();
        let tail = block[after_mark..].trim_start_matches(['"', '\'', '”', '’', '»', ')', ']', '.', '!', '?']);
        let end = block.len() - tail.len();
        let wide = matches!(mark, '。' | '！' | '？');
        if end <= start || !(wide || tail.is_empty() || tail.starts_with(char::is_whitespace)) || goes_on(&block[start..at], mark, tail) {
            continue;
        }
        push_trimmed(&block[start..end], &mut sentences);
        start = end;
    }
    push_trimmed(&block[start..], &mut sentences);
    sentences
}

fn push_trimmed<'a>(sentence: &'a str, sentences: &mut Vec<&'a str>) {
    let sentence = sentence.trim();
    if words(sentence).next().is_some() {
        sentences.push(sentence);
    }
}

/// Whether a mark is not the end: after an abbreviation or an initial, or where a small letter follows.
fn goes_on(before: &str, mark: char, tail: &str) -> bool {
    let next = tail.trim_start().chars().next();
    if next.is_some_and(char::is_lowercase) {
        return true;
    }
    if mark != '.' {
        return false;
    }
    let last = before.rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let initial = last.chars().count() == 1 && last.chars().all(char::is_uppercase);
    next.is_some() && (initial || ABBREVIATIONS.contains(&last.to_lowercase().as_str()))
}

/// The words: runs of letters and digits, with apostrophes and hyphens inside. An ideograph is a word of its own.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|c: char| !c.is_alphanumeric());
        let first = rest.chars().next()?;
        let end = if is_ideograph(first) { first.len_utf8() } else { word_end(rest) };
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

/// Where the word at the beginning of `text` ends.
fn word_end(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let joins = matches!(c, '\'' | '’' | '-' | '_');
        let inside = joins && chars.peek().is_some_and(|(_, next)| next.is_alphanumeric());
        if !(c.is_alphanumeric() && !is_ideograph(c) || inside) {
            return at;
        }
    }
    text.len()
}

/// Scripts that are written without spaces between words: Han, Hiragana and Katakana.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        sentences(text)
    }

    #[test]
    fn sentences_end_where_a_reader_ends_them() {
        assert_eq!(cut("One. Two! Three? Four"), ["One.", "Two!", "Three?", "Four"]);
        assert_eq!(
            cut("Dr. Smith paid 3.50 euros, e.g. for tea. J. Doe paid none."),
            ["Dr. Smith paid 3.50 euros, e.g. for tea.", "J. Doe paid none."]
        );
        assert_eq!(cut("He said \"Stop!\" Then he left..."), ["He said \"Stop!\"", "Then he left..."]);
        assert_eq!(cut("Version 1.2.3 is out. See host/model.rs for it."), ["Version 1.2.3 is out.", "See host/model.rs for it."]);
        assert_eq!(cut("今日は。元気です。"), ["今日は。", "元気です。"]);
        assert_eq!(cut(" . … "), [""; 0]);
    }

    #[test]
    fn words_keep_what_stands_inside_them() {
        let all = |text| words(text).collect::<Vec<_>>();
        assert_eq!(all("Don't re-run: it's 3 times — 'quoted'."), ["Don't", "re-run", "it's", "3", "times", "quoted"]);
        assert_eq!(all("naïve café"), ["naïve", "café"]);
        assert_eq!(all("東京 x"), ["東", "京", "x"]);
        assert_eq!(all("--- ..."), [""; 0]);
    }

    #[test]
    fn markdown_falls_into_blocks() {
        let text =
            "# The *title*\n\nA line\nand [another](http://x.y/z).\n\n- first `item`\n- second\n\n```sh\nrun this\n```\n| a | b |\nEnd.";
        let found: Vec<_> = blocks(text).into_iter().map(|block| (block.kind, block.text)).collect();
        assert_eq!(
            found,
            [
                (Kind::Heading, "The title".into()),
                (Kind::Prose, "A line and another.".into()),
                (Kind::Prose, "first item".into()),
                (Kind::Prose, "second".into()),
                (Kind::Other, "run this".into()),
                (Kind::Other, "| a | b |".into()),
                (Kind::Prose, "End.".to_owned()),
            ]
        );
    }

    #[test]
    fn underlined_headings_and_rules_are_told_apart() {
        let kinds: Vec<_> = blocks("Title\n=====\n\ntext\n\n---\n\nmore").into_iter().map(|block| block.kind).collect();
        assert_eq!(kinds, [Kind::Heading, Kind::Prose, Kind::Prose]);
    }
}
