//! Builds the plugins that ship, for `wasm32-wasip2` and always optimised, and hands their bytes and settings to `src/shipped.rs`.
//! What they do is in `plugins/`; everything about the host itself is built by cargo alone. What authors' projects are made with is gathered by
//! `build/carried.rs`.

#[path = "build/carried.rs"]
mod carried;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// By name: each is a package in `plugins/` of that name, with its settings beside its manifest.
const PLUGINS: [&str; 17] = [
    "alert",
    "audit",
    "authorize",
    "circuit-breaker",
    "fallback-cache",
    "feature-flag",
    "files",
    "metrics",
    "rate-limit",
    "redact",
    "retry-policy",
    "route",
    "schema-guard",
    "sim",
    "spinner",
    "text",
    "webhook",
];
const TARGET: &str = "wasm32-wasip2";
/// In the workspace's manifest.
const PROFILE: &str = "guest";
/// Another folder to build them in.
const TARGET_DIR_VARIABLE: &str = "TRACKSIDE_GUEST_TARGET_DIR";
/// What is let through of cargo's and rustc's variables: where things are, not how the host is built.
const KEPT: [&str; 5] = ["CARGO_HOME", "CARGO_NET_OFFLINE", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_"];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // Cargo shows what a build script that fails has printed to stderr.
            eprintln!("\nerror: {message}\n");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let manifest = path_of("CARGO_MANIFEST_DIR")?;
    let root = manifest.ancestors().nth(2).ok_or("host/server is not inside a workspace")?.to_owned();
    let out = path_of("OUT_DIR")?;
    for input in ["plugins", "wit", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(input).display());
    }
    println!("cargo::rerun-if-env-changed={TARGET_DIR_VARIABLE}");

    write_if_changed(&out.join("carried.rs"), carried::source(&root, &out)?.as_bytes())?;
    see_to_the_target(&root)?;
    let target_dir = target_dir(&out);
    build_plugins(&root, &target_dir)?;
    write_shipped(&root, &target_dir, &out)
}

fn path_of(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable).map(PathBuf::from).ok_or_else(|| format!("cargo has not set {variable}"))
}

/// Beside the host's own builds, and one folder for all of them: a debug host and a release host ship the same bytes.
fn target_dir(out: &Path) -> PathBuf {
    if let Some(given) = env::var_os(TARGET_DIR_VARIABLE) {
        return PathBuf::from(given);
    }
    // The folder that cargo marks as its target folder; without a mark, a folder of this build alone.
    let marked = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").is_file());
    marked.map_or_else(|| out.join("guests"), |target| target.join("guests"))
}

/// The standard library for guests; added if it can be.
fn see_to_the_target(root: &Path) -> Result<(), String> {
    if has_target(root) {
        return Ok(());
    }
    println!("cargo::warning=the standard library for {TARGET}, which plugins are built for, is missing; adding it");
    let added = scrubbed("rustup").args(["target", "add", TARGET]).current_dir(root).output();
    let why = match added {
        _ if has_target(root) => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("rustup: {error}"),
    };
    Err(format!(
        "the plugins that ship are built for {TARGET}, whose standard library is missing and could not be added: {why}\n\
         type, in the repository's folder:   rustup target add {TARGET}\n\
         or, with a distribution's Rust, install its package of that target, in the compiler's own version"
    ))
}

fn has_target(root: &Path) -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let asked = Command::new(rustc).args(["--print", "target-libdir", "--target", TARGET]).current_dir(root).output();
    let Ok(output) = asked else { return false };
    let folder = String::from_utf8_lossy(&output.stdout);
    let Ok(entries) = Path::new(folder.trim()).read_dir() else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

/// A command that knows nothing of how the host is being built: flags, wrappers, profiles, lints.
fn scrubbed(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let cargos = text.starts_with("CARGO") || text.starts_with("RUSTC") || text.starts_with("DEP_");
        let scrub = cargos
            || matches!(
                &*text,
                "RUSTFLAGS"
                    | "RUSTDOCFLAGS"
                    | "TARGET"
                    | "HOST"
                    | "PROFILE"
                    | "OPT_LEVEL"
                    | "DEBUG"
                    | "OUT_DIR"
                    | "NUM_JOBS"
                    | "CLIPPY_ARGS"
                    | "CLIPPY_CONF_DIR"
            );
        if scrub && !KEPT.iter().any(|kept| text.starts_with(kept)) {
            command.env_remove(&name);
        }
    }
    command
}

fn build_plugins(root: &Path, target_dir: &Path) -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = scrubbed(cargo);
    command.current_dir(root).args(["build", "--profile", PROFILE, "--target", TARGET]).arg("--target-dir").arg(target_dir);
    for plugin in PLUGINS {
        command.args(["--package", plugin]);
    }
    command.env("CARGO_ENCODED_RUSTFLAGS", remapped(root).join("\u{1f}"));
    let output = command.output().map_err(|error| format!("failed to start cargo for the plugins that ship: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("the plugins that ship could not be built:\n{}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Panic messages name source files; without this they would name folders of whoever built the binary.
fn remapped(root: &Path) -> Vec<String> {
    let mut flags = vec![format!("--remap-path-prefix={}=trackside", root.display())];
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    flags.extend(cargo_home.map(|home| format!("--remap-path-prefix={}=cargo", home.display())));
    let rustup_home = env::var_os("RUSTUP_HOME").map(PathBuf::from).or_else(|| env::home_dir().map(|home| home.join(".rustup")));
    flags.extend(rustup_home.map(|home| format!("--remap-path-prefix={}=rustup", home.display())));
    flags
}

fn write_shipped(root: &Path, target_dir: &Path, out: &Path) -> Result<(), String> {
    let built = target_dir.join(TARGET).join(PROFILE);
    let mut source = String::from("/// Made by the build script.\nstatic SHIPPED: &[Shipped] = &[\n");
    for plugin in PLUGINS {
        let component = copy(&built.join(format!("{}.wasm", plugin.replace('-', "_"))), &out.join(format!("{plugin}.wasm")))?;
        let settings = copy(&root.join("plugins").join(plugin).join(format!("{plugin}.toml")), &out.join(format!("{plugin}.toml")))?;
        source.push_str(&format!(
            "    Shipped {{ name: {plugin:?}, component: include_bytes!({component:?}), settings: include_str!({settings:?}) }},\n"
        ));
    }
    source.push_str("];\n");
    write_if_changed(&out.join("shipped.rs"), source.as_bytes())
}

/// Into the build's own folder, so that a later build of the plugins does not change what this host was built with.
fn copy(from: &Path, to: &Path) -> Result<PathBuf, String> {
    let bytes = fs::read(from).map_err(|error| format!("{}: {error}", from.display()))?;
    write_if_changed(to, &bytes)?;
    Ok(to.to_owned())
}

fn write_if_changed(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
