//! Minute bars, tick rows, dead letters and counts against the plain recomputation.

use model::time::Granularity;
use model::wire::WireTick;

use crate::support::{assert_one_change_a_key, run_all, sample_times, standing_at};
use crate::{oracle, workload};

#[test]
fn minute_bars_equal_a_plain_recomputation_at_any_time() {
    for seed in [1, 2, 3] {
        let work = workload::ticks(seed, 900);
        let got = run_all(&work, seed * 100);
        assert_one_change_a_key(&got.bars, |row| row.key);
        for t in sample_times(&work, 12, seed) {
            let expected = oracle::bars(&work, &oracle::ticks(&work, t).live, Granularity::M1);
            let mut bars = standing_at(&got.bars, t);
            bars.retain(|row| row.key.granularity == Granularity::M1);
            assert_eq!(bars.len(), expected.len(), "number of bars, seed {seed}, T {t}");
            for (bar, expected) in bars.iter().zip(&expected) {
                assert_eq!(bar, expected, "seed {seed}, T {t}");
            }
        }
    }
}

#[test]
fn every_record_is_accounted_for() {
    let work = workload::ticks(4, 1500);
    let got = run_all(&work, 40);
    let expected = oracle::ticks(&work, work.end);
    assert_eq!(got.counts, expected.counts);
    let all = got.counts.values().fold(model::batch::Counts::default(), |mut sum, counts| {
        sum.add(counts);
        sum
    });
    let told = all.applied + all.corrected + all.superseded + all.duplicates + all.dead_letters;
    assert_eq!(told, work.ticks.len() as u64);
    // The workload has met every case, or this test proves little.
    assert!([all.applied, all.corrected, all.superseded, all.duplicates, all.dead_letters].iter().all(|n| *n > 50));

    let mut rows: Vec<_> = expected.rows;
    rows.sort();
    let got_rows: Vec<_> = got.ticks.iter().map(|(t, row)| (*t, row.tick.clone(), row.disposition)).collect();
    assert_eq!(got_rows.len(), rows.len());
    assert!(got_rows == rows);
}

#[test]
fn late_records_become_dead_letters_that_hold_the_whole_tick() {
    let work = workload::ticks(5, 1500);
    let got = run_all(&work, 50);
    let mut expected: Vec<_> = oracle::ticks(&work, work.end)
        .refused
        .into_iter()
        .map(|(t, tick, reason)| {
            let (topic, partition) = work.names.partition_name(tick.partition).unwrap();
            (t, topic.to_string(), partition, tick.offset, reason, tick.event_ms, tick.price_micros, tick.revision)
        })
        .collect();
    expected.sort();
    let mut letters: Vec<_> = got
        .dead_letters
        .iter()
        .map(|(t, letter)| {
            let wire: WireTick = serde_json::from_slice(&letter.bytes).unwrap();
            let price = model::money::price_micros(wire.price).unwrap();
            let (event_ms, revision) = (wire.timestamp.millis().unwrap(), wire.revision.unwrap());
            let topic = letter.topic.to_string();
            (*t, topic, letter.partition, letter.offset, letter.reason.as_str(), event_ms, price, revision)
        })
        .collect();
    letters.sort();
    assert_eq!(letters, expected);
    for reason in ["sealed", "too_old"] {
        assert!(letters.iter().filter(|letter| letter.4 == reason).count() > 20, "{reason} was met");
    }
}

#[test]
fn without_tick_rows_nothing_else_changes() {
    let mut work = workload::ticks(6, 300);
    let with = crate::support::run(&work, 2, 60);
    work.config.tick_rows = false;
    let without = crate::support::run(&work, 2, 60);
    assert!(!with.ticks.is_empty() && without.ticks.is_empty());
    assert_eq!(with.bars, without.bars);
}
