//! Owns the first look at a plugin's bytes: whether they are a component, which roles it exports, whether its imports are known.
//! Leaves validation to the compiler; nothing here runs or trusts a byte.

use trackside_model::plugin::Roles;
use wasmparser::{Parser, Payload};

use crate::{error::LoadProblem, linker};

const PACKAGE: &str = "trackside:plugin";
/// The package's version that this host speaks; later ones of the same minor are compatible.
const VERSION: &str = "0.1.";

/// What a component imports and exports, by name.
#[derive(Debug, Default)]
pub(crate) struct Outline {
    pub(crate) imports: Vec<String>,
    exports: Vec<String>,
}

/// Looks at bytes that should be a component.
///
/// # Errors
/// The [`LoadProblem`] that says what they are instead, or what this host does not offer.
pub(crate) fn outline(bytes: &[u8]) -> Result<Outline, LoadProblem> {
    check_header(bytes)?;
    let outline = parse(bytes).map_err(|error| LoadProblem::Malformed(error.to_string()))?;
    let unknown: Vec<String> = outline.imports.iter().filter(|import| !is_known(import)).cloned().collect();
    if unknown.is_empty() { Ok(outline) } else { Err(LoadProblem::UnknownImports(unknown)) }
}

fn check_header(bytes: &[u8]) -> Result<(), LoadProblem> {
    const COMPONENT_LAYER: u8 = 1;
    match bytes {
        [] => Err(LoadProblem::NotWebAssembly("it is empty".to_owned())),
        [0, b'a', b's', b'm', _, _, COMPONENT_LAYER, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(LoadProblem::CoreModule),
        [0, b'a', b's', b'm', ..] => Err(LoadProblem::Malformed("its version is unknown".to_owned())),
        [b'(' | b';', ..] => {
            Err(LoadProblem::NotWebAssembly("it looks like WebAssembly text; assemble it with wasm-tools parse".to_owned()))
        }
        _ => Err(LoadProblem::NotWebAssembly(format!("it begins with {:02x?}", &bytes[..bytes.len().min(4)]))),
    }
}

fn parse(bytes: &[u8]) -> wasmparser::Result<Outline> {
    let mut outline = Outline::default();
    let mut depth = 0u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    outline.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    outline.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(outline)
}

/// Package, interface and version of a name such as `wasi:cli/stdin@0.2.6`.
fn parts(name: &str) -> Option<(&str, &str, &str)> {
    let (package, rest) = name.split_once('/')?;
    let (interface, version) = rest.split_once('@')?;
    Some((package, interface, version))
}

fn is_known(import: &str) -> bool {
    match parts(import) {
        Some((PACKAGE, interface, version)) => version.starts_with(VERSION) && linker::OWN.contains(&interface),
        Some((package, _, version)) => version.starts_with("0.2.") && linker::WASI.contains(&package),
        None => false,
    }
}

impl Outline {
    /// The roles, by the interfaces that are exported.
    pub(crate) fn roles(&self) -> Roles {
        Roles { observer: self.exports("observer"), control: self.exports("control"), worker: self.exports("worker") }
    }

    /// Whether it describes itself.
    pub(crate) fn describes(&self) -> bool {
        self.exports("description")
    }

    fn exports(&self, interface: &str) -> bool {
        let found = |export: &String| {
            parts(export).is_some_and(|(package, name, version)| package == PACKAGE && name == interface && version.starts_with(VERSION))
        };
        self.exports.iter().any(found)
    }

    /// The interfaces of the contract that it exports in a version that this host does not speak.
    pub(crate) fn foreign_versions(&self) -> Vec<String> {
        let foreign =
            |export: &&String| parts(export).is_some_and(|(package, _, version)| package == PACKAGE && !version.starts_with(VERSION));
        self.exports.iter().filter(foreign).cloned().collect()
    }

    /// Whether it imports an interface, such as `trackside:plugin/kv`, or all of a package, such as `wasi:filesystem/`.
    pub(crate) fn imports(&self, prefix: &str) -> bool {
        self.imports.iter().any(|import| import.starts_with(prefix))
    }
}
