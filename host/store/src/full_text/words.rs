//! What is looked for in the full text: words, phrases, beginnings of words, and how they go together. Read here, so that what is wrong is told with
//! its place; what is right becomes an expression of FTS5 that has no error in it.

use std::{fmt, iter::Peekable, str::CharIndices};

/// Bytes of what is looked for, at the most.
const MAX_BYTES: usize = 1_000;
/// Parentheses inside each other, at the most.
const MAX_DEPTH: usize = 32;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(String);

/// Why a text is not looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// It is too long.
    #[error("{0} bytes are more than the {max} allowed", max = MAX_BYTES)]
    TooLong(usize),
    /// It has nothing in it.
    #[error("there is no word in it; write words, \"a phrase\", begin*, and AND, OR, NOT and parentheses between them")]
    Empty,
    /// Something is wrong at a place.
    #[error("character {at}: {what}")]
    At {
        /// From 1.
        at: usize,
        /// What is wrong, and what to write.
        what: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    /// As FTS5 takes it.
    Term(String),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::And => "AND",
            Self::Or => "OR",
            Self::Not => "NOT",
            Self::Term(term) => term,
        })
    }
}

impl Words {
    /// Reads it. Words beside each other must all be there; upper and lower case, and accents, are alike.
    ///
    /// # Errors
    /// [`WordsError`], with the place of what is wrong.
    pub fn parse(text: &str) -> Result<Self, WordsError> {
        if text.len() > MAX_BYTES {
            return Err(WordsError::TooLong(text.len()));
        }
        let tokens = tokens(text)?;
        if tokens.is_empty() {
            return Err(WordsError::Empty);
        }
        let end = text.chars().count() + 1;
        let mut reader = Reader { tokens: tokens.into_iter().peekable(), end, depth: 0, out: String::new() };
        reader.any()?;
        match reader.tokens.next() {
            None => Ok(Self(reader.out)),
            Some((at, _)) => Err(WordsError::At { at, what: "')' closes nothing".to_owned() }),
        }
    }

    /// The expression for FTS5.
    pub(crate) fn expression(&self) -> &str {
        &self.0
    }
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, WordsError> {
    let mut tokens = Vec::new();
    let mut characters = text.char_indices().peekable();
    while let Some((byte, character)) = characters.next() {
        let at = text[..byte].chars().count() + 1;
        let token = match character {
            space if space.is_whitespace() => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            '"' => phrase(at, &mut characters)?,
            first => word(at, first, &mut characters)?,
        };
        tokens.push((at, token));
    }
    Ok(tokens)
}

fn phrase(at: usize, characters: &mut Peekable<CharIndices<'_>>) -> Result<Token, WordsError> {
    let mut phrase = String::new();
    for (_, character) in characters.by_ref() {
        if character == '"' {
            return term(at, &phrase, false);
        }
        phrase.push(character);
    }
    Err(WordsError::At { at, what: "the phrase that begins here has no closing quote".to_owned() })
}

fn word(at: usize, first: char, characters: &mut Peekable<CharIndices<'_>>) -> Result<Token, WordsError> {
    let mut word = String::from(first);
    while let Some((_, character)) = characters.next_if(|(_, character)| !character.is_whitespace() && !"()\"".contains(*character)) {
        word.push(character);
    }
    match word.as_str() {
        "AND" => return Ok(Token::And),
        "OR" => return Ok(Token::Or),
        "NOT" => return Ok(Token::Not),
        _ => {}
    }
    let (stem, is_beginning) = word.strip_suffix('*').map_or((word.as_str(), false), |stem| (stem, true));
    if let Some(place) = stem.chars().position(|character| character == '*') {
        return Err(WordsError::At { at: at + place, what: "'*' may only end a word, as in begin*".to_owned() });
    }
    term(at, stem, is_beginning)
}

fn term(at: usize, text: &str, is_beginning: bool) -> Result<Token, WordsError> {
    if !text.chars().any(char::is_alphanumeric) {
        return Err(WordsError::At { at, what: "there is no letter or digit in this".to_owned() });
    }
    Ok(Token::Term(format!("\"{}\"{}", text.replace(['"', '\0'], " "), if is_beginning { " *" } else { "" })))
}

/// Binds like FTS5: NOT before AND before OR.
struct Reader<I: Iterator<Item = (usize, Token)>> {
    tokens: Peekable<I>,
    /// Behind the last character.
    end: usize,
    depth: usize,
    out: String,
}

impl<I: Iterator<Item = (usize, Token)>> Reader<I> {
    fn any(&mut self) -> Result<(), WordsError> {
        self.all()?;
        while self.tokens.next_if(|(_, token)| *token == Token::Or).is_some() {
            self.out.push_str(" OR ");
            self.all()?;
        }
        Ok(())
    }

    fn all(&mut self) -> Result<(), WordsError> {
        self.but_not()?;
        loop {
            match self.tokens.peek() {
                Some((_, Token::And)) => drop(self.tokens.next()),
                Some((_, Token::Term(_) | Token::Open)) => {}
                _ => return Ok(()),
            }
            self.out.push_str(" AND ");
            self.but_not()?;
        }
    }

    fn but_not(&mut self) -> Result<(), WordsError> {
        self.one()?;
        while self.tokens.next_if(|(_, token)| *token == Token::Not).is_some() {
            self.out.push_str(" NOT ");
            self.one()?;
        }
        Ok(())
    }

    fn one(&mut self) -> Result<(), WordsError> {
        let wrong = |at, what: String| Err(WordsError::At { at, what });
        match self.tokens.next() {
            Some((_, Token::Term(term))) => self.out.push_str(&term),
            Some((at, Token::Open)) => {
                if self.depth == MAX_DEPTH {
                    return wrong(at, format!("parentheses are nested deeper than the {MAX_DEPTH} levels allowed"));
                }
                self.depth += 1;
                self.out.push('(');
                self.any()?;
                self.out.push(')');
                self.depth -= 1;
                if self.tokens.next_if(|(_, token)| *token == Token::Close).is_none() {
                    return wrong(at, "the '(' here is not closed".to_owned());
                }
            }
            Some((at, token)) => return wrong(at, format!("a word or a phrase is missing before '{token}'")),
            None => return wrong(self.end, "a word or a phrase is missing at the end".to_owned()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use rusqlite::Connection;

    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "expectations read as values")]
    fn check(text: &str, expected: Expect) {
        match Words::parse(text) {
            Ok(words) => {
                let connection = Connection::open_in_memory().unwrap();
                connection.execute_batch("CREATE VIRTUAL TABLE t USING fts5(words)").unwrap();
                let found = connection.query_row("SELECT count(*) FROM t WHERE t MATCH ?1", [&words.0], |row| row.get::<_, i64>(0));
                assert_eq!(found.map_err(|error| error.to_string()), Ok(0), "{text}: {words:?}");
                expected.assert_eq(&words.0);
            }
            Err(error) => expected.assert_eq(&format!("error: {error}")),
        }
    }

    #[test]
    fn words_go_together() {
        check("late order", expect![[r#""late" AND "order""#]]);
        check("late AND (order OR \"no  show\") NOT test*", expect![[r#""late" AND ("order" OR "no  show") NOT "test" *"#]]);
        check("a:b{c} ^d +e -f col:x near(g)", expect![[r#""a:b{c}" AND "^d" AND "+e" AND "-f" AND "col:x" AND "near" AND ("g")"#]]);
        check("O'Neil and or not", expect![[r#""O'Neil" AND "and" AND "or" AND "not""#]]);
        check("é\"ü\"", expect![[r#""é" AND "ü""#]]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        check(
            "",
            expect![[r#"error: there is no word in it; write words, "a phrase", begin*, and AND, OR, NOT and parentheses between them"#]],
        );
        check("é \"open", expect!["error: character 3: the phrase that begins here has no closing quote"]);
        check("a AND", expect!["error: character 6: a word or a phrase is missing at the end"]);
        check("OR a", expect!["error: character 1: a word or a phrase is missing before 'OR'"]);
        check("a NOT NOT b", expect!["error: character 7: a word or a phrase is missing before 'NOT'"]);
        check("(a", expect!["error: character 1: the '(' here is not closed"]);
        check("a)", expect!["error: character 2: ')' closes nothing"]);
        check("()", expect!["error: character 2: a word or a phrase is missing before ')'"]);
        check("be*gin", expect!["error: character 3: '*' may only end a word, as in begin*"]);
        check("a -- b", expect!["error: character 3: there is no letter or digit in this"]);
        check(&"(".repeat(40), expect!["error: character 33: parentheses are nested deeper than the 32 levels allowed"]);
        check(&"x".repeat(1_001), expect!["error: 1001 bytes are more than the 1000 allowed"]);
    }
}
