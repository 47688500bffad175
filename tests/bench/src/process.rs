//! What the kernel says of a process: its processor time and its memory.
//! What is made of it is the parts' own.

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};

/// This process, in place of a number.
pub(crate) const SELF: &str = "self";

/// The clock of this process's processor time, all its threads together.
pub(crate) const PROCESS: libc::clockid_t = libc::CLOCK_PROCESS_CPUTIME_ID;

/// Processor time so far, of this process or of this thread.
///
/// # Errors
/// If the kernel does not say.
pub(crate) fn cpu(clock: libc::clockid_t) -> Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one timespec, which lives until it returns.
    let got = unsafe { libc::clock_gettime(clock, &raw mut time) };
    ensure!(got == 0, "the clock of processor time cannot be read: {}", std::io::Error::last_os_error());
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

/// KiB of a process that are in memory.
///
/// # Errors
/// If the kernel does not say.
pub(crate) fn resident_kib(process: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("the kernel says how much memory is in use")?;
    let kib = line.trim().trim_end_matches(" kB").trim();
    kib.parse().with_context(|| format!("'{kib}' is no number of KiB"))
}

/// Microseconds of this time that each of so many has.
#[expect(clippy::cast_precision_loss, reason = "counts of a bench are small")]
pub(crate) fn us_each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}
