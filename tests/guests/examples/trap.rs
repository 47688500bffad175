//! `trap`: executes `unreachable`, without a word.
//! Leaves the settings that say where to `support`.

mod support;

fn trap() -> ! {
    std::process::abort()
}

support::hostile!("trap", "Traps.", control: trap(), observer: trap(), worker: trap());
