//! Reading the configuration: the file, then the environment, then flags, each winning over the one before. All that is wrong is
//! found at once, with its place. Which keys there are is `keys`'; what they do, everybody else's.

use std::{collections::BTreeMap, fmt, io, path::PathBuf};

use toml::{Spanned, de::DeTable, de::DeValue};
use trackside_model::{
    event::{Aliases, DedupWindows},
    text::nearest,
};

use crate::params;

use super::{
    Config,
    keys::{KEYS, Key, SWITCH, environment_name, known_in, sections, tree, value_in},
    names, resolve, retention,
};

/// The file that is read where none is named, if it exists.
const USUAL_FILE: &str = "trackside.toml";
/// Variables of this program that are no keys of the configuration.
const OTHER_VARIABLES: [&str; 5] = ["TRACKSIDE_CONFIG", "TRACKSIDE_URL", "TRACKSIDE_TOKEN", "TRACKSIDE_TOKEN_FILE", "TRACKSIDE_CA"];

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// `FILE:LINE`, a variable, or a flag.
    pub place: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Everything that is wrong; at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{error}")?;
        }
        Ok(())
    }
}

/// What flags say, by key: wins over everything.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The file to read; must exist.
    pub file: Option<PathBuf>,
    /// `--data`.
    pub data_dir: Option<PathBuf>,
    /// `--plugins`.
    pub plugin_dir: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--no-watch`.
    pub no_watch: bool,
}

/// A configuration, and the file it came from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The values.
    pub config: Config,
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
    /// What was odd, but not wrong: variables that look like misspelt keys.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads file, environment and flags.
    ///
    /// # Errors
    /// All that is wrong, with its place.
    pub fn read(flags: &Overrides, environment: &BTreeMap<String, String>) -> Result<Source, ConfigErrors> {
        let mut errors = Vec::new();
        let read = read_file(named_file(flags, environment), &mut errors);
        let values = match &read {
            Some((path, text)) => check_file(&path.display().to_string(), text, &mut errors),
            None => toml::Table::new(),
        };
        Self::finish(values, read.map(|(path, _)| path), flags, environment, errors)
    }

    fn finish(
        mut values: toml::Table,
        file: Option<PathBuf>,
        flags: &Overrides,
        environment: &BTreeMap<String, String>,
        mut errors: Vec<ConfigError>,
    ) -> Result<Source, ConfigErrors> {
        take_environment(&mut values, environment, &mut errors);
        take_flags(&mut values, flags, &mut errors);
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let of_all = |message: String| ConfigErrors(vec![ConfigError { place: "configuration".to_owned(), message }]);
        let config: Self = toml::Value::Table(values).try_into().map_err(|error: toml::de::Error| of_all(error.message().to_owned()))?;
        config.check_together().map_err(of_all)?;
        Ok(Source { config, file, warnings: misspelt(environment) })
    }

    /// What keys that are right by themselves must not say together.
    ///
    /// # Errors
    /// What is wrong, with what to do.
    pub(crate) fn check_together(&self) -> Result<(), String> {
        let (cert, key) = (self.http.tls_cert.is_empty(), self.http.tls_key.is_empty());
        if cert != key {
            let missing = if cert { "http.tls_cert" } else { "http.tls_key" };
            return Err(format!("{missing}: is missing; a certificate (http.tls_cert) and its key (http.tls_key) go together"));
        }
        if self.is_beyond_loopback() && cert {
            let (address, port) = (self.listen, self.listen.port());
            return Err(format!(
                "listen: {address} is reachable from other machines, which needs TLS: name a certificate and its key with http.tls_cert and \
                 http.tls_key, or listen on 127.0.0.1:{port} or [::1]:{port}"
            ));
        }
        Ok(())
    }
}

/// Checks the text of a file, named `place` in messages; the defaults stand where it is silent.
///
/// # Errors
/// All that is wrong, with its line.
pub fn check_text(place: &str, text: &str) -> Result<Config, ConfigErrors> {
    let mut errors = Vec::new();
    let values = check_file(place, text, &mut errors);
    Config::finish(values, None, &Overrides::default(), &BTreeMap::new(), errors).map(|source| source.config)
}

/// The file to read, and whether it must be there.
fn named_file(flags: &Overrides, environment: &BTreeMap<String, String>) -> (PathBuf, bool) {
    match flags.file.clone().or_else(|| environment.get("TRACKSIDE_CONFIG").map(PathBuf::from)) {
        Some(path) => (path, true),
        None => (PathBuf::from(USUAL_FILE), false),
    }
}

fn read_file((path, required): (PathBuf, bool), errors: &mut Vec<ConfigError>) -> Option<(PathBuf, String)> {
    match std::fs::read_to_string(&path) {
        Ok(text) => Some((path, text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => None,
        Err(error) => {
            let message = format!("{error}; `trackside config default` prints a file to begin with");
            errors.push(ConfigError { place: path.display().to_string(), message });
            None
        }
    }
}

/// The values of a file that are right; the others are errors.
fn check_file(place: &str, text: &str, errors: &mut Vec<ConfigError>) -> toml::Table {
    let at = |offset: usize| format!("{place}:{}", line_at(text, offset));
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let message = error.message().trim().replace('\n', "; ");
            errors.push(ConfigError { place: at(error.span().map_or(0, |span| span.start)), message });
            return toml::Table::new();
        }
    };
    let mut values = toml::Table::new();
    for (name, value) in table.get_ref() {
        if name.get_ref().as_ref() == retention::NAME {
            retention::check(value, &at, &mut values, errors);
            continue;
        }
        let inner = value.get_ref().as_table().filter(|_| sections().contains(&name.get_ref().as_ref()));
        match inner {
            Some(section) => {
                for (key, value) in section {
                    check_entry(name.get_ref(), key, value, &at, &mut values, errors);
                }
            }
            None => check_entry("", name, value, &at, &mut values, errors),
        }
    }
    // Keys come in the table's order; people read a file from the top.
    errors.sort_by_key(|error| error.place.rsplit(':').next().and_then(|line| line.parse::<usize>().ok()));
    values
}

fn check_entry(
    section: &str,
    name: &Spanned<std::borrow::Cow<'_, str>>,
    value: &Spanned<DeValue<'_>>,
    at: &dyn Fn(usize) -> String,
    values: &mut toml::Table,
    errors: &mut Vec<ConfigError>,
) {
    let written = name.get_ref().as_ref();
    let place = at(name.span().start);
    let checked = match KEYS.iter().find(|key| key.section == section && key.name == written) {
        Some(key) => {
            plain(value.get_ref()).map_err(|kind| wrong_kind(key, kind)).and_then(|value| check_value(key, value).map(|value| (key, value)))
        }
        None => Err(unknown_key(section, written)),
    };
    match checked {
        Ok((key, value)) => put(values, key, value),
        Err(message) => errors.push(ConfigError { place, message }),
    }
}

fn unknown_key(section: &str, written: &str) -> String {
    let known = known_in(section);
    let of = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
    let elsewhere = KEYS.iter().find(|key| key.name == written && key.section != section);
    let help = match (nearest(written, known.iter().copied()), elsewhere) {
        (_, Some(key)) if key.section.is_empty() => "it belongs at the top of the file, before the first section".to_owned(),
        (_, Some(key)) => format!("it belongs in [{}]", key.section),
        (Some(name), None) => format!("did you mean '{name}'?"),
        (None, None) => format!("known are {}", known.join(", ")),
    };
    if section.is_empty() && sections().contains(&written) {
        return format!("'{written}' is a section; write [{written}] with its keys below");
    }
    format!("unknown key '{written}'{of}; {help}")
}

/// A scalar, or the word for what it is.
pub(super) fn plain(value: &DeValue<'_>) -> Result<toml::Value, &'static str> {
    match value {
        DeValue::String(text) => Ok(toml::Value::String(text.to_string())),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            i64::from_str_radix(&digits, number.radix()).map(toml::Value::Integer).map_err(|_| "a number that is too large")
        }
        DeValue::Float(_) => Err("a number with a fraction"),
        DeValue::Boolean(truth) => Ok(toml::Value::Boolean(*truth)),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("a list"),
        DeValue::Table(_) => Err("a table"),
    }
}

fn wrong_kind(key: &Key, found: &str) -> String {
    let wanted = match key.unit {
        "" => "text in quotes".to_owned(),
        SWITCH => SWITCH.to_owned(),
        unit => format!("a whole number ({unit})"),
    };
    format!("{}: expected {wanted}, found {found}", key.path())
}

/// Judges a value by its key; numbers by their bounds.
fn check_value(key: &Key, value: toml::Value) -> Result<toml::Value, String> {
    match (&value, key.unit.is_empty()) {
        (toml::Value::Boolean(_), false) if key.unit == SWITCH => Ok(value),
        (toml::Value::Boolean(_), _) => Err(wrong_kind(key, SWITCH)),
        (toml::Value::Integer(_), false) if key.unit == SWITCH => Err(wrong_kind(key, "a number")),
        (toml::Value::Integer(number), false) if (key.least..=key.most).contains(number) => Ok(value),
        (toml::Value::Integer(number), false) => {
            Err(format!("{}: {number} is out of bounds; give {} to {} ({})", key.path(), key.least, key.most, key.unit))
        }
        (toml::Value::String(text), true) => check_text_value(key, text).map(|()| value.clone()),
        (toml::Value::String(_), false) => Err(wrong_kind(key, "text")),
        _ => Err(wrong_kind(key, "a number")),
    }
}

fn check_text_value(key: &Key, text: &str) -> Result<(), String> {
    let wrong = |message: String| Err(format!("{}: {message}", key.path()));
    match (key.section, key.name) {
        ("", "listen") => match text.parse::<std::net::SocketAddr>() {
            Ok(_) => Ok(()),
            Err(_) => wrong(format!("'{text}' is not an address and a port, such as 127.0.0.1:7070 or [::1]:7070")),
        },
        ("log", "format") if !["text", "json"].contains(&text) => wrong(format!("'{text}' is neither 'text' nor 'json'")),
        ("log", "level") if !text.split(',').all(is_level) => {
            wrong(format!("'{text}' is not a level (trace, debug, info, warn, error, off) or a list such as 'info,trackside_wasm=debug'"))
        }
        ("outgoing", "resolve") => resolve::parse(text).map(drop).or_else(wrong),
        ("store", "full_text") => params::patterns(text).map(drop).or_else(|error| wrong(error.to_string())),
        ("events", "aliases") => text.parse::<Aliases>().map(drop).or_else(|error| wrong(error.to_string())),
        ("dedup", "windows") => text.parse::<DedupWindows>().map(drop).or_else(|error| wrong(error.to_string())),
        ("http", "names") => names::parse(text).map(drop).or_else(wrong),
        ("outgoing", "ca_file") | ("schemas", "dir") | ("http", "tls_cert" | "tls_key") => Ok(()),
        _ if text.is_empty() => wrong("must not be empty".to_owned()),
        _ => Ok(()),
    }
}

/// `info`, or `module=info`. A word alone that is no level would be taken for a module, and is more likely a slip.
fn is_level(part: &str) -> bool {
    let level = part.split_once('=').map_or(part, |(_, level)| level);
    level.trim().parse::<tracing_subscriber::filter::LevelFilter>().is_ok()
}

fn put(values: &mut toml::Table, key: &Key, value: toml::Value) {
    if key.section.is_empty() {
        values.insert(key.name.to_owned(), value);
        return;
    }
    let section = values.entry(key.section).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let toml::Value::Table(section) = section {
        section.insert(key.name.to_owned(), value);
    }
}

/// A key from text alone: a variable, a flag.
fn put_text(values: &mut toml::Table, key: &Key, place: String, text: &str, errors: &mut Vec<ConfigError>) {
    let value = match (key.unit.is_empty(), text.replace('_', "").parse::<i64>()) {
        _ if key.unit == SWITCH => text.parse().map(toml::Value::Boolean).map_err(|_| wrong_kind(key, &format!("'{text}'"))),
        (true, _) => Ok(toml::Value::String(text.to_owned())),
        (false, Ok(number)) => Ok(toml::Value::Integer(number)),
        (false, Err(_)) => Err(wrong_kind(key, &format!("'{text}'"))),
    };
    match value.and_then(|value| check_value(key, value)) {
        Ok(value) => put(values, key, value),
        Err(message) => errors.push(ConfigError { place, message }),
    }
}

fn take_environment(values: &mut toml::Table, environment: &BTreeMap<String, String>, errors: &mut Vec<ConfigError>) {
    for key in KEYS {
        let name = environment_name(key.section, key.name);
        if let Some(text) = environment.get(&name) {
            put_text(values, key, name, text, errors);
        }
    }
    if let Some(text) = environment.get(retention::VARIABLE) {
        retention::check_variable(text, values, errors);
    }
}

fn take_flags(values: &mut toml::Table, flags: &Overrides, errors: &mut Vec<ConfigError>) {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
    let given = [
        ("data_dir", "--data", path(&flags.data_dir)),
        ("plugin_dir", "--plugins", path(&flags.plugin_dir)),
        ("listen", "--listen", flags.listen.clone()),
    ];
    if flags.no_watch
        && let Some(key) = KEYS.iter().find(|key| key.section == "plugins" && key.name == "watch")
    {
        put(values, key, toml::Value::Boolean(false));
    }
    for (name, flag, text) in given {
        let key = KEYS.iter().find(|key| key.section.is_empty() && key.name == name);
        if let (Some(key), Some(text)) = (key, text) {
            put_text(values, key, flag.to_owned(), &text, errors);
        }
    }
}

/// Variables that are nearly a key. Others with our prefix are not ours to judge: orchestrators set some of their own.
fn misspelt(environment: &BTreeMap<String, String>) -> Vec<String> {
    let keys = KEYS.iter().map(|key| environment_name(key.section, key.name));
    let known: Vec<String> = keys.chain([retention::VARIABLE.to_owned()]).collect();
    let ours = |name: &&String| name.starts_with("TRACKSIDE_") && !known.contains(name) && !OTHER_VARIABLES.contains(&name.as_str());
    let mut warnings = Vec::new();
    for name in environment.keys().filter(ours) {
        // The prefix is alike in all of them and would make everything near.
        let stem = |name: &str| name.trim_start_matches("TRACKSIDE_").to_owned();
        let stems: Vec<String> = known.iter().map(|name| stem(name)).collect();
        if let Some(near) = nearest(&stem(name), stems.iter().map(String::as_str)).filter(|near| near.len().abs_diff(stem(name).len()) < 4)
        {
            warnings.push(format!("the variable {name} sets nothing; did you mean TRACKSIDE_{near}?"));
        }
    }
    warnings
}

fn line_at(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

impl Config {
    /// Whether every key has this configuration's default: what a test of the commented file asks.
    pub fn is_default(&self) -> bool {
        let (own, defaults) = (tree(self), tree(&Self::default()));
        self.retention.is_empty() && KEYS.iter().all(|key| value_in(&own, key) == value_in(&defaults, key))
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(text: &str, expected: Expect) {
        let actual = match check_text("f", text) {
            Ok(config) => format!("{} {} {}", config.listen, config.log.level, config.http.body_bytes),
            Err(errors) => errors.to_string(),
        };
        expected.assert_eq(&actual);
    }

    #[test]
    fn the_commented_file_is_the_defaults() {
        let file = Config::default().to_commented_toml();
        let read = check_text("default", &file).unwrap_or_else(|errors| panic!("{errors}\n{file}"));
        assert_eq!(read, Config::default());
        assert!(read.is_default());
    }

    #[test]
    fn what_is_said_counts() {
        check("listen = '[::1]:0'\nlog.level = 'debug'\n[http]\nbody_bytes = 2_048", expect!["[::1]:0 debug 2048"]);
    }

    #[test]
    fn everything_wrong_is_said_at_once_with_its_line() {
        check(
            "listne = 'x'\n[http]\nbody_bytes = 1\nline_byts = 5\nchain_budget_ms = 3\n[enigne]\nx = 1\n[log]\nlevel = 5\n",
            expect![[r#"
                f:1: unknown key 'listne'; did you mean 'listen'?
                f:3: http.body_bytes: 1 is out of bounds; give 1024 to 1073741824 (bytes)
                f:4: unknown key 'line_byts' in [http]; did you mean 'line_bytes'?
                f:5: unknown key 'chain_budget_ms' in [http]; it belongs in [engine]
                f:6: unknown key 'enigne'; did you mean 'engine'?
                f:9: log.level: expected text in quotes, found a number"#]],
        );
        check("a = \n", expect!["f:1: string values must be quoted, expected literal string"]);
        check("http = 3", expect!["f:1: 'http' is a section; write [http] with its keys below"]);
        check(
            "[http]\nlisten = '127.0.0.1:1'",
            expect!["f:2: unknown key 'listen' in [http]; it belongs at the top of the file, before the first section"],
        );
    }

    #[test]
    fn addresses_beyond_loopback_need_a_certificate_and_its_key() {
        check("listen = '0.0.0.0:80'\n[http]\ntls_cert = 'c'\ntls_key = 'k'", expect!["0.0.0.0:80 info 16777216"]);
        check(
            "[http]\ntls_cert = 'c'",
            expect!["configuration: http.tls_key: is missing; a certificate (http.tls_cert) and its key (http.tls_key) go together"],
        );
        check(
            "listen = '0.0.0.0:80'",
            expect![
                "configuration: listen: 0.0.0.0:80 is reachable from other machines, which needs TLS: name a certificate and its key with http.tls_cert and http.tls_key, or listen on 127.0.0.1:80 or [::1]:80"
            ],
        );
        check(
            "listen = 'localhost'",
            expect!["f:1: listen: 'localhost' is not an address and a port, such as 127.0.0.1:7070 or [::1]:7070"],
        );
    }

    #[test]
    fn levels_are_levels() {
        check("log.level = 'info,trackside_wasm=debug'", expect!["127.0.0.1:7070 info,trackside_wasm=debug 16777216"]);
        check(
            "log.level = 'loud'",
            expect![
                "f:1: log.level: 'loud' is not a level (trace, debug, info, warn, error, off) or a list such as 'info,trackside_wasm=debug'"
            ],
        );
    }

    #[test]
    fn flags_win_over_the_environment_and_it_over_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("t.toml");
        std::fs::write(&file, "data_dir = 'file'\nplugin_dir = 'file'\n[stop]\ngrace_ms = 1").unwrap();
        let flags = Overrides { file: Some(file), data_dir: Some("flag".into()), ..Overrides::default() };
        let environment = [("TRACKSIDE_DATA_DIR", "variable"), ("TRACKSIDE_PLUGIN_DIR", "variable"), ("TRACKSIDE_STOP_GRACE_MS", "7")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let config = Config::read(&flags, &environment).unwrap().config;
        assert_eq!((config.data_dir, config.plugin_dir, config.stop.grace_ms), ("flag".into(), "variable".into(), 7));
    }

    #[test]
    fn wrong_variables_flags_and_files_are_named() {
        let environment = [("TRACKSIDE_STOP_GRACE_MS".to_owned(), "soon".to_owned())].into();
        let flags = Overrides { file: Some("/nowhere.toml".into()), listen: Some("7070".to_owned()), ..Overrides::default() };
        let errors = Config::read(&flags, &environment).unwrap_err().to_string();
        assert!(errors.contains("/nowhere.toml: No such file"), "{errors}");
        assert!(
            errors.contains("TRACKSIDE_STOP_GRACE_MS: stop.grace_ms: expected a whole number (milliseconds), found 'soon'"),
            "{errors}"
        );
        assert!(errors.contains("--listen: listen: '7070' is not an address and a port"), "{errors}");
    }

    #[test]
    fn variables_that_are_nearly_a_key_are_pointed_at() {
        let names = ["TRACKSIDE_LOG_LEVL", "TRACKSIDE_SERVICE_HOST", "TRACKSIDE_BIN", "TRACKSIDE_URL"];
        let environment = names.map(|name| (name.to_owned(), String::new())).into();
        assert_eq!(misspelt(&environment), ["the variable TRACKSIDE_LOG_LEVL sets nothing; did you mean TRACKSIDE_LOG_LEVEL?"]);
    }
}
