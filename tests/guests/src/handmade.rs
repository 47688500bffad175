//! Owns the files that no Rust guest can be: a table bomb, things that are no component, and copies of a component that differ.
//! Leaves building the others to `cargo`.

use std::path::Path;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The hand-made files: a stem, and the bytes of its `.wasm`.
///
/// # Panics
/// When the contract in `wit/` has moved away from under `table-bomb.wat`.
pub(crate) fn files(workspace: &Path) -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("table-bomb", table_bomb(workspace)),
        ("core-module", core_module()),
        ("plain-text", plain_text()),
        ("empty", Vec::new()),
        ("truncated", truncated(workspace)),
    ]
}

/// A component that grows a table until it is refused.
fn table_bomb(workspace: &Path) -> Vec<u8> {
    let mut module = wat::parse_str(include_str!("table-bomb.wat")).expect("table-bomb.wat is well formed");
    let mut contract = Resolve::default();
    let (package, _) = contract.push_path(workspace.join("wit/trackside-plugin-0.1.0")).expect("the contract can be parsed");
    let world = contract.select_world(&[package], Some("plugin")).expect("the contract has a world for all three roles");
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).expect("the contract can be embedded");
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).expect("the module has its metadata");
    encoder.encode().expect("table-bomb.wat has the exports that the contract asks for")
}

/// A core module: WebAssembly, but no component.
fn core_module() -> Vec<u8> {
    wat::parse_str("(module (func (export \"run\")))").expect("this module is well formed")
}

/// Not WebAssembly at all.
fn plain_text() -> Vec<u8> {
    b"This file was meant to be a plugin.\n".to_vec()
}

/// A component of which the last half is missing.
fn truncated(workspace: &Path) -> Vec<u8> {
    let mut component = table_bomb(workspace);
    component.truncate(component.len() / 2);
    component
}

/// The component with a custom section that makes its digest its own, so that a hundred copies are a hundred plugin versions.
#[must_use]
pub fn distinct(component: &[u8], number: u32) -> Vec<u8> {
    const NAME: &[u8] = b"copy";
    let number = number.to_le_bytes();
    let mut bytes = component.to_vec();
    // A custom section: id 0, its size, the length of its name, its name, its content; all of it shorter than 128 bytes.
    bytes.extend([0, (1 + NAME.len() + number.len()) as u8, NAME.len() as u8]);
    bytes.extend(NAME);
    bytes.extend(number);
    bytes
}
