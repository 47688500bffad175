//! The engine with real threads, a real store and scripted guests: one file for each of its parts.
//! All in one program, so that it is linked once.

mod publish;
mod support;
