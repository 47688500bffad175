//! JSON text as a tree with lines. Whether the text is JSON is settled by the crate's one check before this walks it.
//! What the fields mean is left to the readers.

use super::{
    Errors,
    node::{Entry, Node, Place, Value},
};
use crate::{
    json::{Json, JsonError},
    workflow::definition::MAX_DEFINITION_DEPTH,
};

/// The tree of `text`, or `None` if something was told to `errors` that leaves no tree.
pub(super) fn read(text: &str, errors: &mut Errors) -> Option<Node> {
    if let Err(error) = Json::check_form(text, usize::MAX, MAX_DEFINITION_DEPTH) {
        report(text, &error, errors);
        return None;
    }
    let mut walk = Walk { text, at: 0, line: 1, errors };
    Some(walk.node())
}

fn report(text: &str, error: &JsonError, errors: &mut Errors) {
    let JsonError::Syntax { message, line, column } = error else {
        return errors.push_whole(None, error.to_string());
    };
    // The check begins behind leading white space.
    let skipped = &text[..text.len() - text.trim_start().len()];
    let line = skipped.matches('\n').count() + line;
    errors.push_whole(Some(line), format!("not JSON: {message} at column {column}"));
}

/// A walk over text that is known to be JSON of bounded depth.
struct Walk<'t, 'e> {
    text: &'t str,
    /// The next byte to look at.
    at: usize,
    line: u32,
    errors: &'e mut Errors,
}

impl Walk<'_, '_> {
    /// The next byte that is not white space, a comma or a colon: in valid JSON those stand only where nothing else could.
    fn peek(&mut self) -> u8 {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'\n') => self.line += 1,
                Some(b' ' | b'\t' | b'\r' | b',' | b':') => {}
                Some(other) => return *other,
                // Behind the end of valid JSON nobody looks.
                None => return b']',
            }
            self.at += 1;
        }
    }

    fn node(&mut self) -> Node {
        let first = self.peek();
        let line = self.line;
        let value = match first {
            b'{' => Value::Map(self.entries()),
            b'[' => Value::List(self.items()),
            b'"' => Value::String(self.string()),
            _ => self.word(),
        };
        Node { line, value }
    }

    fn entries(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        self.at += 1;
        while self.peek() != b'}' {
            let line = self.line;
            let key = self.string();
            entries.push(Entry { key, line, node: self.node() });
        }
        self.at += 1;
        entries
    }

    fn items(&mut self) -> Vec<Node> {
        let mut items = Vec::new();
        self.at += 1;
        while self.peek() != b']' {
            items.push(self.node());
        }
        self.at += 1;
        items
    }

    fn string(&mut self) -> Box<str> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.at += 1;
        let mut escaped = false;
        while bytes[self.at] != b'"' {
            escaped |= bytes[self.at] == b'\\';
            self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
        }
        self.at += 1;
        let quoted = &self.text[start..self.at];
        if !escaped {
            return Box::from(&quoted[1..quoted.len() - 1]);
        }
        serde_json::from_str(quoted).unwrap_or_else(|error: serde_json::Error| {
            let message = error.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            self.errors.push(self.line, &Place::Root, format!("{quoted}: {message}"));
            Box::from("")
        })
    }

    /// `true`, `false`, `null` or a number.
    fn word(&mut self) -> Value {
        let rest = &self.text[self.at..];
        let end = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
        let word = &rest[..end];
        self.at += end;
        match word {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "null" => Value::Null,
            number => {
                if !number.parse::<f64>().is_ok_and(f64::is_finite) {
                    self.errors.push(self.line, &Place::Root, format!("{number}: number out of range"));
                }
                Value::Number(Box::from(number))
            }
        }
    }
}
