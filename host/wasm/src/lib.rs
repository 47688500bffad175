//! trackside-wasm
