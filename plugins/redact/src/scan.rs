//! Owns finding e-mail addresses, card numbers and bearer tokens inside of a text, by one pass over its bytes each.
//! Leaves what happens to what was found to `places`.

use serde::Deserialize;
use std::ops::Range;

/// What is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scanner {
    /// E-mail addresses.
    Email,
    /// Card numbers.
    Card,
    /// Tokens behind the word `Bearer`.
    Bearer,
}

impl Scanner {
    /// Every place in which it is found, in order and apart.
    pub(crate) fn find_all(self, text: &str) -> Vec<Range<usize>> {
        match self {
            Scanner::Email => emails(text),
            Scanner::Card => cards(text),
            Scanner::Bearer => bearers(text),
        }
    }
}

/// Around each `@`: what may stand in a local part, and behind it a domain of at least two labels.
fn emails(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found: Vec<Range<usize>> = Vec::new();
    for at in (0..bytes.len()).filter(|&at| bytes[at] == b'@') {
        let from = found.last().map_or(0, |last| last.end);
        let local = bytes[from..at].iter().rev().take_while(|byte| is_local(**byte)).count();
        let domain = bytes[at + 1..].iter().take_while(|byte| is_domain(**byte)).count();
        // A full stop, or a dash, at the end belongs to the sentence.
        let domain = text[at + 1..at + 1 + domain].trim_end_matches(['.', '-']);
        let labels: Vec<&str> = domain.split('.').collect();
        let top = labels.last().copied().unwrap_or_default();
        let formed = labels.len() > 1
            && labels.iter().all(|label| !label.is_empty())
            && top.len() > 1
            && !top.bytes().all(|byte| byte.is_ascii_digit());
        if local > 0 && formed {
            found.push(at - local..at + 1 + domain.len());
        }
    }
    found
}

/// Letters beyond ASCII are bytes above 127: whole characters of them are taken.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b".!#$%&'*+/=?^_`{|}~-".contains(&byte)
}

fn is_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || byte == b'.' || byte == b'-'
}

/// The digits that a card number has.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Groups of digits, one blank or dash between them, that keep to Luhn's sum together. A group is taken whole or not at all.
fn cards(text: &str) -> Vec<Range<usize>> {
    let groups = digit_groups(text);
    let (mut found, mut first) = (Vec::new(), 0);
    while first < groups.len() {
        let mut digits = Vec::new();
        let mut last = None;
        for (place, group) in groups.iter().enumerate().skip(first) {
            if place > first && !goes_on(text, &groups[place - 1], group) {
                break;
            }
            digits.extend(text[group.clone()].bytes().map(|digit| digit - b'0'));
            if digits.len() > *CARD_DIGITS.end() {
                break;
            }
            if CARD_DIGITS.contains(&digits.len()) && keeps_to_luhn(&digits) {
                last = Some(place);
            }
        }
        if let Some(last) = last {
            found.push(groups[first].start..groups[last].end);
        }
        first = last.unwrap_or(first) + 1;
    }
    found
}

fn digit_groups(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut groups, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let length = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if length > 0 {
            groups.push(at..at + length);
        }
        at += length + 1;
    }
    groups
}

/// Whether one blank or dash stands between two groups.
fn goes_on(text: &str, before: &Range<usize>, after: &Range<usize>) -> bool {
    matches!(&text[before.end..after.start], " " | "-")
}

/// Every second digit from the right is doubled, its digits added; the sum ends in 0. Noughts alone are no number.
fn keeps_to_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| match u32::from(*digit) * if place % 2 == 1 { 2 } else { 1 } {
            doubled if doubled > 9 => doubled - 9,
            digit => digit,
        })
        .sum();
    sum > 0 && sum.is_multiple_of(10)
}

/// Letters that the shortest token has: `bearer of news` is a sentence.
const TOKEN_BYTES: usize = 16;

/// What stands behind the word, blanks between, and looks like a token. The word stays.
fn bearers(text: &str) -> Vec<Range<usize>> {
    const WORD: &str = "bearer";
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at + WORD.len() < bytes.len() {
        let alone = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        if !alone || !bytes[at..at + WORD.len()].eq_ignore_ascii_case(WORD.as_bytes()) {
            at += 1;
            continue;
        }
        at += WORD.len();
        let blanks = bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let start = at + blanks;
        let length = bytes[start..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte)).count();
        if blanks > 0 && length >= TOKEN_BYTES {
            found.push(start..start + length);
            at = start + length;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(scanner: Scanner, text: &str) -> Vec<&str> {
        scanner.find_all(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn emails_are_found_and_what_only_looks_like_one_is_not() {
        for (text, expected) in [
            ("write to ann.lee+x@mail.example.com.", vec!["ann.lee+x@mail.example.com"]),
            ("<bob@example.org>, carol@example.co.uk!", vec!["bob@example.org", "carol@example.co.uk"]),
            ("Überweisung an jürgen@müller.de", vec!["jürgen@müller.de"]),
            ("a@b.de@c.de", vec!["a@b.de"]),
            ("@home a@b user@host 5@10.5 x@.de x@a..de", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(found(Scanner::Email, text), expected, "{text}");
        }
    }

    #[test]
    fn card_numbers_keep_to_luhn() {
        for (text, expected) in [
            ("4111111111111111", vec!["4111111111111111"]),
            ("card 4111-1111-1111-1111, or 5500 0000 0000 0004.", vec!["4111-1111-1111-1111", "5500 0000 0000 0004"]),
            ("378282246310005", vec!["378282246310005"]),
            ("4111111111111111 5500000000000004", vec!["4111111111111111", "5500000000000004"]),
            ("order 12 4111 1111 1111 1111 of 3", vec!["4111 1111 1111 1111"]),
            ("4111111111111112", vec![]),
            ("0000000000000000", vec![]),
            ("411111111111", vec![]),
            ("41111111111111110000000000", vec![]),
            ("4111  1111 1111 1111", vec![]),
            ("12 apples", vec![]),
        ] {
            assert_eq!(found(Scanner::Card, text), expected, "{text}");
        }
    }

    #[test]
    fn tokens_behind_bearer_are_found() {
        let token = "eyJhbGciOiJIUzI1NiJ9.e30.abc-_";
        assert_eq!(found(Scanner::Bearer, &format!("Authorization: Bearer {token}, more")), [token]);
        assert_eq!(found(Scanner::Bearer, &format!("BEARER   {token}")), [token]);
        for text in ["bearer of bad news", "forbearer 0123456789abcdef0123", "bearer", "Bearer ", "bearer0123456789abcdef0"] {
            assert_eq!(found(Scanner::Bearer, text), [""; 0], "{text}");
        }
    }

    #[test]
    fn every_range_is_on_characters() {
        let text = "ü@ü.de 4111 1111 1111 1111ü bearer ü0123456789abcdefghi é@é";
        for scanner in [Scanner::Email, Scanner::Card, Scanner::Bearer] {
            for range in scanner.find_all(text) {
                assert!(text.is_char_boundary(range.start) && text.is_char_boundary(range.end), "{scanner:?} {range:?}");
            }
        }
    }
}
