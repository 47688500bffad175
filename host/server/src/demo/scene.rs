//! The demo's stage: a directory with the plugins that ship, their settings, and an input folder; and what is left of it afterwards.
//! Nothing here knows what the plugins do with it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use trackside_model::workflow::WorkflowView;

use super::{DemoArgs, show::Show};
use crate::{config::Config, shipped};

/// Who plays: policies that ship and have no part in it stay away.
const PLUGINS: [&str; 6] = ["audit", "files", "retry-policy", "sim", "spinner", "text"];

/// The project's own documents: the input where the user has named none.
const DOCUMENTS: [(&str, &str); 3] = [
    ("README.md", include_str!("../../../../README.md")),
    ("ARCHITECTURE.md", include_str!("../../../../ARCHITECTURE.md")),
    ("CONTRIBUTING.md", include_str!("../../../../CONTRIBUTING.md")),
];

/// The stage.
pub(super) struct Scene {
    /// What the workflow reads.
    pub(super) input: PathBuf,
    /// Where the log is.
    pub(super) data: PathBuf,
    plugins: PathBuf,
    /// Removed at the end, unless the user wants to keep it.
    temporary: Option<PathBuf>,
    named_input: bool,
}

impl Scene {
    /// Sets it.
    pub(super) fn set(args: &DemoArgs) -> anyhow::Result<Self> {
        if let Some(input) = &args.input
            && !input.is_dir()
        {
            bail!("--input {}: is not a folder; name one that holds text files (.md, .txt, .rst, .org, .adoc)", input.display());
        }
        let root = std::env::temp_dir().join(format!("trackside-demo-{}", uuid::Uuid::now_v7().simple()));
        let data = args.data.clone().unwrap_or_else(|| root.join("data"));
        let input = match &args.input {
            Some(input) => input.canonicalize().with_context(|| format!("--input {}", input.display()))?,
            None => root.join("input"),
        };
        let scene = Self {
            plugins: root.join("plugins"),
            input,
            data,
            temporary: (!args.keep).then(|| root.clone()),
            named_input: args.input.is_some(),
        };
        if let Err(error) = scene.write() {
            scene.remove();
            return Err(error);
        }
        Ok(scene)
    }

    fn write(&self) -> anyhow::Result<()> {
        make(&self.plugins)?;
        make(&self.data)?;
        if !self.named_input {
            make(&self.input)?;
            for (name, text) in DOCUMENTS {
                write(&self.input.join(name), text.as_bytes())?;
            }
        }
        for plugin in PLUGINS.iter().filter_map(|name| shipped::find(name)) {
            write(&self.plugins.join(format!("{}.wasm", plugin.name)), plugin.component)?;
            write(&self.plugins.join(format!("{}.toml", plugin.name)), self.settings(plugin).as_bytes())?;
        }
        Ok(())
    }

    /// The settings that ship; `files` is granted the input and nothing else.
    fn settings(&self, plugin: &shipped::Shipped) -> String {
        match plugin.name {
            "files" => {
                let path = toml::Value::String(self.input.display().to_string());
                // With data that is kept, each run has a folder of its own.
                format!(
                    "allow_growth = true\n\n[limits]\nresult_bytes = 16_777_216\n\n[grants]\nfolders = [{{ path = {path}, guest = \"/input\" }}]\n"
                )
            }
            _ => plugin.settings.to_owned(),
        }
    }

    /// The host's configuration on this stage: the usual one, on a free port.
    pub(super) fn config(&self) -> Config {
        let mut config = Config { data_dir: self.data.clone(), plugin_dir: self.plugins.clone(), ..Config::default() };
        config.listen = ([127, 0, 0, 1], 0).into();
        // Often enough that a heartbeat is seen.
        config.engine.heartbeat_ms = 1_000;
        // Nobody changes these files.
        config.plugins.watch = false;
        config
    }

    /// Says how to read the whole story, and clears the stage.
    pub(super) fn close(self, show: &mut Show, view: &WorkflowView) -> anyhow::Result<()> {
        match &self.temporary {
            Some(root) if self.data.starts_with(root) => show.story_is_gone(),
            _ => show.story(&self.data, view),
        }
        self.remove();
        Ok(())
    }

    fn remove(&self) {
        if let Some(root) = &self.temporary {
            // A temporary directory that stays is a nuisance, not a failure.
            let _ = fs::remove_dir_all(root);
        }
    }
}

fn make(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("failed to make {}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("failed to write {}", path.display()))
}
