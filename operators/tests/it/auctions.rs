//! Clearing and awards against the same book cleared from scratch, at every T: random bids of every kind, amended, withdrawn,
//! late, out of order, before and after the gate, in two zones that are coupled and in one that is not.

use std::collections::{BTreeMap, BTreeSet};

use clearing::{Block, Config, Day, Interval, Kind, MinimumIncome, Order, OrderId, Segment, Variable};
use model::bid::{BidKind, BidStatus, Side, Step};
use model::{Award, BidEvent, Clearing, LocationId, Market, PartitionId, SeriesKey, T, Zones};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use timely::dataflow::StreamVec;

use crate::driven::{Moment, Standing, Updates, run};

pub(crate) const HOUR: i64 = 3_600_000;
const EUR: i64 = 1_000_000;
const MARKET: Market = Market::DayAheadHourly;
/// Hours of the day that bids are for.
const HOURS: i64 = 4;

pub(crate) fn ms(text: &str) -> i64 {
    model::time::parse_instant(text).unwrap()
}

/// The delivery day in Madrid, 23 hours long; its gate is at 12:00 the day before.
pub(crate) fn iberia() -> (i64, i64, i64) {
    (ms("2025-03-29T23:00:00Z"), ms("2025-03-30T22:00:00Z"), ms("2025-03-29T11:00:00Z"))
}

pub(crate) fn place(zone: &str) -> LocationId {
    Zones::built_in().get(zone).unwrap().index()
}

fn kind(side: Side, dice: &mut ChaCha8Rng) -> BidKind {
    match dice.random_range(0..9) {
        0 if side == Side::Sell => BidKind::MinimumIncome {
            fixed_micros: dice.random_range(0..400) * EUR,
            variable_micros: dice.random_bool(0.5).then(|| dice.random_range(0..20) * EUR),
        },
        1 | 2 => BidKind::Block {
            min_acceptance_ppm: [1_000_000, 400_000][dice.random_range(0..2)],
            parent: dice.random_bool(0.3).then(|| format!("bid-{}", dice.random_range(0..40))),
            exclusive_group: dice.random_bool(0.3).then(|| "g".to_owned()),
        },
        _ => BidKind::Curve,
    }
}

/// Steps that keep the rules of the field; `day_ms` is where the day begins.
fn steps(kind: &BidKind, side: Side, day_ms: i64, dice: &mut ChaCha8Rng) -> Vec<Step> {
    let first = dice.random_range(0..HOURS);
    let hours: Vec<i64> =
        (first..HOURS.min(first + dice.random_range(1..4))).map(|hour| day_ms + hour * HOUR).collect();
    let price = dice.random_range(-5..40) * EUR;
    let power = |dice: &mut ChaCha8Rng| dice.random_range(1..300) * 100;
    let direction = if side == Side::Sell { 1 } else { -1 };
    let is_linear = *kind == BidKind::Curve && dice.random_bool(0.2);
    let mut steps = Vec::new();
    for start_ms in hours {
        let mut at = price;
        let count = if matches!(kind, BidKind::Block { .. }) { 1 } else { dice.random_range(1..4) };
        for _ in 0..count {
            let mut step = Step::flat(start_ms, at, power(dice));
            let next = at + direction * dice.random_range(1..8) * EUR;
            if is_linear {
                step.end_price_micros = next;
            } else if *kind == BidKind::Curve && dice.random_bool(0.1) {
                step.min_power_kw = step.power_kw / 2;
            }
            at = next;
            steps.push(step);
        }
    }
    steps
}

fn bid(number: usize, offset: i64, dice: &mut ChaCha8Rng) -> BidEvent {
    use BidStatus::{Accepted, Amended, Expired, Rejected, Submitted, Withdrawn};
    let zone = ["MIBEL-ES", "MIBEL-PT", "PJM"][number % 3];
    let (iberian_ms, ..) = iberia();
    let day_ms = if zone == "PJM" { ms("2025-03-29T04:00:00Z") } else { iberian_ms };
    let is_capacity = number.is_multiple_of(20) && zone != "PJM";
    let side = if dice.random_bool(0.5) && !is_capacity { Side::Buy } else { Side::Sell };
    let other = if zone == "MIBEL-ES" { "MIBEL-PT" } else { "MIBEL-ES" };
    let kind = if is_capacity { BidKind::Capacity { to: place(other) } } else { kind(side, dice) };
    let steps = steps(&kind, side, day_ms, dice);
    let status =
        [Submitted, Submitted, Amended, Amended, Accepted, Withdrawn, Rejected, Expired][dice.random_range(0..8)];
    BidEvent {
        bid: format!("bid-{number}"),
        revision: dice.random_range(0..6),
        status,
        organisation: format!("org-{}", number % 4),
        asset: None,
        series: SeriesKey { location: place(zone), market: MARKET },
        delivery_ms: steps[0].start_ms,
        duration_ms: HOUR as u32,
        side,
        kind,
        steps,
        event_ms: day_ms - 30 * HOUR,
        partition: PartitionId(dice.random_range(0..3)),
        offset,
    }
}

pub(crate) fn script(seed: u64) -> Vec<Moment<BidEvent, ()>> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let (_, _, gate_ms) = iberia();
    let (mut t, mut offset) = ((gate_ms - 2 * HOUR) as T, 0);
    let mut moments = Vec::new();
    for _ in 0..30 {
        t += dice.random_range(1..15 * 60_000);
        let first = (0..dice.random_range(0..9)).map(|_| {
            offset += 1;
            let number = dice.random_range(0..40);
            bid(number, offset, &mut dice)
        });
        moments.push(Moment { t, first: first.collect(), second: Vec::new() });
    }
    moments
}

/// An auction as a test sees it: the zones, the day, and from when on awards of an hour are told.
struct Auction {
    zones: Vec<&'static str>,
    day_ms: i64,
    hours: usize,
    gate_ms: Option<i64>,
    limits: (i64, i64),
}

fn auctions() -> [Auction; 2] {
    let (start_ms, end_ms, gate_ms) = iberia();
    let hours = ((end_ms - start_ms) / HOUR) as usize;
    assert_eq!(hours, 23);
    [
        Auction {
            zones: vec!["MIBEL-ES", "MIBEL-PT"],
            day_ms: start_ms,
            hours,
            gate_ms: Some(gate_ms),
            limits: (-500 * EUR, 4_000 * EUR),
        },
        Auction {
            zones: vec!["PJM"],
            day_ms: ms("2025-03-29T04:00:00Z"),
            hours: 24,
            gate_ms: None,
            limits: (-1_000 * EUR, 3_700 * EUR),
        },
    ]
}

type Said = (BTreeSet<Clearing>, BTreeSet<Award>);

/// What must be said of `bids` (winners, whatever their status) at `t`.
fn oracle(auction: &Auction, bids: &BTreeMap<String, BidEvent>, t: T) -> Said {
    let zone_of = |bid: &BidEvent| auction.zones.iter().position(|zone| place(zone) == bid.series.location);
    let live: Vec<(&BidEvent, usize)> =
        bids.values().filter(|bid| bid.is_live()).filter_map(|bid| Some((bid, zone_of(bid)?))).collect();
    let hash = |name: &str| xxhash_rust::xxh3::xxh3_64(name.as_bytes());
    let hour = |start_ms: i64| ((start_ms - auction.day_ms) / HOUR) as Interval;
    let rules = clearing::Rules { floor: auction.limits.0, cap: auction.limits.1, ..Default::default() };
    let zones = auction.zones.len() as u8;
    let mut day = Day::new(Config { zones, rules, ..Config::hours(auction.hours as u16) });
    let mut capacity = vec![[0; 2]; auction.hours];
    // The last first: the order must not matter.
    for (bid, zone) in live.iter().rev() {
        let each = || bid.steps.iter();
        let plain = |step: &Step| clearing::Step {
            interval: hour(step.start_ms),
            price: step.price_micros,
            power: step.power_kw,
            min_power: step.min_power_kw,
        };
        let kind = match &bid.kind {
            BidKind::Capacity { .. } => {
                each().for_each(|step| capacity[usize::from(hour(step.start_ms))][*zone] += step.power_kw);
                continue;
            }
            BidKind::Curve if bid.steps[0].is_linear() => Kind::Linear(
                each()
                    .map(|step| Segment {
                        interval: hour(step.start_ms),
                        start_price: step.price_micros,
                        end_price: step.end_price_micros,
                        power: step.power_kw,
                    })
                    .collect(),
            ),
            BidKind::Curve => Kind::Steps(each().map(plain).collect(), None),
            BidKind::MinimumIncome { fixed_micros, variable_micros } => {
                let variable = variable_micros.map_or(Variable::StepPrices, Variable::PerEnergy);
                Kind::Steps(each().map(plain).collect(), Some(MinimumIncome { fixed: *fixed_micros, variable }))
            }
            BidKind::Block { min_acceptance_ppm, parent, exclusive_group } => Kind::Block(Block {
                periods: each().map(|step| (hour(step.start_ms), step.power_kw)).collect(),
                price: bid.steps[0].price_micros,
                min_acceptance_ratio: *min_acceptance_ppm,
                exclusive_group: exclusive_group.as_ref().map(|group| hash(&format!("{}|{group}", bid.organisation))),
                parent: parent.as_deref().map(|parent| OrderId(hash(parent))),
            }),
        };
        let side = if bid.side == Side::Buy { clearing::Side::Buy } else { clearing::Side::Sell };
        day.put(Order { id: OrderId(hash(&bid.bid)), zone: *zone as u8, side, kind }).unwrap();
    }
    (0..).zip(capacity).for_each(|(hour, capacity)| day.set_capacity(hour, capacity));
    day.clear();
    let by_id: BTreeMap<OrderId, &BidEvent> = live.iter().map(|(bid, _)| (OrderId(hash(&bid.bid)), *bid)).collect();
    let mut said = Said::default();
    for at in 0..auction.hours as u16 {
        let start_ms = auction.day_ms + i64::from(at) * HOUR;
        for (zone, name) in auction.zones.iter().enumerate() {
            let series = SeriesKey { location: place(name), market: MARKET };
            let here = |side: Option<Side>| {
                let of = live.iter().filter(move |(bid, of)| *of == zone && side.is_none_or(|side| side == bid.side));
                let energy = of.filter(|(bid, _)| !matches!(bid.kind, BidKind::Capacity { .. }));
                energy.filter(move |(bid, _)| bid.steps.iter().any(|step| step.start_ms == start_ms))
            };
            let kw = |side| {
                let steps = here(Some(side)).flat_map(|(bid, _)| &bid.steps).filter(|step| step.start_ms == start_ms);
                steps.map(|step| step.power_kw).sum::<i64>()
            };
            let bids = here(None).count() as i64;
            if bids == 0 {
                continue;
            }
            // Plain ones only: no block, no condition, no minimum quantity.
            let plain = |side| {
                let plain = here(Some(side)).filter(|(bid, _)| {
                    bid.kind == BidKind::Curve && bid.steps.iter().all(|step| step.min_power_kw == 0)
                });
                let steps = plain.flat_map(|(bid, _)| &bid.steps).filter(move |step| step.start_ms == start_ms);
                steps.map(|step| step.price_micros)
            };
            let result = day.result(at);
            let cleared = &result.zones[zone];
            said.0.insert(Clearing {
                series,
                start_ms,
                duration_ms: HOUR as u32,
                price_micros: cleared.price,
                range_micros: cleared.price.map(|_| cleared.range),
                sold_kw: cleared.sold,
                bought_kw: cleared.bought,
                import_kw: cleared.import,
                congested: result.congested,
                marginal: cleared.marginal.map(|(_, id)| (by_id[&id].side, by_id[&id].bid.clone())),
                buy_surplus_micros: i64::try_from(cleared.buy_surplus / 1_000).unwrap(),
                sell_surplus_micros: i64::try_from(cleared.sell_surplus / 1_000).unwrap(),
                offered_kw: kw(Side::Sell),
                wanted_kw: kw(Side::Buy),
                best_buy_micros: plain(Side::Buy).max(),
                best_sell_micros: plain(Side::Sell).min(),
                bids,
            });
            let closes_ms = auction.gate_ms.unwrap_or(start_ms);
            let Some(price_micros) = cleared.price.filter(|_| t as i64 >= closes_ms) else { continue };
            for side in [clearing::Side::Buy, clearing::Side::Sell] {
                for (id, power_kw) in day.accepted(at, zone as u8, side).into_iter().filter(|(_, kw)| *kw > 0) {
                    let bid = by_id[&id];
                    said.1.insert(Award {
                        bid: bid.bid.clone(),
                        organisation: bid.organisation.clone(),
                        asset: None,
                        series,
                        start_ms,
                        duration_ms: HOUR as u32,
                        side: bid.side,
                        power_kw,
                        price_micros,
                    });
                }
            }
        }
    }
    said
}

/// A row of either result: both come from one run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
enum Row {
    Clearing(Clearing),
    Award(Award),
}

fn both(workers: usize, seed: u64, script: &[Moment<BidEvent, ()>], end: T) -> (Updates<Clearing>, Updates<Award>) {
    let rows = run(workers, seed, script, end, |events, _: StreamVec<'_, T, ()>| {
        let (config, zones) = (operators::Config::default(), Zones::built_in());
        let bids = operators::bids::live_bids(&config, &zones, events, None).0;
        let (clearing, awards) = operators::auctions::auctions(&config, &zones, bids);
        clearing.map(Row::Clearing).concat(awards.map(Row::Award))
    });
    let (mut cleared, mut awarded) = (Vec::new(), Vec::new());
    for (t, row, diff) in rows {
        match row {
            Row::Clearing(row) => cleared.push((t, row, diff)),
            Row::Award(row) => awarded.push((t, row, diff)),
        }
    }
    (cleared, awarded)
}

#[test]
fn at_every_t_the_book_is_cleared_as_from_scratch_on_any_number_of_workers() {
    let (mut traded, mut congested, mut awarded, mut revised) = (0, 0, 0, 0);
    for seed in 0..2 {
        let script = script(seed);
        // Over the next day's deliveries: gates and starts pass while nothing comes.
        let end = ms("2025-03-30T04:00:00Z") as T;
        let (cleared, awards) = both(1, seed, &script, end);
        for workers in [2, 4] {
            let other = both(workers, seed + 100, &script, end);
            assert_eq!(other, (cleared.clone(), awards.clone()), "seed {seed}, {workers} workers");
        }
        assert!(cleared.iter().all(|(_, row, _)| row.balanced()), "sold + import = bought at every T");
        let times: BTreeSet<T> = script.iter().map(|moment| moment.t).chain(awards.iter().map(|(t, ..)| *t)).collect();
        let (mut rows, mut given) = (Standing::new(&cleared), Standing::new(&awards));
        let mut bids: BTreeMap<String, BidEvent> = BTreeMap::new();
        for t in times {
            for event in script.iter().filter(|moment| moment.t == t).flat_map(|moment| &moment.first) {
                let rank = |event: &BidEvent| (event.revision, event.partition, event.offset);
                let winner = bids.entry(event.bid.clone()).or_insert_with(|| event.clone());
                if rank(event) > rank(winner) {
                    *winner = event.clone();
                }
            }
            let mut expected = Said::default();
            for auction in auctions() {
                let said = oracle(&auction, &bids, t);
                expected.0.extend(said.0);
                expected.1.extend(said.1);
            }
            assert_eq!(rows.at(t), &expected.0, "seed {seed}: clearing at {t}");
            assert_eq!(given.at(t), &expected.1, "seed {seed}: awards at {t}");
            traded += expected.0.iter().filter(|row| row.price_micros.is_some()).count();
            congested += expected.0.iter().filter(|row| row.congested).count();
        }
        awarded += awards.len();
        revised += awards.iter().filter(|(_, _, diff)| *diff < 0).count();
    }
    assert!(traded > 50 && congested > 5 && awarded > 50 && revised > 5, "{traded} {congested} {awarded} {revised}");
}
