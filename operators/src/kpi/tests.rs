//! Sliding windows against windows computed anew, under any changes at any time.

use std::collections::BTreeMap;

use model::time::MINUTE_MS;
use model::{Bar, LocationId, Market, SeriesKey};
use proptest::prelude::*;

use super::series::Series;
use super::window::{Minute, Window};

const WINDOWS_MIN: [u32; 3] = [1, 3, 6];
const SERIES: SeriesKey = SeriesKey { location: LocationId(1), market: Market::Continuous };

/// Milliseconds to go on, then a minute relative to now and its new bar (two prices), or none.
type Step = (i64, i64, Option<(i64, i64)>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bar = prop::option::weighted(0.8, (-3..4_i64, -3..4_i64));
    prop::collection::vec((0..90_000_i64, -8..3_i64, bar), 1..80)
}

fn bar(start_ms: i64, (first, second): (i64, i64)) -> Bar {
    let mut bar = Bar::of(start_ms, first * 1_000, 2);
    bar.append(&Bar::of(start_ms + 1, second * 1_000, 1));
    bar
}

proptest! {
    #[test]
    fn windows_equal_windows_computed_anew(steps in steps()) {
        let mut series = Series::new(WINDOWS_MIN.len());
        let mut all: BTreeMap<i64, Bar> = BTreeMap::new();
        let mut now_ms = 10 * MINUTE_MS;
        for (pause_ms, minute, prices) in steps {
            now_ms += pause_ms;
            let start_ms = (now_ms / MINUTE_MS + minute) * MINUTE_MS;
            let new = prices.map(|prices| bar(start_ms, prices));
            series.slide(now_ms, &WINDOWS_MIN);
            if start_ms > now_ms - 6 * MINUTE_MS {
                series.set(start_ms, new.map(|bar| Minute::new(start_ms, &bar)));
                match new {
                    Some(bar) => all.insert(start_ms, bar),
                    None => all.remove(&start_ms),
                };
            }
            series.slide(now_ms, &WINDOWS_MIN);
            for (number, window_min) in WINDOWS_MIN.into_iter().enumerate() {
                let from_ms = now_ms - i64::from(window_min) * MINUTE_MS;
                let inside: Vec<(i64, Bar)> = all.range(from_ms + 1..=now_ms).map(|(at, bar)| (*at, *bar)).collect();
                // A window that only ever grows: the sums' other half is what is tested.
                let bars = inside.iter().map(|(at, bar)| Minute::new(*at, bar)).collect();
                let mut anew = Window::default();
                for at in 0..inside.len() {
                    anew.enter(&bars, at + 1, at);
                }
                let expected = anew.kpi(&bars, inside.len(), SERIES, window_min);
                let found = series.kpi(number, SERIES, window_min);
                prop_assert_eq!(found, expected);
                prop_assert_eq!(found.map(|kpi| kpi.min), inside.iter().map(|(_, bar)| bar.low).min());
                prop_assert_eq!(found.map(|kpi| kpi.max), inside.iter().map(|(_, bar)| bar.high).max());
            }
            series.forget();
            let next = all.keys().copied().filter(|start_ms| *start_ms > now_ms);
            let leaves = all.keys().filter(|start_ms| **start_ms <= now_ms).flat_map(|start_ms| {
                WINDOWS_MIN.map(|window_min| start_ms + i64::from(window_min) * MINUTE_MS)
            });
            let wake_ms = next.chain(leaves.filter(|at_ms| *at_ms > now_ms)).min();
            prop_assert_eq!(series.wake_ms(&WINDOWS_MIN), wake_ms);
        }
    }
}
