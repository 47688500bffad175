//! `files`: a worker that lists and reads text files in the folders that the operator grants.
//! This file owns the methods and their schemas; the methods' work is in a file each.
//!
//! | method | parameters | gives |
//! |---|---|---|
//! | `files/list` | `path`?, `extensions`?, `glob`?, `recursive`? (true), `hidden`? (false), `max_files`? (1000) | `files` (path, bytes), sorted by path |
//! | `files/read` | `path` or `paths`, `max_bytes`? (1 MiB a file), `skip_unreadable`? (false) | text, bytes and lines of one, or `files` of several |
//!
//! | setting | default | meaning |
//! |---|---|---|
//! | `root` | `/docs` | where paths that do not begin with `/` begin |
//!
//! Paths are the guest's: those that the operator gave to the granted folders. `paths` may be the result of `files/list`. Links are not
//! followed. Failures carry a code: `not-found`, `not-granted`, `not-text`, `too-large`, `invalid-path` or `io`.

mod failure;
mod glob;
mod list;
mod path;
mod read;

use path::Root;
use serde::Deserialize;
use serde_json::{Value, json};
use trackside_sdk::{Description, Failure, Method, Methods, Plugin, Settings, Worker};

struct Files;

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct FilesSettings {
    root: String,
}

impl Default for FilesSettings {
    fn default() -> Self {
        FilesSettings { root: "/docs".into() }
    }
}

static SETTINGS: Settings<FilesSettings> = Settings::new();

impl Plugin for Files {
    fn describe() -> Description {
        Description::new("files").version(env!("CARGO_PKG_VERSION")).summary("Lists and reads text files in granted folders.").memoryless()
    }
}

impl Worker for Files {
    fn methods() -> Methods {
        Methods::new()
            .with(
                Method::new("files/list", "Lists the files of a folder.", |parameters, _| list::run(&root()?, parameters))
                    .parameters(list::parameters())
                    .returns(list::returns()),
            )
            .with(
                Method::new("files/read", "Reads text files.", |parameters, _| read::run(&root()?, parameters))
                    .parameters(read::parameters())
                    .returns(read::returns()),
            )
    }
}

trackside_sdk::export!(Files: worker);

fn root() -> Result<Root, Failure> {
    Ok(Root::new(&SETTINGS.get()?.root))
}

/// The schema of a count.
fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}
