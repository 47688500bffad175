//! `memory-bomb`: takes memory and uses it until it is refused.
//! Leaves the settings that say where to `support`.

mod support;

fn grow() -> ! {
    let mut taken = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

support::hostile!("memory-bomb", "Takes all memory.", control: grow(), observer: grow(), worker: grow());
