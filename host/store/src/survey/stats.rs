//! How many events there are, by what they have in common.

use super::{Bounds, By, Extent, Group, Scan, Surveyed, groups::Groups};
use crate::{readers::ReadError, store::ReadStore};

/// Counting under way.
#[derive(Debug)]
pub struct Stats {
    scan: Scan,
    groups: Groups<u64>,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatsAnswer {
    /// What was looked at.
    pub extent: Extent,
    /// Events that match.
    pub events: u64,
    /// By group: in the order of time where that makes groups, else the largest first.
    pub groups: Vec<(Group, u64)>,
    /// Events of groups beyond [`Bounds::groups`].
    pub others: u64,
}

impl Stats {
    /// Begins to count, by all of these together.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn begin(store: &ReadStore, surveyed: Surveyed, by: Vec<By>, bounds: Bounds) -> Result<Self, ReadError> {
        Ok(Self { scan: Scan::begin(store, surveyed, bounds)?, groups: Groups::new(by, bounds.groups) })
    }

    /// Counts on. `false`: it is done.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn step(&mut self, store: &ReadStore) -> Result<bool, ReadError> {
        let Self { scan, groups } = self;
        scan.step(store, |names, filter, after, through| groups.count(names, filter, (after, through), |count, _, more| *count += more))
    }

    /// What was counted so far.
    pub fn answer(self) -> StatsAnswer {
        let others = self.groups.others;
        let mut groups: Vec<(Group, u64)> = self.groups.counts.into_iter().collect();
        groups
            .sort_by(|(one, count), (other, other_count)| one.at.cmp(&other.at).then(other_count.cmp(count)).then_with(|| one.cmp(other)));
        let events = groups.iter().map(|(_, count)| count).sum::<u64>() + others;
        StatsAnswer { extent: self.scan.extent, events, groups, others }
    }
}
