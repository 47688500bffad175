//! The canonical form of JSON text: keys sorted, no white space, every number and text in one spelling. It is written straight from the text,
//! since every publish asks for it; only what is spelt unusually is read by the parser. What it is for is `identity`'s.

use std::{borrow::Cow, ops::Range};

use serde_json::Number;

/// Levels at which reading gives up, as the parser does.
const MOST_LEVELS: u32 = 127;
/// Digits of a whole number that has one spelling and fits every reader.
const PLAIN_DIGITS: usize = 18;

/// Appends the canonical form of a text. `None`, and whatever was written of it: it is no JSON, or deeper than the parser goes.
pub(super) fn write(text: &str, out: &mut String) -> Option<()> {
    let mut writer = Writer { text, at: 0, members: Vec::new(), levels: 0 };
    writer.value(out)?;
    writer.skip_space();
    (writer.at == text.len()).then_some(())
}

struct Writer<'a> {
    text: &'a str,
    at: usize,
    /// Those of all objects that have begun and not ended, the innermost last.
    members: Vec<Member<'a>>,
    levels: u32,
}

/// One member of an object, written already.
struct Member<'a> {
    key: Cow<'a, str>,
    /// Where it stands in what was written, without the comma.
    written: Range<usize>,
}

impl<'a> Writer<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// The next byte that is no white space is this one, and is passed.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn value(&mut self, out: &mut String) -> Option<()> {
        self.skip_space();
        match self.peek()? {
            b'{' => self.inside(out, Self::object),
            b'[' => self.inside(out, Self::list),
            b'"' => {
                let text = self.string()?;
                write_string(&text, is_copied(&text), out)
            }
            b'-' | b'0'..=b'9' => self.number(out),
            _ => self.word(out),
        }
    }

    fn inside(&mut self, out: &mut String, read: impl FnOnce(&mut Self, &mut String) -> Option<()>) -> Option<()> {
        self.levels += 1;
        if self.levels > MOST_LEVELS {
            return None;
        }
        self.at += 1;
        read(self, out)?;
        self.levels -= 1;
        Some(())
    }

    fn list(&mut self, out: &mut String) -> Option<()> {
        out.push('[');
        if !self.take(b']') {
            loop {
                self.value(out)?;
                if self.take(b']') {
                    break;
                }
                self.take(b',').then_some(())?;
                out.push(',');
            }
        }
        out.push(']');
        Some(())
    }

    fn object(&mut self, out: &mut String) -> Option<()> {
        let (begin, first) = (out.len(), self.members.len());
        out.push('{');
        if !self.take(b'}') {
            loop {
                self.member(out)?;
                if self.take(b'}') {
                    break;
                }
                self.take(b',').then_some(())?;
                out.push(',');
            }
        }
        out.push('}');
        let members = &mut self.members[first..];
        if !members.is_sorted_by(|one, next| one.key < next.key) {
            write_sorted(members, begin, out);
        }
        self.members.truncate(first);
        Some(())
    }

    fn member(&mut self, out: &mut String) -> Option<()> {
        self.skip_space();
        let begin = out.len();
        let key = self.string()?;
        write_string(&key, is_copied(&key), out)?;
        self.take(b':').then_some(())?;
        out.push(':');
        self.value(out)?;
        self.members.push(Member { key, written: begin..out.len() });
        Some(())
    }

    /// The text that begins here, without its quotes; copied only if something in it is escaped.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let begin = self.at;
        if self.peek() != Some(b'"') {
            return None;
        }
        self.at += 1;
        let mut is_escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            self.at += rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            if self.peek() == Some(b'"') {
                break;
            }
            is_escaped = true;
            self.at += 2;
        }
        self.at += 1;
        if is_escaped {
            return serde_json::from_str::<String>(self.text.get(begin..self.at)?).ok().map(Cow::Owned);
        }
        self.text.get(begin + 1..self.at - 1).map(Cow::Borrowed)
    }

    fn number(&mut self, out: &mut String) -> Option<()> {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|byte| !matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        let number = &rest[..end.unwrap_or(rest.len())];
        self.at += number.len();
        let digits = number.strip_prefix('-').unwrap_or(number);
        if (1..=PLAIN_DIGITS).contains(&digits.len()) && !digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            out.push_str(number);
        } else {
            out.push_str(&serde_json::from_str::<Number>(number).ok()?.to_string());
        }
        Some(())
    }

    fn word(&mut self, out: &mut String) -> Option<()> {
        let rest = &self.text[self.at..];
        let word = ["null", "true", "false"].into_iter().find(|word| rest.starts_with(word))?;
        out.push_str(word);
        self.at += word.len();
        Some(())
    }
}

/// Writes a text as it was read: what was copied had something escaped in it.
fn write_string(text: &str, is_copied: bool, out: &mut String) -> Option<()> {
    if is_copied {
        out.push_str(&serde_json::to_string(text).ok()?);
    } else {
        out.push('"');
        out.push_str(text);
        out.push('"');
    }
    Some(())
}

#[expect(clippy::ptr_arg, reason = "whether it is borrowed is the question")]
fn is_copied(text: &Cow<'_, str>) -> bool {
    matches!(text, Cow::Owned(_))
}

/// Writes an object's members anew, in the order of their keys. Of two with one key the later one counts, as everywhere that the text is read.
fn write_sorted(members: &mut [Member<'_>], begin: usize, out: &mut String) {
    members.sort_by(|one, other| one.key.cmp(&other.key));
    let mut sorted = String::with_capacity(out.len() - begin);
    for (place, member) in members.iter().enumerate() {
        if members.get(place + 1).is_some_and(|next| next.key == member.key) {
            continue;
        }
        sorted.push(if sorted.is_empty() { '{' } else { ',' });
        sorted.push_str(&out[member.written.clone()]);
    }
    sorted.push('}');
    out.truncate(begin);
    out.push_str(&sorted);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn canonical(text: &str) -> Option<String> {
        let mut out = String::new();
        write(text, &mut out).map(|()| out)
    }

    fn as_read(text: &str) -> Option<String> {
        serde_json::from_str::<Value>(text).ok().map(|value| value.to_string())
    }

    #[test]
    fn it_is_what_the_parser_reads_and_writes() {
        for text in [
            r#"{"b":[1,-2,3.5e1,18446744073709551615],"a":{"\u00e9":"x\n","z":null,"é":true}}"#,
            r#"{"a":1,"a":{"c":2,"b":"\ud83d\ude00"},"":[]}"#,
            r#"{"b":1,"b":2,"a":3,"b":4}"#,
            r#"[0, -0, 0.0, 1.50, 1e2, 1E+2, -0.1e-7, 123456789012345678, 1234567890123456789, 99999999999999999999, 12e300]"#,
            r#""\/ \u0041 \b\f\n\r\t \u0000 \u001f \u007f \"\\""#,
            r#"{"\u0061":1,"a":2}"#,
            "  [ ]  ",
            " { } ",
            "{\"a\" : [ true ,false,\tnull ] }",
        ] {
            assert_eq!(canonical(text), Some(as_read(text).unwrap()), "{text}");
        }
        let (deepest, deeper) = ("[".repeat(127) + &"]".repeat(127), "[".repeat(128) + &"]".repeat(128));
        assert_eq!(canonical(&deepest), as_read(&deepest));
        assert_eq!((canonical(&deeper), as_read(&deeper)), (None, None));
    }

    #[test]
    fn what_is_no_json_has_none() {
        for text in
            ["", "{", "[1,", "[1 2]", "{\"a\"}", "{\"a\":}", "{1:2}", "\"", "\"\\", "nul", "1 2", "1e999", r#""\ud800""#, "--1", "[1,]é"]
        {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 48, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((".{0,4}", inner), 0..6).prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_spelling_of_a_value_has_the_same(value in values()) {
            // Numbers are compared as they are read back: their own text is one of their spellings.
            let read = as_read(&value.to_string());
            prop_assert_eq!(canonical(&value.to_string()), read.clone());
            prop_assert_eq!(canonical(&serde_json::to_string_pretty(&value).unwrap()), read);
        }
    }
}
