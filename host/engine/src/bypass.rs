//! Bypasses: plugins that an operator has passed over for a while, break-glass. A bypassed control handler is not asked, an observer's
//! cursor stands, a worker gets nothing. They are a fold over the log's `plugin:bypassed` and `plugin:bypass_ended`, so a restart ends none.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;
use trackside_model::{
    control::{Admitted, Notice},
    event::{Event, Filter, Text},
    time::Timestamp,
};
use trackside_store::{AppendError, Batch, Entry, Flush, Poisoned, Query, ReadError, Store};

use crate::{clock, engine::Shared, tasks::OnStop};

/// The longest that a plugin can be bypassed in one go, in milliseconds: a week.
pub const MOST_BYPASS_MS: u64 = 7 * 24 * 3_600_000;
pub(crate) const BEGUN: &str = "plugin:bypassed";
pub(crate) const ENDED: &str = "plugin:bypass_ended";
/// Events that are looked at in one go.
const PAGE: usize = 1_000;

/// A bypass: until when, and who wanted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bypass {
    /// When it ends by itself.
    pub until: Timestamp,
    /// Who wanted it.
    pub by: Text,
    /// Why, in the words of whoever wanted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why there is no bypass.
#[derive(Debug, thiserror::Error)]
pub enum BypassError {
    /// No plugin of this name is in service.
    #[error("no plugin '{0}' is in service; `trackside plugin list` shows them")]
    Unknown(String),
    /// It would be for no time, or for too long.
    #[error("a bypass lasts from 1 ms to {MOST_BYPASS_MS} ms, a week; bypass it again if it must last longer")]
    Length,
    /// It could not be written into the log, which it must be first.
    #[error("the log did not take the bypass, so there is none: {0}")]
    Append(#[from] AppendError),
    /// The same.
    #[error("whether there is a bypass is known after a restart: {0}")]
    Poisoned(#[from] Poisoned),
}

/// Those under way, by the plugin's name; and a wake-up for whoever waits for the end of one.
pub(crate) struct Bypasses {
    under_way: Mutex<BTreeMap<Text, Bypass>>,
    changed: watch::Sender<()>,
}

/// What `plugin:bypassed` says.
#[derive(Deserialize)]
struct Begun {
    plugin: Text,
    #[serde(flatten)]
    bypass: Bypass,
}

/// What `plugin:bypass_ended` says; another bypass of the plugin may have begun meanwhile, which goes on.
#[derive(Deserialize)]
struct Ended {
    plugin: Text,
    ended: Timestamp,
}

impl Bypasses {
    /// Those that the log knows of, those whose time is over included.
    pub(crate) fn recover(store: &Store, now: Timestamp) -> Result<Self, ReadError> {
        let filter = Filter::types([BEGUN, ENDED]).unwrap_or_default();
        let since = Some(Timestamp(now.0.saturating_sub(MOST_BYPASS_MS * 1_000_000)));
        let mut query = Query { filter, since, limit: PAGE, ..Query::default() };
        let mut under_way = BTreeMap::new();
        loop {
            let page = store.query(&query)?;
            page.events.iter().for_each(|event| apply(&mut under_way, event));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(Self { under_way: Mutex::new(under_way), changed: watch::Sender::new(()) }),
            }
        }
    }

    /// The one of this plugin, if there is one.
    pub(crate) fn of(&self, plugin: &str) -> Option<Arc<Bypass>> {
        self.under_way.lock().get(plugin).cloned().map(Arc::new)
    }

    /// Told whenever one begins or ends.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn all(&self) -> Vec<(Text, Bypass)> {
        self.under_way.lock().iter().map(|(plugin, bypass)| (plugin.clone(), bypass.clone())).collect()
    }
}

fn apply(under_way: &mut BTreeMap<Text, Bypass>, event: &Event) {
    let applied = if &*event.event_type == BEGUN {
        event.payload.read().map(|Begun { plugin, bypass }| drop(under_way.insert(plugin, bypass)))
    } else {
        event.payload.read().map(|Ended { plugin, ended }| remove(under_way, &plugin, ended))
    };
    if let Err(error) = applied {
        tracing::error!("event {} does not say what a bypass says, and is passed over: {error}", event.sequence_number);
    }
}

fn remove(under_way: &mut BTreeMap<Text, Bypass>, plugin: &Text, until: Timestamp) {
    if under_way.get(plugin).is_some_and(|bypass| bypass.until == until) {
        under_way.remove(plugin);
    }
}

impl Shared {
    /// Goes on with the bypasses that the log knows of, and ends those whose time has come.
    pub(crate) fn resume_bypasses(self: &Arc<Self>) {
        for (plugin, bypass) in self.bypasses.all() {
            self.end_bypass_at(plugin, bypass.until);
        }
    }

    /// Has a plugin passed over from now on; it is in the log before it is so.
    pub(crate) async fn bypass(
        self: &Arc<Self>,
        plugin: &str,
        for_ms: u64,
        by: &str,
        reason: Option<String>,
    ) -> Result<Bypass, BypassError> {
        if for_ms == 0 || for_ms > MOST_BYPASS_MS {
            return Err(BypassError::Length);
        }
        let Some(slot) = self.roster.load().get(plugin).cloned() else { return Err(BypassError::Unknown(plugin.to_owned())) };
        let bypass = Bypass { until: clock::now().plus_ms(for_ms), by: Text::from(by), reason };
        let mut payload = json!({"plugin": plugin, "version": &*slot.info().short_version(), "for_ms": for_ms});
        if let (Some(payload), Ok(serde_json::Value::Object(told))) = (payload.as_object_mut(), serde_json::to_value(&bypass)) {
            payload.extend(told);
        }
        self.tell_durably(BEGUN, slot.name(), payload).await?;
        tracing::warn!(plugin, until = %bypass.until, by, "is bypassed");
        self.change_bypasses(slot.name(), |under_way| drop(under_way.insert(slot.name().clone(), bypass.clone())));
        self.end_bypass_at(slot.name().clone(), bypass.until);
        Ok(bypass)
    }

    /// Ends a bypass before its time. `false`: there is none.
    pub(crate) async fn end_bypass(self: &Arc<Self>, plugin: &str, by: &str) -> Result<bool, BypassError> {
        let Some(bypass) = self.bypasses.of(plugin) else { return Ok(false) };
        self.end_one(&Text::from(plugin), bypass.until, by, "ended before its time").await?;
        Ok(true)
    }

    async fn end_one(&self, plugin: &Text, until: Timestamp, by: &str, reason: &str) -> Result<(), BypassError> {
        self.tell_durably(ENDED, plugin, json!({"plugin": &**plugin, "ended": until, "by": by, "reason": reason})).await?;
        tracing::info!(plugin = &**plugin, by, "is no longer bypassed: {reason}");
        self.change_bypasses(plugin, |under_way| remove(under_way, plugin, until));
        Ok(())
    }

    async fn tell_durably(&self, event_type: &str, plugin: &Text, payload: serde_json::Value) -> Result<(), BypassError> {
        let notice = Notice::new(event_type, clock::fresh_id(), clock::now(), payload).expect("the catalogue has the types of bypasses");
        let batch = Batch::of([Entry::fresh(Admitted::notice(notice.about_provider(plugin)))]);
        Ok(self.store.append(batch, Flush::Now)?.ticket.durable().await?)
    }

    fn change_bypasses(&self, plugin: &Text, change: impl FnOnce(&mut BTreeMap<Text, Bypass>)) {
        {
            // A version that comes into service now must find it, or be told of it.
            let _changing = self.changing.lock();
            let mut under_way = self.bypasses.under_way.lock();
            change(&mut under_way);
            if let Some(slot) = self.roster.load().get(plugin) {
                slot.set_bypass(under_way.get(plugin).cloned().map(Arc::new));
            }
        }
        self.bypasses.changed.send_replace(());
        self.roster_changed();
        self.freed(plugin);
    }

    /// Nobody is passed over past the time; this tells the log, and whoever waits.
    fn end_bypass_at(self: &Arc<Self>, plugin: Text, until: Timestamp) {
        let shared = Arc::downgrade(self);
        self.tasks.spawn(format!("bypass {plugin}"), OnStop::Abort, async move {
            tokio::time::sleep(Duration::from_millis(until.ms_since(clock::now()) + 1)).await;
            let Some(shared) = shared.upgrade() else { return };
            // Another one may have taken its place, or somebody has ended it.
            if shared.bypasses.of(&plugin).is_none_or(|bypass| bypass.until != until) {
                return;
            }
            if let Err(error) = shared.end_one(&plugin, until, "host", "its time is over").await {
                tracing::error!("the log does not take the end of a bypass: {error}");
            }
        });
    }
}
