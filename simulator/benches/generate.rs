//! How many ticks a second the generator makes, on one core: alone, as JSON, as columnar messages of 1,000 ticks.
//! `cargo bench -p simulator`.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench measures and prints")]

use std::hint::black_box;
use std::time::Instant;

use model::Zones;
use model::wire::{WireTick, columnar};
use simulator::generator::Settings;
use simulator::{Body, Generator, Scenario};

const TICKS: u64 = 1_000_000;

fn generator(scenario: &str) -> Generator {
    let settings = Settings {
        seed: 1,
        start_ms: 1_763_424_000_000,
        rate: 1e6,
        zones: Vec::new(),
        scenario: Scenario::preset(scenario).expect("a preset"),
        stamp_published: false,
    };
    Generator::new(settings, &Zones::built_in()).expect("settings that work")
}

fn measure(name: &str, ticks: u64, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    let seconds = start.elapsed().as_secs_f64();
    println!("{name:<40} {:>8.0} ticks/s  {:>6.0} ns/tick", ticks as f64 / seconds, seconds * 1e9 / ticks as f64);
}

fn main() {
    for scenario in ["calm", "faults"] {
        measure(&format!("generate {scenario}"), TICKS, || {
            for message in generator(scenario).take(TICKS as usize) {
                black_box(message);
            }
        });
    }
    measure("generate and encode JSON", TICKS, || {
        for message in generator("calm").take(TICKS as usize) {
            black_box(message.body.encode());
        }
    });
    measure("generate and encode columnar", TICKS, || {
        let mut batch: Vec<WireTick> = Vec::with_capacity(1000);
        for message in generator("calm").take(TICKS as usize) {
            if let Body::Tick(tick) = message.body {
                batch.push(tick);
            }
            if batch.len() == 1000 {
                black_box(columnar::encode(&batch).expect("ticks can be encoded"));
                batch.clear();
            }
        }
    });
}
