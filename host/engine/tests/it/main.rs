//! The engine with real threads, a real store and scripted guests: one file for each of its parts.
//! All in one program, so that it is linked once.

mod commands;
mod observers;
mod outbox;
mod points;
mod publish;
mod recovery;
mod stop;
mod stories;
mod support;
mod workflows;
