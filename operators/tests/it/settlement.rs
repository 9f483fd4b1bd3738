//! Settlement and P&L against a plain recomputation at every T: awards that come, change and go, readings late, out of order,
//! corrected, cancelled and too old, bars that are revised; intervals that end while nothing comes; days that are forgotten.

use std::collections::{BTreeMap, BTreeSet};

use differential_dataflow::AsCollection;
use model::bid::Side;
use model::humane::Span;
use model::settlement::SettlementKey;
use model::{
    Award, Bar, BarKey, BarRow, Granularity, Market, MeterReading, PartitionId, Pnl, SeriesKey, Settlement, T, Zones,
};
use operators::settlement::keep_ms;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::vec::Map;

use crate::driven::{Moment, Standing, Updates, run};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const EUR: i64 = 1_000_000;

/// A zone with a real-time market and a rule, and one that has only a day-ahead market, on the night its clocks go back.
const ZONES: &str = "[[zone]]\ncode='REAL'\nname='r'\ntimezone='UTC'\ncurrency='EUR'\nmarket='REAL_TIME_5_MIN'\ncountry='XX'\n\
    latitude=0.0\nlongitude=0.0\nauctions=[{market='DAY_AHEAD_HOURLY', imbalance={tolerance_percent=10.0, penalty_percent=20.0}}]\n\
    [[zone]]\ncode='AHEAD'\nname='a'\ntimezone='America/New_York'\ncurrency='EUR'\nmarket='DAY_AHEAD_HOURLY'\ncountry='XX'\n\
    latitude=0.0\nlongitude=0.0\nauctions=[{market='DAY_AHEAD_15_MIN', imbalance={market='REAL_TIME_15_MIN'}}]";

fn zones() -> Zones {
    Zones::extended(ZONES).unwrap()
}

fn config() -> operators::Config {
    let mut config = operators::Config::default();
    config.retention.minute = Span::from_millis(5 * HOUR as u64);
    config
}

fn base_ms() -> i64 {
    model::time::parse_instant("2025-11-01T20:00:00Z").unwrap()
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Other {
    Reading(MeterReading),
    Bar(BarRow, T, isize),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Row {
    Settlement(Settlement),
    Pnl(Pnl),
}

type Script = Vec<Moment<(Award, T, isize), Other>>;

struct Maker {
    zones: Zones,
    dice: ChaCha8Rng,
    now_ms: i64,
    offset: i64,
    awards: BTreeMap<(String, i64), Award>,
    bars: BTreeMap<BarKey, BarRow>,
}

impl Maker {
    fn near_ms(&mut self, step_ms: i64) -> i64 {
        let at_ms = self.now_ms + self.dice.random_range(-8 * HOUR..3 * HOUR);
        at_ms.div_euclid(step_ms) * step_ms
    }

    fn award(&mut self) -> Award {
        let number = self.dice.random_range(0..12);
        let (zone, market) = [
            ("REAL", Market::DayAheadHourly),
            ("REAL", Market::DayAheadHourly),
            ("REAL", Market::RealTime5Min),
            ("AHEAD", Market::DayAhead15Min),
            ("AHEAD", Market::DayAheadHourly),
            ("REAL", Market::DayAhead30Min),
        ][number % 6];
        let width_ms = i64::from(market.interval_ms());
        let has_asset = number % 4 != 3;
        Award {
            bid: format!("bid-{number}"),
            organisation: format!("org-{}", number % 2),
            // Amended to another unit now and then; several bids share one.
            asset: has_asset.then(|| format!("unit-{}", self.dice.random_range(0..2) + number % 3)),
            series: SeriesKey { location: self.zones.get(zone).unwrap().index(), market },
            start_ms: self.near_ms(width_ms),
            duration_ms: width_ms as u32,
            side: if self.dice.random_bool(0.6) { Side::Sell } else { Side::Buy },
            power_kw: self.dice.random_range(1..60_000),
            price_micros: self.dice.random_range(-30 * EUR..90 * EUR),
        }
    }

    fn awards(&mut self, t: T) -> Vec<(Award, T, isize)> {
        let mut changes: BTreeMap<(String, i64), (Option<Award>, Option<Award>)> = BTreeMap::new();
        for _ in 0..self.dice.random_range(0..5) {
            let mut award = self.award();
            if self.dice.random_bool(0.4)
                && let Some(known) = self.awards.values().nth(self.dice.random_range(0..self.awards.len().max(1)))
            {
                (award.bid, award.start_ms) = (known.bid.clone(), known.start_ms);
                (award.series, award.duration_ms) = (known.series, known.duration_ms);
                award.organisation = known.organisation.clone();
            }
            let key = award.key();
            if changes.contains_key(&key) {
                continue;
            }
            let old = self.awards.remove(&key);
            let goes = old.is_some() && self.dice.random_bool(0.3);
            let new = (!goes).then_some(award);
            self.awards.extend(new.iter().map(|award| (key.clone(), award.clone())));
            changes.insert(key, (old, new));
        }
        let signed = changes.into_values().flat_map(|(old, new)| [(old, -1), (new, 1)]);
        signed.filter_map(|(award, diff)| Some((award?, t, diff))).collect()
    }

    fn reading(&mut self) -> MeterReading {
        self.offset += 1;
        let width_ms = [5, 5, 5, 15, 60][self.dice.random_range(0..5)] * MINUTE;
        let mut start_ms = self.near_ms(width_ms);
        if self.dice.random_bool(0.03) {
            start_ms -= 40 * HOUR;
        }
        MeterReading {
            asset: format!("unit-{}", self.dice.random_range(0..4)),
            start_ms,
            duration_ms: width_ms as u32,
            power_kw: self.dice.random_range(-20_000..80_000),
            revision: self.dice.random_range(0..4),
            cancelled: self.dice.random_bool(0.1),
            source: None,
            partition: PartitionId(self.dice.random_range(0..3)),
            offset: self.offset,
        }
    }

    fn bars(&mut self, t: T) -> Vec<Other> {
        let mut touched = BTreeSet::new();
        let mut changes = Vec::new();
        for _ in 0..self.dice.random_range(0..12) {
            let (zone, market) = [
                ("REAL", Market::RealTime5Min),
                ("REAL", Market::RealTime5Min),
                ("REAL", Market::Continuous),
                ("AHEAD", Market::Continuous),
                ("AHEAD", Market::RealTime15Min),
                ("AHEAD", Market::DayAheadHourly),
            ][self.dice.random_range(0..6)];
            let series = SeriesKey { location: self.zones.get(zone).unwrap().index(), market };
            let start_ms = self.near_ms(i64::from(market.interval_ms()).max(5 * MINUTE));
            // Rollups of every width pass by.
            let granularity = if self.dice.random_bool(0.9) { Granularity::M5 } else { Granularity::M15 };
            let key = BarKey { series, granularity, start_ms };
            if !touched.insert(key) {
                continue;
            }
            let price = self.dice.random_range(-50 * EUR..200 * EUR);
            let mut bar = Bar::of(start_ms, price, 0);
            if market == Market::Continuous && self.dice.random_bool(0.5) {
                bar.append(&Bar::of(start_ms + 1, price + 7, 0));
            }
            let old = self.bars.remove(&key);
            let goes = old.is_some() && self.dice.random_bool(0.2);
            changes.extend(old.map(|row| Other::Bar(row, t, -1)));
            if !goes {
                let row = BarRow { key, end_ms: start_ms + 5 * MINUTE, bar };
                self.bars.insert(key, row);
                changes.push(Other::Bar(row, t, 1));
            }
        }
        changes
    }
}

fn script(seed: u64) -> Script {
    let dice = ChaCha8Rng::seed_from_u64(seed);
    let mut maker =
        Maker { zones: zones(), dice, now_ms: base_ms(), offset: 0, awards: BTreeMap::new(), bars: BTreeMap::new() };
    let mut moments = Vec::new();
    for _ in 0..150 {
        maker.now_ms += maker.dice.random_range(1..14 * MINUTE);
        let t = maker.now_ms as T;
        let first = maker.awards(t);
        let mut second = maker.bars(t);
        for _ in 0..maker.dice.random_range(0..14) {
            second.push(Other::Reading(maker.reading()));
        }
        moments.push(Moment { t, first, second });
    }
    moments
}

/// Everything that stands, as a person would keep it.
#[derive(Default)]
struct Books {
    awards: BTreeSet<Award>,
    readings: BTreeMap<(String, i64), MeterReading>,
    bars: BTreeSet<BarRow>,
    refused: usize,
}

impl Books {
    fn take(&mut self, moment: &Moment<(Award, T, isize), Other>) {
        for (award, _, diff) in &moment.first {
            let _ = if *diff > 0 { self.awards.insert(award.clone()) } else { self.awards.remove(award) };
        }
        for other in &moment.second {
            match other {
                Other::Bar(row, _, 1) => drop(self.bars.insert(*row)),
                Other::Bar(row, ..) => drop(self.bars.remove(row)),
                Other::Reading(reading) if reading.start_ms + keep_ms(&config()) <= moment.t as i64 => {
                    self.refused += 1
                }
                Other::Reading(reading) => {
                    let winner =
                        self.readings.entry((reading.asset.clone(), reading.start_ms)).or_insert(reading.clone());
                    if (reading.revision, reading.partition, reading.offset)
                        > (winner.revision, winner.partition, winner.offset)
                    {
                        *winner = reading.clone();
                    }
                }
            }
        }
    }

    /// Minute by minute, so that nothing is like the operator.
    fn metered_kw(&self, asset: &str, start_ms: i64, end_ms: i64) -> Option<i64> {
        let (mut at_ms, mut sum) = (start_ms, 0_i128);
        while at_ms < end_ms {
            let reading = self.readings.get(&(asset.to_owned(), at_ms))?;
            let until_ms = at_ms + i64::from(reading.duration_ms);
            if reading.cancelled || until_ms > end_ms {
                return None;
            }
            sum += i128::from(reading.power_kw) * i128::from(until_ms - at_ms);
            at_ms = until_ms;
        }
        Some(rounded(sum, i128::from(end_ms - start_ms)))
    }

    fn price(&self, series: SeriesKey, start_ms: i64, end_ms: i64, zones: &Zones) -> Option<i64> {
        let zone = zones.of(series.location)?;
        let market = match (zone.code.as_str(), series.market) {
            ("REAL", _) => Some(Market::RealTime5Min),
            ("AHEAD", Market::DayAhead15Min) => Some(Market::RealTime15Min),
            _ => None,
        };
        market.into_iter().chain([Market::Continuous]).find_map(|market| {
            let of = |row: &&BarRow| {
                let key = row.key;
                let ends_ms = key.start_ms + i64::from(market.interval_ms()).max(1);
                key.series == (SeriesKey { market, ..series })
                    && key.granularity == Granularity::M5
                    && key.start_ms < end_ms
                    && (key.start_ms >= start_ms || ends_ms > start_ms)
            };
            let (sum, count) =
                self.bars.iter().filter(of).fold((0, 0), |all, row| (all.0 + row.bar.sum_price, all.1 + row.bar.count));
            (count > 0).then(|| rounded(sum, i128::from(count)))
        })
    }

    /// What is said of the days that are not forgotten at `t`.
    fn rows(&self, t: T, zones: &Zones) -> (Vec<Settlement>, Vec<Pnl>) {
        let mut owners: BTreeMap<SettlementKey, Vec<&Award>> = BTreeMap::new();
        for award in self.awards.iter().filter(|award| !is_forgotten(zones, award.series, award.start_ms, t)) {
            let (asset, bid) = match &award.asset {
                Some(asset) => (asset.clone(), String::new()),
                None => (String::new(), award.bid.clone()),
            };
            let key = (award.organisation.clone(), asset, bid, award.series, award.start_ms, award.duration_ms);
            owners.entry(key).or_default().push(award);
        }
        let (mut rows, mut days) = (Vec::new(), BTreeMap::<_, Pnl>::new());
        for ((organisation, asset, bid, series, start_ms, duration_ms), awards) in owners {
            let zone = zones.of(series.location).unwrap();
            let end_ms = start_ms + i64::from(duration_ms);
            let signed = |award: &&Award| if award.side == Side::Sell { award.power_kw } else { -award.power_kw };
            let scheduled_kw: i64 = awards.iter().map(signed).sum();
            let hours = |kw: i128| kw * i128::from(duration_ms);
            let exact: i128 = awards.iter().map(|a| hours(signed(a).into()) * i128::from(a.price_micros)).sum();
            let day_ahead_micros = rounded(exact, 3_600_000_000);
            let price = if (t as i64) < end_ms { None } else { self.price(series, start_ms, end_ms, zones) };
            let metered_kw = if asset.is_empty() { None } else { self.metered_kw(&asset, start_ms, end_ms) };
            let imbalance_kw = metered_kw.map(|metered_kw| metered_kw - scheduled_kw);
            let known = imbalance_kw.zip(price);
            let amount = known.map(|(kw, price)| rounded(hours(kw.into()) * i128::from(price), 3_600_000_000));
            let has_rule = zone.code == "REAL" && series.market == Market::DayAheadHourly;
            let penalty = known.map(|(kw, price)| {
                let free = rounded(i128::from(scheduled_kw.abs()), 10);
                let beyond = (kw.abs() - free).max(0);
                let value = rounded(hours(beyond.into()) * i128::from(price.abs()), 3_600_000_000);
                if has_rule { rounded(value.into(), 5) } else { 0 }
            });
            let total = match asset.is_empty() {
                true => Some(day_ahead_micros),
                false => amount.zip(penalty).map(|(amount, penalty)| day_ahead_micros + amount - penalty),
            };
            let (day_ms, day_end_ms) = zone.delivery_day(series.market, start_ms);
            let key = (organisation.clone(), asset.clone(), zone.code.clone(), day_ms);
            let day = days.entry(key).or_insert_with(|| Pnl {
                organisation: organisation.clone(),
                asset: asset.clone(),
                zone: zone.index(),
                day_ms,
                day_end_ms,
                day_ahead_micros: 0,
                imbalance_micros: 0,
                penalty_micros: 0,
                total_micros: 0,
                intervals: 0,
                open_intervals: 0,
            });
            day.day_ahead_micros += day_ahead_micros;
            day.imbalance_micros += amount.unwrap_or(0);
            day.penalty_micros += penalty.unwrap_or(0);
            day.total_micros = day.day_ahead_micros + day.imbalance_micros - day.penalty_micros;
            day.intervals += 1;
            day.open_intervals += i64::from(total.is_none());
            rows.push(Settlement {
                organisation,
                asset,
                bid,
                series,
                start_ms,
                duration_ms,
                day_ms,
                scheduled_kw,
                day_ahead_micros,
                metered_kw,
                imbalance_kw,
                real_time_price_micros: price,
                imbalance_micros: amount,
                penalty_micros: penalty,
                total_micros: total,
            });
        }
        (rows, days.into_values().collect())
    }
}

/// Half away from zero.
fn rounded(numerator: i128, denominator: i128) -> i64 {
    let (quotient, rest) = (numerator / denominator, numerator % denominator);
    let away = i128::from(2 * rest.abs() >= denominator) * numerator.signum();
    (quotient + away) as i64
}

fn is_forgotten(zones: &Zones, series: SeriesKey, start_ms: i64, t: T) -> bool {
    let (_, day_end_ms) = zones.of(series.location).unwrap().delivery_day(series.market, start_ms);
    day_end_ms + 5 * HOUR <= t as i64
}

fn said(workers: usize, seed: u64, script: &Script, end: T) -> (Updates<Settlement>, Updates<Pnl>) {
    let rows = run(workers, seed, script, end, |awards, others| {
        let bars = others.clone().flat_map(|other| match other {
            Other::Bar(row, t, diff) => Some((row, t, diff)),
            Other::Reading(_) => None,
        });
        let readings = others.flat_map(|other| if let Other::Reading(reading) = other { Some(reading) } else { None });
        let (awards, bars) = (awards.as_collection(), bars.as_collection());
        let settled = operators::settlement::settlement(&config(), &zones(), awards, bars, readings, None);
        settled.settlement.map(Row::Settlement).concat(settled.pnl.map(Row::Pnl))
    });
    let (mut settlement, mut pnl) = (Vec::new(), Vec::new());
    for (t, row, diff) in rows {
        match row {
            Row::Settlement(row) => settlement.push((t, row, diff)),
            Row::Pnl(row) => pnl.push((t, row, diff)),
        }
    }
    (settlement, pnl)
}

#[test]
fn at_every_t_settlement_and_pnl_are_those_of_a_recomputation_on_any_number_of_workers() {
    let zones = zones();
    let (mut known, mut penalties, mut revised, mut refused, mut frozen) = (0, 0, 0, 0, 0);
    for seed in 0..4 {
        let script = script(seed);
        // Over the end of the first day and what is kept of it, and on while nothing comes.
        let end = (script.last().unwrap().t as i64 + 6 * HOUR) as T;
        let (settlement, pnl) = said(1, seed, &script, end);
        for workers in [2, 4] {
            let other = said(workers, seed + 100, &script, end);
            assert!(other == (settlement.clone(), pnl.clone()), "seed {seed}, {workers} workers");
        }
        let mut times: BTreeSet<T> = script.iter().map(|moment| moment.t).collect();
        let ends = script.iter().flat_map(|moment| &moment.first);
        times.extend(ends.map(|(award, ..)| (award.start_ms + i64::from(award.duration_ms)) as T));
        times.extend(settlement.iter().map(|(t, ..)| *t).chain(pnl.iter().map(|(t, ..)| *t)));
        let (mut rows, mut days) = (Standing::new(&settlement), Standing::new(&pnl));
        let mut books = Books::default();
        let (mut old_rows, mut old_days) = (BTreeSet::<Settlement>::new(), BTreeSet::<Pnl>::new());
        for t in times.into_iter().filter(|t| *t < end) {
            script.iter().filter(|moment| moment.t == t).for_each(|moment| books.take(moment));
            // What is forgotten stays as it last stood.
            old_rows.retain(|row| is_forgotten(&zones, row.series, row.start_ms, t));
            old_days.retain(|day| day.day_end_ms + 5 * HOUR <= t as i64);
            frozen += usize::from(!old_rows.is_empty());
            let (now_rows, now_days) = books.rows(t, &zones);
            known += now_rows.iter().filter(|row| row.imbalance_micros.is_some()).count();
            penalties += now_rows.iter().filter(|row| row.penalty_micros.is_some_and(|owed| owed > 0)).count();
            old_rows.extend(now_rows);
            old_days.extend(now_days);
            assert_eq!(rows.at(t), &old_rows, "seed {seed}: settlement at {t}");
            assert_eq!(days.at(t), &old_days, "seed {seed}: P&L at {t}");
        }
        revised += settlement.iter().filter(|(_, row, diff)| *diff < 0 && !row.is_open()).count();
        refused += books.refused;
    }
    let enough = known > 500 && penalties > 50 && revised > 50 && refused > 10 && frozen > 20;
    assert!(enough, "{known} {penalties} {revised} {refused} {frozen}");
}

/// The worked example of docs/bids.md.
#[test]
fn the_example_of_the_documents_comes_out_as_told() {
    let zones = zones();
    let series = SeriesKey { location: zones.get("REAL").unwrap().index(), market: Market::DayAheadHourly };
    let start_ms = base_ms();
    let award = |bid: &str, side, power_kw, price_micros| Award {
        bid: bid.to_owned(),
        organisation: "Northwind".to_owned(),
        asset: Some("wind-1".to_owned()),
        series,
        start_ms,
        duration_ms: HOUR as u32,
        side,
        power_kw,
        price_micros,
    };
    let t = (start_ms + HOUR) as T;
    let awards = [award("b1", Side::Sell, 60_000, 40 * EUR), award("b2", Side::Buy, 10_000, 30 * EUR)]
        .map(|award| (award, t, 1));
    let quarter = |number: i64, power_kw| {
        Other::Reading(MeterReading {
            asset: "wind-1".to_owned(),
            start_ms: start_ms + number * 15 * MINUTE,
            duration_ms: 15 * MINUTE as u32,
            power_kw,
            revision: 0,
            cancelled: false,
            source: None,
            partition: PartitionId(1),
            offset: number,
        })
    };
    let mut second: Vec<Other> =
        [44_000, 40_000, 41_000, 43_000].into_iter().zip(0..).map(|(kw, n)| quarter(n, kw)).collect();
    let key =
        BarKey { series: SeriesKey { market: Market::RealTime5Min, ..series }, granularity: Granularity::M5, start_ms };
    second.push(Other::Bar(BarRow { key, end_ms: start_ms + 5 * MINUTE, bar: Bar::of(start_ms, 60 * EUR, 0) }, t, 1));
    let script = vec![Moment { t, first: awards.to_vec(), second }];
    let (settlement, pnl) = said(1, 0, &script, t + 1);
    let (_, row, _) = &settlement[0];
    assert_eq!((row.scheduled_kw, row.day_ahead_micros), (50_000, 2_100 * EUR));
    assert_eq!((row.metered_kw, row.imbalance_kw), (Some(42_000), Some(-8_000)));
    assert_eq!((row.real_time_price_micros, row.imbalance_micros), (Some(60 * EUR), Some(-480 * EUR)));
    assert_eq!((row.penalty_micros, row.total_micros), (Some(36 * EUR), Some(1_584 * EUR)));
    assert_eq!((pnl[0].1.total_micros, pnl[0].1.intervals, pnl[0].1.open_intervals), (1_584 * EUR, 1, 0));
}
