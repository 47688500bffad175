//! What a swap changes about a plugin's authority: the version in service compared with the one that is to take its place.
//! Whether growth has the operator's consent, and what happens without it, is left to the host.

use std::fmt;

use serde::Serialize;

use crate::{
    event::{Filter, Pattern},
    outside::SecretGrant,
    plugin::{FolderGrant, Grants, Limits, PluginInfo},
    trigger::Trigger,
};

mod narrower;

use narrower::{covered, narrower};

/// One thing that is not as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What: `limits.memory_bytes`, `grants.clock`, `controls`, ….
    pub what: String,
    /// How it was, for people.
    pub before: String,
    /// How it would be, for people.
    pub after: String,
    /// Whether the plugin can do more by it than it could.
    pub grows: bool,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.grows { '+' } else { ' ' };
        write!(f, "{sign} {}: {} -> {}", self.what, self.before, self.after)
    }
}

/// All that a swap changes; those of the component's bytes and of the settings' values are told by their digests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct CapabilityDiff(pub Vec<Change>);

impl CapabilityDiff {
    /// Compares what is in service with what is to take its place.
    pub fn between(before: &PluginInfo, after: &PluginInfo) -> Self {
        let mut diff = Self::default();
        diff.roles(before, after);
        diff.steering(before, after);
        diff.work(before, after);
        diff.triggers(before, after);
        diff.imports(before, after);
        diff.grants(&before.grants, &after.grants);
        diff.limits(&before.limits, &after.limits);
        diff.breaker(before, after);
        diff
    }

    /// Whether the plugin could do more than before in any respect: this is what needs consent.
    pub fn grows(&self) -> bool {
        self.0.iter().any(|change| change.grows)
    }

    /// What grows, on one line.
    pub fn growth(&self) -> String {
        let lines: Vec<String> = self.0.iter().filter(|change| change.grows).map(|change| change.to_string()[2..].to_owned()).collect();
        lines.join("; ")
    }

    fn changed<T: PartialEq + fmt::Display>(&mut self, what: &str, before: T, after: T, grows: bool) {
        if before != after {
            self.0.push(Change { what: what.to_owned(), before: before.to_string(), after: after.to_string(), grows });
        }
    }

    fn roles(&mut self, before: &PluginInfo, after: &PluginInfo) {
        let (old, new) = (before.roles, after.roles);
        let grows = (new.observer && !old.observer) || (new.control && !old.control) || (new.worker && !old.worker);
        self.changed("roles", listed(&old.names()), listed(&new.names()), grows);
        self.changed("effect_class", before.effect_class, after.effect_class, after.effect_class > before.effect_class);
    }

    /// What it is asked about, when, and what its silence does.
    fn steering(&mut self, before: &PluginInfo, after: &PluginInfo) {
        if before.roles.observer && after.roles.observer {
            self.filter("observes", &before.observes, &after.observes);
        }
        if before.roles.control && after.roles.control {
            self.filter("controls", &before.controls, &after.controls);
            // Earlier, it can end the chain before others have looked.
            self.changed("priority", before.priority, after.priority, after.priority < before.priority);
            // With `fail`, its faults hold other people's work.
            self.changed("on_fault", before.on_fault, after.on_fault, after.on_fault > before.on_fault);
        }
    }

    /// What it has done at events that nobody asks it about.
    fn triggers(&mut self, before: &PluginInfo, after: &PluginInfo) {
        let grows = after.triggers.iter().any(|new| !before.triggers.iter().any(|old| calmer(new, old)));
        self.changed("triggers", triggers_text(&before.triggers), triggers_text(&after.triggers), grows);
    }

    fn filter(&mut self, what: &str, before: &Filter, after: &Filter) {
        if before != after {
            let change =
                Change { what: what.to_owned(), before: filter_text(before), after: filter_text(after), grows: !narrower(after, before) };
            self.0.push(change);
        }
    }

    fn work(&mut self, before: &PluginInfo, after: &PluginInfo) {
        let names = |info: &PluginInfo| info.methods.iter().map(|method| method.name.to_string()).collect::<Vec<_>>();
        let (old, new) = (names(before), names(after));
        self.changed("methods", listed(&old), listed(&new), new.iter().any(|name| !old.contains(name)));
        if before.roles.worker && after.roles.worker {
            self.changed("workers", before.workers, after.workers, after.workers > before.workers);
        }
    }

    /// An import reaches nothing without its grant; with one that has stood there unused, it does.
    fn imports(&mut self, before: &PluginInfo, after: &PluginInfo) {
        for reach in &REACHES {
            let (had, has) = (reach.imported(before), reach.imported(after));
            let granted = (reach.granted)(&after.grants);
            let text = |imported: bool| match (imported, granted) {
                (false, _) => "not imported",
                (true, true) => "imported and granted",
                (true, false) => "imported, not granted",
            };
            self.changed(&format!("imports {}", reach.name), text(had), text(has), has && granted);
        }
    }

    fn grants(&mut self, before: &Grants, after: &Grants) {
        let published = after.publish.iter().flatten().all(|pattern| covered(pattern, before.publish.as_deref().unwrap_or_default()));
        self.changed("grants.publish", patterns_text(before.publish.as_deref()), patterns_text(after.publish.as_deref()), !published);
        let looked_up = after.query.iter().flatten().all(|pattern| covered(pattern, before.query.as_deref().unwrap_or_default()));
        self.changed("grants.query", patterns_text(before.query.as_deref()), patterns_text(after.query.as_deref()), !looked_up);
        let switches = [
            ("grants.kv", before.kv, after.kv),
            ("grants.schedule", before.schedule, after.schedule),
            ("grants.clock", before.clock, after.clock),
            ("grants.random", before.random, after.random),
            ("grants.timers", before.timers, after.timers),
            ("grants.progress", before.progress, after.progress),
        ];
        for (what, before, after) in switches {
            self.changed(what, before, after, after);
        }
        let within = |folder: &FolderGrant| before.folders.iter().any(|old| folder.path.starts_with(&old.path));
        let grows = !after.folders.iter().all(within);
        self.changed("grants.folders", folders_text(&before.folders), folders_text(&after.folders), grows);
        self.outside(before, after);
    }

    /// What it may reach of the network, and which secrets it may use for that.
    fn outside(&mut self, before: &Grants, after: &Grants) {
        let grows = !after.http.iter().all(|grant| before.http.iter().any(|old| old.covers(grant)));
        self.changed("grants.http", joined(&before.http), joined(&after.http), grows);
        let moved = |secret: &&SecretGrant| before.secrets.iter().any(|old| old.name == secret.name && old.source != secret.source);
        let mut secrets = joined(&after.secrets);
        if let Some(secret) = after.secrets.iter().find(moved) {
            secrets.push_str(&format!(" ({} from another place)", secret.name));
        }
        let grows = !after.secrets.iter().all(|secret| before.secrets.iter().any(|old| old.covers(secret)));
        self.changed("grants.secrets", joined(&before.secrets), secrets, grows);
    }

    fn limits(&mut self, before: &Limits, after: &Limits) {
        for ((what, before), (_, after)) in numbers(before).into_iter().zip(numbers(after)) {
            self.changed(&format!("limits.{what}"), before, after, after > before);
        }
    }

    /// A breaker that opens later, or for a shorter time, lets a plugin that faults do more harm.
    fn breaker(&mut self, before: &PluginInfo, after: &PluginInfo) {
        let (before, after) = (before.breaker, after.breaker);
        self.changed("breaker.faults", before.faults, after.faults, after.faults > before.faults);
        self.changed("breaker.window_ms", before.window_ms, after.window_ms, after.window_ms < before.window_ms);
        self.changed("breaker.backoff_ms", before.backoff_ms, after.backoff_ms, after.backoff_ms < before.backoff_ms);
    }
}

/// An interface by which a plugin reaches something, once that is granted. Log, settings and the inert part of WASI reach nothing.
struct Reach {
    /// How the import's name begins.
    prefix: &'static str,
    /// For people.
    name: &'static str,
    granted: fn(&Grants) -> bool,
}

const REACHES: [Reach; 9] = [
    Reach { prefix: "trackside:plugin/kv@", name: "kv", granted: |grants| grants.kv },
    Reach { prefix: "trackside:plugin/events@", name: "events", granted: |grants| grants.publish.is_some() || grants.query.is_some() },
    Reach { prefix: "trackside:plugin/progress@", name: "progress", granted: |grants| grants.progress },
    Reach { prefix: "trackside:plugin/schedule@", name: "schedule", granted: |grants| grants.schedule },
    Reach { prefix: "trackside:plugin/secrets@", name: "secrets", granted: |grants| !grants.secrets.is_empty() },
    Reach { prefix: "wasi:clocks/", name: "wasi:clocks", granted: |grants| grants.clock || grants.timers },
    Reach { prefix: "wasi:random/", name: "wasi:random", granted: |grants| grants.random },
    Reach { prefix: "wasi:filesystem/", name: "wasi:filesystem", granted: |grants| !grants.folders.is_empty() },
    Reach { prefix: "wasi:http/", name: "wasi:http", granted: |grants| !grants.http.is_empty() },
];

impl Reach {
    fn imported(&self, info: &PluginInfo) -> bool {
        info.imports.iter().any(|import| import.starts_with(self.prefix))
    }
}

fn numbers(limits: &Limits) -> [(&'static str, u64); 20] {
    [
        ("timeout_ms", limits.timeout_ms),
        ("fuel", limits.fuel),
        ("memory_bytes", limits.memory_bytes),
        ("table_elements", limits.table_elements),
        ("instances", u64::from(limits.instances)),
        ("stack_bytes", limits.stack_bytes),
        ("argument_bytes", limits.argument_bytes),
        ("result_bytes", limits.result_bytes),
        ("log_bytes", limits.log_bytes),
        ("publishes", u64::from(limits.publishes)),
        ("query_events", u64::from(limits.query_events)),
        ("schedules", u64::from(limits.schedules)),
        ("kv_bytes", limits.kv_bytes),
        ("observe_events", u64::from(limits.observe_events)),
        ("http_requests", u64::from(limits.http_requests)),
        ("http_concurrent", u64::from(limits.http_concurrent)),
        ("http_request_bytes", limits.http_request_bytes),
        ("http_response_bytes", limits.http_response_bytes),
        ("http_connect_ms", limits.http_connect_ms),
        ("http_timeout_ms", limits.http_timeout_ms),
    ]
}

fn listed<T: AsRef<str>>(names: &[T]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ") }
}

fn joined<T: fmt::Display>(grants: &[T]) -> String {
    listed(&grants.iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn patterns_text(patterns: Option<&[Pattern]>) -> String {
    listed(&patterns.unwrap_or_default().iter().map(Pattern::as_str).collect::<Vec<_>>())
}

fn folders_text(folders: &[FolderGrant]) -> String {
    listed(&folders.iter().map(|folder| format!("{} as {}", folder.path.display(), folder.guest)).collect::<Vec<_>>())
}

/// Whether a trigger starts nothing that another one does not start, and no more often.
fn calmer(trigger: &Trigger, other: &Trigger) -> bool {
    trigger.method == other.method
        && narrower(&trigger.filter, &other.filter)
        && trigger.debounce_ms >= other.debounce_ms
        && trigger.throttle_ms >= other.throttle_ms
        && trigger.batch_max >= other.batch_max
}

fn triggers_text(triggers: &[Trigger]) -> String {
    let pause = |name: &str, pause_ms: Option<u64>| pause_ms.map_or_else(String::new, |pause_ms| format!(", {name} {pause_ms} ms"));
    let text = |trigger: &Trigger| {
        let (method, filter) = (&trigger.method, filter_text(&trigger.filter));
        let (debounce, throttle) = (pause("debounce", trigger.debounce_ms), pause("throttle", trigger.throttle_ms));
        format!("{method} at {filter}, {} at a time{debounce}{throttle}", trigger.batch_max)
    };
    listed(&triggers.iter().map(text).collect::<Vec<_>>())
}

fn filter_text(filter: &Filter) -> String {
    let types = match &filter.event_types {
        None => "every fact".to_owned(),
        Some(patterns) => patterns_text(Some(patterns)),
    };
    let mut parts = vec![types];
    parts.extend(filter.min_severity.map(|severity| format!("{} or above", severity.as_str())));
    let lists = [
        ("from", &filter.source_components),
        ("correlation", &filter.correlation_ids),
        ("workflow", &filter.workflow_ids),
        ("task", &filter.task_ids),
        ("provider", &filter.provider_ids),
    ];
    parts.extend(lists.into_iter().filter_map(|(name, list)| list.as_ref().map(|list| format!("{name} {}", listed(list)))));
    parts.extend(filter.when.as_ref().map(|condition| format!("when {}", condition.as_str())));
    parts.join("; ")
}

#[cfg(test)]
mod tests;
