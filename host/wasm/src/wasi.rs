//! Owns the WASI context of an instance: no arguments, environment or sockets, and folders only where they are granted.
//! Leaves time and randomness to the linker's own files, and what is written to standard output to `stdio`.

use trackside_model::plugin::FolderGrant;
use wasmtime_wasi::{FsPerms, WasiCtx};

use crate::linker::stdio::Stdio;

/// A context in which nothing but these folders exists, and they can only be read.
///
/// # Errors
/// If a folder cannot be opened.
pub(crate) fn context(stdio: &Stdio, folders: &[FolderGrant]) -> wasmtime::Result<WasiCtx> {
    let mut wasi = WasiCtx::builder();
    wasi.stdout(stdio.out()).stderr(stdio.err()).allow_tcp(false).allow_udp(false).allow_ip_name_lookup(false);
    for folder in folders {
        wasi.preopened_dir(&folder.path, &folder.guest, FsPerms::ReadOnly)
            .map_err(|error| error.context(format!("cannot open the granted folder {}", folder.path.display())))?;
    }
    Ok(wasi.build())
}
