//! `senses`: a worker that tells what it sees of the world through WASI.
//! Leaves endless waits to `spin-host`.
//!
//! `senses/sense` takes `{read?, write?, print?, eprint?, progress?, ask?}`: a file to read, one to write, lines to print, a fraction to
//! report, and whether to ask for a secret.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpStream;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use std::{env, fs};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use trackside_sdk::{Description, Failure, Method, Methods, Plugin, Task, Worker, progress, secrets};

struct Senses;

impl Plugin for Senses {
    fn describe() -> Description {
        Description::new("senses").summary("Tells what it sees of the world.")
    }
}

impl Worker for Senses {
    fn methods() -> Methods {
        Methods::new().with(Method::new("senses/sense", "Looks around.", sense))
    }
}

trackside_sdk::export!(Senses: worker);

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    read: Option<String>,
    write: Option<String>,
    print: Option<String>,
    eprint: Option<String>,
    progress: Option<f64>,
    ask: bool,
}

fn sense(wanted: Wanted, _task: &Task) -> Result<Value, Failure> {
    let mut seen = surroundings();
    if let Some(path) = wanted.read {
        seen.insert("read".into(), json!(fs::read_to_string(path).unwrap_or_else(|_| "refused".into())));
    }
    if let Some(path) = wanted.write {
        seen.insert("write".into(), outcome(fs::write(path, "written")));
    }
    if let Some(line) = wanted.print {
        println!("{line}");
    }
    if let Some(line) = wanted.eprint {
        eprintln!("{line}");
    }
    if let Some(fraction) = wanted.progress {
        let taken = progress::report(fraction).map_or_else(|refusal| format!("{refusal:?}"), |()| "taken".into());
        seen.insert("progress".into(), json!(taken));
        seen.insert("cancelled".into(), json!(progress::cancelled()));
    }
    if wanted.ask {
        ask(&mut seen);
    }
    Ok(Value::Object(seen))
}

/// Time, randomness, and what a process usually has around it.
fn surroundings() -> Map<String, Value> {
    let started = Instant::now();
    let wall_ns = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
    // A hasher's keys are drawn from the system's randomness.
    let random = RandomState::new().hash_one(1);
    // Something to do between the two looks at the clock.
    let spent = (0..10_000_u64).fold(0, |sum, number| std::hint::black_box(sum + number));
    let Value::Object(seen) = json!({
        "wall_ns": wall_ns,
        "elapsed_ns": started.elapsed().as_nanos() as u64,
        "random": random,
        "arguments": env::args().count(),
        "variables": env::vars().count(),
        "socket": outcome(TcpStream::connect("127.0.0.1:7070")),
        "root": outcome(fs::read_dir("/")),
        "spent": spent,
    }) else {
        unreachable!("the literal above is an object")
    };
    seen
}

fn outcome<T, E>(result: Result<T, E>) -> Value {
    json!(if result.is_ok() { "done" } else { "refused" })
}

/// A secret.
fn ask(seen: &mut Map<String, Value>) {
    let secret = secrets::placeholder("key");
    seen.insert("secret".into(), json!(secret.err().map(|refusal| format!("{refusal:?}"))));
}
