//! Owns `text/keywords`: key phrases by RAKE, Rapid Automatic Keyword Extraction.
//! Leaves the cutting of text to `prose` and the list of stopwords to `stopwords`.
//!
//! Rose, Engel, Cramer and Cowley, "Automatic Keyword Extraction from Individual Documents", in Berry and Kogan (eds.), "Text Mining:
//! Applications and Theory", Wiley 2010: candidates are the runs of words between stopwords and punctuation; a word scores its degree
//! (how many words stand in phrases with it) over its frequency, and a phrase the sum of its words.

use crate::input::Inputs;
use crate::prose::{Kind, blocks, words};
use crate::stopwords::is_stopword;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use trackside_sdk::Failure;

/// Longer runs between stopwords are lists or code rather than phrases.
const MOST_WORDS_IN_PHRASE: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    #[serde(alias = "texts")]
    text: Inputs,
    #[serde(default = "default_top")]
    top: usize,
    #[serde(default = "default_min_count")]
    min_count: usize,
    #[serde(default)]
    stopwords: HashSet<String>,
}

fn default_top() -> usize {
    10
}

fn default_min_count() -> usize {
    2
}

#[derive(Serialize, Debug)]
pub(crate) struct Keywords {
    method: &'static str,
    keywords: Vec<Keyword>,
}

#[derive(Serialize, Debug, PartialEq)]
struct Keyword {
    phrase: String,
    score: f64,
    count: usize,
}

pub(crate) fn run(parameters: Parameters) -> Result<Keywords, Failure> {
    let mut phrases = Vec::new();
    for input in &parameters.text.0 {
        for block in blocks(&input.text).iter().filter(|block| block.kind != Kind::Other) {
            candidates(&block.text, &parameters.stopwords, &mut phrases);
        }
    }
    let mut keywords = score(&phrases);
    // RAKE likes what is long and said once; what is said often enough goes before it. Ties go by the alphabet, to be repeatable.
    keywords.sort_by(|a, b| {
        let often = (b.count >= parameters.min_count).cmp(&(a.count >= parameters.min_count));
        often.then(b.score.total_cmp(&a.score)).then(b.count.cmp(&a.count)).then(a.phrase.cmp(&b.phrase))
    });
    keywords.truncate(parameters.top);
    Ok(Keywords { method: "RAKE", keywords })
}

/// Adds the candidate phrases of a block, in small letters.
fn candidates(text: &str, stopwords: &HashSet<String>, phrases: &mut Vec<Vec<String>>) {
    let mut phrase: Vec<String> = Vec::new();
    let mut end = 0;
    for word in words(text) {
        let start = word.as_ptr() as usize - text.as_ptr() as usize;
        // Anything but a space between two words parts phrases.
        if !text[end..start].chars().all(|c| c == ' ') {
            finish(&mut phrase, phrases);
        }
        end = start + word.len();
        let word = word.to_lowercase();
        if is_stopword(&word) || stopwords.contains(&word) {
            finish(&mut phrase, phrases);
        } else {
            phrase.push(word);
        }
    }
    finish(&mut phrase, phrases);
}

/// Ends a phrase: keeps it if it is one, and makes room for the next.
fn finish(phrase: &mut Vec<String>, phrases: &mut Vec<Vec<String>>) {
    let phrase = std::mem::take(phrase);
    let letters: usize = phrase.iter().map(|word| word.chars().count()).sum();
    if (1..=MOST_WORDS_IN_PHRASE).contains(&phrase.len()) && letters > 1 {
        phrases.push(phrase);
    }
}

/// The score of every different phrase.
fn score(phrases: &[Vec<String>]) -> Vec<Keyword> {
    let mut degree_and_frequency: HashMap<&str, (usize, usize)> = HashMap::new();
    let mut counts: BTreeMap<&[String], usize> = BTreeMap::new();
    for phrase in phrases {
        for word in phrase {
            let (degree, frequency) = degree_and_frequency.entry(word).or_default();
            *degree += phrase.len();
            *frequency += 1;
        }
        *counts.entry(phrase).or_default() += 1;
    }
    let word_score = |word: &String| {
        let (degree, frequency) = degree_and_frequency[word.as_str()];
        degree as f64 / frequency as f64
    };
    let keyword = |(phrase, count): (&[String], usize)| {
        let score: f64 = phrase.iter().map(word_score).sum();
        Keyword { phrase: phrase.join(" "), score: (score * 100.0).round() / 100.0, count }
    };
    counts.into_iter().map(keyword).collect()
}

/// The schema of the parameters beside the text.
pub(crate) fn parameters() -> Value {
    json!({
        "top": { "type": "integer", "minimum": 0, "default": 10, "description": "how many phrases at most" },
        "min_count": { "type": "integer", "minimum": 0, "default": 2, "description": "phrases said this often go before all others" },
        "stopwords": { "type": "array", "items": { "type": "string" }, "description": "further words, in small letters, that part phrases" }
    })
}

/// The schema of the result.
pub(crate) fn returns() -> Value {
    json!({
        "type": "object",
        "properties": {
            "method": { "const": "RAKE" },
            "keywords": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "phrase": { "type": "string" }, "score": { "type": "number" }, "count": { "type": "integer", "minimum": 1 }
                    },
                    "required": ["phrase", "score", "count"]
                }
            }
        },
        "required": ["method", "keywords"]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keywords(parameters: Value) -> Vec<(String, f64, usize)> {
        let parameters = serde_json::from_value(parameters).expect("these parameters are right");
        let found = run(parameters).expect("finding does not fail");
        found.keywords.into_iter().map(|keyword| (keyword.phrase, keyword.score, keyword.count)).collect()
    }

    /// The beginning of the paper's own example, with the paper's scores for these words in so short a text.
    #[test]
    fn phrases_score_the_sum_of_degree_over_frequency() {
        let text = "Compatibility of systems of linear constraints over the set of natural numbers. Linear systems.";
        assert_eq!(
            keywords(json!({ "text": text, "top": 4 })),
            [
                ("linear constraints".into(), 4.0, 1),
                ("natural numbers".into(), 4.0, 1),
                ("linear systems".into(), 3.5, 1),
                ("systems".into(), 1.5, 1),
            ]
        );
    }

    #[test]
    fn what_is_said_often_goes_first() {
        let text = "The event log is durable. The event log is long. A very shiny purple elephant.";
        assert_eq!(keywords(json!({ "text": text, "top": 1 })), [("event log".into(), 4.0, 2)]);
        assert_eq!(keywords(json!({ "text": text, "top": 1, "min_count": 1 }))[0].0, "shiny purple elephant");
    }

    #[test]
    fn stopwords_of_ones_own_part_phrases_too() {
        let found = keywords(json!({ "text": "shiny purple elephant", "stopwords": ["purple"], "min_count": 1 }));
        assert_eq!(found, [("elephant".into(), 1.0, 1), ("shiny".into(), 1.0, 1)]);
    }

    #[test]
    fn code_and_nothing_have_no_keywords() {
        assert_eq!(keywords(json!({ "text": "```\nlet event_log = open();\n```" })), []);
        assert_eq!(keywords(json!({ "text": "" })), []);
    }
}
