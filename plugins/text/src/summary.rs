//! Owns `text/summary`: an extractive summary by TextRank.
//! Leaves the cutting of text to `prose` and the list of stopwords to `stopwords`.
//!
//! Mihalcea and Tarau, "TextRank: Bringing Order into Texts", EMNLP 2004: sentences are the nodes of a graph, two are joined with the weight
//! of the words that they share over the logarithms of their lengths, and weighted PageRank finds the ones that the others speak of.

use crate::input::{Input, Inputs};
use crate::prose::{Kind, blocks, sentences, words};
use crate::stopwords::is_stopword;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use trackside_sdk::Failure;

/// PageRank's damping, as in the paper.
const DAMPING: f64 = 0.85;
/// Ranks that move by less than this have settled, as in the paper.
const SETTLED: f64 = 0.0001;
/// Enough for graphs that do not settle: the order is stable long before.
const MOST_ROUNDS: usize = 100;
/// Sentences that are looked at, from the beginning: the graph grows with their square.
const MOST_SENTENCES: usize = 2_000;
/// Shorter sentences say too little to stand alone.
const FEWEST_WORDS: usize = 5;
/// Longer ones are lists, which share words with everything.
const MOST_WORDS: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    #[serde(alias = "texts")]
    text: Inputs,
    #[serde(default = "default_sentences")]
    sentences: usize,
}

fn default_sentences() -> usize {
    3
}

#[derive(Serialize, Debug)]
pub(crate) struct Summary {
    method: &'static str,
    /// The chosen sentences, joined.
    summary: String,
    sentences: Vec<Chosen>,
    /// How many sentences were ranked.
    considered: usize,
}

#[derive(Serialize, Debug)]
struct Chosen {
    text: String,
    /// The rank; 1 is the average.
    score: f64,
    /// The place among all sentences, counted from 0.
    position: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

/// A sentence that may be chosen.
struct Candidate {
    text: String,
    path: Option<String>,
    position: usize,
    length: usize,
    /// The words that carry a topic, each once, as numbers.
    topics: Vec<usize>,
}

pub(crate) fn run(parameters: Parameters) -> Result<Summary, Failure> {
    let candidates = candidates(&parameters.text.0);
    let scores = rank(&graph(&candidates));
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order.truncate(parameters.sentences);
    order.sort_unstable();
    let sentences: Vec<Chosen> = order
        .into_iter()
        .map(|index| {
            let candidate = &candidates[index];
            Chosen {
                text: candidate.text.clone(),
                score: (scores[index] * 1000.0).round() / 1000.0,
                position: candidate.position,
                path: candidate.path.clone(),
            }
        })
        .collect();
    let summary = sentences.iter().map(|chosen| chosen.text.as_str()).collect::<Vec<_>>().join(" ");
    Ok(Summary { method: "TextRank", summary, sentences, considered: candidates.len() })
}

/// The sentences that may be chosen: long enough, and each said once.
fn candidates(inputs: &[Input]) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut said: HashSet<String> = HashSet::new();
    let mut position = 0;
    for input in inputs {
        for block in blocks(&input.text).iter().filter(|block| block.kind == Kind::Prose) {
            for sentence in sentences(&block.text) {
                let all: Vec<String> = words(sentence).map(str::to_lowercase).collect();
                let fits =
                    (FEWEST_WORDS..=MOST_WORDS).contains(&all.len()) && candidates.len() < MOST_SENTENCES && said.insert(all.join(" "));
                if fits {
                    let length = all.len();
                    let topics = topics(all, &mut numbers);
                    candidates.push(Candidate { text: sentence.into(), path: input.path.clone(), position, length, topics });
                }
                position += 1;
            }
        }
    }
    candidates
}

/// The numbers of the words that carry a topic, each once.
fn topics(words: Vec<String>, numbers: &mut HashMap<String, usize>) -> Vec<usize> {
    let mut topics: Vec<usize> = words
        .into_iter()
        .filter(|word| !is_stopword(word))
        .map(|word| {
            let next = numbers.len();
            *numbers.entry(word).or_insert(next)
        })
        .collect();
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// For each sentence, those that it shares words with, and how strongly.
fn graph(candidates: &[Candidate]) -> Vec<Vec<(usize, f64)>> {
    let mut speakers: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut edges = vec![Vec::new(); candidates.len()];
    for (index, candidate) in candidates.iter().enumerate() {
        // Ordered, so that sums of weights are made in the same order every time.
        let mut shared: BTreeMap<usize, usize> = BTreeMap::new();
        for &topic in &candidate.topics {
            let earlier = speakers.entry(topic).or_default();
            for &other in earlier.iter() {
                *shared.entry(other).or_default() += 1;
            }
            earlier.push(index);
        }
        for (other, common) in shared {
            let lengths = (candidate.length as f64).ln() + (candidates[other].length as f64).ln();
            let weight = common as f64 / lengths;
            edges[index].push((other, weight));
            edges[other].push((index, weight));
        }
    }
    edges
}

/// Weighted PageRank: what each sentence is worth to the others.
fn rank(edges: &[Vec<(usize, f64)>]) -> Vec<f64> {
    let given: Vec<f64> = edges.iter().map(|edges| edges.iter().map(|(_, weight)| weight).sum()).collect();
    let mut ranks = vec![1.0; edges.len()];
    for _ in 0..MOST_ROUNDS {
        let next: Vec<f64> = edges
            .iter()
            .map(|edges| {
                let received: f64 = edges.iter().map(|&(other, weight)| weight / given[other] * ranks[other]).sum();
                1.0 - DAMPING + DAMPING * received
            })
            .collect();
        let moved = ranks.iter().zip(&next).map(|(old, new)| (old - new).abs()).fold(0.0, f64::max);
        ranks = next;
        if moved < SETTLED {
            break;
        }
    }
    ranks
}

/// The schema of the parameters beside the text.
pub(crate) fn parameters() -> Value {
    json!({ "sentences": { "type": "integer", "minimum": 0, "default": 3, "description": "how many sentences to pick" } })
}

/// The schema of the result.
pub(crate) fn returns() -> Value {
    json!({
        "type": "object",
        "properties": {
            "method": { "const": "TextRank" },
            "summary": { "type": "string" },
            "sentences": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "text": { "type": "string" }, "score": { "type": "number" },
                        "position": { "type": "integer", "minimum": 0 }, "path": { "type": "string" }
                    },
                    "required": ["text", "score", "position"]
                }
            },
            "considered": { "type": "integer", "minimum": 0 }
        },
        "required": ["method", "summary", "sentences", "considered"]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# Storms\n\nThe storm reached the coast at night. Trees fell and roads were closed along the coast. \
        The mayor had porridge for breakfast on Tuesday. The storm closed the harbour and the coast road at night. \
        Nobody was hurt by the storm. Yes.";

    fn summarise(parameters: Value) -> Summary {
        run(serde_json::from_value(parameters).expect("these parameters are right")).expect("summarising does not fail")
    }

    #[test]
    fn the_sentence_that_the_others_speak_of_is_chosen() {
        let summary = summarise(json!({ "text": TEXT, "sentences": 1 }));
        assert_eq!(summary.summary, "The storm closed the harbour and the coast road at night.");
        assert_eq!((summary.method, summary.considered), ("TextRank", 5));
    }

    #[test]
    fn chosen_sentences_keep_the_order_of_the_text() {
        let summary = summarise(json!({ "text": TEXT, "sentences": 3 }));
        let positions: Vec<_> = summary.sentences.iter().map(|chosen| chosen.position).collect();
        assert_eq!(positions.len(), 3);
        assert!(positions.is_sorted());
        assert!(!summary.summary.contains("porridge"), "{}", summary.summary);
    }

    #[test]
    fn a_sentence_is_said_once_and_knows_its_path() {
        let repeated =
            json!([{ "path": "a", "text": "The log is the only truth." }, { "path": "b", "text": "The log is the only truth." }]);
        let summary = summarise(json!({ "text": repeated, "sentences": 9 }));
        assert_eq!(summary.sentences.len(), 1);
        assert_eq!(summary.sentences[0].path.as_deref(), Some("a"));
    }

    #[test]
    fn ranks_of_a_symmetric_pair_are_the_average() {
        assert_eq!(rank(&[vec![(1, 0.5)], vec![(0, 0.5)]]), [1.0, 1.0]);
    }

    #[test]
    fn nothing_has_an_empty_summary() {
        let summary = summarise(json!({ "text": "" }));
        assert_eq!((summary.summary.as_str(), summary.considered), ("", 0));
    }
}
