//! Control: the signals, where they are asked for, how a chain of handlers comes to a verdict, and the proof of it that the log demands.
//! Calling the handlers is the engine's; finding those whose filter matches is the type index's.

mod admitted;
mod chain;
mod pace;
mod record;
mod signal;

pub use self::{
    admitted::{Admitted, Fact, Notice, NoticeError, Passed},
    chain::{Chain, ChainEnd, Handler, Verdict},
    pace::{Judged, next_batch},
    record::{Check, CheckAnswer, CheckedBy, DecisionRecord},
    signal::{CheckContext, DecisionPoint, Origin, Signal},
};
