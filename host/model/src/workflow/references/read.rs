//! One string of the parameters, taken apart into text and references.
//! What the parts become is left to the template.

use super::{Piece, Reference, Source, Step};
use crate::{
    event::Text,
    workflow::{definition::RESERVED_ID, parse::tasks::Names},
};

/// The pieces of `text`, no two texts in a row; `tell` hears of each reference that leads nowhere.
pub(super) fn pieces(text: &str, names: &Names<'_>, mut tell: impl FnMut(String)) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let dollars = rest.len() - rest.trim_start_matches('$').len();
        if !rest[dollars..].starts_with('{') {
            plain.push_str(&rest[..dollars]);
            rest = &rest[dollars..];
            continue;
        }
        plain.push_str(&rest[..dollars / 2]);
        rest = &rest[dollars + 1..];
        if dollars.is_multiple_of(2) {
            plain.push('{');
            continue;
        }
        match reference(rest, names) {
            Ok((reference, length)) => {
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Reference(reference));
                rest = &rest[length..];
            }
            Err(message) => {
                let end = rest.find('}').map_or(rest.len(), |at| at + 1);
                tell(format!("${{{}: {message}", shown(&rest[..end])));
                rest = &rest[end..];
            }
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

/// Appends `plain` so that [`pieces`] reads it back; a reference follows if `before_reference`.
pub(super) fn escape(out: &mut String, plain: &str, before_reference: bool) {
    let mut rest = plain;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let dollars = rest.len() - rest.trim_start_matches('$').len();
        let after = &rest[dollars..];
        let doubled = after.starts_with('{') || (after.is_empty() && before_reference);
        out.push_str(&"$".repeat(if doubled { 2 * dollars } else { dollars }));
        rest = after;
    }
    out.push_str(rest);
}

/// The reference that begins `rest`, behind its `${`, and its length up to and with the brace.
fn reference(rest: &str, names: &Names<'_>) -> Result<(Reference, usize), String> {
    let mut reader = Reader { text: rest, at: 0 };
    let head = reader.name()?;
    let mut path = Vec::new();
    while let Some(step) = reader.step()? {
        path.push(step);
    }
    let (source, from) = source(head, &mut path, names)?;
    let text = Text::from(format!("${{{}", &rest[..reader.at]));
    Ok((Reference { text, source, from, path: path.into() }, reader.at))
}

fn source(head: &str, path: &mut Vec<Step>, names: &Names<'_>) -> Result<(Source, Text), String> {
    if head == RESERVED_ID {
        if path.first() != Some(&Step::Field(Box::from("input"))) {
            return Err(format!("a workflow has only its input; write ${{{RESERVED_ID}.input.NAME}}"));
        }
        path.remove(0);
        return Ok((Source::Input, Text::from("workflow.input")));
    }
    let inner = head.strip_prefix("task_").and_then(|rest| rest.strip_suffix("_result"));
    let place = names.get(head).or_else(|| inner.and_then(|id| names.get(id)));
    let place = place.ok_or_else(|| format!("{} ($${{ stands for the text ${{)", names.unknown(inner.unwrap_or(head))))?;
    Ok((Source::Task(place), names.id(place)))
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    /// Up to the next `.`, `[` or `}`.
    fn name(&mut self) -> Result<&'t str, String> {
        let rest = &self.text[self.at..];
        let end = rest.find(['.', '[', '}']).ok_or("the closing brace is missing")?;
        self.at += end;
        match rest[..end].trim() {
            "" => Err("a name is missing; write ${ID} or ${ID.field}".to_owned()),
            name => Ok(name),
        }
    }

    /// The next step of the path, `None` behind the closing brace.
    fn step(&mut self) -> Result<Option<Step>, String> {
        let mark = self.text[self.at..].chars().next().ok_or("the closing brace is missing")?;
        self.at += mark.len_utf8();
        match mark {
            '}' => Ok(None),
            '.' => self.name().map(|name| Some(Step::Field(Box::from(name)))),
            '[' => self.bracket().map(Some),
            // Only behind a bracket: names end nowhere else.
            other => Err(format!("'{other}' stands where '.', '[' or '}}' goes")),
        }
    }

    fn bracket(&mut self) -> Result<Step, String> {
        let rest = &self.text[self.at..];
        for quote in ['"', '\''] {
            if let Some(quoted) = rest.strip_prefix(quote) {
                let end = quoted.find(quote).ok_or("a quote in brackets has no end")?;
                let after = &quoted[end + 1..];
                if !after.starts_with(']') {
                    return Err("']' is missing behind a quoted name".to_owned());
                }
                self.at += end + 3;
                return Ok(Step::Field(Box::from(&quoted[..end])));
            }
        }
        let end = rest.find(']').ok_or("']' is missing")?;
        let index = rest[..end].trim();
        self.at += end + 1;
        let digits = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
        let index = if digits { index.parse().ok() } else { None };
        index.map(Step::Index).ok_or_else(|| "a number, or a name in quotes, goes into brackets".to_owned())
    }
}

/// Enough of a text to be recognised.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
