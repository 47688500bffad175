//! `panic`: panics with a message, which goes to stderr before the trap.
//! Leaves the settings that say where to `support`.

mod support;

fn fail() -> ! {
    panic!("the guest has lost its nerve")
}

support::hostile!("panic", "Panics.", control: fail(), observer: fail(), worker: fail());
