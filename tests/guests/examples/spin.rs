//! `spin`: never returns, and calls nobody while it does not.
//! Leaves the settings that say where to `support`.

mod support;

fn spin() -> ! {
    let mut turns = 0_u64;
    loop {
        turns = std::hint::black_box(turns.wrapping_add(1));
    }
}

support::hostile!("spin", "Never returns.", control: spin(), observer: spin(), worker: spin());
