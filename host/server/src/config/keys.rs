//! Every key of `trackside.toml`: its meaning in words, its unit, and the least and most it may be. From here the commented file is written.
//! The defaults are those of [`Config`]; reading is `read`'s.

use std::fmt::Write as _;

use super::{Config, retention, toml_text};

/// One key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// The table it stands in; empty for the top.
    pub(super) section: &'static str,
    pub(super) name: &'static str,
    /// What it does, for the comment above it.
    pub(super) meaning: &'static str,
    /// Of a number; empty for text, and `SWITCH` for true and false.
    pub(super) unit: &'static str,
    /// Of a number.
    pub(super) least: i64,
    /// Of a number.
    pub(super) most: i64,
}

const fn text(section: &'static str, name: &'static str, meaning: &'static str) -> Key {
    Key { section, name, meaning, unit: "", least: 0, most: 0 }
}

const fn number(section: &'static str, name: &'static str, unit: &'static str, least: i64, most: i64, meaning: &'static str) -> Key {
    Key { section, name, meaning, unit, least, most }
}

/// What a switch has in place of a unit.
pub(super) const SWITCH: &str = "true or false";

const fn switch(section: &'static str, name: &'static str, meaning: &'static str) -> Key {
    Key { section, name, meaning, unit: SWITCH, least: 0, most: 0 }
}

/// A day.
const DAY_MS: i64 = 24 * 3_600_000;
const GIB: i64 = 1 << 30;

/// All of them, in the order of the file.
pub(super) const KEYS: &[Key] = &[
    text("", "data_dir", "Where the log and everything durable is kept. Made if it is missing."),
    text("", "plugin_dir", "Where the components (NAME.wasm) and their settings (NAME.toml) are. Made if it is missing."),
    text(
        "",
        "listen",
        "Where HTTP is served; port 0 takes a free one and prints it. Beyond loopback it needs http.tls_cert, http.tls_key and tokens.",
    ),
    text("schemas", "dir", "Where JSON Schemas are (TYPE.json), which payloads of these types must fit. Empty: nowhere."),
    number("schemas", "rescan_ms", "milliseconds", 10, 3_600_000, "How often that directory is looked at for what has changed."),
    text("log", "level", "trace, debug, info, warn, error or off; also per module, as in \"info,trackside_wasm=debug\"."),
    text("log", "format", "\"text\" for people, \"json\" for one object a line."),
    number(
        "dedup",
        "window_secs",
        "seconds",
        0,
        86_400,
        "How long an event without an id of its publisher's is remembered by its content; 0 turns it off.",
    ),
    text(
        "dedup",
        "windows",
        "The same for some types, as in \"sensor:*=0, order:**=300\": seconds by pattern, of which the first that matches counts; empty for none.",
    ),
    number("dedup", "entries", "contents", 1, 100_000_000, "Contents remembered for that at most. Past it the oldest is forgotten."),
    number("stop", "grace_ms", "milliseconds", 0, DAY_MS, "How long calls under way have to end when the host stops."),
    switch("plugins", "watch", "Whether files that are added, changed or removed in the plugin directory are taken up by themselves."),
    number("plugins", "settle_ms", "milliseconds", 1, 60_000, "How long a file there must stay as it is before it is taken up."),
    number(
        "plugins",
        "rescan_ms",
        "milliseconds",
        100,
        DAY_MS,
        "Pause between two looks at the whole directory, which find what the system did not tell.",
    ),
    number("plugins", "versions", "versions", 1, 1_000, "Versions of each plugin that are kept in the data directory, to be put back."),
    switch(
        "http",
        "require_tokens",
        "Whether every request needs a token. Beyond loopback it does in any case; on loopback, unless this is true, reading, publishing and submitting need none.",
    ),
    text(
        "http",
        "names",
        "Names by which the host is called besides its address and localhost, as in \"desk.example.com, desk:8443\"; empty for none.",
    ),
    text(
        "http",
        "tls_cert",
        "A file with the host's certificate in PEM, its own first and then those up to the authority; empty for plain HTTP. Read again when it changes.",
    ),
    text("http", "tls_key", "The file with that certificate's key in PEM, without a passphrase. Read again when it changes."),
    number("http", "body_bytes", "bytes", 1_024, GIB, "Largest body of one event or one array of events. Larger ones answer 413."),
    number("http", "line_bytes", "bytes", 1_024, GIB, "Longest line of an NDJSON body. A longer one ends the stream with 413."),
    number("http", "definition_bytes", "bytes", 1_024, GIB, "Largest body of a workflow submission. Larger ones answer 413."),
    number("http", "batch_events", "events", 1, 100_000, "Most events of one array. More answer 413; NDJSON has no such limit."),
    number("http", "in_flight", "events", 1, 10_000, "Events of one array or NDJSON body that are under way at a time."),
    number("http", "connections", "connections", 1, 1_000_000, "Connections open at a time. More wait to be accepted."),
    number("http", "sockets", "WebSockets", 1, 1_000_000, "WebSockets open at a time. More answer 503."),
    number("http", "readers", "requests", 1, 512, "Requests that read the log at a time. More wait their turn."),
    number(
        "http",
        "read_timeout_ms",
        "milliseconds",
        10,
        DAY_MS,
        "How long a client may take for a request's head, and for each piece of its body.",
    ),
    number(
        "http",
        "heartbeat_ms",
        "milliseconds",
        10,
        DAY_MS,
        "Pause of an event stream after which a comment is sent, so that dead connections are noticed.",
    ),
    number(
        "http",
        "slow_events",
        "events",
        1,
        1_000_000_000,
        "How far a stream that asks slow=skip or slow=close may fall behind the log before it goes on at the end of it, or is ended.",
    ),
    text(
        "outgoing",
        "ca_file",
        "A file of certificates in PEM that requests of plugins trust besides this machine's own roots; empty for none.",
    ),
    text(
        "outgoing",
        "resolve",
        "Hosts whose address is given here and not asked of the system, as in \"api.example.com=192.0.2.7, db.local=10.0.0.5\"; empty for none.",
    ),
    switch(
        "inbox",
        "enabled",
        "Whether other processes of this machine may publish through the file inbox/inbox.db in the data directory.",
    ),
    number("inbox", "poll_interval_secs", "seconds", 1, 86_400, "Pause between two looks into it that nobody has hinted at."),
    number(
        "inbox",
        "keep_secs",
        "seconds",
        0,
        10 * 365 * 86_400,
        "How long rows stay there after they have been told what became of them.",
    ),
    number("events", "payload_bytes", "bytes", 1, 256 << 20, "Largest payload of an event. Larger ones answer 413."),
    number("events", "payload_depth", "levels", 1, 120, "Deepest nesting of a payload. Deeper ones answer 413."),
    number("events", "id_bytes", "bytes", 36, 64 << 10, "Longest id or source name. Longer ones answer 413."),
    number("events", "metadata_bytes", "bytes", 0, 16 << 20, "Most metadata of one event, keys and values together. More answers 413."),
    text(
        "events",
        "aliases",
        "Types by other names that publishers use, as in \"TrainingDone=training:completed, shop.order=order:placed\"; empty for none.",
    ),
    number("engine", "publish_slots", "events", 1, 1_000_000, "Publishes under way at a time. More are answered busy (429)."),
    number(
        "engine",
        "chain_budget_ms",
        "milliseconds",
        1,
        DAY_MS,
        "What all control handlers of one event have together, waiting included.",
    ),
    number("engine", "guest_threads", "threads", 1, 1_024, "Threads on which control handlers run."),
    number("engine", "check_batch", "events", 1, 1_024, "Events that a control handler is asked about in one call at most; 1: each alone."),
    number("engine", "observer_threads", "threads", 1, 1_024, "Threads on which observers run: how many observe at a time."),
    number("engine", "worker_threads", "threads", 1, 1_024, "Threads on which workers compute. Workers that wait hold none."),
    number("engine", "observer_batch", "events", 1, 100_000, "Events handed to an observer in one call at most."),
    number("engine", "observer_deliveries", "deliveries", 1, 1_000, "Deliveries of one event to an observer before it is a dead letter."),
    number(
        "engine",
        "most_hops",
        "hops",
        1,
        1_000,
        "Publishes by plugins that one event may lead to, one after the other. More are refused.",
    ),
    number(
        "engine",
        "plugin_rate",
        "publishes a second",
        0,
        1_000_000,
        "Publishes of one plugin, lastingly. Faster ones are dead letters; 0 takes any number.",
    ),
    number("engine", "plugin_burst", "publishes", 1, 10_000_000, "Publishes of one plugin at once, beyond its rate."),
    number(
        "engine",
        "correlation_rate",
        "publishes a second",
        0,
        1_000_000,
        "Publishes by plugins of one correlation, lastingly. Faster ones are dead letters; 0 takes any number.",
    ),
    number("engine", "correlation_burst", "publishes", 1, 10_000_000, "Publishes by plugins of one correlation at once, beyond its rate."),
    number("engine", "heartbeat_ms", "milliseconds", 0, DAY_MS, "Pause between the heartbeats of providers; 0 turns them off."),
    number("store", "ring_events", "events", 1, 10_000_000, "Newest events kept in memory for readers near the head."),
    number("store", "ring_bytes", "bytes", 1_024, 64 * GIB, "Bytes of events kept in memory for readers near the head."),
    number(
        "store",
        "lazy_commit_us",
        "microseconds",
        0,
        1_000_000,
        "How long a step of a workflow waits for company before it is committed alone.",
    ),
    number("store", "max_commit_events", "events", 1, 1_000_000, "Events of one commit. More become the next one."),
    number("store", "max_pending_events", "events", 1, 10_000_000, "Events that may wait for the disk. More are answered busy (429)."),
    number("store", "max_pending_bytes", "bytes", 1_024, 64 * GIB, "Bytes that may wait for the disk. More are answered busy (429)."),
    number("store", "max_readers", "connections", 1, 1_000, "Connections to the log file that read at a time. More callers wait for one."),
    text(
        "store",
        "full_text",
        "Types whose payloads are looked through for words (`events --text`), as in \"chat:*, note:**\"; empty for none. A change is taken up at a start, which reads the log's events of these types.",
    ),
    number("store", "retention_interval_secs", "seconds", 1, 86_400, "Pause between two looks at what the rules of [[retention]] let go."),
    number(
        "store",
        "id_memory_secs",
        "seconds",
        0,
        10 * 365 * 86_400,
        "How long the id of a trimmed event is remembered: who publishes it again is told that it was there.",
    ),
    number("pools", "control", "instances", 1, 1_024, "Instances of one control handler: as many checks of it can run at a time."),
    number("pools", "observer", "instances", 1, 1_024, "Instances of one observer."),
    number("pools", "total", "instances", 1, 16_000, "Instances of all control handlers and observers together."),
    number(
        "pools",
        "memory_bytes",
        "bytes",
        64 << 10,
        4 * GIB,
        "Linear memory that a slot of the pool has. Control handlers and observers that may have more get their instances made on demand.",
    ),
    number("compile", "memory_bytes", "bytes", 64 << 20, 1 << 40, "Address space of the process that compiles a component."),
    number("compile", "timeout_ms", "milliseconds", 100, DAY_MS, "How long compiling a component may take."),
    number("compile", "component_bytes", "bytes", 1_024, GIB, "Largest file of a component."),
];

impl Key {
    /// As it is spoken of in messages.
    pub(super) fn path(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) }
    }
}

/// The variable that sets a key: `TRACKSIDE_DATA_DIR`, `TRACKSIDE_LOG_LEVEL`, `TRACKSIDE_DEDUP_WINDOW_SECS`, ….
pub fn environment_name(section: &str, name: &str) -> String {
    let words = if section.is_empty() { name.to_owned() } else { format!("{section}_{name}") };
    format!("TRACKSIDE_{}", words.to_uppercase())
}

/// The names that a table of the file may hold; sections for the top.
pub(super) fn known_in(section: &str) -> Vec<&'static str> {
    let mut names: Vec<&str> = KEYS.iter().filter(|key| key.section == section).map(|key| key.name).collect();
    if section.is_empty() {
        names.extend(sections());
        names.push(retention::NAME);
    }
    names
}

/// The tables of the file.
pub(super) fn sections() -> Vec<&'static str> {
    let mut sections: Vec<&str> = KEYS.iter().map(|key| key.section).filter(|section| !section.is_empty()).collect();
    sections.dedup();
    sections
}

/// A tree of values by key; what [`Config`] is made of.
pub(super) fn tree(config: &Config) -> toml::Table {
    toml::Table::try_from(config).expect("a configuration is tables of text and numbers")
}

/// The value of a key in such a tree.
pub(super) fn value_in<'a>(tree: &'a toml::Table, key: &Key) -> Option<&'a toml::Value> {
    if key.section.is_empty() { tree.get(key.name) } else { tree.get(key.section)?.get(key.name) }
}

/// The commented file.
pub(super) fn write(config: &Config) -> String {
    let mut file = String::from(
        "# The Trackside host's configuration. Every key is here with its default; leave out what you do not change.\n\
         # A variable of the environment wins over this file, a flag wins over both. The variable of a key is TRACKSIDE_SECTION_KEY,\n\
         # for example TRACKSIDE_LOG_LEVEL or TRACKSIDE_DATA_DIR. `trackside config check FILE` says what is wrong in a file.\n",
    );
    let values = tree(config);
    let defaults = tree(&Config::default());
    let mut section = "";
    for key in KEYS {
        if key.section != section {
            section = key.section;
            let _ = write!(file, "\n[{section}]\n");
        }
        let (Some(value), Some(default)) = (value_in(&values, key), value_in(&defaults, key)) else { continue };
        let default = toml_text(default);
        let unit = if key.unit.is_empty() || key.unit == SWITCH { String::new() } else { format!(" Unit: {}.", key.unit) };
        let _ = write!(file, "\n# {}{unit} Default: {default}.\n{} = {}\n", key.meaning, key.name, toml_text(value));
    }
    file.push_str(&retention::commented(&config.retention));
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_default_within_its_bounds_and_every_default_a_key() {
        let defaults = tree(&Config::default());
        for key in KEYS {
            let value = value_in(&defaults, key).unwrap_or_else(|| panic!("{} has no default", key.path()));
            match value {
                toml::Value::Integer(number) => {
                    assert!(!key.unit.is_empty(), "{} has a unit", key.path());
                    assert!((key.least..=key.most).contains(number), "{} = {number}", key.path());
                }
                toml::Value::Boolean(_) => assert_eq!(key.unit, SWITCH, "{}", key.path()),
                _ => assert!(key.unit.is_empty(), "{} has no unit", key.path()),
            }
        }
        let leaves: usize = defaults.values().map(|value| value.as_table().map_or(1, toml::Table::len)).sum();
        assert_eq!(leaves, KEYS.len(), "a key is missing in the table of keys");
    }

    #[test]
    fn names_with_a_unit_end_in_it() {
        for key in KEYS {
            let end = match key.unit {
                "milliseconds" => "_ms",
                "microseconds" => "_us",
                "seconds" => "_secs",
                "bytes" => "_bytes",
                _ => continue,
            };
            assert!(key.name.ends_with(end), "{}", key.path());
        }
    }

    #[test]
    fn the_environment_has_the_names_that_were_promised() {
        assert_eq!(environment_name("log", "level"), "TRACKSIDE_LOG_LEVEL");
        assert_eq!(environment_name("dedup", "window_secs"), "TRACKSIDE_DEDUP_WINDOW_SECS");
        assert_eq!(environment_name("", "data_dir"), "TRACKSIDE_DATA_DIR");
    }
}
