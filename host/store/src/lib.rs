//! trackside-store
