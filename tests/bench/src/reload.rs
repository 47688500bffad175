//! How soon a new version answers: from the moment its file is in place to the first event that it has judged. A running host watches the
//! directory, waits until the file has settled, compiles it in a child process, and swaps. Starting that host is `start`'s.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use trackside_model::plugin::Digest;

use crate::{
    Effort,
    report::{Figure, Target},
    samples::Samples,
    start::{Place, program},
};

/// A control handler in Rust that is asked about every `load:*`.
const PLUGIN: &str = "marker";
const LONGEST: Duration = Duration::from_secs(60);

/// The figure of a reload.
///
/// # Errors
/// If the host does not start, or a version does not come into service.
pub(crate) fn measure(effort: Effort) -> Result<Vec<Figure>> {
    let program = program()?;
    let component = trackside_test_guests::build().bytes(PLUGIN);
    let place = Place::new(&program, &[(PLUGIN.to_owned(), component.clone())])?;
    let (host, address) = place.start()?;
    let reloads = effort.of(40, 6);
    eprintln!("  {reloads} reloads of a handler, each a version that was never compiled before");
    // Never compiled before, in any run: the cache of an earlier run does not know it.
    let first = std::process::id().wrapping_mul(10_000);
    let (mut reloaded, mut answered) = (Samples::default(), Samples::default());
    for number in 0..u32::try_from(reloads)? {
        let version = trackside_test_guests::distinct(&component, first.wrapping_add(number));
        let beside = place.plugins().join("coming.part");
        fs::write(&beside, &version)?;
        let begun = Instant::now();
        fs::rename(&beside, place.plugins().join(format!("{PLUGIN}.wasm")))?;
        let wanted = Digest::of(&version).short();
        while judged_by(address)? != wanted {
            ensure!(begun.elapsed() < LONGEST, "version {wanted} does not come into service");
            // Who asks without a pause keeps the compiler from the processor.
            thread::sleep(Duration::from_millis(1));
        }
        reloaded.push(begun.elapsed().as_secs_f64() * 1e3);
        let begun = Instant::now();
        judged_by(address)?;
        answered.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    host.stop()?;
    let beside = "ms: publishing an event and asking who judged it";
    Ok(vec![Figure::new("reload_to_first_call", "ms", reloaded, beside, answered).target(Target::AtMost(150.0))])
}

/// Publishes an event, and gives the version of the handler that judged it.
fn judged_by(address: SocketAddr) -> Result<String> {
    let event = r#"{"event_type":"load:came","source_component":"bench","payload":{}}"#;
    // Each is another event, whatever it says.
    let id = uuid::Uuid::new_v4();
    let event = event.replacen('{', &format!(r#"{{"event_id":"{id}","#), 1);
    ask(address, "POST /v1/events", &event)?;
    let explained = ask(address, &format!("GET /v1/events/{id}"), "")?;
    let version = explained["decisions"][0]["checks"][0]["version"].as_str();
    Ok(version.with_context(|| format!("somebody judged it: {explained}"))?.to_owned())
}

fn ask(address: SocketAddr, what: &str, body: &str) -> Result<Value> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LONGEST))?;
    let head = format!("{what} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    let length = body.len();
    stream.write_all(format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer has a head and a body")?;
    serde_json::from_str(body).with_context(|| format!("'{answer}' is no answer in JSON"))
}
