//! Owns the list of English words that carry no topic, in `stopwords.txt`.
//! Leaves what is done with them to the methods.

use std::collections::HashSet;
use std::sync::LazyLock;

static STOPWORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| include_str!("stopwords.txt").split_whitespace().collect());

/// Whether a word, in small letters, carries no topic. Numbers carry none.
pub(crate) fn is_stopword(word: &str) -> bool {
    STOPWORDS.contains(word) || !word.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_list_and_numbers_carry_no_topic() {
        assert!(is_stopword("a") && is_stopword("yourselves") && is_stopword("42") && !is_stopword("event"));
    }
}
