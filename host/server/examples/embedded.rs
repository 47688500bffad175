//! A program that has a host inside: its own handlers steer and count beside any component in the plugin directory, a durable reader hands out
//! work, and events are typed. `cargo run --example embedded` runs it in a directory that is gone afterwards.

use std::{
    env,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use anyhow::Context as _;
use serde::Serialize;
use trackside::{
    boot::{COMPILE_VERB, Host, HostOptions},
    config::Config,
};
use trackside_engine::{Native, Outcome};
use trackside_model::{
    control::Signal,
    emit::Emit,
    event::{Filter, Position},
    reader::{Order, ReaderOptions},
};

/// A program's own event: its type stands with its payload.
#[derive(Serialize)]
struct OrderPlaced {
    item: String,
    pieces: u64,
}

impl Emit for OrderPlaced {
    const EVENT_TYPE: &'static str = "order:placed";
}

fn main() -> ExitCode {
    // Components are compiled in a child of this very program.
    let mut arguments = env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == COMPILE_VERB) {
        return trackside::compile_child(arguments);
    }
    let ran = tokio::runtime::Runtime::new().map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run()));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let config = Config {
        data_dir: directory.path().join("data"),
        plugin_dir: directory.path().join("plugins"),
        listen: ([127, 0, 0, 1], 0).into(),
        ..Config::default()
    };
    let host = Host::start(HostOptions::new(config)?).await.context("the host does not start")?;
    let engine = host.engine();

    // Asked before each order is in the log.
    let sensible =
        Native::control("sensible", Filter::types(["order:*"])?, |event, _, _| match event.payload.to_value()["pieces"].as_u64() {
            Some(1..=100) => Signal::Proceed(None),
            _ => Signal::Fail("an order has 1 to 100 pieces".to_owned()),
        });
    engine.register(sensible)?;
    // Told of each order once, whatever ends the host: the count is in one commit with how far it has come.
    let counted = Arc::new(AtomicU64::new(0));
    let count = counted.clone();
    let ledger = Native::observer("ledger", Filter::types(["order:*"])?, move |events, _, effects| {
        effects.kv_add("orders", i64::try_from(events.len()).unwrap_or(i64::MAX));
        count.fetch_add(events.len() as u64, SeqCst);
        Ok(())
    });
    engine.register(ledger)?;
    // Work to be acknowledged, one order after the other.
    let options = ReaderOptions { filter: Filter::types(["order:*"])?, order: Order::Log, ..ReaderOptions::default() };
    engine.set_reader("packing", options, Some(Position::default()), "embedded").await?;

    let shop = engine.emitter("shop");
    for (item, pieces) in [("lamp", 2), ("pin", 5_000), ("chair", 4)] {
        let answer = shop.emit(&OrderPlaced { item: item.to_owned(), pieces }).await;
        match answer.outcome {
            Outcome::Appended => println!("{pieces} × {item}: event {}", answer.sequence_number.unwrap_or_default()),
            _ => println!("{pieces} × {item}: {}", answer.reason.unwrap_or_default()),
        }
    }
    let packing = engine.reader("packing").context("the reader is there")?;
    for _ in 0..2 {
        for delivery in packing.next(1).await? {
            println!("packed {}", delivery.frame.event().payload.as_str());
            packing.acknowledge(&[delivery.position]).await?;
        }
    }
    while counted.load(SeqCst) < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    println!("the ledger has {} orders", counted.load(SeqCst));
    host.stop().await?;
    Ok(())
}
