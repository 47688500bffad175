//! `unknown-import`: imports an interface that no host has, so it cannot be loaded.
//! Leaves the rest of a decent worker around it.

mod unknown {
    wit_bindgen::generate!({
        inline: "
            package acme:oracle@1.0.0;
            interface tomorrow { ask: func(question: string) -> string; }
            world asking { import tomorrow; }
        ",
        async: false,
    });
}

use trackside_sdk::{Description, Failure, Method, Methods, Plugin, Task, Worker};

struct UnknownImport;

impl Plugin for UnknownImport {
    fn describe() -> Description {
        Description::new("unknown-import").summary("Asks an oracle.")
    }
}

impl Worker for UnknownImport {
    fn methods() -> Methods {
        Methods::new().with(Method::new("unknown-import/run", "Asks an oracle.", ask))
    }
}

fn ask(question: String, _task: &Task) -> Result<String, Failure> {
    Ok(unknown::acme::oracle::tomorrow::ask(&question))
}

trackside_sdk::export!(UnknownImport: worker);
