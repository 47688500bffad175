//! Files that nobody wrote: valid modules and components made of seeds. None is a plugin, and each is refused in words.

use arbitrary::Unstructured;
use trackside_wasm::LoadProblem;
use wasm_smith::{Component, Config, Module};

use crate::support::{Bench, check};

/// Bytes that one file is made of.
const SEED_BYTES: usize = 4 << 10;

fn made_of(seed: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; SEED_BYTES];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    let mut bytes = Unstructured::new(&bytes);
    match seed % 2 {
        0 => Module::new(Config::default(), &mut bytes).ok().map(|module| module.to_bytes()),
        _ => Component::new(Config::default(), &mut bytes).ok().map(|component| component.to_bytes()),
    }
}

#[test]
fn five_hundred_seeded_files_are_refused_in_words() {
    let bench = Bench::new();
    let neighbour = bench.load("minimal", "");
    let (mut modules, mut components) = (0, 0);
    for (seed, bytes) in (0..500).filter_map(|seed| Some((seed, made_of(seed)?))) {
        std::fs::write(bench.plugins().join("seeded.wasm"), bytes).unwrap();
        let Err(error) = bench.host.load("seeded") else { panic!("seed {seed} made a plugin") };
        match error.problem {
            LoadProblem::CoreModule => modules += 1,
            LoadProblem::NoRole(_) | LoadProblem::Malformed(_) | LoadProblem::UnknownImports(_) => components += 1,
            other => panic!("seed {seed}: {other}"),
        }
        assert!(check(&*neighbour).outcome.is_ok(), "seed {seed}");
    }
    assert!(modules > 200 && components > 200, "{modules} modules, {components} components");
}
