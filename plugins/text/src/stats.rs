//! Owns `text/stats`: what can be counted in texts.
//! Leaves the cutting of text to `prose`.

use crate::input::{Input, Inputs};
use crate::prose::{Kind, blocks, sentences, words};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashSet;
use trackside_sdk::Failure;

/// Silent reading of English, in words a minute: the mean of 190 studies.
/// Brysbaert, "How many words do we read per minute?", Journal of Memory and Language 109 (2019).
const WORDS_A_MINUTE: f64 = 238.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    #[serde(alias = "texts")]
    text: Inputs,
}

#[derive(Serialize, Debug)]
pub(crate) struct Stats {
    /// How many texts there were.
    texts: usize,
    #[serde(flatten)]
    total: Counts,
    /// The same of each text, where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    each: Vec<Each>,
}

#[derive(Serialize, Debug)]
struct Each {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(flatten)]
    counts: Counts,
}

#[derive(Serialize, Debug, PartialEq)]
struct Counts {
    words: usize,
    unique_words: usize,
    sentences: usize,
    lines: usize,
    /// Unicode scalar values.
    characters: usize,
    average_word_characters: f64,
    average_sentence_words: f64,
    reading_seconds: u64,
}

/// Sums from which averages are made.
#[derive(Default)]
struct Sums {
    words: usize,
    word_characters: usize,
    sentences: usize,
    sentence_words: usize,
    lines: usize,
    characters: usize,
    unique: HashSet<String>,
}

impl Sums {
    fn add(&mut self, text: &str) {
        for word in words(text) {
            self.words += 1;
            self.word_characters += word.chars().count();
            self.unique.insert(word.to_lowercase());
        }
        for block in blocks(text).iter().filter(|block| block.kind == Kind::Prose) {
            for sentence in sentences(&block.text) {
                self.sentences += 1;
                self.sentence_words += words(sentence).count();
            }
        }
        self.lines += text.lines().count();
        self.characters += text.chars().count();
    }

    fn counts(&self) -> Counts {
        Counts {
            words: self.words,
            unique_words: self.unique.len(),
            sentences: self.sentences,
            lines: self.lines,
            characters: self.characters,
            average_word_characters: average(self.word_characters, self.words),
            average_sentence_words: average(self.sentence_words, self.sentences),
            reading_seconds: (self.words as f64 * 60.0 / WORDS_A_MINUTE).ceil() as u64,
        }
    }
}

/// The average to two decimals; 0 of nothing.
fn average(sum: usize, count: usize) -> f64 {
    if count == 0 { 0.0 } else { (sum as f64 / count as f64 * 100.0).round() / 100.0 }
}

pub(crate) fn run(parameters: Parameters) -> Result<Stats, Failure> {
    let inputs = parameters.text.0;
    let mut total = Sums::default();
    for input in &inputs {
        total.add(&input.text);
    }
    let texts = inputs.len();
    let each = if texts > 1 { inputs.into_iter().map(count_one).collect() } else { Vec::new() };
    Ok(Stats { texts, total: total.counts(), each })
}

fn count_one(input: Input) -> Each {
    let mut sums = Sums::default();
    sums.add(&input.text);
    Each { path: input.path, counts: sums.counts() }
}

/// The schema of the result.
pub(crate) fn returns() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let number = json!({ "type": "number", "minimum": 0 });
    json!({
        "type": "object",
        "properties": {
            "texts": count, "words": count, "unique_words": count, "sentences": count, "lines": count, "characters": count,
            "average_word_characters": number, "average_sentence_words": number, "reading_seconds": count,
            "each": { "type": "array", "items": { "type": "object" } }
        },
        "required": ["texts", "words", "unique_words", "sentences", "lines", "characters", "reading_seconds"]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(text: Value) -> Value {
        let parameters = serde_json::from_value(json!({ "text": text })).expect("these parameters are right");
        serde_json::to_value(run(parameters).expect("counting does not fail")).expect("stats serialise")
    }

    #[test]
    fn one_text_is_counted() {
        assert_eq!(
            stats(json!("# Tea\n\nTea is hot. Is tea nice? Très.\n")),
            json!({
                "texts": 1, "words": 8, "unique_words": 5, "sentences": 3, "lines": 3, "characters": 38,
                "average_word_characters": 3.0, "average_sentence_words": 2.33, "reading_seconds": 3
            })
        );
    }

    #[test]
    fn several_texts_are_counted_together_and_each() {
        let found = stats(json!([{ "path": "a", "text": "Tea." }, { "path": "b", "text": "tea time" }]));
        assert_eq!((&found["words"], &found["unique_words"]), (&json!(3), &json!(2)));
        assert_eq!((&found["each"][1]["path"], &found["each"][1]["words"]), (&json!("b"), &json!(2)));
    }

    #[test]
    fn nothing_counts_as_nothing() {
        let found = stats(json!([]));
        assert_eq!((&found["words"], &found["average_word_characters"], &found["reading_seconds"]), (&json!(0), &json!(0.0), &json!(0)));
    }
}
