//! When what stands in a directory may be taken up: once it has stayed as it is for a while, and nobody is known to be writing it.
//! Sans-IO: looks at the directory and the time are handed in. Looking, and what taking up means, is `watch`'s.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::file_mark::FileMark;

/// How long a file that was changed and not closed is waited for. Where the system tells of closing, whoever still writes is given time, and
/// the end of it is only for those who never close; elsewhere a pause must do.
const STILL_OPEN: Duration = if cfg!(target_os = "linux") { Duration::from_secs(30) } else { Duration::from_secs(1) };

/// A plugin's files, as far as they are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) component: Option<FileMark>,
    pub(super) settings: Option<FileMark>,
}

/// All of them, by name.
pub(super) type Look = BTreeMap<String, Pair>;

/// What has been taken up, and what is on its way.
#[derive(Debug)]
pub(super) struct Settle {
    pause: Duration,
    known: Look,
    moving: BTreeMap<String, (Pair, Instant)>,
    /// The components of those that were given out to be compiled.
    compiling: BTreeMap<String, FileMark>,
}

impl Settle {
    /// `known` is what was there when everything was taken up.
    pub(super) fn new(pause: Duration, known: Look) -> Self {
        Self { pause, known, moving: BTreeMap::new(), compiling: BTreeMap::new() }
    }

    /// Takes a look, and gives those that have settled to something else than was known. `open` are the names of those of which a file is
    /// being written.
    pub(super) fn look(&mut self, seen: &Look, open: &BTreeSet<String>, now: Instant) -> Vec<(String, Pair)> {
        let names: BTreeSet<&String> = seen.keys().chain(self.known.keys()).collect();
        let mut settled = Vec::new();
        for name in names {
            let pair = seen.get(name).copied().unwrap_or_default();
            if self.known.get(name).copied().unwrap_or_default() == pair {
                self.moving.remove(name);
                continue;
            }
            let pause = if open.contains(name) { STILL_OPEN.max(self.pause) } else { self.pause };
            match self.moving.get(name) {
                Some((as_before, since)) if *as_before == pair => {
                    if now.duration_since(*since) >= pause {
                        settled.push((name.clone(), pair));
                    }
                }
                _ => drop(self.moving.insert(name.clone(), (pair, now))),
            }
        }
        for (name, pair) in &settled {
            self.moving.remove(name);
            if seen.contains_key(name) {
                self.known.insert(name.clone(), *pair);
            } else {
                self.known.remove(name);
            }
        }
        settled
    }

    /// Those on their way whose component can be compiled meanwhile: it is another one, nobody is writing it, and each is given once.
    pub(super) fn take_compilable(&mut self, open: &BTreeSet<String>) -> Vec<String> {
        self.compiling.retain(|name, _| self.moving.contains_key(name));
        let mut given = Vec::new();
        for (name, (pair, _)) in &self.moving {
            let Some(component) = pair.component.filter(|_| !open.contains(name)) else { continue };
            if self.known.get(name).is_some_and(|known| known.component == pair.component) {
                continue;
            }
            if self.compiling.insert(name.clone(), component) != Some(component) {
                given.push(name.clone());
            }
        }
        given
    }

    /// Whether something is on its way: the next look must be soon.
    pub(super) fn is_moving(&self) -> bool {
        !self.moving.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(50);

    fn file(number: u64) -> Option<FileMark> {
        Some(FileMark { device: 1, inode: number, bytes: number, times: [0; 4] })
    }

    fn look(pairs: &[(&str, u64, u64)]) -> Look {
        let mark = |number: u64| file(number).filter(|_| number > 0);
        pairs
            .iter()
            .map(|(name, component, settings)| ((*name).to_owned(), Pair { component: mark(*component), settings: mark(*settings) }))
            .collect()
    }

    struct Desk {
        settle: Settle,
        begun: Instant,
        open: BTreeSet<String>,
    }

    impl Desk {
        fn new(known: &[(&str, u64, u64)]) -> Self {
            Self { settle: Settle::new(PAUSE, look(known)), begun: Instant::now(), open: BTreeSet::new() }
        }

        fn at(&mut self, ms: u64, seen: &[(&str, u64, u64)]) -> Vec<String> {
            let settled = self.settle.look(&look(seen), &self.open, self.begun + Duration::from_millis(ms));
            settled.into_iter().map(|(name, _)| name).collect()
        }
    }

    #[test]
    fn what_was_there_is_nothing_new() {
        let mut desk = Desk::new(&[("a", 1, 1)]);
        assert!(desk.at(0, &[("a", 1, 1)]).is_empty() && !desk.settle.is_moving());
        assert!(desk.at(1_000, &[("a", 1, 1)]).is_empty());
    }

    #[test]
    fn a_burst_is_taken_up_once_when_it_is_over() {
        let mut desk = Desk::new(&[]);
        for ms in (0..200).step_by(40) {
            assert!(desk.at(ms, &[("a", ms + 1, 0)]).is_empty());
        }
        assert!(desk.at(160 + 49, &[("a", 161, 0)]).is_empty());
        assert_eq!(desk.at(160 + 50, &[("a", 161, 0)]), ["a"]);
        assert!(desk.at(1_000, &[("a", 161, 0)]).is_empty() && !desk.settle.is_moving(), "once");
    }

    #[test]
    fn a_component_and_its_settings_settle_together() {
        let mut desk = Desk::new(&[("a", 1, 1), ("b", 1, 0)]);
        assert!(desk.at(0, &[("a", 2, 1), ("b", 1, 0)]).is_empty());
        assert!(desk.at(40, &[("a", 2, 2), ("b", 1, 0)]).is_empty());
        assert!(desk.at(60, &[("a", 2, 2), ("b", 1, 0)]).is_empty(), "its settings changed a moment ago");
        assert_eq!(desk.at(90, &[("a", 2, 2), ("b", 1, 0)]), ["a"]);
    }

    #[test]
    fn what_is_gone_settles_too_and_what_comes_back_is_nothing() {
        let mut desk = Desk::new(&[("a", 1, 0), ("b", 1, 0)]);
        assert!(desk.at(0, &[]).is_empty());
        // An editor that removes and writes anew.
        assert_eq!(desk.at(60, &[("b", 1, 0)]), ["a"]);
        assert!(!desk.settle.is_moving());
    }

    #[test]
    fn a_component_is_given_to_be_compiled_once_while_it_settles() {
        let mut desk = Desk::new(&[("a", 1, 1), ("b", 1, 0)]);
        desk.at(0, &[("a", 2, 1), ("b", 1, 2)]);
        let open = BTreeSet::new();
        assert_eq!(desk.settle.take_compilable(&open), ["a"], "only settings of the other were changed");
        assert!(desk.settle.take_compilable(&open).is_empty(), "once");
        desk.at(10, &[("a", 3, 1), ("b", 1, 2)]);
        assert!(desk.settle.take_compilable(&BTreeSet::from(["a".to_owned()])).is_empty(), "somebody is writing it");
        assert_eq!(desk.settle.take_compilable(&open), ["a"], "another one");
        assert_eq!(desk.at(70, &[("a", 3, 1), ("b", 1, 2)]), ["a", "b"]);
        desk.at(80, &[("b", 1, 2)]);
        assert!(desk.settle.take_compilable(&open).is_empty(), "it is gone");
    }

    #[test]
    fn half_a_file_that_is_still_being_written_is_waited_for() {
        let mut desk = Desk::new(&[]);
        desk.open.insert("a".to_owned());
        assert!(desk.at(0, &[("a", 1, 0)]).is_empty());
        assert!(desk.at(900, &[("a", 1, 0)]).is_empty());
        assert!(desk.settle.is_moving());
        desk.open.clear();
        assert_eq!(desk.at(901, &[("a", 1, 0)]), ["a"], "closed, and as it was for long enough");
        // Whoever never closes does not keep it for ever.
        desk.open.insert("a".to_owned());
        assert!(desk.at(1_000, &[("a", 2, 0)]).is_empty());
        assert_eq!(desk.at(31_000, &[("a", 2, 0)]), ["a"]);
    }
}
