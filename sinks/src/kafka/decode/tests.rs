//! What was written is read back: whatever the numbers, and however nasty the names.

use std::sync::Arc;

use model::bid::{BidKind, BidStatus, Side, Step};
use model::{
    AlertState, Anomaly, AnomalyKind, Bar, Batch, BidEvent, Change, Disposition, PartitionId, Severity, Tick,
    TickExtra, Zones,
};
use proptest::prelude::*;

use super::super::encode;
use super::*;
use crate::Context;

const PRICE: std::ops::Range<i64> = -1_000_000_000_000_000..1_000_000_000_000_000;
const TIME: std::ops::Range<i64> = 0..4_000_000_000_000;
const VOLUME: std::ops::Range<i64> = 0..1_000_000_000_000;
const T: u64 = 1_763_460_000_000;

/// A place in a market; names as nasty as a sender may choose them.
fn place() -> impl Strategy<Value = (&'static str, String, Market)> {
    let zones = prop_oneof![Just("PJM"), Just("NYISO"), Just("IEX-W2")];
    (zones, r#"[a-z|"\\é&.]{1,9}x"#, proptest::sample::select(&Market::ALL[..]))
}

fn bar() -> impl Strategy<Value = Bar> {
    (prop::array::uniform4(PRICE), 1..i64::MAX, any::<[i64; 3]>(), VOLUME, TIME, TIME).prop_map(
        |([open, high, low, close], count, sums, sum_volume_kwh, first_ms, last_ms)| Bar {
            open,
            high,
            low,
            close,
            count,
            sum_price: i128::from(sums[0]) * 1_000_003,
            sum_price_sq: i128::from(sums[1]) * 1_000_003,
            sum_volume_kwh,
            sum_price_volume: i128::from(sums[2]) * 1_000_003,
            first_ms,
            last_ms,
        },
    )
}

fn kpi(series: SeriesKey) -> impl Strategy<Value = Kpi> {
    let maybe = || prop::option::of(PRICE);
    (prop::array::uniform5(PRICE), prop::array::uniform3(maybe()), any::<Option<i32>>(), VOLUME, TIME).prop_map(
        move |([last, change, min, max, mean], [vwap, volatility, spread], ppm, volume_kwh, last_ms)| Kpi {
            series,
            window_min: 60,
            last,
            last_ms,
            change,
            change_ppm: ppm.map(i64::from),
            min,
            max,
            mean,
            vwap,
            volatility,
            volume_kwh,
            count: volume_kwh + 1,
            spread,
        },
    )
}

fn alert(series: SeriesKey) -> impl Strategy<Value = Alert> {
    let states = [AlertState::Raised, AlertState::Revised, AlertState::Withdrawn];
    let kinds = [AnomalyKind::ZScore, AnomalyKind::StaleFeed, AnomalyKind::SpreadBreak];
    let what = (proptest::sample::select(states.to_vec()), proptest::sample::select(kinds.to_vec()));
    let numbers = (PRICE, prop::option::of(PRICE), prop::option::of(-999_999..999_999_i64), 0..900_000_000_i64);
    (what, numbers, any::<u64>(), "[ -~é]{1,12}", TIME, any::<u32>()).prop_map(
        move |((state, kind), (value, baseline, z_milli, threshold_milli), id, rule, start_ms, revision)| Alert {
            anomaly: Anomaly {
                id,
                rule,
                kind,
                severity: Severity::Critical,
                series,
                start_ms,
                value,
                baseline,
                z_milli,
                threshold_milli,
            },
            state,
            raised_t: T - 7,
            changed_t: T,
            revision,
        },
    )
}

fn bid(series: SeriesKey) -> impl Strategy<Value = LiveBid> {
    // What decoding lets in: times since 1990, names that are not blank.
    let step = (631_152_000_000..TIME.end, PRICE, PRICE, VOLUME, VOLUME).prop_map(
        |(start_ms, price_micros, end_price_micros, power_kw, min_power_kw)| Step {
            start_ms,
            price_micros,
            end_price_micros,
            power_kw,
            min_power_kw,
        },
    );
    let name = || prop::option::of("x.{0,9}");
    let kind = prop_oneof![
        Just(BidKind::Curve),
        (VOLUME, prop::option::of(PRICE))
            .prop_map(|(fixed_micros, variable_micros)| BidKind::MinimumIncome { fixed_micros, variable_micros }),
        (1..=1_000_000_u32, name(), name()).prop_map(|(min_acceptance_ppm, parent, exclusive_group)| {
            BidKind::Block { min_acceptance_ppm, parent, exclusive_group }
        }),
        Just(BidKind::Capacity { to: LocationId::new("PJM", "PJM") }),
    ];
    (".{1,12}", ".{0,12}", prop::collection::vec(step, 0..4), TIME, TIME, any::<i64>(), name(), kind).prop_map(
        move |(bid, organisation, steps, delivery_ms, event_ms, revision, asset, kind)| {
            LiveBid::new(BidEvent {
                bid,
                revision,
                status: BidStatus::Accepted,
                organisation,
                asset,
                series,
                delivery_ms,
                duration_ms: 900_000,
                side: Side::Buy,
                kind,
                steps,
                event_ms,
                partition: PartitionId::default(),
                offset: -1,
            })
        },
    )
}

fn clearing(series: SeriesKey) -> impl Strategy<Value = Clearing> {
    let amounts = (prop::array::uniform4(VOLUME), prop::array::uniform2(PRICE), 0..1_000_i64, any::<bool>());
    let prices = prop::option::of((PRICE, PRICE, PRICE, ".{0,9}"));
    (TIME, amounts, prices).prop_map(move |(start_ms, (kw, money, bids, congested), prices)| Clearing {
        series,
        start_ms,
        duration_ms: 900_000,
        price_micros: prices.as_ref().map(|prices| prices.0),
        range_micros: prices.as_ref().map(|prices| (prices.1, prices.2)),
        sold_kw: kw[0],
        bought_kw: kw[1],
        import_kw: kw[1] - kw[0],
        congested,
        buy_surplus_micros: money[0],
        sell_surplus_micros: money[1],
        offered_kw: kw[2],
        wanted_kw: kw[3],
        best_buy_micros: prices.as_ref().map(|prices| prices.1),
        best_sell_micros: None,
        marginal: prices.map(|prices| (Side::Sell, prices.3)),
        bids,
    })
}

fn award(series: SeriesKey) -> impl Strategy<Value = Award> {
    (".{1,12}", ".{0,9}", prop::option::of(".{1,9}"), TIME, VOLUME, PRICE).prop_map(
        move |(bid, organisation, asset, start_ms, power_kw, price_micros)| Award {
            bid,
            organisation,
            asset,
            series,
            start_ms,
            duration_ms: 900_000,
            side: Side::Buy,
            power_kw,
            price_micros,
        },
    )
}

fn settlement(series: SeriesKey) -> impl Strategy<Value = Settlement> {
    let maybe = || prop::option::of(PRICE);
    let names = (".{1,12}", ".{0,9}", ".{0,9}");
    (names, TIME, prop::array::uniform3(PRICE), prop::array::uniform4(maybe()), prop::option::of(VOLUME)).prop_map(
        move |((organisation, asset, bid), start_ms, amounts, maybe, metered_kw)| Settlement {
            organisation,
            asset,
            bid,
            series,
            start_ms,
            duration_ms: 900_000,
            day_ms: start_ms - 7_000,
            scheduled_kw: amounts[0] / 1_000,
            day_ahead_micros: amounts[1],
            metered_kw,
            imbalance_kw: metered_kw.map(|kw| -kw),
            real_time_price_micros: maybe[0],
            imbalance_micros: maybe[1],
            penalty_micros: maybe[2],
            total_micros: maybe[3],
        },
    )
}

fn pnl(series: SeriesKey) -> impl Strategy<Value = Pnl> {
    // By zone: as a row of a zone's own index has it.
    let zones = Zones::built_in();
    let zone = zones.of(series.location).map_or(series.location, |zone| zone.index());
    (".{1,12}", ".{0,9}", TIME, prop::array::uniform4(PRICE), any::<[i64; 2]>()).prop_map(
        move |(organisation, asset, day_ms, amounts, [intervals, open_intervals])| Pnl {
            organisation,
            asset,
            zone,
            day_ms,
            day_end_ms: day_ms + 86_400_000,
            day_ahead_micros: amounts[0],
            imbalance_micros: amounts[1],
            penalty_micros: amounts[2],
            total_micros: amounts[3],
            intervals,
            open_intervals,
        },
    )
}

fn bid_kpi(series: SeriesKey) -> impl Strategy<Value = BidKpi> {
    let figures = (VOLUME, VOLUME, prop::option::of(PRICE), prop::option::of(0..=1_000_000_i64));
    (".{1,12}", TIME, any::<bool>(), prop::array::uniform4(0..1_000_i64), figures).prop_map(
        move |(organisation, start_ms, is_buy, counts, (offered_kw, awarded_kw, mean_price_micros, acceptance_ppm))| {
            let side = if is_buy { Side::Buy } else { Side::Sell };
            BidKpi {
                key: BidKpiKey { series, start_ms, duration_ms: 900_000, side, organisation },
                live: counts[0],
                withdrawn: counts[1],
                rejected: counts[2],
                expired: counts[3],
                offered_kw,
                mean_price_micros,
                awarded_kw,
                acceptance_ppm,
            }
        },
    )
}

fn tick(series: SeriesKey, partition: PartitionId) -> impl Strategy<Value = TickRow> {
    (PRICE, VOLUME, any::<u64>(), TIME, any::<i64>(), prop::option::of(".{1,9}")).prop_map(
        move |(price_micros, volume_kwh, id, event_ms, offset, text)| TickRow {
            tick: Tick {
                location: series.location,
                market: series.market,
                event_ms,
                duration_ms: 0,
                price_micros,
                volume_kwh,
                id,
                revision: offset,
                cancelled: id % 2 == 0,
                partition,
                offset,
                extra: text.map(|text| Box::new(TickExtra { id: Some(text.into()), ..TickExtra::default() })),
            },
            disposition: Disposition::Corrected,
        },
    )
}

/// A batch with one row of each kind, all at one place, and the names it is about.
fn batch() -> impl Strategy<Value = (Context, Batch)> {
    (place(), prop::option::of(-1_000_000_000..=1_000_000_000_i64)).prop_flat_map(|((zone, location, market), r)| {
        let names = Arc::new(Names::default());
        let (id, name) = names.location(zone, &location);
        let partition = names.partition("optibid.ticks.pjm", 3).unwrap();
        let series = SeriesKey { location: id, market };
        let key = BarKey { series, granularity: Granularity::M15, start_ms: 1_763_459_100_000 };
        let pair = Correlation { a: series, b: series, window_min: 60, lag_min: 5, n: 42, r_nano: r };
        let context = Context { names, zones: Zones::built_in() };
        let market_rows =
            (bid(series), clearing(series), award(series), settlement(series), pnl(series), bid_kpi(series));
        let rows = (bar(), kpi(series), alert(series), market_rows, tick(series, partition));
        rows.prop_map(move |(bar, kpi, alert, (bid, clearing, award, settlement, pnl, bid_kpi), tick)| {
            let batch = Batch {
                t: T,
                names: name.iter().cloned().collect(),
                ticks: Arc::new([tick]),
                bars: vec![Change::Put(BarRow { key, end_ms: key.start_ms + 900_000, bar })],
                kpis: vec![Change::Put(kpi)],
                alerts: vec![alert],
                correlations: vec![Change::Put(pair)],
                bids: vec![Change::Put(bid)],
                clearing: vec![Change::Put(clearing)],
                awards: vec![Change::Put(award)],
                settlement: vec![Change::Put(settlement)],
                pnl: vec![Change::Put(pnl)],
                bid_kpis: vec![Change::Put(bid_kpi)],
                ..Batch::default()
            };
            (context.clone(), batch)
        })
    })
}

/// What a reader without any name makes of the messages.
fn said(context: &Context, batch: &Batch) -> Vec<Said> {
    let names = Names::default();
    let messages = encode::messages(context, &[Arc::new(batch.clone())]).unwrap();
    let read = |message: &encode::Message| decode(&names, message.kind, &message.key, message.value.as_deref());
    messages.iter().map(|message| read(message).unwrap()).filter(|said| *said != Said::Nothing).collect()
}

fn removed(mut batch: Batch) -> Batch {
    batch.bars = batch.bars.iter().map(|change| Change::Remove(*change.row())).collect();
    batch.kpis = batch.kpis.iter().map(|change| Change::Remove(*change.row())).collect();
    batch.correlations = batch.correlations.iter().map(|change| Change::Remove(*change.row())).collect();
    batch.bids = batch.bids.iter().map(|change| Change::Remove(change.row().clone())).collect();
    batch.clearing = batch.clearing.iter().map(|change| Change::Remove(change.row().clone())).collect();
    batch.awards = batch.awards.iter().map(|change| Change::Remove(change.row().clone())).collect();
    batch.settlement = batch.settlement.iter().map(|change| Change::Remove(change.row().clone())).collect();
    batch.pnl = batch.pnl.iter().map(|change| Change::Remove(change.row().clone())).collect();
    batch.bid_kpis = batch.bid_kpis.iter().map(|change| Change::Remove(change.row().clone())).collect();
    Batch { names: Vec::new(), alerts: Vec::new(), ticks: Arc::new([]), ..batch }
}

proptest! {
    #[test]
    fn what_was_written_is_read_back_exactly((context, batch) in batch()) {
        let (bar, kpi) = (*batch.bars[0].row(), *batch.kpis[0].row());
        let (pair, bid) = (*batch.correlations[0].row(), batch.bids[0].row().clone());
        let (clearing, award) = (batch.clearing[0].row().clone(), batch.awards[0].row().clone());
        let (settlement, pnl) = (batch.settlement[0].row().clone(), batch.pnl[0].row().clone());
        let figures = batch.bid_kpis[0].row().clone();
        let mut expected = vec![
            Said::Name(batch.names[0].clone()),
            Said::Bar(bar.key, Some(Box::new(bar))),
            Said::Kpi(kpi.key(), Some(Box::new(kpi))),
            Said::Alert(Box::new(batch.alerts[0].clone())),
            Said::Correlation(pair.key(), Some(Box::new(pair))),
            Said::Bid(bid.bid.clone(), Some(Box::new(bid.clone()))),
            Said::Clearing(clearing.key(), Some(Box::new(clearing.clone()))),
            Said::Award(award.key(), Some(Box::new(award.clone()))),
            Said::Settlement(settlement.key(), Some(Box::new(settlement.clone()))),
            Said::Pnl(pnl.key(), Some(Box::new(pnl.clone()))),
            Said::BidKpi(figures.key(), Some(Box::new(figures.clone()))),
            Said::Ticks(batch.ticks.to_vec()),
        ];
        let found = said(&context, &batch);
        // A withdrawn alert has a topic of its own, and so another place.
        let place = found.iter().position(|said| matches!(said, Said::Alert(_))).unwrap();
        let alert = expected.remove(3);
        expected.insert(place, alert);
        prop_assert_eq!(found, expected);
        let gone = vec![
            Said::Bar(bar.key, None),
            Said::Kpi(kpi.key(), None),
            Said::Correlation(pair.key(), None),
            Said::Bid(bid.bid.clone(), None),
            Said::Clearing(clearing.key(), None),
            Said::Award(award.key(), None),
            Said::Settlement(settlement.key(), None),
            Said::Pnl(pnl.key(), None),
            Said::BidKpi(figures.key(), None),
        ];
        prop_assert_eq!(said(&context, &removed(batch)), gone);
    }
}

#[test]
fn what_cannot_be_read_is_said_and_no_guess() {
    let names = Names::default();
    let error = decode(&names, Kind::Table(Table::Bars), "k", Some(b"{\"zone\":\"PJM\"}")).unwrap_err();
    assert!(error.to_string().contains("newer program") && error.to_string().contains("PJM"), "{error}");
    assert!(decode(&names, Kind::Table(Table::Kpis), "no key", None).is_err());
    assert!(decode(&names, Kind::Notices, "n", None).is_err());
}
