//! Live bids against a plain recomputation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::bid::{BidKind, BidStatus, Side, Step};
use model::{BidEvent, Market, PartitionId, SeriesKey, T, Zones};
use operators::Config;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::driven::{Moment, Standing, Updates, run};

const START: T = 1_750_000_000_000;
const MINUTE: i64 = 60_000;
const RETENTION: i64 = 30 * MINUTE;

fn config() -> Config {
    let mut config = Config::default();
    config.retention.minute = model::humane::Span::from_millis(RETENTION as u64);
    config
}

/// The end of the day of delivery, in New York.
fn day_end(delivery_ms: i64) -> i64 {
    model::time::local_day(delivery_ms, chrono_tz::America::New_York).1
}

fn midnight() -> i64 {
    day_end(START as i64)
}

fn event(bid: &str, revision: i64, partition: u32, offset: i64, delivery_ms: i64, status: BidStatus) -> BidEvent {
    let location = Zones::built_in().get("PJM").unwrap().index();
    BidEvent {
        bid: bid.to_owned(),
        revision,
        status,
        organisation: "acme".into(),
        asset: None,
        series: SeriesKey { location, market: Market::DayAheadHourly },
        delivery_ms,
        duration_ms: 300_000,
        side: if offset % 2 == 0 { Side::Buy } else { Side::Sell },
        kind: BidKind::Curve,
        steps: vec![Step::flat(delivery_ms, offset * 1000, 500)],
        event_ms: delivery_ms - 1,
        partition: PartitionId(partition),
        offset,
    }
}

fn script(seed: u64) -> Vec<Moment<BidEvent, ()>> {
    use BidStatus::{Accepted, Amended, Expired, Rejected, Submitted, Withdrawn};
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let (mut t, mut offset) = (midnight() as T - 20 * MINUTE as T, 0);
    let mut moments = Vec::new();
    let mut sent: Vec<BidEvent> = Vec::new();
    for _ in 0..300 {
        t += dice.random_range(1..40_000);
        let mut first = Vec::new();
        for _ in 0..dice.random_range(0..5) {
            offset += 1;
            let again =
                dice.random_bool(0.1).then(|| sent.get(dice.random_range(0..sent.len().max(1))).cloned()).flatten();
            let fresh = || {
                let number = dice.random_range(0..60);
                let delivery_ms = midnight() + (number - 30) * 3 * MINUTE + dice.random_range(0..2) * MINUTE;
                let status = [Submitted, Amended, Withdrawn, Accepted, Rejected, Expired][dice.random_range(0..6)];
                let (revision, partition) = (dice.random_range(0..4), dice.random_range(0..3));
                event(&format!("bid-{number}"), revision, partition, offset, delivery_ms, status)
            };
            let event = again.unwrap_or_else(fresh);
            sent.push(event.clone());
            first.push(event);
        }
        moments.push(Moment { t, first, second: Vec::new() });
    }
    moments
}

/// What stands after each moment: the greatest event of each bid, among those that came before it was forgotten.
fn oracle(script: &[Moment<BidEvent, ()>]) -> Vec<(T, BTreeSet<BidEvent>)> {
    let over = |event: &BidEvent, t: T| day_end(event.delivery_ms) + RETENTION <= t as i64;
    let mut standing: BTreeMap<String, BidEvent> = BTreeMap::new();
    let mut gone: Vec<BidEvent> = Vec::new();
    let mut moments = Vec::new();
    for Moment { t, first, .. } in script {
        let forgotten: Vec<String> = standing.values().filter(|bid| over(bid, *t)).map(|bid| bid.bid.clone()).collect();
        gone.extend(forgotten.iter().filter_map(|bid| standing.remove(bid)));
        for event in first.iter().filter(|event| !over(event, *t)) {
            let rank = |event: &BidEvent| (event.revision, event.partition, event.offset);
            let winner = standing.entry(event.bid.clone()).or_insert_with(|| event.clone());
            if rank(event) > rank(winner) {
                *winner = event.clone();
            }
        }
        moments.push((*t, standing.values().chain(&gone).cloned().collect()));
    }
    moments
}

fn live(workers: usize, seed: u64, script: &[Moment<BidEvent, ()>], end: T) -> Updates<BidEvent> {
    run(workers, seed, script, end, |events, _: timely::dataflow::StreamVec<'_, T, ()>| {
        operators::bids::live_bids(&config(), &Zones::built_in(), events, None).0.map(Arc::unwrap_or_clone)
    })
}

#[test]
fn live_bids_equal_the_oracle_on_any_number_of_workers() {
    for seed in 0..4 {
        let script = script(seed);
        let end = script.last().unwrap().t + 1;
        let updates = live(1, seed, &script, end);
        for workers in [2, 4] {
            assert_eq!(live(workers, seed + 100, &script, end), updates, "seed {seed}, {workers} workers");
        }
        let mut standing = Standing::new(&updates);
        for (t, rows) in oracle(&script) {
            assert_eq!(standing.at(t), &rows, "seed {seed} at {t}");
        }
    }
}

#[test]
fn the_highest_revision_stands_and_an_old_bid_is_forgotten_without_a_word() {
    let delivery = START as i64;
    let forgotten = (day_end(delivery) + RETENTION) as T;
    let first = event("b", 1, 1, 10, delivery, BidStatus::Submitted);
    let amended = event("b", 2, 0, 5, delivery, BidStatus::Withdrawn);
    let late = event("b", 1, 9, 99, delivery, BidStatus::Accepted);
    let after = event("b", 7, 0, 100, delivery, BidStatus::Expired);
    let moments = [(START, &first), (START + 1, &amended), (START + 2, &late), (forgotten, &after)];
    let script: Vec<_> =
        moments.iter().map(|(t, e)| Moment { t: *t, first: vec![(*e).clone()], second: Vec::new() }).collect();
    let updates = live(2, 1, &script, forgotten + 1);
    assert_eq!(updates, [(START, first.clone(), 1), (START + 1, first, -1), (START + 1, amended, 1)]);
}
