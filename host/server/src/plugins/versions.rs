//! The versions of plugins that have been in service, kept in the data directory: for each plugin a folder with the bytes of components and
//! settings by their digests, and an index. Which version runs, and putting one back, is the plugin directory's owner's.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use trackside_model::{
    plugin::{Digest, PluginInfo},
    time::Timestamp,
};
use trackside_store::failpoint;
use trackside_wasm::PluginBytes;

use crate::whole_file;

const INDEX: &str = "index.json";
/// Digits of a digest that must be given at least, so that a slip does not name a version.
const LEAST_DIGITS: usize = 4;

/// The versions that are kept.
#[derive(Debug)]
pub struct Versions {
    dir: PathBuf,
    most: usize,
}

/// One version: a component with its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Digest of the component.
    pub version: Digest,
    /// Digest of its settings.
    pub settings: Digest,
    /// The version that it gives itself.
    pub display_version: String,
    /// When it came into service last.
    pub since: Timestamp,
}

/// The versions of one plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The one that was in service last first.
    pub versions: Vec<Version>,
    /// Whether the first of them is in service.
    pub in_service: bool,
}

/// Why a version is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// A file cannot be read or written.
    #[error("kept versions: {}: {source}", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What stands there is not what was kept.
    #[error("kept versions: {} is damaged; put the plugin's files back by hand", .0.display())]
    Damaged(PathBuf),
    /// There is none to go back to.
    #[error("no earlier version of '{0}' is kept")]
    NoneKept(String),
    /// None of that name.
    #[error("no version '{wanted}' of '{plugin}' is kept; there are {kept}")]
    Unknown {
        /// The plugin.
        plugin: String,
        /// What was asked for.
        wanted: String,
        /// What there is.
        kept: String,
    },
    /// Several begin like that.
    #[error("'{wanted}' may be {found}; give more digits")]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// What it may be.
        found: String,
    },
    /// It runs.
    #[error("version {0} is in service already")]
    InService(String),
}

impl Version {
    /// Whether it is made of these files.
    pub fn is_of(&self, version: &Digest, settings: &Digest) -> bool {
        self.version == *version && self.settings == *settings
    }

    /// As `trackside plugin rollback` takes it: component and settings, shortened.
    pub fn id(&self) -> String {
        format!("{}/{}", self.version.short(), self.settings.short())
    }

    /// Whether it is meant by the first digits of a component, or of a component and of settings with a slash between.
    fn is_meant(&self, wanted: &str) -> bool {
        let (version, settings) = wanted.split_once('/').unwrap_or((wanted, ""));
        self.version.to_string().starts_with(version) && self.settings.to_string().starts_with(settings)
    }
}

impl History {
    /// The one in service.
    pub fn current(&self) -> Option<&Version> {
        self.versions.first().filter(|_| self.in_service)
    }

    /// The version that is meant by `wanted`; without it, the one that was in service before.
    ///
    /// # Errors
    /// [`VersionError`], if there is none, or it is not clear which.
    pub fn find(&self, plugin: &str, wanted: Option<&str>) -> Result<&Version, VersionError> {
        let earlier = || self.versions.iter().skip(usize::from(self.in_service));
        let Some(wanted) = wanted else { return earlier().next().ok_or_else(|| VersionError::NoneKept(plugin.to_owned())) };
        let meant = |version: &&Version| wanted.len() >= LEAST_DIGITS && version.is_meant(wanted);
        let mut found = earlier().filter(meant);
        match (found.next(), self.current().filter(meant)) {
            // Of one component with several settings the last is meant.
            (Some(first), _) => match found.find(|other| other.version != first.version) {
                None => Ok(first),
                Some(other) => {
                    Err(VersionError::Ambiguous { wanted: wanted.to_owned(), found: format!("{} or {}", first.id(), other.id()) })
                }
            },
            (None, Some(current)) => Err(VersionError::InService(current.id())),
            (None, None) => {
                let kept: Vec<String> = self.versions.iter().map(Version::id).collect();
                let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
                Err(VersionError::Unknown { plugin: plugin.to_owned(), wanted: wanted.to_owned(), kept })
            }
        }
    }
}

impl Versions {
    /// Versions below this folder, the last `most` of each plugin.
    pub fn new(dir: PathBuf, most: usize) -> Self {
        Self { dir, most: most.max(1) }
    }

    /// The versions of a plugin; none if it has never been in service.
    ///
    /// # Errors
    /// [`VersionError`], if they cannot be read.
    pub fn history(&self, plugin: &str) -> Result<History, VersionError> {
        let path = self.dir.join(plugin).join(INDEX);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|_| VersionError::Damaged(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(History::default()),
            Err(source) => Err(VersionError::Io { path, source }),
        }
    }

    /// The names of the plugins that have versions here.
    pub fn plugins(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }

    /// Keeps what has come into service, and forgets the oldest beyond the most.
    ///
    /// # Errors
    /// [`VersionError`], if it cannot be written; what was kept before is still there.
    pub fn keep(&self, info: &PluginInfo, bytes: &PluginBytes, now: Timestamp) -> Result<(), VersionError> {
        let mut history = self.history(&info.name).unwrap_or_default();
        if history.current().is_some_and(|current| current.is_of(&info.version, &info.settings)) {
            return Ok(());
        }
        let folder = self.dir.join(&*info.name);
        // Settings may hold what is nobody else's business.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|source| VersionError::Io { path: folder.clone(), source })?;
        for (digest, bytes) in [(info.version, &bytes.component), (info.settings, &bytes.settings)] {
            let path = folder.join(digest.to_string());
            if !path.exists() {
                whole_file::write(&path, bytes).map_err(|source| VersionError::Io { path, source })?;
            }
        }
        history.versions.retain(|version| !version.is_of(&info.version, &info.settings));
        let display_version = info.display_version.clone();
        history.versions.insert(0, Version { version: info.version, settings: info.settings, display_version, since: now });
        history.versions.truncate(self.most);
        history.in_service = true;
        self.write(&folder, &history)?;
        forget_others(&folder, &history);
        Ok(())
    }

    /// Takes note that a plugin is out of service.
    ///
    /// # Errors
    /// [`VersionError`], if that cannot be written.
    pub fn out_of_service(&self, plugin: &str) -> Result<(), VersionError> {
        let mut history = self.history(plugin)?;
        if !history.in_service {
            return Ok(());
        }
        history.in_service = false;
        self.write(&self.dir.join(plugin), &history)
    }

    fn write(&self, folder: &Path, history: &History) -> Result<(), VersionError> {
        let path = folder.join(INDEX);
        let text = serde_json::to_vec_pretty(history).unwrap_or_default();
        failpoint::before("version");
        whole_file::write(&path, &text).map_err(|source| VersionError::Io { path, source })?;
        failpoint::after("version");
        Ok(())
    }

    /// The bytes of a version, as they were.
    ///
    /// # Errors
    /// [`VersionError`], if they cannot be read, or are not what was kept.
    pub fn bytes(&self, plugin: &str, version: &Version) -> Result<PluginBytes, VersionError> {
        let read = |digest: &Digest| {
            let path = self.dir.join(plugin).join(digest.to_string());
            let bytes = fs::read(&path).map_err(|source| VersionError::Io { path: path.clone(), source })?;
            if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(VersionError::Damaged(path)) }
        };
        Ok(PluginBytes { component: read(&version.version)?, settings: read(&version.settings)? })
    }
}

/// Removes the bytes that no version refers to.
fn forget_others(folder: &Path, history: &History) {
    let wanted: Vec<String> =
        history.versions.iter().flat_map(|version| [version.version.to_string(), version.settings.to_string()]).collect();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_none_or(|name| name != INDEX && !wanted.iter().any(|wanted| wanted == name)) {
            // It is in nobody's way, and the next one to be forgotten takes it along.
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use trackside_model::{
        event::{Filter, Text},
        plugin::{BreakerPolicy, EffectClass, Grants, Limits, OnFault, Roles},
    };

    use super::*;

    fn bytes(component: &str, settings: &str) -> PluginBytes {
        PluginBytes { component: component.as_bytes().to_vec(), settings: settings.as_bytes().to_vec() }
    }

    fn info(bytes: &PluginBytes) -> PluginInfo {
        PluginInfo {
            name: Text::from("p"),
            version: Digest::of(&bytes.component),
            settings: Digest::of(&bytes.settings),
            display_name: String::new(),
            display_version: "1.0".to_owned(),
            summary: String::new(),
            roles: Roles::default(),
            effect_class: EffectClass::Pure,
            imports: Vec::new(),
            observes: Filter::default(),
            controls: Filter::default(),
            priority: 100,
            on_fault: OnFault::Proceed,
            batches: false,
            methods: Vec::new(),
            triggers: Vec::new(),
            workers: 1,
            limits: Limits::for_roles(Roles::default()),
            grants: Grants::default(),
            breaker: BreakerPolicy::default(),
            allow_growth: false,
            live_behind: None,
        }
    }

    /// Keeps these, in order.
    fn kept(most: usize, versions: &[(&str, &str)]) -> (tempfile::TempDir, Versions) {
        let dir = tempfile::tempdir().unwrap();
        let kept = Versions::new(dir.path().join("versions"), most);
        for (number, (component, settings)) in versions.iter().enumerate() {
            let bytes = bytes(component, settings);
            kept.keep(&info(&bytes), &bytes, Timestamp(number as u64)).unwrap();
        }
        (dir, kept)
    }

    #[test]
    fn the_last_ones_are_kept_whole_and_the_others_leave_nothing() {
        let (dir, versions) = kept(2, &[("a", ""), ("b", ""), ("b", "x = 1"), ("c", "")]);
        let history = versions.history("p").unwrap();
        let components: Vec<PluginBytes> = history.versions.iter().map(|version| versions.bytes("p", version).unwrap()).collect();
        assert!(components == [bytes("c", ""), bytes("b", "x = 1")]);
        // Index, b, c, two settings.
        assert_eq!(fs::read_dir(dir.path().join("versions/p")).unwrap().count(), 5);
        assert_eq!(versions.plugins(), ["p"]);
    }

    #[test]
    fn the_one_before_is_found_and_any_other_by_its_first_digits() {
        let (_dir, versions) = kept(5, &[("a", ""), ("b", ""), ("a", "x = 1"), ("c", "")]);
        let history = versions.history("p").unwrap();
        let found = |wanted: Option<&str>| history.find("p", wanted).map(|version| versions.bytes("p", version).unwrap());
        let digits = |text: &str| Digest::of(text.as_bytes()).to_string();
        assert!(found(None).unwrap() == bytes("a", "x = 1"));
        assert!(found(Some(&digits("b")[..8])).unwrap() == bytes("b", ""));
        assert!(found(Some(&digits("a")[..8])).unwrap() == bytes("a", "x = 1"), "the last with this component");
        assert!(found(Some(&format!("{}/{}", &digits("a")[..8], &digits("")[..6]))).unwrap() == bytes("a", ""));
        let error = |wanted: &str| history.find("p", Some(wanted)).unwrap_err().to_string();
        assert!(error(&digits("c")[..8]).contains("is in service already"));
        assert!(error("beef00").contains("no version 'beef00' of 'p' is kept; there are "));
        assert!(error("").contains("no version ''"), "nothing said names nothing");
    }

    #[test]
    fn out_of_service_the_last_one_is_the_one_to_go_back_to() {
        let (_dir, versions) = kept(5, &[("a", ""), ("b", "")]);
        versions.out_of_service("p").unwrap();
        let history = versions.history("p").unwrap();
        assert!(history.current().is_none());
        assert!(versions.bytes("p", history.find("p", None).unwrap()).unwrap() == bytes("b", ""));
        assert!(matches!(versions.history("q").unwrap().find("q", None), Err(VersionError::NoneKept(_))));
    }

    #[test]
    fn what_was_damaged_is_not_given_out() {
        let (dir, versions) = kept(5, &[("a", "")]);
        let history = versions.history("p").unwrap();
        fs::write(dir.path().join("versions/p").join(Digest::of(b"a").to_string()), "other").unwrap();
        assert!(matches!(versions.bytes("p", &history.versions[0]), Err(VersionError::Damaged(_))));
        fs::write(dir.path().join("versions/p/index.json"), "{").unwrap();
        assert!(matches!(versions.history("p"), Err(VersionError::Damaged(_))));
    }
}
