//! Samples of one quantity, and the rounds in which several are taken in turn, so that whatever else the machine does meets all of them.
//! What a sample is made of is its part's own.

use std::time::Instant;

use anyhow::{Result, anyhow};

/// Samples in the order in which they were taken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Takes one more.
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// The sample below which this share of all lies; not a number where there are none.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a small count"
        )]
        let rank = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
        sorted.get(rank).copied().unwrap_or(f64::NAN)
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// What each sample is more than the median of others.
    pub(crate) fn minus(&self, others: &Self) -> Self {
        let others = others.median();
        self.map(|sample| sample - others)
    }

    /// Every sample in another unit, or another quantity that follows from it.
    pub(crate) fn map(&self, convert: impl Fn(f64) -> f64) -> Self {
        Self(self.0.iter().copied().map(convert).collect())
    }
}

/// What takes one sample.
pub(crate) type Side<'a> = &'a mut dyn FnMut() -> Result<f64>;

/// Takes a sample of each side in turn, `rounds` times, after a tenth of that which does not count.
pub(crate) fn interleave<const N: usize>(rounds: usize, mut sides: [Side<'_>; N]) -> Result<[Samples; N]> {
    let samples = interleave_all(rounds, &mut sides)?;
    samples.try_into().map_err(|_| anyhow!("every side has its samples"))
}

/// The same for sides whose number is known only now.
pub(crate) fn interleave_all(rounds: usize, sides: &mut [Side<'_>]) -> Result<Vec<Samples>> {
    let mut samples = vec![Samples::default(); sides.len()];
    let warm_up = rounds / 10 + 1;
    for round in 0..warm_up + rounds {
        for (side, samples) in sides.iter_mut().zip(&mut samples) {
            let sample = side()?;
            if round >= warm_up {
                samples.push(sample);
            }
        }
    }
    Ok(samples)
}

/// Nanoseconds that one of `count` calls takes.
pub(crate) fn ns_each(count: u32, mut call: impl FnMut() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    for _ in 0..count {
        call()?;
    }
    Ok(begun.elapsed().as_secs_f64() * 1e9 / f64::from(count))
}

/// Microseconds that a call takes.
pub(crate) fn us(call: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    call()?;
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}
