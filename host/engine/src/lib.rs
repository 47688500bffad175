//! trackside-engine
