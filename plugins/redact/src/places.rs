//! Owns going through a value and covering what is at a pointer, under a key, or found in a text.
//! Leaves what a text is searched for to `scan`, and what stands there afterwards to `cover`.

use crate::{cover::Cover, scan::Scanner};
use serde_json::Value;

/// What is covered, and by what.
pub(crate) struct Places {
    pointers: Vec<Vec<Step>>,
    /// As they are compared.
    keys: Vec<String>,
    scanners: Vec<Scanner>,
    cover: Cover,
}

/// One step of a pointer.
enum Step {
    Any,
    /// A key, or an index.
    Name(String),
}

impl Places {
    pub(crate) fn new(pointers: &[String], keys: &[String], scanners: Vec<Scanner>, cover: Cover) -> Result<Self, String> {
        let pointers = pointers.iter().map(|pointer| steps(pointer)).collect::<Result<_, _>>()?;
        Ok(Places { pointers, keys: keys.iter().map(|key| compared(key)).collect(), scanners, cover })
    }

    /// Covers everything that is to be covered. Whether there was anything.
    pub(crate) fn cover(&self, value: &mut Value) -> bool {
        let mut covered = false;
        for pointer in &self.pointers {
            covered |= self.cover_at(value, pointer);
        }
        self.cover_inside(value) || covered
    }

    fn cover_at(&self, value: &mut Value, steps: &[Step]) -> bool {
        let Some((step, further)) = steps.split_first() else { return self.cover_whole(value) };
        let mut covered = false;
        match (value, step) {
            (Value::Object(members), Step::Any) => members.values_mut().for_each(|member| covered |= self.cover_at(member, further)),
            (Value::Array(items), Step::Any) => items.iter_mut().for_each(|item| covered |= self.cover_at(item, further)),
            (Value::Object(members), Step::Name(name)) => {
                covered = members.get_mut(name).is_some_and(|member| self.cover_at(member, further));
            }
            (Value::Array(items), Step::Name(name)) => {
                let item = name.parse::<usize>().ok().and_then(|index| items.get_mut(index));
                covered = item.is_some_and(|item| self.cover_at(item, further));
            }
            _ => {}
        }
        covered
    }

    fn cover_inside(&self, value: &mut Value) -> bool {
        let mut covered = false;
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    covered |= if self.keys.contains(&compared(name)) { self.cover_whole(member) } else { self.cover_inside(member) };
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| covered |= self.cover_inside(item)),
            Value::String(text) => {
                if let Some(clean) = self.cover_text(text) {
                    *text = clean;
                    covered = true;
                }
            }
            Value::Number(number) => {
                if let Some(clean) = self.cover_text(&number.to_string()) {
                    *value = Value::String(clean);
                    covered = true;
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
        covered
    }

    /// A whole value; null says nothing, and one that is covered is not covered again.
    fn cover_whole(&self, value: &mut Value) -> bool {
        if value.is_null() || matches!((&*value, &self.cover), (Value::String(text), Cover::Mask(mask)) if text == mask) {
            return false;
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        *value = Value::String(self.cover.of(&text));
        true
    }

    /// A text with everything covered that is found in it; `None` where nothing is.
    fn cover_text(&self, text: &str) -> Option<String> {
        let mut clean: Option<String> = None;
        for scanner in &self.scanners {
            let searched = clean.as_deref().unwrap_or(text);
            let mut found = scanner.find_all(searched).into_iter().peekable();
            if found.peek().is_none() {
                continue;
            }
            let (mut covered, mut end) = (String::with_capacity(searched.len()), 0);
            for range in found {
                covered.push_str(&searched[end..range.start]);
                covered.push_str(&self.cover.of(&searched[range.clone()]));
                end = range.end;
            }
            covered.push_str(&searched[end..]);
            clean = Some(covered);
        }
        clean
    }
}

/// A name as it is compared: `API-Key`, `api_key` and `apiKey` are one.
fn compared(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '-' | '_')).flat_map(char::to_lowercase).collect()
}

fn steps(pointer: &str) -> Result<Vec<Step>, String> {
    let Some(path) = pointer.strip_prefix('/') else {
        return Err(format!("`pointers`: '{pointer}' is no JSON pointer: write '/customer/phone' or '/customers/*/phone'"));
    };
    let step = |name: &str| match name {
        "*" => Step::Any,
        name => Step::Name(name.replace("~1", "/").replace("~0", "~")),
    };
    Ok(path.split('/').map(step).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn covered(pointers: &[&str], keys: &[&str], value: Value) -> Option<Value> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let scanners = vec![Scanner::Email, Scanner::Card, Scanner::Bearer];
        let places = Places::new(&texts(pointers), &texts(keys), scanners, Cover::Mask("#".into())).expect("these settings are right");
        let mut value = value;
        places.cover(&mut value).then_some(value)
    }

    #[test]
    fn pointers_reach_through_keys_and_indices() {
        let value = json!({ "customers": [{ "phone": 1, "name": "a" }, { "phone": { "home": 2 } }], "a/b": { "x": 1 }, "*": 1 });
        let expected = json!({ "customers": [{ "phone": "#", "name": "a" }, { "phone": "#" }], "a/b": { "x": "#" }, "*": 1 });
        assert_eq!(covered(&["/customers/*/phone", "/a~1b/x", "/nobody/*"], &[], value.clone()), Some(expected));
        assert_eq!(
            covered(&["/customers/1/phone/home"], &[], value),
            Some(json!({
                "customers": [{ "phone": 1, "name": "a" }, { "phone": { "home": "#" } }], "a/b": { "x": 1 }, "*": 1
            }))
        );
        assert_eq!(covered(&["/a", "/b/c"], &[], json!({ "b": 1 })), None);
    }

    #[test]
    fn names_are_found_anywhere_and_in_any_spelling() {
        let value = json!({ "apiKey": "x", "list": [{ "API-KEY": { "deep": 1 } }], "api_key": null, "key": "kept" });
        let expected = json!({ "apiKey": "#", "list": [{ "API-KEY": "#" }], "api_key": null, "key": "kept" });
        assert_eq!(covered(&[], &["api_key"], value), Some(expected));
        assert_eq!(covered(&[], &["api_key"], json!({ "apiKey": "#" })), None, "what is covered is not covered again");
    }

    #[test]
    fn patterns_take_their_part_of_a_text_and_numbers_count_as_texts() {
        let value = json!({ "note": "ann@example.com paid with 4111 1111 1111 1111.", "card": 4_111_111_111_111_111_u64, "n": 20 });
        assert_eq!(covered(&[], &[], value), Some(json!({ "note": "# paid with #.", "card": "#", "n": 20 })));
        assert_eq!(covered(&[], &[], json!(["nothing", 1.5, true])), None);
    }
}
