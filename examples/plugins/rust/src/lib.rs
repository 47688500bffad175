//! `stock`: keeps what is in stock by what was delivered and ordered, refuses orders of what is not, and tells the level of a thing.
//! The three roles have separate instances; what they share is the key-value space.

use serde::{Deserialize, Serialize};
use trackside_sdk::*;

struct Stock;

/// The payload of `stock:delivered` and of `order:placed`.
#[derive(Deserialize)]
struct Items<'a> {
    item: &'a str,
    #[serde(default = "one")]
    count: i64,
}

fn one() -> i64 {
    1
}

impl Plugin for Stock {
    fn describe() -> Description {
        Description::new("stock")
            .version(env!("CARGO_PKG_VERSION"))
            .summary("Sells what is in stock, and nothing else.")
            .controls(Filter::types(["order:placed", "stock:delivered"]))
            .observes(Filter::types(["order:placed", "stock:delivered"]))
            .critical()
    }
}

impl Control for Stock {
    /// Judges what is about to be appended: the stock is what the observer has counted by now.
    fn check(event: &Event, _context: &Context) -> Signal {
        let items: Items = match event.payload() {
            Ok(items) => items,
            Err(error) => return Signal::fail(error.message()),
        };
        if event.event_type() == "stock:delivered" {
            return if items.count > 0 { Signal::proceed() } else { Signal::fail("a delivery brings at least one") };
        }
        match level(items.item) {
            Ok(level) => sell(&items, level),
            Err(error) => Signal::error(error.message()),
        }
    }
}

fn sell(items: &Items, level: i64) -> Signal {
    match level {
        level if items.count <= level => Signal::proceed(),
        0 => Signal::fail(format!("{} is out of stock", items.item)),
        level => Signal::fail(format!("there are {level} of {}, and {} are wanted", items.item, items.count)),
    }
}

impl Observer for Stock {
    /// Keeps the stock. An addition is never run twice for one event, and never lost.
    fn observe(events: Events, _delivery: &Delivery) -> Result<(), Error> {
        for event in events {
            let items: Items = event.payload()?;
            let change = if event.event_type() == "stock:delivered" { items.count } else { -items.count };
            let level = kv::increment(items.item, change)?;
            if level == 0 {
                log::write_about(Severity::Warning, format!("{} is out of stock", items.item), &event);
            }
        }
        Ok(())
    }
}

impl Worker for Stock {
    fn methods() -> Methods {
        Methods::new().with(Method::new("stock/level", "How many there are of a thing.", tell_level))
    }
}

/// What `stock/level` is asked.
#[derive(Deserialize)]
struct Asked {
    item: String,
}

/// What it answers.
#[derive(Serialize)]
struct Level {
    item: String,
    count: i64,
}

fn tell_level(asked: Asked, _task: &Task) -> Result<Level, Failure> {
    let count = level(&asked.item)?;
    Ok(Level { item: asked.item, count })
}

fn level(item: &str) -> Result<i64, Error> {
    match kv::get_text(item)? {
        Some(count) => Ok(count.parse()?),
        None => Ok(settings::get("unknown")?.unwrap_or(0)),
    }
}

export!(Stock: control, observer, worker);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_sold() {
        let items = Items { item: "tea", count: 2 };
        assert_eq!(sell(&items, 2), Signal::proceed());
        assert_eq!(sell(&items, 1), Signal::fail("there are 1 of tea, and 2 are wanted"));
        assert_eq!(sell(&items, 0), Signal::fail("tea is out of stock"));
    }
}
