//! `[[retention]]`: the rules of what is kept of the log, as the operator writes them. Each key of a rule is judged where it stands.
//! Following them is the engine's.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use trackside_model::{
    event::{Pattern, Severity},
    text::nearest,
};
use trackside_store::RetentionRule;

use super::read::{ConfigError, plain};

/// The list's name in the file.
pub(super) const NAME: &str = "retention";
/// The variable that says the whole list, in place of the file's.
pub(super) const VARIABLE: &str = "TRACKSIDE_RETENTION";
/// Rules at the most.
const MOST_RULES: usize = 64;
/// The keys of a rule.
const KEYS: [&str; 5] = ["types", "max_severity", "max_age", "max_events", "max_store_bytes"];

const COMMENT: &str = "
# What is kept of the log; without rules, all of it. An event falls under the first rule that names its type and severity, and goes when that rule has a
# reason; one that no rule names stays. A rule without a limit keeps what it names for ever. The variable TRACKSIDE_RETENTION holds the whole list, as in
# [{types = [\"debug:**\"], max_age = \"1d\"}].
#
# [[retention]]
# types = [\"audit:**\"]             # patterns; left out: all types. This rule has no limit: what it names is kept.
#
# [[retention]]
# max_severity = \"info\"            # this severity and below; left out: all
# max_age = \"30d\"                  # older events go; s, m, h or d
# max_events = 1_000_000           # the oldest go when there are more of this rule's
# max_store_bytes = 10_000_000_000 # the oldest go while the log holds more than this, all of it counted
";

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Patterns; none: all types.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<Pattern>,
    /// This severity and those below; `None`: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_severity: Option<Severity>,
    /// As in `30d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// Of this rule's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_events: Option<u64>,
    /// Of the whole log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_store_bytes: Option<u64>,
}

impl Rule {
    /// As it is followed.
    pub fn for_store(&self) -> RetentionRule {
        RetentionRule {
            types: (!self.types.is_empty()).then(|| self.types.clone()),
            max_severity: self.max_severity,
            // It was read once when the configuration was.
            max_age_ms: self.max_age.as_deref().and_then(|age| age_ms(age).ok()),
            max_events: self.max_events,
            max_store_bytes: self.max_store_bytes,
        }
    }
}

/// The comment, and the rules that there are.
pub(super) fn commented(rules: &[Rule]) -> String {
    let mut text = COMMENT.to_owned();
    for rule in rules {
        let _ = write!(text, "\n[[retention]]\n{}", toml::to_string(rule).unwrap_or_default());
    }
    text
}

/// Takes the list of a file; what is wrong in it is told with its line.
pub(super) fn check(value: &Spanned<DeValue<'_>>, at: &dyn Fn(usize) -> String, values: &mut toml::Table, errors: &mut Vec<ConfigError>) {
    let mut wrong = |offset: usize, message: String| errors.push(ConfigError { place: at(offset), message });
    let Some(rules) = value.get_ref().as_array() else {
        return wrong(value.span().start, "'retention' is a list of rules; write each under [[retention]]".to_owned());
    };
    if rules.len() > MOST_RULES {
        return wrong(value.span().start, format!("{} rules of retention are more than the {MOST_RULES} allowed", rules.len()));
    }
    let mut taken = Vec::new();
    for rule in rules {
        let Some(keys) = rule.get_ref().as_table() else {
            wrong(rule.span().start, "a rule of retention is a table; write it under [[retention]]".to_owned());
            continue;
        };
        let mut values = toml::Table::new();
        for (name, value) in keys {
            match check_key(name.get_ref(), value.get_ref()) {
                Ok(value) => drop(values.insert(name.get_ref().to_string(), value)),
                Err(message) => wrong(name.span().start, message),
            }
        }
        if keys.is_empty() {
            wrong(rule.span().start, "a rule of retention names something: types, a severity, or a limit".to_owned());
        }
        taken.push(toml::Value::Table(values));
    }
    values.insert(NAME.to_owned(), toml::Value::Array(taken));
}

/// Takes the list of the variable.
pub(super) fn check_variable(text: &str, values: &mut toml::Table, errors: &mut Vec<ConfigError>) {
    let file = format!("{NAME} = {text}");
    match DeTable::parse(&file) {
        Ok(table) => {
            if let Some(value) = table.get_ref().get(NAME) {
                check(value, &|_| VARIABLE.to_owned(), values, errors);
            }
        }
        Err(error) => {
            let message =
                format!("expected a list of rules, as in [{{max_age = \"30d\"}}]: {}", error.message().trim().replace('\n', "; "));
            errors.push(ConfigError { place: VARIABLE.to_owned(), message });
        }
    }
}

fn check_key(name: &str, value: &DeValue<'_>) -> Result<toml::Value, String> {
    let kind = |wanted: &str, found: &str| format!("retention.{name}: expected {wanted}, found {found}");
    match name {
        "types" => {
            let one = |value: &DeValue<'_>| match plain(value) {
                Ok(toml::Value::String(text)) => {
                    Pattern::parse(&text).map(|_| toml::Value::String(text.clone())).map_err(|error| format!("retention.types: {error}"))
                }
                Ok(_) => Err(kind("patterns in quotes", "something else")),
                Err(found) => Err(kind("patterns in quotes", found)),
            };
            match value.as_array() {
                Some(all) if all.is_empty() => {
                    Err("retention.types: an empty list names nothing; leave it out to name all types".to_owned())
                }
                Some(all) => all.iter().map(|value| one(value.get_ref())).collect::<Result<_, _>>().map(toml::Value::Array),
                None => one(value).map(|one| toml::Value::Array(vec![one])),
            }
        }
        "max_severity" | "max_age" => match plain(value) {
            Ok(toml::Value::String(text)) => {
                let checked = if name == "max_age" { age_ms(&text).map(drop) } else { text.parse::<Severity>().map(drop) };
                checked.map(|()| toml::Value::String(text)).map_err(|error| format!("retention.{name}: {error}"))
            }
            Ok(_) => Err(kind("text in quotes", "something else")),
            Err(found) => Err(kind("text in quotes", found)),
        },
        "max_events" | "max_store_bytes" => match plain(value) {
            Ok(toml::Value::Integer(number)) if number >= 1 => Ok(toml::Value::Integer(number)),
            Ok(toml::Value::Integer(number)) => Err(format!("retention.{name}: {number} is out of bounds; give 1 or more")),
            Ok(_) => Err(kind("a whole number", "something else")),
            Err(found) => Err(kind("a whole number", found)),
        },
        other => Err(match nearest(other, KEYS) {
            Some(near) => format!("unknown key '{other}' in [[retention]]; did you mean '{near}'?"),
            None => format!("unknown key '{other}' in [[retention]]; known are {}", KEYS.join(", ")),
        }),
    }
}

/// A length of time of one unit, in milliseconds.
fn age_ms(text: &str) -> Result<u64, String> {
    const MOST_DAYS: u64 = 36_500;
    let wrong = || format!("'{text}' is not a length of time; write a whole number and s, m, h or d, as in 30d");
    let unit_ms = match text.chars().last() {
        Some('s') => 1_000,
        Some('m') => 60_000,
        Some('h') => 3_600_000,
        Some('d') => 86_400_000,
        _ => return Err(wrong()),
    };
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    match number.checked_mul(unit_ms) {
        Some(ms) if ms > 0 && ms <= MOST_DAYS * 86_400_000 => Ok(ms),
        _ => Err(format!("'{text}' is out of bounds; give 1s to {MOST_DAYS}d")),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::config::{Config, check_text};

    fn check(text: &str, expected: Expect) {
        let actual = match check_text("f", text) {
            Ok(config) => format!("{:?}", config.engine_options().retention),
            Err(errors) => errors.to_string(),
        };
        expected.assert_eq(&actual);
    }

    #[test]
    fn rules_are_read_in_their_order() {
        check(
            "[[retention]]\ntypes = ['audit:**', 'a:b']\n[[retention]]\nmax_severity = 'info'\nmax_age = '30d'\nmax_events = 1_000\nmax_store_bytes = 5\n",
            expect![[
                r#"[RetentionRule { types: Some([Pattern("audit:**"), Pattern("a:b")]), max_severity: None, max_age_ms: None, max_events: None, max_store_bytes: None }, RetentionRule { types: None, max_severity: Some(Info), max_age_ms: Some(2592000000), max_events: Some(1000), max_store_bytes: Some(5) }]"#
            ]],
        );
    }

    #[test]
    fn what_is_wrong_in_a_rule_is_named_with_its_line() {
        check(
            "[[retention]]\ntypes = []\nmax_sevrity = 'info'\nmax_age = '30 days'\n[[retention]]\nmax_events = 0\nmax_severity = 'loud'\ntypes = 'task'\nmax_age = 3\n[[retention]]\n",
            expect![[r#"
                f:2: retention.types: an empty list names nothing; leave it out to name all types
                f:3: unknown key 'max_sevrity' in [[retention]]; did you mean 'max_severity'?
                f:4: retention.max_age: '30 days' is not a length of time; write a whole number and s, m, h or d, as in 30d
                f:6: retention.max_events: 0 is out of bounds; give 1 or more
                f:7: retention.max_severity: severity 'loud' is not one of debug, info, warning, error, critical
                f:8: retention.types: type pattern 'task' is malformed: event type 'task' is one word; write 'component:action', for example 'task:happened'
                f:9: retention.max_age: expected text in quotes, found something else
                f:10: a rule of retention names something: types, a severity, or a limit"#]],
        );
        check("retention = 3", expect!["f:1: 'retention' is a list of rules; write each under [[retention]]"]);
    }

    #[test]
    fn a_configuration_with_rules_is_written_and_read_back() {
        let rule = Rule { max_age: Some("1d".to_owned()), max_events: Some(7), ..Rule::default() };
        let config = Config { retention: vec![rule], ..Config::default() };
        assert_eq!(check_text("f", &config.to_commented_toml()).unwrap(), config);
        assert!(!config.is_default());
    }

    #[test]
    fn the_variable_says_the_whole_list() {
        let (mut values, mut errors) = (toml::Table::new(), Vec::new());
        check_variable("[{max_age = '1d'}, {types = 'a:*'}]", &mut values, &mut errors);
        assert_eq!((values[NAME].as_array().map(Vec::len), errors.len()), (Some(2), 0));
        check_variable("30d", &mut values, &mut errors);
        check_variable("[{max_age = 'x'}]", &mut values, &mut errors);
        assert!(errors.iter().all(|error| error.place == VARIABLE) && errors.len() == 2, "{errors:?}");
    }
}
