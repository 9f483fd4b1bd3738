//! How long a binding takes to be durable: groups of one, one after another. `OPTIBID_TEST_KAFKA=host:port`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints and reads clocks")]

use std::sync::Arc;
use std::time::Instant;

use model::{Names, PartitionId};
use pipeline::binding::{Binding, Log, kafka};
use pipeline::{Shutdown, config};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut section = config::Kafka { bootstrap: std::env::var("OPTIBID_TEST_KAFKA")?, ..config::Kafka::default() };
    section.prefix = format!("bindings{}", std::process::id());
    if let Ok(debug) = std::env::var("DEBUG") {
        section.options.0.insert("debug".into(), debug);
        section.options.0.insert("log_level".into(), "7".into());
    }
    let names = Arc::new(Names::default());
    let _ = names.partition("a", 0);
    let mut log = kafka::Kafka::new(&section, &names, &Shutdown::new())?;
    log.take_over(0)?;
    let mut took = Vec::new();
    for t in 1..=200 {
        let started = Instant::now();
        log.append(&[Binding { t, offsets: [(PartitionId::new("a", 0), t as i64)].into() }])?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    println!("p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms", took[100], took[197], took[199]);
    Ok(())
}
