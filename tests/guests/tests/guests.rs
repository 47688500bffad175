//! Owns the tests of the guests as files: that each is there, is a component or is not, and imports no more than it uses.
//! Leaves what they do in a host to the host's tests.

use trackside_test_guests::{build, distinct, fixtures, names};
use wit_component::DecodedWasm;

/// What a component imports and exports, by name; `None` if the bytes are no component.
fn interfaces(bytes: &[u8]) -> Option<(Vec<String>, Vec<String>)> {
    // The layer that tells a component from a core module; the decoder takes either.
    if bytes.get(6) != Some(&1) {
        return None;
    }
    let DecodedWasm::Component(types, world) = wit_component::decode(bytes).ok()? else { return None };
    let world = &types.worlds[world];
    let imports = world.imports.keys().map(|key| types.name_world_key(key)).collect();
    let exports = world.exports.keys().map(|key| types.name_world_key(key)).collect();
    Some((imports, exports))
}

/// The names of what a guest imports from, or exports to, Trackside, without package and version.
fn of_trackside(names: &[String]) -> Vec<&str> {
    let mut found: Vec<&str> = names
        .iter()
        .filter_map(|name| {
            let name = name.split('@').next()?;
            name.strip_prefix("trackside:plugin/").or_else(|| name.strip_prefix("trackside:").filter(|rest| rest.starts_with("packed")))
        })
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn every_guest_is_a_component_except_those_that_are_not_meant_to_be() {
    for name in names() {
        let is_component = interfaces(&build().bytes(&name)).is_some();
        let is_meant_to_be = !["core-module", "plain-text", "empty", "truncated", "random", "many-exports"].contains(&name.as_str());
        assert_eq!(is_component, is_meant_to_be, "{name}");
    }
}

#[test]
fn a_component_imports_what_it_uses_and_exports_its_roles_in_both_shapes() {
    let cases: [(&str, &[&str], &[&str]); 5] = [
        ("minimal", &["types"], &["control", "description", "packed/control"]),
        ("retry-policy", &["settings", "types"], &["control", "description", "packed/control"]),
        ("audit", &["kv", "log", "settings", "types"], &["description", "observer", "packed/observer"]),
        ("files", &["settings", "types"], &["description", "worker"]),
        ("table-bomb", &["types"], &["control", "description", "observer", "worker"]),
    ];
    for (name, expected_imports, expected_exports) in cases {
        let (imports, exports) = interfaces(&build().bytes(name)).expect("it is a component");
        assert_eq!((of_trackside(&imports), of_trackside(&exports)), (expected_imports.to_vec(), expected_exports.to_vec()), "{name}");
    }
}

#[test]
fn files_alone_reaches_for_the_file_system() {
    for (name, expected) in [("files", true), ("text", false), ("retry-policy", false), ("minimal", false)] {
        let (imports, _) = interfaces(&build().bytes(name)).expect("it is a component");
        assert_eq!(imports.iter().any(|import| import.starts_with("wasi:filesystem/")), expected, "{name}: {imports:?}");
    }
}

#[test]
fn the_smallest_control_handler_stays_small() {
    let bytes = build().bytes("minimal").len();
    assert!(bytes <= 60_000, "{bytes} bytes: what has the SDK pulled in?");
}

#[test]
fn copies_are_components_and_differ() {
    let component = build().bytes("minimal");
    let (one, two) = (distinct(&component, 1), distinct(&component, 2));
    assert_ne!(one, two);
    assert!(interfaces(&one).is_some());
}

#[test]
fn every_example_is_in_the_manifest() {
    let manifest = include_str!("../Cargo.toml");
    for name in fixtures() {
        assert!(
            manifest.contains(&format!("name = \"{name}\"\ncrate-type = [\"cdylib\"]")),
            "add [[example]] {name} as a cdylib to Cargo.toml"
        );
    }
}
