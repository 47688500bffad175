//! Watch, build, take into service, and again: a project that does not build leaves the version in service, and says why. In a host of its author's own,
//! growth of authority is accepted, and shown.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use trackside_engine::Engine;

use super::sources::{self, Hints, Look};
use crate::{
    authoring::{self, Project},
    cli::plugin::build,
    plugins::{Changed, Consent, Plugins},
    whole_file,
};

/// Who accepts growth, in the log.
const AUTHOR: &str = "trackside plugin dev";
/// How long a project must stay as it is before it is built: editors write more than one file.
const SETTLE: Duration = Duration::from_millis(60);
/// Between two looks without a hint.
const RESCAN: Duration = Duration::from_secs(2);

/// Something about the project itself.
#[derive(Debug)]
pub(super) struct News {
    pub(super) word: &'static str,
    pub(super) text: String,
    pub(super) is_error: bool,
}

/// A project in a running host.
pub(super) struct Cycle {
    project: Project,
    engine: Engine,
    plugins: Arc<Plugins>,
    seen: Look,
    tell: mpsc::Sender<News>,
}

impl Cycle {
    /// `seen` is what was built last, whatever came of it.
    pub(super) fn new(project: Project, engine: Engine, plugins: Arc<Plugins>, seen: Look, tell: mpsc::Sender<News>) -> Self {
        Self { project, engine, plugins, seen, tell }
    }

    /// What the host found in the plugin directory when it started is in service; unless it could do more than the version that was there when it
    /// stopped, or does not load.
    pub(super) async fn take_up_first(&self) {
        let name = &self.project.name;
        if self.plugins.refused().contains_key(name) {
            self.take_up().await;
        } else if let Some(info) = self.engine.running(name) {
            self.tell(News::new("loaded", summary(&info))).await;
        }
    }

    /// Goes on until it is cut.
    pub(super) async fn run(mut self) {
        let hints = Hints::of(&self.project);
        loop {
            let now = tokio::task::block_in_place(|| sources::look(&self.project));
            if now == self.seen {
                tokio::select! { () = hints.next() => {} () = tokio::time::sleep(RESCAN) => {} }
                // The host's own files stand there too, and are written all the time.
                tokio::time::sleep(SETTLE).await;
                continue;
            }
            tokio::time::sleep(SETTLE).await;
            if tokio::task::block_in_place(|| sources::look(&self.project)) != now {
                continue;
            }
            let only_settings = now.sources == self.seen.sources;
            self.seen = now;
            if only_settings || self.build().await {
                self.take_up_anew().await;
            }
        }
    }

    /// Whether there is something new to take up.
    async fn build(&mut self) -> bool {
        // The manifest may say another main module, or other roles.
        let built = tokio::task::block_in_place(|| {
            let project = Project::find(&self.project.folder).map_err(|error| error.to_string())?;
            if project.name != self.project.name {
                return Err(format!("the plugin is called '{}' now: end this, and begin again", project.name));
            }
            let built = authoring::build(&project, &mut |line| eprintln!("{line}…")).map_err(|error| error.to_string())?;
            self.project = project;
            Ok(build::told(&built))
        });
        let is_built = built.is_ok();
        self.tell(match built {
            Ok(told) => News::new("built", told),
            Err(error) => News::error("error", error),
        })
        .await;
        is_built
    }

    async fn take_up_anew(&self) {
        match put(&self.project, self.plugins.directory()) {
            Ok(()) => self.take_up().await,
            Err(error) => self.tell(News::error("error", error.to_string())).await,
        }
    }

    async fn take_up(&self) {
        let _turn = self.plugins.turn().await;
        let changed =
            tokio::task::block_in_place(|| self.plugins.reload(&self.engine, &self.project.name, Consent::Asker(AUTHOR.to_owned())));
        match changed {
            Changed::Loaded { info, changes } => {
                self.tell(News::new("loaded", summary(&info))).await;
                if let Some(changes) = changes.filter(|changes| changes.grows()) {
                    self.tell(News::new("accepted", format!("it could do less before: {}", changes.growth()))).await;
                }
            }
            Changed::Removed => self.tell(News::new("off", "its settings say enabled = false")).await,
            Changed::Refused(refusal) => self.tell(News::error("refused", refusal.reason)).await,
            Changed::Unknown(directory) => {
                self.tell(News::error("error", format!("there is no component in {}", directory.display()))).await;
            }
        }
    }

    async fn tell(&self, news: News) {
        // Nobody is told once this has come to an end.
        let _ = self.tell.send(news).await;
    }
}

/// Puts the project's component, and its settings, into a plugin directory; settings first, so that it never runs with another's.
pub(super) fn put(project: &Project, plugins: &Path) -> io::Result<()> {
    let settings = plugins.join(format!("{}.toml", project.name));
    match fs::read(project.settings()) {
        Ok(bytes) => whole_file::write(&settings, &bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => drop(whole_file::remove(&settings)?),
        Err(error) => return Err(error),
    }
    whole_file::write(&plugins.join(format!("{}.wasm", project.name)), &fs::read(project.component())?)
}

/// A version that has come into service.
fn summary(info: &trackside_model::plugin::PluginInfo) -> String {
    format!("version {} ({}; {})", info.version.short(), info.roles.names().join(", "), info.effect_class)
}
