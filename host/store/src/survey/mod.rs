//! Surveys: what many events come to, without listing them. A stretch of the log is looked through oldest first, a slice at a time, and SQL does the
//! counting. What one survey looks at is bounded, and an answer that was cut short says so. What is counted is in the files named after it.

mod conditions;
mod durations;
mod groups;
mod rates;
mod stats;

use std::time::{Duration, Instant};

use trackside_model::{event::Filter, time::Timestamp};

pub use self::{
    durations::{Durations, DurationsAnswer, DurationsOf, Pairing},
    groups::{By, Group},
    rates::{Rates, RatesAnswer},
    stats::{Stats, StatsAnswer},
};
use crate::{event_types::TypeNames, query::recorded_before, readers::ReadError, store::ReadStore};

/// Sequences of one slice.
const SLICE: u64 = 20_000;

/// Which events a survey is about. Facts only: the moments that led to them are not counted.
#[derive(Clone, Debug, Default)]
pub struct Surveyed {
    /// Every condition must hold.
    pub filter: Filter,
    /// Recorded then or later.
    pub since: Option<Timestamp>,
    /// Recorded before then.
    pub until: Option<Timestamp>,
}

/// How far one survey goes.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Events of the log that it comes past, at the most.
    pub events: u64,
    /// Milliseconds from its beginning, at the most, but for the slice at hand.
    pub ms: u64,
    /// Groups, at the most: what belongs to further ones is counted together.
    pub groups: usize,
    /// Starts without an end and durations that are kept, at the most.
    pub kept: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { events: 20_000_000, ms: 5_000, groups: 10_000, kept: 1_000_000 }
    }
}

/// Why a survey was cut short: the name of the bound that it reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// [`Bounds::events`].
    Events,
    /// [`Bounds::ms`].
    Time,
    /// [`Bounds::kept`].
    Kept,
}

impl Cut {
    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Time => "time",
            Self::Kept => "kept",
        }
    }
}

/// What a survey looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The first sequence of the stretch.
    pub from: u64,
    /// How far it was looked through.
    pub through: u64,
    /// The last sequence of the stretch.
    pub to: u64,
    /// Why it was not looked through to its end.
    pub cut: Option<Cut>,
}

/// A survey under way.
#[derive(Debug)]
struct Scan {
    surveyed: Surveyed,
    bounds: Bounds,
    begun: Instant,
    extent: Extent,
}

impl Scan {
    /// As of what is durable now.
    fn begin(store: &ReadStore, surveyed: Surveyed, bounds: Bounds) -> Result<Self, ReadError> {
        let head = store.head()?;
        let (before, to) = store.readers().read(|names| {
            let before = surveyed.since.map_or(Ok(0), |since| recorded_before(names, since, head))?;
            let to = surveyed.until.map_or(Ok(head), |until| recorded_before(names, until, head))?;
            Ok((before, to.max(before)))
        })?;
        let extent = Extent { from: before + 1, through: before, to, cut: None };
        Ok(Self { surveyed, bounds, begun: Instant::now(), extent })
    }

    /// Looks at the next slice, which lies behind the first sequence that `look` is given and not behind the second. `false`: there was none.
    fn step(
        &mut self,
        store: &ReadStore,
        look: impl FnOnce(&TypeNames<'_>, &Filter, u64, u64) -> rusqlite::Result<()>,
    ) -> Result<bool, ReadError> {
        let Extent { from, through: after, to, cut } = self.extent;
        if after >= to || cut.is_some() {
            return Ok(false);
        }
        let looked_at = after + 1 - from;
        if looked_at >= self.bounds.events {
            return Ok(self.cut(Cut::Events));
        }
        if self.begun.elapsed() >= Duration::from_millis(self.bounds.ms) {
            return Ok(self.cut(Cut::Time));
        }
        let through = to.min(after + SLICE.min(self.bounds.events - looked_at));
        store.readers().read(|names| look(names, &self.surveyed.filter, after, through))?;
        self.extent.through = through;
        Ok(true)
    }

    fn cut(&mut self, cut: Cut) -> bool {
        self.extent.cut = Some(cut);
        false
    }
}
