//! How much of what was tried failed: events of some types are successes, those of others failures.

use trackside_model::event::Pattern;

use super::{Bounds, By, Extent, Group, Scan, Surveyed, groups::Groups};
use crate::{readers::ReadError, store::ReadStore};

/// Counting under way.
#[derive(Debug)]
pub struct Rates {
    scan: Scan,
    failure: Vec<Pattern>,
    groups: Groups<(u64, u64)>,
}

/// What was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatesAnswer {
    /// What was looked at.
    pub extent: Extent,
    /// Successes and failures.
    pub all: (u64, u64),
    /// The same by group: in the order of time where that makes groups, else the most failures first.
    pub groups: Vec<(Group, (u64, u64))>,
    /// The same of groups beyond [`Bounds::groups`].
    pub others: (u64, u64),
}

impl Rates {
    /// Begins to count. A type that both sides name is a failure; the types of the filter are replaced by those of both.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn begin(
        store: &ReadStore,
        mut surveyed: Surveyed,
        success: &[Pattern],
        failure: Vec<Pattern>,
        by: Vec<By>,
        bounds: Bounds,
    ) -> Result<Self, ReadError> {
        surveyed.filter.event_types = Some(success.iter().chain(&failure).cloned().collect());
        Ok(Self { scan: Scan::begin(store, surveyed, bounds)?, failure, groups: Groups::new(by, bounds.groups) })
    }

    /// Counts on. `false`: it is done.
    ///
    /// # Errors
    /// [`ReadError`] if the file cannot be read.
    pub fn step(&mut self, store: &ReadStore) -> Result<bool, ReadError> {
        let Self { scan, failure, groups } = self;
        scan.step(store, |names, filter, after, through| {
            groups.count(names, filter, (after, through), |(succeeded, failed), event_type, more| {
                let is_failure = failure.iter().any(|pattern| pattern.matches(event_type));
                *if is_failure { failed } else { succeeded } += more;
            })
        })
    }

    /// What was counted so far.
    pub fn answer(self) -> RatesAnswer {
        let others = self.groups.others;
        let mut groups: Vec<(Group, (u64, u64))> = self.groups.counts.into_iter().collect();
        groups.sort_by(|(one, (_, failed)), (other, (_, other_failed))| {
            one.at.cmp(&other.at).then(other_failed.cmp(failed)).then_with(|| one.cmp(other))
        });
        let all = groups.iter().map(|(_, counts)| counts).chain([&others]);
        let all = all.fold((0, 0), |(succeeded, failed), (more, more_failed)| (succeeded + more, failed + more_failed));
        RatesAnswer { extent: self.scan.extent, all, groups, others }
    }
}
