//! Who is in service: taking a plugin version up and out, telling the log and the workflow loop of it, and the providers' heartbeats.
//! Which versions those are is decided by whoever loads plugins.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use trackside_model::{capability::CapabilityDiff, control::Notice, ports::Guest};

use crate::{clock, engine::Shared, roster::slot_of};

impl Shared {
    pub(crate) fn install(self: &Arc<Self>, guest: Arc<dyn Guest>, accepted_by: Option<&str>) {
        let slot = slot_of(guest);
        let before = {
            let _changing = self.changing.lock();
            slot.set_bypass(self.bypasses.of(slot.name()));
            let roster = self.roster.load();
            let before = roster.get(slot.name()).cloned();
            self.roster.store(Arc::new(roster.with(slot.clone())));
            before
        };
        let info = slot.info();
        let event_type = if before.is_some() { "plugin:reloaded" } else { "plugin:loaded" };
        let payload = json!({
            "plugin": &*info.name, "version": info.version, "settings": info.settings, "summary": info.summary, "roles": info.roles,
            "effect_class": info.effect_class, "priority": info.priority, "on_fault": info.on_fault,
            "before": before.as_ref().map(|before| before.info().short_version()),
            "changes": before.as_ref().map(|before| CapabilityDiff::between(before.info(), info)),
            "accepted_by": accepted_by,
        });
        let about = |notice: Notice| notice.about_provider(&info.name);
        self.notify(Notice::new(event_type, clock::fresh_id(), clock::now(), payload).map(about));
        for method in
            before.iter().flat_map(|before| &before.info().methods).filter(|method| !info.methods.iter().any(|new| new.name == method.name))
        {
            self.notify(Notice::new("method:unavailable", clock::fresh_id(), clock::now(), json!({"method": &*method.name})).map(about));
        }
        if info.roles.worker {
            let methods: Vec<&str> = info.methods.iter().map(|method| &*method.name).collect();
            self.notify(
                Notice::new("provider:registered", clock::fresh_id(), clock::now(), json!({"methods": methods, "workers": info.workers}))
                    .map(about),
            );
            for method in methods {
                self.notify(Notice::new("method:available", clock::fresh_id(), clock::now(), json!({"method": method})).map(about));
            }
            self.notify(Notice::new("provider:available", clock::fresh_id(), clock::now(), json!({"workers": info.workers})).map(about));
        }
        self.in_service.send_replace(());
        self.roster_changed();
        self.freed(&info.name);
        if info.roles.observer {
            self.start_observer(&info.name);
        }
        self.start_triggers(&slot);
    }

    pub(crate) fn remove(&self, name: &str, reason: &str) -> bool {
        let removed = {
            let _changing = self.changing.lock();
            let roster = self.roster.load();
            let Some(slot) = roster.get(name).cloned() else { return false };
            self.roster.store(Arc::new(roster.without(name)));
            slot
        };
        let info = removed.info();
        let payload = json!({"plugin": &*info.name, "version": info.short_version(), "reason": reason});
        let about = |notice: Notice| notice.about_provider(&info.name);
        self.notify(Notice::new("plugin:unloaded", clock::fresh_id(), clock::now(), payload).map(about));
        for method in &info.methods {
            self.notify(Notice::new("method:unavailable", clock::fresh_id(), clock::now(), json!({"method": &*method.name})).map(about));
        }
        self.in_service.send_replace(());
        self.roster_changed();
        self.freed(&info.name);
        true
    }

    /// Every provider that may be called says so now and then.
    pub(crate) async fn beat(self: Arc<Self>) {
        if self.options.heartbeat_ms == 0 {
            return;
        }
        let mut beats = tokio::time::interval(Duration::from_millis(self.options.heartbeat_ms));
        loop {
            beats.tick().await;
            for slot in self.roster.load().all().filter(|slot| slot.info().roles.worker && slot.may_be_called()) {
                let status = slot.status();
                let payload = json!({"calls": status.calls, "faults": status.faults, "p50_us": status.p50_us});
                self.notify(
                    Notice::new("provider:heartbeat", clock::fresh_id(), clock::now(), payload)
                        .map(|notice| notice.about_provider(slot.name())),
                );
            }
        }
    }
}
