//! Reading JSON whole without keeping it: numbers that no `f64` holds and texts that are no Unicode are errors, which a parser that skips over
//! values does not notice.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};

/// Any JSON that can be read.
pub(super) struct Strict;

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        while items.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Strict, A::Error> {
        while members.next_entry::<Strict, Strict>()?.is_some() {}
        Ok(Strict)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Json;

    #[test]
    fn what_cannot_be_read_later_is_refused_now() {
        let check = |text: &str| Json::check(text, 1_000, 10).map(|json| json.to_value());
        for text in [r#"{"x": 1e999}"#, r#"["\ud800"]"#, r#"{"\udc00": 1}"#] {
            assert!(check(text).is_err(), "{text}");
        }
        let whole = r#"{"a": [1, -2, 18446744073709551615, 1.5e300, "\ud83d\ude00", null, true, {}]}"#;
        assert_eq!(check(whole).unwrap(), serde_json::from_str::<serde_json::Value>(whole).unwrap());
    }
}
