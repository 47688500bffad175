//! The inbox's place in a host: the file is opened, and whatever happens in its folder is a hint to look. Taking what is there is the engine's.

use std::{path::Path, sync::Arc, time::Duration};

use notify::{Event, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use trackside_engine::{Engine, InboxOptions};
use trackside_store::Inbox;

use crate::config;

/// An inbox that is open, and the system's watch over its folder, which goes on as long as this is there.
pub(crate) struct OpenInbox {
    inbox: Option<Inbox>,
    options: InboxOptions,
    _watcher: Option<notify::RecommendedWatcher>,
}

impl OpenInbox {
    /// Opens the inbox of a data directory, unless it is turned off. One that cannot be opened is told of, and the host goes on without it.
    pub(crate) fn in_directory(data_dir: &Path, settings: &config::Inbox) -> Option<Self> {
        if !settings.enabled {
            return None;
        }
        let failed = |error| tracing::error!("the inbox is not served, everything else is: {error}");
        let inbox = Inbox::open(data_dir).map_err(failed).ok()?;
        let hint = Arc::new(Notify::new());
        let options = InboxOptions {
            poll: Duration::from_secs(settings.poll_interval_secs),
            keep: Duration::from_secs(settings.keep_secs),
            hint: hint.clone(),
        };
        // Before the first look, so that nothing falls in between.
        Some(Self { inbox: Some(inbox), options, _watcher: watch(data_dir, hint) })
    }

    /// Begins to take what is there.
    pub(crate) fn serve(&mut self, engine: &Engine) {
        if let Some(inbox) = self.inbox.take() {
            engine.serve_inbox(inbox, self.options.clone());
        }
    }
}

fn watch(data_dir: &Path, hint: Arc<Notify>) -> Option<notify::RecommendedWatcher> {
    let (folder, _) = Inbox::path(data_dir);
    let told = move |event: notify::Result<Event>| {
        // Looking is told too: who looks because somebody looked never comes to an end.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            hint.notify_one();
        }
    };
    let unwatched = |error| {
        tracing::warn!("the inbox is not watched, only looked at now and then (inbox.poll_interval_secs): {error}");
    };
    let watcher = notify::recommended_watcher(told);
    watcher.and_then(|mut watcher| watcher.watch(&folder, RecursiveMode::NonRecursive).map(|()| watcher)).map_err(unwatched).ok()
}
