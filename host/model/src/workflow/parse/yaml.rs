//! YAML 1.2 text as a tree with lines: the core schema's types, anchors and aliases within a bound, merge keys.
//! Tags, several documents and numbers that JSON has not are refused by name; what the fields mean is left to the readers.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::{
    Errors,
    node::{Entry, Node, Place, Value},
    scalar,
};
use crate::workflow::definition::{MAX_DEFINITION_BYTES, MAX_DEFINITION_DEPTH};

/// What a node weighs besides its text, in bytes, where aliases are bounded.
const NODE_BYTES: usize = 64;

/// The tree of `text`, or `None` if something was told to `errors` that leaves no tree.
pub(super) fn read(text: &str, errors: &mut Errors) -> Option<Node> {
    let mut tree = Tree { open: Vec::new(), root: None, anchors: HashMap::new(), copied_bytes: 0, errors };
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        match next {
            Ok((event, span)) => tree.take(event, u32::try_from(span.start.line()).unwrap_or(u32::MAX)).ok()?,
            Err(error) => {
                let marker = error.marker();
                let message = format!("not YAML: {} at column {}", error.info(), marker.col() + 1);
                tree.errors.push_whole(Some(marker.line()), message);
                return None;
            }
        }
    }
    if tree.root.is_none() {
        tree.errors.push_whole(None, "there is nothing here; a workflow has a list of tasks".to_owned());
    }
    tree.root
}

/// Something was told that leaves no tree.
struct Hopeless;

/// The tree as far as events have built it.
struct Tree<'e> {
    /// Objects and arrays that have begun, outermost first.
    open: Vec<Open>,
    root: Option<Node>,
    /// Finished values by the parser's number for their anchor.
    anchors: HashMap<usize, Node>,
    /// What anchors have kept and aliases have repeated.
    copied_bytes: usize,
    errors: &'e mut Errors,
}

struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value.
    key: Option<(Box<str>, u32)>,
}

impl Tree<'_> {
    fn take(&mut self, event: Event<'_>, line: u32) -> Result<(), Hopeless> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(self.hopeless(line, "a second document begins here; a file holds one workflow".to_owned()))
            }
            Event::DocumentStart(_) => Ok(()),
            Event::MappingStart(anchor, tag) => self.begin(line, Value::Map(Vec::new()), anchor, tag.as_deref(), "map"),
            Event::SequenceStart(anchor, tag) => self.begin(line, Value::List(Vec::new()), anchor, tag.as_deref(), "seq"),
            Event::MappingEnd | Event::SequenceEnd => self.end(),
            Event::Scalar(text, style, anchor, tag) => self.scalar(&text, style, anchor, tag, line),
            Event::Alias(anchor) => self.alias(anchor, line),
        }
    }

    fn hopeless(&mut self, line: u32, message: String) -> Hopeless {
        self.errors.push_whole(Some(line as usize), message);
        Hopeless
    }

    fn begin(&mut self, line: u32, value: Value, anchor: usize, tag: Option<&Tag>, own_tag: &str) -> Result<(), Hopeless> {
        if self.open.len() >= MAX_DEFINITION_DEPTH {
            return Err(self.hopeless(line, format!("nested deeper than the {MAX_DEFINITION_DEPTH} levels allowed")));
        }
        if self.expects_key() {
            return Err(self.hopeless(line, "an object or array cannot be a key here; keys are text".to_owned()));
        }
        if let Some(tag) = tag.filter(|tag| !(tag.is_yaml_core_schema() && tag.suffix == own_tag)) {
            self.refuse_tag(tag, line);
        }
        self.open.push(Open { node: Node { line, value }, anchor, key: None });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Hopeless> {
        let Some(Open { mut node, anchor, .. }) = self.open.pop() else { return Ok(()) };
        if let Value::Map(entries) = &mut node.value {
            merge(entries, self.errors);
        }
        self.remember(anchor, &node)?;
        self.place(node)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, tag: Option<Cow<'_, Tag>>, line: u32) -> Result<(), Hopeless> {
        if self.expects_key() {
            let key = (Box::from(text), line);
            self.remember(anchor, &Node { line, value: Value::String(Box::from(text)) })?;
            if let Some(open) = self.open.last_mut() {
                open.key = Some(key);
            }
            return Ok(());
        }
        let tag = tag.as_deref().filter(|tag| {
            let core = tag.is_yaml_core_schema() && matches!(&*tag.suffix, "str" | "null" | "bool" | "int" | "float");
            if !core {
                self.refuse_tag(tag, line);
            }
            core
        });
        let value = match tag.map(|tag| &*tag.suffix) {
            Some("str") => Value::String(Box::from(text)),
            None if style != ScalarStyle::Plain => Value::String(Box::from(text)),
            _ => scalar::plain(text).unwrap_or_else(|message| {
                self.errors.push(line, &Place::Root, message);
                Value::Null
            }),
        };
        let node = Node { line, value };
        self.remember(anchor, &node)?;
        self.place(node)
    }

    fn alias(&mut self, anchor: usize, line: u32) -> Result<(), Hopeless> {
        // What is wrong inside is wrong where it was written; the value as a whole stands here.
        let Some(node) = self.anchors.get(&anchor).map(|node| Node { line, value: node.value.clone() }) else {
            return Err(self.hopeless(line, "this alias stands inside of what it repeats".to_owned()));
        };
        self.count_copy(&node)?;
        if self.open.len() + depth(&node) > MAX_DEFINITION_DEPTH {
            return Err(self.hopeless(line, format!("nested deeper than the {MAX_DEFINITION_DEPTH} levels allowed")));
        }
        if self.expects_key() {
            return Err(self.hopeless(line, "an alias cannot be a key here; write the text".to_owned()));
        }
        self.place(node)
    }

    fn refuse_tag(&mut self, tag: &Tag, line: u32) {
        let handle = if tag.is_yaml_core_schema() { "!!" } else { &*tag.handle };
        self.errors.push(line, &Place::Root, format!("the tag {handle}{} means nothing here; leave it out", tag.suffix));
    }

    fn remember(&mut self, anchor: usize, node: &Node) -> Result<(), Hopeless> {
        if anchor > 0 {
            self.count_copy(node)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(())
    }

    /// Keeps a few lines of anchors and aliases from becoming more than memory holds.
    fn count_copy(&mut self, node: &Node) -> Result<(), Hopeless> {
        self.copied_bytes = self.copied_bytes.saturating_add(weight(node));
        if self.copied_bytes > MAX_DEFINITION_BYTES {
            let message = format!("anchors and aliases repeat more than the {MAX_DEFINITION_BYTES} bytes that a definition may have");
            return Err(self.hopeless(node.line, message));
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        self.open.last().is_some_and(|open| matches!(open.node.value, Value::Map(_)) && open.key.is_none())
    }

    /// Puts a finished value where it belongs.
    fn place(&mut self, node: Node) -> Result<(), Hopeless> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.value, open.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some((key, line))) => entries.push(Entry { key, line, node }),
            // A finished object or array in the place of a key: `begin` has refused it.
            _ => {}
        }
        Ok(())
    }
}

/// Carries out `<<: *defaults`: fields of the merged objects, where the object has none of that name itself.
fn merge(entries: &mut Vec<Entry>, errors: &mut Errors) {
    if !entries.iter().any(|entry| &*entry.key == "<<") {
        return;
    }
    let (merges, own): (Vec<Entry>, Vec<Entry>) = std::mem::take(entries).into_iter().partition(|entry| &*entry.key == "<<");
    *entries = own;
    let mut known: HashSet<Box<str>> = entries.iter().map(|entry| entry.key.clone()).collect();
    for Entry { line, node, .. } in merges {
        let sources = match node.value {
            Value::List(items) => items,
            _ => vec![node],
        };
        for source in sources {
            let Value::Map(fields) = source.value else {
                errors.push(line, &Place::Root, format!("'<<' merges objects; this is {}", source.kind()));
                continue;
            };
            entries.extend(fields.into_iter().filter(|field| known.insert(field.key.clone())));
        }
    }
}

fn weight(node: &Node) -> usize {
    NODE_BYTES
        + match &node.value {
            Value::Null | Value::Bool(_) => 0,
            Value::Number(text) | Value::String(text) => text.len(),
            Value::List(items) => items.iter().map(weight).sum(),
            Value::Map(entries) => entries.iter().map(|entry| entry.key.len() + weight(&entry.node)).sum(),
        }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.node)).max().unwrap_or(0),
        _ => 0,
    }
}
