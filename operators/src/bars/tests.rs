//! Both logs against winners computed anew: any order of revisions, moves, withdrawals and duplicates.

use std::collections::BTreeMap;

use model::{LocationId, Market, PartitionId};
use proptest::prelude::*;

use super::*;

fn tick(id: u64, revision: i64, event_ms: i64, price: i64, cancelled: bool, offset: i64) -> Tick {
    Tick {
        location: LocationId(1),
        market: Market::Continuous,
        event_ms,
        duration_ms: 0,
        price_micros: price,
        volume_kwh: price.abs() % 3,
        id,
        revision,
        cancelled,
        partition: PartitionId((offset % 2) as u32),
        offset,
        extra: None,
    }
}

fn records() -> impl Strategy<Value = Vec<Tick>> {
    // Few ids, revisions, times and prices, so that everything collides.
    let record = (0..6_u64, 0..4_i64, -2..2_i64, 0..3_i64, -2..3_i64, prop::bool::weighted(0.2), -20..20_i64);
    let record = record.prop_map(|(id, revision, minute, after, price, cancelled, offset)| {
        tick(id, revision, minute * MINUTE_MS + after * 29_999, price, cancelled, offset)
    });
    prop::collection::vec(record, 1..60)
}

/// The bars of the winners, by minute.
fn expected(records: &[Tick]) -> BTreeMap<i64, Bar> {
    let mut winners: BTreeMap<u64, &Tick> = BTreeMap::new();
    for record in records {
        let winner = winners.entry(record.id).or_insert(record);
        if record.rank() > winner.rank() {
            *winner = record;
        }
    }
    let mut minutes: BTreeMap<i64, Vec<&Tick>> = BTreeMap::new();
    for winner in winners.into_values().filter(|winner| !winner.cancelled) {
        minutes.entry(winner.event_ms.div_euclid(MINUTE_MS) * MINUTE_MS).or_default().push(winner);
    }
    let bar = |mut ticks: Vec<&Tick>| {
        ticks.sort_by_key(|tick| (tick.event_ms, tick.partition, tick.offset, tick.id));
        let bars: Vec<Bar> =
            ticks.iter().map(|tick| Bar::of(tick.event_ms, tick.price_micros, tick.volume_kwh)).collect();
        Bar::merge(&bars).unwrap()
    };
    minutes.into_iter().map(|(minute_ms, ticks)| (minute_ms, bar(ticks))).collect()
}

/// Applies records, tells now and then, and holds what is told against what was.
fn check(
    records: &[Tick],
    every: usize,
    mut apply: impl FnMut(&Tick) -> Outcome,
    mut tell: impl FnMut(&mut dyn FnMut(i64, Option<Bar>, Option<Bar>)),
) -> Result<(), TestCaseError> {
    let mut told: BTreeMap<i64, Bar> = BTreeMap::new();
    for (number, record) in records.iter().enumerate() {
        let known = records[..number].iter().filter(|known| known.id == record.id).map(|known| known.revision).max();
        let disposition = match known {
            None => Some(Disposition::Applied),
            Some(known) if known < record.revision => Some(Disposition::Corrected),
            Some(known) if known > record.revision => Some(Disposition::Superseded),
            Some(_) => None,
        };
        prop_assert_eq!(apply(record).disposition(), disposition);
        if (number + 1) % every == 0 || number + 1 == records.len() {
            let mut wrong = Vec::new();
            tell(&mut |minute_ms, old, new| {
                if told.get(&minute_ms).copied() != old {
                    wrong.push((minute_ms, old));
                }
                match new {
                    Some(bar) => told.insert(minute_ms, bar),
                    None => told.remove(&minute_ms),
                };
            });
            prop_assert!(wrong.is_empty(), "told another past: {:?}", wrong);
            prop_assert_eq!(&told, &expected(&records[..=number]));
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn minutes_hold_the_winners(records in records(), every in 1..5_usize) {
        // Equal (id, revision, partition, offset) with different content does not occur on Kafka.
        let records = distinct(records);
        let minutes = std::cell::RefCell::new(Minutes::default());
        check(&records, every, |tick| minutes.borrow_mut().apply(tick), |told| minutes.borrow_mut().tell(told))?;
    }

    #[test]
    fn intervals_hold_the_winners(records in records(), every in 1..5_usize) {
        let records = distinct(records);
        let intervals = std::cell::RefCell::new(Intervals::default());
        check(&records, every, |tick| intervals.borrow_mut().apply(tick), |told| intervals.borrow_mut().tell(told))?;
    }
}

fn distinct(mut records: Vec<Tick>) -> Vec<Tick> {
    let mut seen = std::collections::BTreeSet::new();
    records.retain(|record| seen.insert((record.id, record.rank())));
    records
}

#[test]
fn sealing_forgets_identities_and_keeps_later_minutes() {
    let mut minutes = Minutes::default();
    for (id, minute) in [(1, 0), (2, 1), (3, 2)] {
        minutes.apply(&tick(id, 0, minute * MINUTE_MS, 5, false, id as i64));
    }
    minutes.tell(|_, _, _| {});
    minutes.seal(2 * MINUTE_MS);
    assert_eq!(minutes.earliest_ms(), Some(2 * MINUTE_MS));
    assert_eq!(minutes.apply(&tick(3, 0, 2 * MINUTE_MS, 5, false, 3)), Outcome::Duplicate);
    assert_eq!(minutes.apply(&tick(1, 0, 2 * MINUTE_MS, 5, false, 4)), Outcome::Applied);
    minutes.seal(3 * MINUTE_MS);
    assert_eq!((minutes.earliest_ms(), minutes.bytes() < 2_000), (None, true));
}
