//! `text`: a worker for statistics, keywords and summaries of text. It needs no grant and has no settings.
//! This file owns the methods and their schemas; the methods' work is in a file each.
//!
//! | method | parameters | gives |
//! |---|---|---|
//! | `text/stats` | `text` | words, sentences, lines, characters, unique words, average lengths, reading time |
//! | `text/keywords` | `text`, `top`? (10), `min_count`? (2), `stopwords`? | phrases by RAKE, best first |
//! | `text/summary` | `text`, `sentences`? (3) | sentences chosen by TextRank, in the order of the text |
//!
//! `text` (or `texts`) is a string, the result of `files/read`, any object with a `text`, or a list of those. Markdown is understood:
//! code and tables are not prose, headings are not sentences. The stopwords are English; `stopwords` adds others.

mod input;
mod keywords;
mod prose;
mod stats;
mod stopwords;
mod summary;

use serde_json::{Value, json};
use trackside_sdk::{Description, Method, Methods, Plugin, Worker};

struct Text;

impl Plugin for Text {
    fn describe() -> Description {
        Description::new("text")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Statistics, keywords (RAKE) and summaries (TextRank) of text.")
            .memoryless()
    }
}

impl Worker for Text {
    fn methods() -> Methods {
        Methods::new()
            .with(
                Method::new("text/stats", "Counts words, sentences, lines and characters.", |parameters, _| stats::run(parameters))
                    .parameters(parameters_schema(json!({})))
                    .returns(stats::returns()),
            )
            .with(
                Method::new("text/keywords", "Finds key phrases by RAKE.", |parameters, _| keywords::run(parameters))
                    .parameters(parameters_schema(keywords::parameters()))
                    .returns(keywords::returns()),
            )
            .with(
                Method::new("text/summary", "Picks the most telling sentences by TextRank.", |parameters, _| summary::run(parameters))
                    .parameters(parameters_schema(summary::parameters()))
                    .returns(summary::returns()),
            )
    }
}

trackside_sdk::export!(Text: worker);

/// The schema of a method's parameters: the text, and what the method takes beside it.
fn parameters_schema(beside: Value) -> Value {
    let text = json!({
        "description": "a string, the result of files/read, an object with a `text`, or a list of those",
        "type": ["string", "object", "array"]
    });
    let mut properties = json!({ "text": text, "texts": text });
    if let (Some(all), Value::Object(beside)) = (properties.as_object_mut(), beside) {
        all.extend(beside);
    }
    json!({
        "type": "object",
        "properties": properties,
        "oneOf": [{ "required": ["text"] }, { "required": ["texts"] }],
        "additionalProperties": false
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use trackside_sdk::Task;

    #[test]
    fn every_method_takes_the_result_of_files_read() {
        let read = json!({ "files": [{ "path": "a.txt", "text": "The bus carries events. Workers do the work." }] });
        for method in ["text/stats", "text/keywords", "text/summary"] {
            let result = Text::methods().run(&Task::new(method, json!({ "text": read })));
            assert!(result.is_ok(), "{method}: {result:?}");
        }
    }

    #[test]
    fn unknown_and_missing_parameters_are_named() {
        for (parameters, named) in [(json!({ "text": "a", "topp": 3 }), "topp"), (json!({ "top": 3 }), "text")] {
            let failure = Text::methods().run(&Task::new("text/keywords", parameters)).expect_err("it is refused");
            assert_eq!(failure.code_text(), Some("invalid-parameters"));
            assert!(failure.message().contains(named), "{}", failure.message());
        }
    }
}
