//! Calls one Extism plugin: `extism-host GUEST.wasm EVENT.json`. For each line on standard input, a number of calls, it makes as many and
//! answers with the nanoseconds that they took. The bench of the product speaks with it, so that both are measured in the same seconds.

use std::{
    env,
    error::Error,
    fs,
    io::{self, BufRead, Write},
    time::{Duration, Instant},
};

use extism::{Manifest, Plugin, Wasm};

/// As the product's handlers have it: a deadline and a memory limit.
const TIMEOUT: Duration = Duration::from_millis(100);
const MEMORY_PAGES: u32 = 1_024;

fn main() -> Result<(), Box<dyn Error>> {
    let [guest, event] = env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "usage: extism-host GUEST.wasm EVENT.json")?;
    let manifest = Manifest::new([Wasm::data(fs::read(guest)?)]).with_timeout(TIMEOUT).with_memory_max(MEMORY_PAGES);
    let mut plugin = Plugin::new(manifest, [], true)?;
    let event = fs::read(event)?;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let calls: u32 = line?.trim().parse()?;
        let begun = Instant::now();
        for _ in 0..calls {
            let answer: &[u8] = plugin.call("check", &event)?;
            if answer != br#""proceed""# {
                return Err(format!("the handler proceeds with this event, but {} came back", String::from_utf8_lossy(answer)).into());
            }
        }
        writeln!(out, "{}", begun.elapsed().as_nanos())?;
        out.flush()?;
    }
    Ok(())
}
