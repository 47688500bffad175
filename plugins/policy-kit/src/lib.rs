//! What the policies and observers that ship have in common: settings that name what is wrong in them, patterns over types and names, fields
//! of an event, conditions on them, stable hashes and values in `kv`. Leaves every decision to the plugins.

mod condition;
mod configuration;
mod field;
mod pattern;
mod space;
mod stable;

pub use condition::{Condition, all_hold};
pub use configuration::{Configuration, Configured, read};
pub use field::{Facts, Field, envelope_text, text_of};
pub use pattern::{NamePattern, TypePattern, any_matches};
pub use space::{get_json, key_of, set_json, set_json_for_ms};
pub use stable::{hex_digest, share};
