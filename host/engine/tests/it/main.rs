//! The engine with real threads, a real store and scripted guests: one file for each of its parts.
//! All in one program, so that it is linked once.
#![expect(clippy::unwrap_used, clippy::type_complexity, reason = "a test that cannot go on fails, and says where; cases are tables")]

mod batches;
mod commands;
mod conditions;
mod dead_letters;
mod live;
mod native;
mod observers;
mod outbox;
mod points;
mod publish;
mod readers;
mod recovery;
mod replays;
mod retention;
mod schemas;
mod stop;
mod stories;
mod streams;
mod support;
mod swaps;
mod together;
mod triggers;
mod workflows;
