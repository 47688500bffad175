//! Owns the list of English words that carry no topic.
//! Leaves what is done with them to the methods.

/// In alphabetical order, so that a lookup is a binary search.
const STOPWORDS: &[&str] = &[
    "a", "about", "above", "after", "again", "against", "all", "almost", "alone", "along", "already", "also", "although", "always", "am",
    "among", "an", "and", "another", "any", "anybody", "anyone", "anything", "are", "aren't", "around", "as", "ask", "asked", "at", "away",
    "back", "be", "became", "because", "become", "been", "before", "behind", "being", "below", "beside", "besides", "between", "beyond",
    "both", "but", "by", "came", "can", "can't", "cannot", "come", "comes", "could", "couldn't", "did", "didn't", "do", "does", "doesn't",
    "doing", "don't", "done", "down", "during", "each", "either", "else", "enough", "even", "ever", "every", "everybody", "everyone",
    "everything", "everywhere", "except", "few", "first", "for", "from", "further", "gave", "get", "gets", "give", "given", "gives", "go",
    "goes", "going", "gone", "got", "had", "has", "have", "haven't", "having", "he", "held", "her", "here", "hers", "herself", "him",
    "himself", "his", "hold", "holds", "how", "however", "i", "i'm", "if", "in", "indeed", "inside", "instead", "into", "is", "isn't",
    "it", "it's", "its", "itself", "just", "keep", "keeps", "kept", "last", "later", "least", "leave", "leaves", "less", "let", "like",
    "made", "make", "makes", "many", "may", "maybe", "me", "meanwhile", "might", "mine", "more", "most", "mostly", "much", "must", "my",
    "myself", "namely", "need", "needs", "neither", "never", "nevertheless", "next", "no", "nobody", "none", "nor", "not", "nothing", "now",
    "nowhere", "of", "off", "often", "on", "once", "one", "ones", "only", "onto", "or", "other", "others", "otherwise", "our", "ours",
    "ourselves", "out", "outside", "over", "own", "per", "perhaps", "put", "puts", "quite", "rather", "said", "same", "saw", "say", "says",
    "see", "seem", "seemed", "seems", "seen", "several", "shall", "she", "should", "shouldn't", "since", "so", "some", "somebody",
    "somehow", "someone", "something", "sometimes", "somewhere", "soon", "stand", "stands", "still", "such", "take", "taken", "takes",
    "tell", "tells", "than", "that", "that's", "the", "their", "theirs", "them", "themselves", "then", "there", "there's", "therefore",
    "these", "they", "thing", "things", "this", "those", "though", "three", "through", "thus", "to", "together", "told", "too", "took",
    "toward", "towards", "two", "under", "unless", "until", "up", "upon", "us", "use", "used", "uses", "using", "usually", "very", "via",
    "want", "wants", "was", "wasn't", "way", "we", "went", "were", "weren't", "what", "whatever", "when", "whenever", "where", "whereas",
    "wherever", "whether", "which", "while", "who", "whoever", "whole", "whom", "whose", "why", "will", "with", "within", "without",
    "won't", "would", "wouldn't", "yes", "yet", "you", "you're", "your", "yours", "yourself", "yourselves",
];

/// Whether a word, in small letters, carries no topic. Numbers carry none.
pub(crate) fn is_stopword(word: &str) -> bool {
    STOPWORDS.binary_search(&word).is_ok() || !word.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_found() {
        assert!(STOPWORDS.is_sorted());
        assert!(is_stopword("the") && is_stopword("42") && !is_stopword("event"));
    }
}
