//! The settings as the operator writes them, and what becomes of them.
//! Using them is `post`'s.

use std::collections::BTreeMap;

use serde::Deserialize;
use trackside_policy_kit::Configured;

/// Events of one request at most.
const MOST_BATCH: usize = 1_000;

/// As it is written.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Raw {
    url: String,
    secret: Option<String>,
    bearer: Option<String>,
    headers: BTreeMap<String, String>,
    batch: usize,
    timeout_ms: u64,
    retried: Vec<u16>,
}

impl Default for Raw {
    fn default() -> Self {
        Raw {
            url: String::new(),
            secret: None,
            bearer: None,
            headers: BTreeMap::new(),
            batch: 1,
            timeout_ms: 3_000,
            retried: vec![408, 425, 429, 500, 502, 503, 504],
        }
    }
}

/// As it is used.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) url: String,
    pub(crate) secret: Option<String>,
    pub(crate) bearer: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) batch: usize,
    pub(crate) timeout_ms: u64,
    pub(crate) retried: Vec<u16>,
}

impl Configured for Wanted {
    type Raw = Raw;

    fn configured(raw: Raw) -> Result<Self, String> {
        let Raw { url, secret, bearer, headers, batch, timeout_ms, retried } = raw;
        if !["https://", "http://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme)) {
            return Err("`url`: give where events are posted to, such as https://hooks.example.com/trackside".to_owned());
        }
        if !(1..=MOST_BATCH).contains(&batch) {
            return Err(format!("`batch`: from 1 to {MOST_BATCH} events"));
        }
        if timeout_ms == 0 {
            return Err("`timeout_ms`: at least 1".to_owned());
        }
        if let Some(status) = retried.iter().find(|status| !(300..600).contains(*status)) {
            return Err(format!("`retried`: {status} is not the status of an answer that failed"));
        }
        Ok(Wanted { url, secret, bearer, headers, batch, timeout_ms, retried })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use trackside_policy_kit::read;

    #[test]
    fn what_is_wrong_is_named() {
        let says = |settings: Value| read::<Wanted>(&settings).map_or_else(|error| error.to_string(), |_| "fine".to_owned());
        assert_eq!(says(json!({"url": "https://a.test"})), "fine");
        for (settings, part) in [
            (json!({}), "`url`"),
            (json!({"url": "a.test"}), "`url`"),
            (json!({"url": "https://"}), "`url`"),
            (json!({"url": "https://a.test", "batch": 0}), "`batch`"),
            (json!({"url": "https://a.test", "timeout_ms": 0}), "`timeout_ms`"),
            (json!({"url": "https://a.test", "retried": [200]}), "`retried`: 200"),
            (json!({"url": "https://a.test", "retry": []}), "retry"),
        ] {
            let said = says(settings.clone());
            assert!(said.contains(part), "{settings}: {said}");
        }
    }
}
