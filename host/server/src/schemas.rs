//! The directory of schemas: a file for each type or pattern, taken up when it is changed. One that cannot be taken leaves what was in force before
//! in force, and says why. What a schema means is the model's, where it is asked the engine's.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use serde::Serialize;
use trackside_engine::{Engine, OnStop};
use trackside_model::{
    json::Json,
    plugin::Digest,
    schema::{MOST_SCHEMAS, SCHEMA_BYTES, Schema},
};

/// How a schema's file ends.
const EXTENSION: &str = "json";

/// A directory of schemas, and what of it is in force.
pub struct SchemaDirectory {
    dir: PathBuf,
    files: Mutex<BTreeMap<String, File>>,
}

/// What tells one content of a file from the next without reading it.
type Stamp = (Option<SystemTime>, u64);

/// One file, as it was seen last.
#[derive(Default)]
struct File {
    /// The content that was read.
    read: Option<Stamp>,
    /// The content that was there at the last look: it is read once it stays.
    seen: Option<Stamp>,
    in_force: Option<Arc<Schema>>,
    error: Option<String>,
}

/// One schema, for whoever asks which there are.
#[derive(Clone, Debug, Serialize)]
pub struct ShownSchema {
    /// What it is called by: its file's name without the ending.
    pub name: String,
    /// Which types it is about; empty if none of it is in force.
    pub event_types: Vec<String>,
    /// SHA-256 of the text in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Why what stands in the file now is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl SchemaDirectory {
    /// This directory, of which nothing is in force yet. Without a name there are no schemas.
    pub fn new(dir: &Path) -> Arc<Self> {
        Arc::new(Self { dir: dir.to_owned(), files: Mutex::default() })
    }

    /// Takes up what is there, at once.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn take_up(&self, engine: &Engine) -> io::Result<()> {
        self.look(engine, true)
    }

    /// Looks now and then until the host stops.
    pub fn watch(self: Arc<Self>, engine: Engine, pause: Duration) {
        if self.dir.as_os_str().is_empty() {
            return;
        }
        let tasks = engine.tasks().clone();
        let mut stopping = tasks.stopping();
        tasks.spawn("schemas", OnStop::Drain, async move {
            let mut could_read = true;
            loop {
                tokio::select! { () = tokio::time::sleep(pause) => {} () = stopping.wait() => return }
                // What is still being written is left alone until it stays as it is.
                let looked = tokio::task::block_in_place(|| self.look(&engine, false));
                if let (true, Err(error)) = (could_read, &looked) {
                    tracing::warn!("{}: {error}; what was in force before stays in force", self.dir.display());
                }
                could_read = looked.is_ok();
            }
        });
    }

    /// Reads what has changed, `at_once` or when it is as it was at the last look; what is in force afterwards, the engine is told.
    fn look(&self, engine: &Engine, at_once: bool) -> io::Result<()> {
        if self.dir.as_os_str().is_empty() {
            return Ok(());
        }
        let found = files_in(&self.dir)?;
        let mut files = self.files.lock();
        let known = files.len();
        files.retain(|name, _| found.contains_key(name));
        let mut is_changed = files.len() != known;
        for (name, stamp) in found {
            let file = files.entry(name.clone()).or_default();
            let (stays, is_read) = (file.seen == Some(stamp), file.read == Some(stamp));
            file.seen = Some(stamp);
            if is_read || !(stays || at_once) {
                continue;
            }
            file.read = Some(stamp);
            is_changed |= file.take(&name, read(&self.dir.join(format!("{name}.{EXTENSION}"))));
        }
        if is_changed {
            engine.set_schemas(files.values().filter_map(|file| file.in_force.clone()).collect());
        }
        Ok(())
    }

    /// All that are in force, and those that are not taken, by name.
    pub fn list(&self) -> Vec<ShownSchema> {
        let files = self.files.lock();
        // One that is still being written is neither.
        let known = files.iter().filter(|(_, file)| file.in_force.is_some() || file.error.is_some());
        let shown = known.map(|(name, file)| ShownSchema {
            name: name.clone(),
            event_types: file.in_force.iter().flat_map(|schema| schema.patterns()).map(|pattern| pattern.as_str().to_owned()).collect(),
            digest: file.in_force.as_ref().map(|schema| schema.digest()),
            error: file.error.clone(),
        });
        shown.collect()
    }

    /// The text of one that is in force.
    pub fn text(&self, name: &str) -> Option<Json> {
        self.files.lock().get(name)?.in_force.as_ref().map(|schema| schema.text().clone())
    }
}

impl File {
    /// Whether something else is in force now.
    fn take(&mut self, name: &str, text: Result<String, String>) -> bool {
        let compiled = text.and_then(|text| Schema::compile(name, &text).map_err(|error| error.to_string()));
        match compiled {
            Ok(schema) => {
                tracing::info!("schema {name} is in force ({})", schema.digest().short());
                (self.in_force, self.error) = (Some(Arc::new(schema)), None);
                true
            }
            Err(error) => {
                let before = if self.in_force.is_some() { "; what it was before stays in force" } else { "" };
                tracing::error!("schema {name} is not taken: {error}{before}");
                self.error = Some(error);
                false
            }
        }
    }
}

/// The names of the schemas in a directory, with what tells their contents apart.
///
/// # Errors
/// If it cannot be read, or holds too many.
fn files_in(dir: &Path) -> io::Result<BTreeMap<String, Stamp>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let is_schema = path.extension().is_some_and(|extension| extension == EXTENSION);
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()).filter(|name| is_schema && !name.starts_with('.')) else {
            continue;
        };
        // A file that goes while it is looked for is one that is not there.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        if metadata.is_file() {
            found.insert(name.to_owned(), (metadata.modified().ok(), metadata.len()));
        }
    }
    if found.len() > MOST_SCHEMAS {
        return Err(io::Error::other(format!("{} schemas are more than the {MOST_SCHEMAS} that may be in force together", found.len())));
    }
    Ok(found)
}

/// A schema's text.
fn read(path: &Path) -> Result<String, String> {
    let bytes = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if bytes > SCHEMA_BYTES as u64 {
        return Err(format!("{bytes} bytes are more than the {SCHEMA_BYTES} that a schema may have"));
    }
    fs::read_to_string(path).map_err(|error| error.to_string())
}

/// Every schema of a directory, or the one of a file, compiled or with why it cannot be.
///
/// # Errors
/// If there is nothing to be read.
pub fn check(path: &Path) -> io::Result<Vec<(String, Result<Schema, String>)>> {
    let of = |name: &str, path: &Path| {
        let compiled = read(path).and_then(|text| Schema::compile(name, &text).map_err(|error| error.to_string()));
        (name.to_owned(), compiled)
    };
    if fs::metadata(path)?.is_dir() {
        let names = files_in(path)?.into_keys();
        return Ok(names.map(|name| of(&name, &path.join(format!("{name}.{EXTENSION}")))).collect());
    }
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    Ok(vec![of(name, path)])
}
