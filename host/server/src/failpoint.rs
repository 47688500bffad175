//! Ending the host at a failpoint, for tests: `TRACKSIDE_FAILPOINT=commit-before:3` ends the process at once when it comes past that place for the
//! third time. A release build does not know the variable.

use std::sync::atomic::{AtomicU64, Ordering};

use trackside_store::failpoint::{self, STEPS, Side};

/// The variable.
pub(crate) const VARIABLE: &str = "TRACKSIDE_FAILPOINT";

/// Takes the place from the variable's text.
///
/// # Errors
/// What is wrong with it, and what it may be.
pub(crate) fn arm(text: &str) -> Result<(), String> {
    let (wanted, at, times) = parse(text)?;
    let left = AtomicU64::new(times);
    failpoint::hook(move |step, side| {
        if step == wanted && side == at && left.fetch_sub(1, Ordering::Relaxed) == 1 {
            // As a kill does: nothing is closed, nothing is told.
            std::process::abort();
        }
    });
    Ok(())
}

fn parse(text: &str) -> Result<(&'static str, Side, u64), String> {
    let wrong = || {
        format!(
            "{VARIABLE}: '{text}' is no failpoint; write STEP-before:N or STEP-after:N, with N from 1 and STEP one of {}",
            STEPS.join(", ")
        )
    };
    let (place, times) = text.rsplit_once(':').ok_or_else(wrong)?;
    let (step, side) = place.rsplit_once('-').ok_or_else(wrong)?;
    let step = STEPS.into_iter().find(|known| *known == step).ok_or_else(wrong)?;
    let side = match side {
        "before" => Side::Before,
        "after" => Side::After,
        _ => return Err(wrong()),
    };
    let times = times.parse().ok().filter(|times| *times > 0).ok_or_else(wrong)?;
    Ok((step, side, times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_step_a_side_and_a_number() {
        assert_eq!(parse("commit-before:3"), Ok(("commit", Side::Before, 3)));
        assert_eq!(parse("inbox-after:1"), Ok(("inbox", Side::After, 1)));
        for text in ["", "commit", "commit-before", "commit-before:0", "commit-before:x", "commit-during:1", "lunch-after:1"] {
            let said = parse(text).unwrap_err();
            assert!(
                said.contains(&format!("'{text}' is no failpoint; write STEP-before:N")) && said.contains("checkpoint, commit"),
                "{said}"
            );
        }
    }
}
