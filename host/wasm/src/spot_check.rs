//! Owns the spot checks of a promise: a plugin that says that it keeps nothing between calls is asked the same again on a fresh instance, now
//! and then, and must answer the same. Only what is pure is asked twice: nothing outside of the call can explain another answer.
//! Leaves the calls to `call`.

use std::{
    fmt::Debug,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use trackside_model::{
    plugin::{EffectClass, PluginInfo},
    ports::{CallReport, FaultKind},
};

use crate::fault;

/// Calls from one check to the next, once a version has served for a while.
const EVERY: u64 = 4_096;
/// The longest part of an answer that a fault quotes, in characters.
const QUOTED: usize = 200;

/// When a version's next check is due.
#[derive(Debug)]
pub(crate) struct SpotChecks {
    /// `None`: it promises nothing, or keeps its promise because each call has an instance of its own.
    calls: Option<AtomicU64>,
}

impl SpotChecks {
    /// Those of a plugin; with `fresh`, each of its instances serves one call.
    pub(crate) fn of(info: &PluginInfo, fresh: bool) -> Self {
        Self { calls: (info.effect_class == EffectClass::Pure && !fresh).then(AtomicU64::default) }
    }

    /// Counts a call, and says whether it is to be repeated: the second, the fourth, the eighth and so on, since what is kept shows soon, and
    /// later each so many.
    pub(crate) fn is_due(&self) -> bool {
        let Some(calls) = &self.calls else { return false };
        let number = calls.fetch_add(1, Relaxed) + 1;
        number % EVERY == 0 || (number < EVERY && number > 1 && number.is_power_of_two())
    }
}

/// The report of a call that was repeated: the fault of a broken promise, if a fresh instance answers otherwise. A repetition that was not made,
/// for want of time or room, says nothing. `forget` throws away whatever may have kept something.
pub(crate) fn compared<T: PartialEq + Debug>(mut report: CallReport<T>, again: CallReport<T>, forget: impl FnOnce()) -> CallReport<T> {
    let Ok(warm) = &report.outcome else { return report };
    let fresh = match again.outcome {
        Ok(fresh) if fresh == *warm => return report,
        Ok(fresh) => format!("{fresh:?}"),
        Err(fault) if matches!(fault.kind, FaultKind::Deadline | FaultKind::Unavailable | FaultKind::Cancelled) => return report,
        Err(fault) => fault.to_string(),
    };
    let message = format!(
        "it says that it keeps nothing between calls (memoryless), but answered {}, and {} where it had kept nothing; take `memoryless` from its description, or set `fresh = true`",
        quoted(&format!("{warm:?}")),
        quoted(&fresh)
    );
    forget();
    report.outcome = Err(fault::plain(FaultKind::Promise, message));
    report.outbox = Default::default();
    report
}

fn quoted(answer: &str) -> String {
    let mut cut: String = answer.chars().take(QUOTED).collect();
    if cut.len() < answer.len() {
        cut.push('…');
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_are_frequent_at_first_and_seldom_later() {
        let checks = SpotChecks { calls: Some(AtomicU64::default()) };
        let due: Vec<u64> = (1..=3 * EVERY).filter(|_| checks.is_due()).collect();
        assert_eq!(due, [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, EVERY, 2 * EVERY, 3 * EVERY]);
        let none = SpotChecks { calls: None };
        assert!((0..2 * EVERY).all(|_| !none.is_due()));
    }
}
