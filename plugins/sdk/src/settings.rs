//! Owns access to what the operator wrote under `[settings]`.
//! Leaves reading the settings file, and new instances when it changes, to the host.

use crate::Error;
use crate::bindings::host::trackside::plugin::settings as wit;
use serde::de::DeserializeOwned;
use std::sync::OnceLock;

/// The setting of this name as `T`; `None` where the operator did not give it.
///
/// # Errors
/// When it does not have the shape of `T`.
pub fn get<T: DeserializeOwned>(name: &str) -> Result<Option<T>, Error> {
    match wit::get(name) {
        Some(json) => parse(&json).map(Some).map_err(|error| Error::new(format!("setting {name}: {error}"))),
        None => Ok(None),
    }
}

/// All settings as `T`. With `#[serde(default, deny_unknown_fields)]` on `T`, absent ones have defaults and unknown ones are named.
///
/// # Errors
/// When they do not have the shape of `T`.
pub fn all<T: DeserializeOwned>() -> Result<T, Error> {
    parse(&wit::all()).map_err(|error| Error::new(format!("settings: {error}")))
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str(json)
}

/// Settings that are read once an instance: the host makes new instances when they change.
///
/// ```
/// use trackside_sdk::Settings;
/// #[derive(serde::Deserialize, Default)]
/// #[serde(default)]
/// struct Limits { most: u32 }
/// static LIMITS: Settings<Limits> = Settings::new();
/// // in a handler: `let limits = LIMITS.get()?;`
/// ```
pub struct Settings<T>(OnceLock<Result<T, Error>>);

impl<T: DeserializeOwned> Settings<T> {
    /// Settings that have not been read yet.
    #[must_use]
    pub const fn new() -> Self {
        Settings(OnceLock::new())
    }

    /// The settings, read at the first call.
    ///
    /// # Errors
    /// When they do not have the shape of `T`.
    pub fn get(&self) -> Result<&T, Error> {
        self.0.get_or_init(all).as_ref().map_err(Clone::clone)
    }
}

impl<T: DeserializeOwned> Default for Settings<T> {
    fn default() -> Self {
        Settings::new()
    }
}
