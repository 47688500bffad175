//! One file as the disk has it, and what was written since it was synced. What of that survives a loss of power is decided here, by chance.

use fastrand::Rng;

/// What a disk writes as a whole or not at all.
const SECTOR: usize = 512;

/// A change that the disk may or may not have when the power goes.
#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

/// A file on the disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Image {
    synced: Vec<u8>,
    since: Vec<Change>,
    /// Whether its directory is known to hold its name.
    pub(crate) is_named: bool,
}

impl Image {
    /// One that has always been there.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { synced: bytes, since: Vec::new(), is_named: true }
    }

    pub(crate) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.since.push(Change::Write { offset, bytes: bytes.to_owned() });
    }

    pub(crate) fn truncate(&mut self, size: usize) {
        self.since.push(Change::Truncate(size));
    }

    /// Everything that was written is on the disk.
    pub(crate) fn sync(&mut self) {
        for change in std::mem::take(&mut self.since) {
            apply(&mut self.synced, &change);
        }
    }

    /// What is there after the power was lost: what was synced, and of the rest nothing, all, the first part, or any sectors.
    pub(crate) fn after_power_loss(&self, random: &mut Rng) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        match random.u8(..4) {
            0 => {}
            1 => self.since.iter().for_each(|change| apply(&mut bytes, change)),
            2 => {
                let first = random.usize(..=self.since.len());
                self.since[..first].iter().for_each(|change| apply(&mut bytes, change));
                if let Some(torn) = self.since.get(first) {
                    apply_some(&mut bytes, torn, random);
                }
            }
            _ => self.since.iter().for_each(|change| apply_some(&mut bytes, change, random)),
        }
        bytes
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { offset, bytes: written } => put(bytes, *offset, written),
        Change::Truncate(size) => bytes.truncate(*size),
    }
}

/// Any sectors of a write; a truncation, or not.
fn apply_some(bytes: &mut Vec<u8>, change: &Change, random: &mut Rng) {
    let Change::Write { offset, bytes: written } = change else {
        if random.bool() {
            apply(bytes, change);
        }
        return;
    };
    let mut from = 0;
    while from < written.len() {
        let through = (from + SECTOR - (offset + from) % SECTOR).min(written.len());
        if random.bool() {
            put(bytes, offset + from, &written[from..through]);
        }
        from = through;
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    let end = offset + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(written);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_stays_and_of_the_rest_any_sectors() {
        let mut image = Image::default();
        image.write(0, &[1; 3 * SECTOR]);
        image.sync();
        // From the middle of the second sector on.
        image.write(SECTOR + 100, &[2; 2 * SECTOR]);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let after = image.after_power_loss(&mut Rng::with_seed(seed));
            assert_eq!(after[..SECTOR + 100], [1; SECTOR + 100], "what was not written over is as it was");
            let first = |from: usize, through: usize| {
                let part = after.get(from..through.min(after.len())).unwrap_or_default();
                assert!(part.iter().all(|byte| Some(byte) == part.first()), "a sector is written as a whole or not at all");
                part.first().copied()
            };
            seen.insert((first(SECTOR + 100, 2 * SECTOR), first(2 * SECTOR, 3 * SECTOR), first(3 * SECTOR, 3 * SECTOR + 100)));
        }
        assert!(seen.contains(&(Some(1), Some(1), None)), "nothing of it: {seen:?}");
        assert!(seen.contains(&(Some(2), Some(2), Some(2))), "all of it: {seen:?}");
        assert!(seen.contains(&(Some(1), Some(2), None)), "out of order: {seen:?}");
    }
}
