//! The contract and the SDKs that travel inside the binary, as the build script gathered them, and where they stand in a project: in its folder
//! `trackside`, which is nobody's to edit.

use super::project::{Language, Role};

/// A file that is carried.
#[derive(Clone, Copy)]
pub(super) struct Carried {
    /// From the folder that it belongs to.
    pub(super) path: &'static str,
    /// What stands in it.
    pub(super) text: &'static str,
}

// `WIT`, `RUST`, `PYTHON`, `JAVASCRIPT`, `RUST_MANIFEST`, `RUST_LOCK`.
include!(concat!(env!("OUT_DIR"), "/carried.rs"));

/// The released contract; the other folder of `wit/` is for the Rust SDK alone.
const CONTRACT: &str = "trackside-plugin-0.1.0";

/// The folder of a project that they stand in.
pub(super) const FOLDER: &str = "trackside";

/// The lock file with which a Rust project begins: the versions that this binary was built with.
pub(super) fn rust_lock() -> &'static str {
    RUST_LOCK
}

/// What a project of this language needs besides what its author writes: paths from its folder, and texts.
pub(super) fn files(language: Language) -> Vec<(String, String)> {
    let below = |folder: &str, files: &[Carried]| -> Vec<(String, String)> {
        files.iter().map(|file| (format!("{folder}/{}", file.path), file.text.to_owned())).collect()
    };
    match language {
        Language::Rust => {
            let mut files = below("trackside/wit", WIT);
            files.push(("trackside/sdk/Cargo.toml".to_owned(), RUST_MANIFEST.to_owned()));
            // In the repository the contract is two folders up.
            let sources = below("trackside/sdk/src", RUST);
            files.extend(sources.into_iter().map(|(path, text)| (path, text.replace("\"../../wit/", "\"../wit/"))));
            files
        }
        Language::Python => [below("trackside", PYTHON), contract()].concat(),
        Language::Js => [below("trackside", JAVASCRIPT), contract()].concat(),
    }
}

/// The contract as a dependency of a project's own world, and beside it what it depends on itself: packages are looked for in one folder.
fn contract() -> Vec<(String, String)> {
    let files = WIT.iter().filter(|file| file.path.starts_with(CONTRACT));
    let place = |path: &str| path.split_once("/deps/").map_or_else(|| path.to_owned(), |(_, package)| package.to_owned());
    files.map(|file| (format!("trackside/wit/deps/{}", place(file.path)), file.text.to_owned())).collect()
}

/// The world that a project's roles make: what a language runtime's tool is told to export.
pub(super) fn world(roles: &[Role]) -> String {
    let includes: String = roles.iter().map(|role| format!("    include trackside:plugin/{}-plugin@0.1.0;\n", role.name())).collect();
    format!(
        "// Written by `trackside plugin build`, from the roles of the project.\npackage trackside:project;\n\nworld {WORLD} {{\n{includes}}}\n"
    )
}

/// The world's name.
pub(super) const WORLD: &str = "project";

#[cfg(test)]
mod tests {
    use super::*;

    fn text(language: Language, path: &str) -> String {
        let files = files(language);
        files.into_iter().find(|(there, _)| there == path).unwrap_or_else(|| panic!("no {path}")).1
    }

    #[test]
    fn the_rust_sdk_stands_alone() {
        let manifest: toml::Table = text(Language::Rust, "trackside/sdk/Cargo.toml").parse().unwrap();
        assert_eq!(manifest["package"]["edition"].as_str(), Some("2024"));
        assert!(manifest["dependencies"].as_table().is_some_and(|table| table.contains_key("wit-bindgen")));
        assert!(!manifest.contains_key("lints"));
        assert!(text(Language::Rust, "trackside/sdk/src/bindings.rs").contains("\"../wit/trackside-packed\""));
        assert!(text(Language::Rust, "trackside/wit/trackside-packed/packed.wit").contains("package trackside:packed"));
        let lock: toml::Table = rust_lock().parse().unwrap();
        let names: Vec<_> = lock["package"].as_array().unwrap().iter().filter_map(|package| package["name"].as_str()).collect();
        assert!(names.contains(&"trackside-sdk") && names.contains(&"serde_json") && !names.contains(&"wasmtime"), "{names:?}");
    }

    #[test]
    fn the_others_have_the_contract_where_their_tools_look_for_it() {
        for language in [Language::Python, Language::Js] {
            assert!(text(language, "trackside/wit/deps/trackside-plugin-0.1.0/plugin.wit").contains("world control-plugin"));
            assert!(text(language, "trackside/wit/deps/http.wit").contains("package wasi:http"));
        }
        assert!(text(Language::Python, "trackside/entry.py").contains("import plugin"));
        assert!(text(Language::Js, "trackside/index.d.ts").contains("export interface Event"));
    }

    #[test]
    fn a_world_has_the_roles_of_the_project() {
        let world = world(&[Role::Control, Role::Worker]);
        assert!(world.contains("include trackside:plugin/control-plugin@0.1.0;") && world.contains("worker-plugin"));
        assert!(!world.contains("observer"));
    }
}
