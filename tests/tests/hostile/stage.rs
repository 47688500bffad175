//! Where hostile guests appear: a host with a neighbour in all three roles, and what the log must say of a case.

use std::process::Command;

use trackside_test_guests as guests;
use trackside_tests::{Host, Site, Value, eventually, json};

/// A guest, what the operator says of it, and the fault that it must come to.
pub(crate) struct Case {
    pub(crate) guest: &'static str,
    /// Lines of its settings file besides those that every case has.
    pub(crate) settings: &'static str,
    pub(crate) kind: &'static str,
    /// The limit that is met; 0 if none is.
    pub(crate) allowed: u64,
    /// What the message must hold.
    pub(crate) says: &'static str,
}

pub(crate) const fn case(guest: &'static str, settings: &'static str, kind: &'static str, allowed: u64, says: &'static str) -> Case {
    Case { guest, settings, kind, allowed, says }
}

/// A guest that is on the stage and comes to no fault.
pub(crate) const fn extra(guest: &'static str, settings: &'static str) -> Case {
    case(guest, settings, "", 0, "")
}

impl Case {
    /// Says what was allowed, and that as much as that, or more, was used.
    fn met_its_limit(&self, payload: &Value) {
        let number = |name: &str| payload[name].as_u64().unwrap_or_else(|| panic!("{name} of {}: {payload}", self.guest));
        let (used, allowed) = (number("used"), number("allowed"));
        assert_eq!(allowed, self.allowed, "{} {}: {payload}", self.guest, self.settings);
        let met = match self.kind {
            "fuel" | "stack" => used == allowed,
            "deadline" => used >= allowed,
            "memory" | "tables" | "bytes" => used > allowed,
            _ => used == 0,
        };
        assert!(met, "{} {}: {payload}", self.guest, self.settings);
    }
}

/// The longest that a call of a case may take that is not about time: so long that only a system that hangs reaches it.
pub(crate) const LONG: &str = "timeout_ms = 60_000";

/// A host with a neighbour in all three roles, whose counts must be right whatever stands beside it.
pub(crate) struct Stage {
    pub(crate) site: Site,
    pub(crate) host: Host,
    pub(crate) published: u64,
    pub(crate) worked: u64,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::on(Site::new(), |command| command)
    }

    /// The same in a place of its own, for a host with more arguments or variables.
    pub(crate) fn on(site: Site, more: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let events = "event_types = ['case:*']";
        let settings = format!("priority = 200\n[controls]\n{events}\n[observes]\n{events}\n[limits]\n{LONG}\n");
        site.plugin("neighbour", guests::build().bytes("neighbour"), &settings);
        let host = site.start_with(|command| more(command.env("TRACKSIDE_ENGINE_CHAIN_BUDGET_MS", "60000")));
        Self { site, host, published: 0, worked: 0 }
    }

    /// Puts the case's guest into service, misbehaving in one role only.
    pub(crate) fn enter(&self, case: &Case, role: &str) {
        let mut settings = format!("[breaker]\nfaults = 1000\nbackoff_ms = 3_600_000\n{}\n", case.settings);
        if !settings.contains("[limits]") {
            settings.push_str(&format!("[limits]\n{LONG}\n"));
        }
        settings = match settings.split_once("[settings]\n") {
            Some((before, after)) => format!("{before}[settings]\nrole = '{role}'\n{after}"),
            None => format!("{settings}[settings]\nrole = '{role}'\n"),
        };
        for filter in ["controls", "observes"] {
            settings.push_str(&format!("[{filter}]\nevent_types = ['case:*']\n"));
        }
        self.site.plugin(case.guest, guests::build().bytes(case.guest), &settings);
        self.host.reload(case.guest).expect(200);
    }

    /// Takes it out of service again.
    pub(crate) fn leave(&self, case: &Case) {
        std::fs::remove_file(self.site.plugins().join(format!("{}.wasm", case.guest))).expect("a file can be removed");
        self.host.reload(case.guest).expect(200);
    }

    /// Publishes an event, which must be taken, and gives the answer.
    pub(crate) fn publish(&mut self) -> Value {
        self.published += 1;
        self.host
            .publish(&json!({"event_type": "case:came", "source_component": "test", "payload": {"number": self.published}}))
            .expect(201)
    }

    /// Has the neighbour work, which must succeed.
    pub(crate) fn work(&mut self) {
        self.worked += 1;
        let view =
            self.host.finish(&format!("name: n\ntasks:\n  - {{id: n, method: neighbour/echo, parameters: {{n: {}}}}}\n", self.worked));
        assert_eq!((&view["status"], &view["tasks"][0]["result"]), (&json!("completed"), &json!({"n": self.worked})), "{view}");
    }

    /// The case's fault, as the log tells it, behind a position.
    pub(crate) fn fault(&self, case: &Case, call: &str, after: u64) -> Value {
        let query = format!("type=plugin:fault&provider_id={}&after={after}", case.guest);
        // Of the settings in service: a call under those before may still have been under way.
        let plugin = self.host.plugin(case.guest);
        let in_service = plugin["settings"].as_str().unwrap_or_default();
        let is_of_it = |settings: &Value| settings.as_str().is_some_and(|short| in_service.starts_with(short));
        let fault = self.host.wait_for(&query, |fault| fault["payload"]["call"] == call && is_of_it(&fault["payload"]["settings"]));
        let payload = &fault["payload"];
        assert_eq!(payload["kind"], case.kind, "{call} of {} {}: {payload}", case.guest, case.settings);
        let message = payload["message"].as_str().unwrap_or_default();
        assert!(message.contains(case.says), "{call} of {}: '{message}' does not hold '{}'", case.guest, case.says);
        case.met_its_limit(payload);
        assert!(payload["version"].as_str().is_some_and(|version| version.len() == 12), "{payload}");
        assert_eq!(
            (&payload["plugin"], &fault["severity"], &fault["source_component"]),
            (&json!(case.guest), &json!("error"), &json!("plugin_host"))
        );
        fault
    }

    pub(crate) fn head(&self) -> u64 {
        self.host.events("narration=false").last().and_then(|event| event["sequence_number"].as_u64()).unwrap_or_default()
    }

    /// The neighbour was called for everything, once, and never faulted.
    pub(crate) fn neighbour_is_unharmed(&self) {
        for (key, expected) in [("checked", self.published), ("seen", self.published), ("worked", self.worked)] {
            eventually(&format!("the neighbour's {key} to be {expected}"), || {
                (self.site.kv_number("neighbour", key) == expected).then_some(())
            });
        }
        assert_eq!(self.host.events("type=plugin:fault&provider_id=neighbour"), [] as [Value; 0]);
        let status = self.host.plugin("neighbour");
        assert_eq!((&status["state"], &status["faults"]), (&json!("serving"), &json!(0)), "{status}");
        assert_eq!(self.host.get("/healthz").status, 200);
    }
}
