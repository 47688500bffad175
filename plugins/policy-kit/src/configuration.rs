//! Owns reading the operator's settings once an instance, and naming the setting that is wrong.
//! Leaves what the settings mean to each plugin, which turns the raw ones into its own form.

use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::{Map, Value};
use std::sync::OnceLock;
use trackside_sdk::{Error, settings};

/// Settings in the form in which a plugin uses them.
pub trait Configured: Sized {
    /// As the operator writes them: with `#[serde(default, deny_unknown_fields)]`, so that each may be left out and an unknown one is named.
    type Raw: DeserializeOwned;

    /// Checks them and brings them into form.
    ///
    /// # Errors
    /// What is wrong, beginning with the setting's name in backquotes.
    fn configured(raw: Self::Raw) -> Result<Self, String>;
}

/// Settings that are read once an instance: the host makes new instances when they change.
pub struct Configuration<T>(OnceLock<Result<T, Error>>);

impl<T: Configured> Configuration<T> {
    /// Settings that have not been read yet.
    #[must_use]
    pub const fn new() -> Self {
        Configuration(OnceLock::new())
    }

    /// The settings, read at the first call.
    ///
    /// # Errors
    /// What is wrong with them, by the setting's name.
    pub fn get(&self) -> Result<&T, Error> {
        self.0.get_or_init(|| read(&settings::all::<Value>()?)).as_ref().map_err(Clone::clone)
    }
}

impl<T: Configured> Default for Configuration<T> {
    fn default() -> Self {
        Configuration::new()
    }
}

/// Reads settings from JSON.
///
/// # Errors
/// What is wrong with them, by the setting's name.
pub fn read<T: Configured>(settings: &Value) -> Result<T, Error> {
    let raw = T::Raw::deserialize(settings).map_err(|error| Error::new(named::<T::Raw>(settings, &error.to_string())))?;
    T::configured(raw).map_err(|wrong| Error::new(format!("setting {wrong}")))
}

/// A reader's words do not say in which setting they were said: the first one that cannot be read alone is the one.
fn named<R: DeserializeOwned>(settings: &Value, all: &str) -> String {
    let alone = |(name, value): (&String, &Value)| {
        let one = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        R::deserialize(&one).err().map(|error| format!("setting `{name}`: {error}"))
    };
    settings.as_object().into_iter().flatten().find_map(alone).unwrap_or_else(|| format!("settings: {all}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Raw {
        most: u32,
        names: Vec<String>,
    }

    #[derive(Debug)]
    struct Limits(u32);

    impl Configured for Limits {
        type Raw = Raw;

        fn configured(raw: Raw) -> Result<Self, String> {
            if raw.names.iter().any(String::is_empty) {
                return Err("`names`: a name is empty".into());
            }
            Ok(Limits(raw.most))
        }
    }

    fn wrong(settings: Value) -> String {
        read::<Limits>(&settings).expect_err("these settings are wrong").message().to_owned()
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(wrong(json!({ "names": ["a"], "most": "x" })).starts_with("setting `most`: invalid type: string \"x\", expected u32"));
        assert!(wrong(json!({ "moost": 1 })).starts_with("setting `moost`: unknown field `moost`"));
        assert_eq!(wrong(json!({ "names": [""] })), "setting `names`: a name is empty");
        assert_eq!(read::<Limits>(&json!({ "most": 3 })).map(|limits| limits.0), Ok(3));
    }
}
