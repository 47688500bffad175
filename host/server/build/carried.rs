//! What an author's project is made with and the binary carries: the contract, and the SDKs of the three languages. Written as lists of paths
//! and texts; the Rust SDK's manifest is made to stand alone, outside this workspace, with the versions that are locked here.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What is carried: the name of its list, the folder, and whether a file of it is wanted.
type Carried = (&'static str, &'static str, fn(&str) -> bool);

const CARRIED: [Carried; 4] = [
    ("WIT", "wit", |path| path.ends_with(".wit")),
    ("RUST", "plugins/sdk/src", |path| path.ends_with(".rs")),
    ("PYTHON", "plugins/sdk-python/trackside", |path| path.ends_with(".py") || path.ends_with("py.typed")),
    ("JAVASCRIPT", "plugins/sdk-js/trackside", |path| path.ends_with(".js") || path.ends_with(".ts")),
];
const SDK: &str = "trackside-sdk";

/// The Rust source that lists it all.
///
/// # Errors
/// What cannot be read, or is not as it is written by cargo.
pub(crate) fn source(root: &Path, out: &Path) -> Result<String, String> {
    let mut source = String::from("// Made by the build script.\n");
    for (name, folder, wanted) in CARRIED {
        source.push_str(&format!("pub(super) static {name}: &[Carried] = &[\n"));
        for path in files(&root.join(folder))?.iter().filter(|path| wanted(path)) {
            let full = root.join(folder).join(path);
            source.push_str(&format!("    Carried {{ path: {path:?}, text: include_str!({full:?}) }},\n"));
        }
        source.push_str("];\n");
    }
    let workspace = read(&root.join("Cargo.toml"))?;
    let made = [
        ("RUST_MANIFEST", "sdk-Cargo.toml", standing_alone(&read(&root.join("plugins/sdk/Cargo.toml"))?, &workspace)?),
        ("RUST_LOCK", "sdk-Cargo.lock", locked_for_sdk(&read(&root.join("Cargo.lock"))?)?),
    ];
    for (name, file, text) in made {
        let path = out.join(file);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        source.push_str(&format!("pub(super) static {name}: &str = include_str!({path:?});\n"));
    }
    Ok(source)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The files below a folder, by path from it, in order.
fn files(folder: &Path) -> Result<BTreeSet<String>, String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inner) = folders.pop() {
        let here = folder.join(&inner);
        for entry in fs::read_dir(&here).map_err(|error| format!("{}: {error}", here.display()))? {
            let entry = entry.map_err(|error| format!("{}: {error}", here.display()))?;
            let path = inner.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if let Some(path) = path.to_str() {
                found.insert(path.replace('\\', "/"));
            }
        }
    }
    Ok(found)
}

/// The manifest of the SDK with what it has from the workspace written out.
fn standing_alone(manifest: &str, workspace: &str) -> Result<String, String> {
    let mut table = "";
    let mut lines = Vec::new();
    for line in manifest.lines() {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_end_matches(']');
        }
        let Some(key) = line.strip_suffix(".workspace = true") else {
            // The workspace's lints are the workspace's affair.
            if table != "lints" {
                lines.push(line.to_owned());
            }
            continue;
        };
        let from = if table == "package" { "[workspace.package]" } else { "[workspace.dependencies]" };
        let value = value_of(workspace, from, key).ok_or_else(|| format!("Cargo.toml has no {key} under {from}"))?;
        lines.push(format!("{key} = {value}"));
    }
    Ok(lines.join("\n").trim_end().to_owned() + "\n")
}

fn value_of<'a>(manifest: &'a str, table: &str, key: &str) -> Option<&'a str> {
    let (_, rest) = manifest.split_once(table)?;
    let lines = rest.lines().skip(1).take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split_once(" = ")).find(|(name, _)| *name == key).map(|(_, value)| value)
}

/// The lock file with the SDK and what it depends on, and nothing else.
fn locked_for_sdk(lock: &str) -> Result<String, String> {
    let (head, rest) = lock.split_once("[[package]]").ok_or("Cargo.lock lists no package")?;
    let packages: Vec<&str> = rest.split("[[package]]").map(str::trim).collect();
    let named = |wanted: &str| {
        let (name, version) = wanted.split_once(' ').map_or((wanted, None), |(name, version)| (name, Some(version)));
        let same = |package: &&&str| {
            field(package, "name") == Some(name) && version.is_none_or(|version| field(package, "version") == Some(version))
        };
        packages.iter().find(same).copied().ok_or_else(|| format!("Cargo.lock has no package {wanted}"))
    };
    let mut kept = BTreeSet::new();
    let mut wanted = vec![SDK.to_owned()];
    while let Some(name) = wanted.pop() {
        let package = named(&name)?;
        if kept.insert(package) {
            let (_, listed) = package.split_once("dependencies = [").unwrap_or_default();
            wanted.extend(listed.split(']').next().unwrap_or_default().split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let blocks: String = kept.iter().map(|package| format!("[[package]]\n{package}\n\n")).collect();
    Ok(format!("{head}{}\n", blocks.trim_end()))
}

fn field<'a>(package: &'a str, name: &str) -> Option<&'a str> {
    package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
}
