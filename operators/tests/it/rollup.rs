//! Bars of 5 and 15 minutes, an hour and a local day against the plain recomputation from the ticks themselves.

use model::time::{Granularity, HOUR_MS};

use crate::support::{assert_one_change_a_key, run_all, sample_times, standing_at};
use crate::{oracle, workload};

#[test]
fn rollups_equal_a_plain_recomputation_over_the_night_the_clocks_change() {
    for seed in [11, 12] {
        let work = workload::ticks(seed, 2500);
        let got = run_all(&work, seed * 100);
        assert_one_change_a_key(&got.bars, |row| row.key);
        for t in sample_times(&work, 8, seed) {
            let live = oracle::ticks(&work, t).live;
            let mut expected: Vec<_> =
                Granularity::ALL.iter().flat_map(|granularity| oracle::bars(&work, &live, *granularity)).collect();
            expected.sort();
            let bars = standing_at(&got.bars, t);
            assert_eq!(bars.len(), expected.len(), "number of bars, seed {seed}, T {t}");
            for (bar, expected) in bars.iter().zip(&expected) {
                assert_eq!(bar, expected, "seed {seed}, T {t}");
            }
        }
        let days = standing_at(&got.bars, work.end);
        let days = days.iter().filter(|row| row.key.granularity == Granularity::D1);
        let hours: std::collections::BTreeSet<i64> =
            days.map(|row| (row.end_ms - row.key.start_ms) / HOUR_MS).collect();
        assert!(hours.contains(&24) && hours.contains(&25), "{hours:?}");
    }
}
