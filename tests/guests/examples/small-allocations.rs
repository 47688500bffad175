//! `small-allocations`: keeps memory in ever more small pieces, until there is none.
//! Leaves the settings that say where to `support`.

mod support;

fn hoard() -> ! {
    let mut kept: Vec<Box<[u8; 48]>> = Vec::new();
    loop {
        kept.push(std::hint::black_box(Box::new([1; 48])));
    }
}

support::hostile!("small-allocations", "Keeps ever more small pieces of memory.", control: hoard(), observer: hoard(), worker: hoard());
