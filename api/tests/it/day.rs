//! A day of bids in Iberia, far enough ahead that its gate is open whenever the tests run.
//!
//! Hour 0 in Spain clears at 30 with two bids at the margin; Portugal has its own price, there is no capacity between
//! them. Hours 2 and 3 in Spain have two blocks, of which one is accepted. Hour 5 has a linear curve.

use std::collections::BTreeMap;
use std::sync::Arc;

use auction::{Auction, Book, Rules};
use model::wire::{Decoded, Decoder, Limits, Origin, TopicKind};
use model::{
    Award, Batch, BidEvent, BidKind, BidKpi, BidKpiKey, BidStatus, Change, Clearing, Market, Names, SeriesKey, Side,
    Step, Zones,
};

use crate::world::{World, at, micros, noon};

pub(crate) const HOUR: i64 = 3_600_000;
const MARKET: Market = Market::DayAheadHourly;

/// Start of the day of delivery.
pub(crate) fn start() -> i64 {
    Zones::built_in().get("ES").unwrap().delivery_day(MARKET, at("2090-06-21T10:00:00Z")).0
}

/// An hour of the day as a path and a body name it.
pub(crate) fn hour(hour: i64) -> String {
    model::time::rfc3339(start() + hour * HOUR)
}

pub(crate) fn series(zone: &str) -> SeriesKey {
    SeriesKey { location: Zones::built_in().get(zone).unwrap().index(), market: MARKET }
}

/// A curve: hour, price, MW.
pub(crate) fn bid(id: &str, zone: &str, side: Side, steps: &[(i64, f64, f64)]) -> BidEvent {
    let step = |(hour, price, mw): &(i64, f64, f64)| {
        Step::flat(start() + hour * HOUR, micros(*price), model::money::volume_kwh(*mw).unwrap())
    };
    let steps: Vec<Step> = steps.iter().map(step).collect();
    BidEvent {
        bid: id.to_owned(),
        revision: 0,
        status: BidStatus::Submitted,
        organisation: if id.starts_with('k') { "Blocks" } else { "Acme" }.to_owned(),
        asset: None,
        series: series(zone),
        delivery_ms: steps[0].start_ms,
        duration_ms: HOUR as u32,
        side,
        kind: BidKind::Curve,
        steps,
        event_ms: noon() as i64,
        partition: Default::default(),
        offset: 0,
    }
}

fn block(id: &str, price: f64) -> BidEvent {
    let kind = BidKind::Block { min_acceptance_ppm: 1_000_000, parent: None, exclusive_group: None };
    BidEvent { kind, ..bid(id, "ES", Side::Sell, &[(2, price, 20.0), (3, price, 20.0)]) }
}

/// The day's bids.
pub(crate) fn bids() -> Vec<BidEvent> {
    let mut linear = bid("l1", "ES", Side::Sell, &[(5, 10.0, 100.0)]);
    linear.steps[0].end_price_micros = micros(60.0);
    vec![
        bid("s1", "ES", Side::Sell, &[(0, 10.0, 100.0)]),
        bid("s2", "ES", Side::Sell, &[(0, 30.0, 100.0)]),
        bid("s3", "ES", Side::Sell, &[(0, 30.0, 50.0), (0, 35.0, 50.0)]),
        bid("b1", "ES", Side::Buy, &[(0, 60.0, 150.0)]),
        bid("b2", "ES", Side::Buy, &[(0, 20.0, 40.0)]),
        bid("p1", "PT", Side::Sell, &[(0, 50.0, 10.0)]),
        bid("p2", "PT", Side::Buy, &[(0, 55.0, 5.0)]),
        bid("c1", "ES", Side::Sell, &[(2, 40.0, 100.0), (3, 40.0, 100.0)]),
        bid("c2", "ES", Side::Buy, &[(2, 80.0, 60.0), (3, 80.0, 60.0)]),
        block("k1", 35.0),
        block("k2", 45.0),
        linear,
        bid("l2", "ES", Side::Buy, &[(5, 90.0, 50.0)]),
    ]
}

pub(crate) fn auction() -> Auction {
    Rules::new(&Zones::built_in()).auction(&bid("x", "ES", Side::Buy, &[(0, 1.0, 1.0)]))
}

/// The book of these bids, cleared from scratch.
pub(crate) fn book(bids: &[BidEvent]) -> Book {
    let mut book = Book::new(&auction(), &Rules::new(&Zones::built_in()));
    bids.iter().filter(|bid| bid.is_live()).for_each(|bid| book.enter(bid.clone().into()));
    book.clear();
    book
}

/// Every row of a book.
pub(crate) fn rows(book: &Book) -> Vec<Clearing> {
    let all = book.intervals().all().flat_map(|interval| (0..2).map(move |zone| (interval, zone)));
    let mut rows: Vec<Clearing> = all.filter_map(|(interval, zone)| book.row(interval, zone)).collect();
    rows.sort();
    rows
}

/// The batch that the dataflow would close when these bids are all there are: rows and awards with them.
pub(crate) fn batch(t: u64, bids: &[BidEvent]) -> Batch {
    let book = book(bids);
    let awards = book.intervals().all().flat_map(|interval| book.awards(interval).into_values());
    let mut awards: Vec<Award> = awards.collect();
    awards.sort();
    let figures = figures(bids, &awards);
    let mut bids = bids.to_vec();
    bids.sort_by(|one, other| one.bid.cmp(&other.bid));
    Batch {
        t,
        bids: bids.into_iter().map(|bid| Change::Put(bid.into())).collect(),
        clearing: rows(&book).into_iter().map(Change::Put).collect(),
        bid_kpis: figures.into_iter().map(Change::Put).collect(),
        awards: awards.into_iter().map(Change::Put).collect(),
        ..Batch::default()
    }
}

/// The key figures of bids when their gate is closed.
fn figures(bids: &[BidEvent], awards: &[Award]) -> Vec<BidKpi> {
    let mut rows: BTreeMap<BidKpiKey, (BidKpi, i64)> = BTreeMap::new();
    for bid in bids.iter().filter(|bid| !matches!(bid.kind, BidKind::Capacity { .. })) {
        for steps in bid.steps.chunk_by(|one, other| one.start_ms == other.start_ms) {
            let key = BidKpiKey {
                series: bid.series,
                start_ms: steps[0].start_ms,
                duration_ms: bid.duration_ms,
                side: bid.side,
                organisation: bid.organisation.clone(),
            };
            let empty = BidKpi {
                key: key.clone(),
                live: 0,
                withdrawn: 0,
                rejected: 0,
                expired: 0,
                offered_kw: 0,
                mean_price_micros: None,
                awarded_kw: 0,
                acceptance_ppm: None,
            };
            let (row, value) = rows.entry(key).or_insert((empty, 0));
            if !bid.is_live() {
                row.withdrawn += 1;
                continue;
            }
            row.live += 1;
            row.offered_kw += steps.iter().map(|step| step.power_kw).sum::<i64>();
            let mean = |step: &Step| (step.price_micros + step.end_price_micros) / 2;
            *value += steps.iter().map(|step| step.power_kw * mean(step)).sum::<i64>();
        }
    }
    let finish = |(mut row, value): (BidKpi, i64)| {
        let of_row = |award: &&Award| {
            let key = &row.key;
            (award.series, award.start_ms, award.side) == (key.series, key.start_ms, key.side)
                && award.organisation == key.organisation
        };
        row.awarded_kw = awards.iter().filter(of_row).map(|award| award.power_kw).sum();
        row.mean_price_micros = value.checked_div(row.offered_kw);
        row.acceptance_ppm = (row.awarded_kw * 1_000_000).checked_div(row.offered_kw);
        row
    };
    rows.into_values().map(finish).collect()
}

/// The world with the day's bids in it.
pub(crate) async fn world() -> World {
    let world = World::start().await;
    world.close(batch(noon() + 1, &bids()));
    world
}

/// What the dataflow would make of the message published last.
pub(crate) fn read_back(world: &World) -> BidEvent {
    let message = world.published().pop().expect("a message");
    assert_eq!((message.kind, message.zone.as_deref()), (TopicKind::Bids, None));
    let decoder = Decoder { zones: world.zones.clone(), names: Arc::new(Names::default()), limits: Limits::default() };
    let origin = Origin {
        topic: "optibid.bids".into(),
        partition: 0,
        partition_id: Default::default(),
        offset: world.published().len() as i64,
        // As a broker stamps it.
        timestamp_ms: message.payload["timestamp"].as_i64().unwrap(),
    };
    let mut out = Decoded::default();
    decoder.decode(TopicKind::Bids, &origin, message.payload.to_string().as_bytes(), &mut out);
    assert!(out.dead_letters.is_empty(), "{:?}", out.dead_letters);
    let bid = out.bids.pop().expect("a bid");
    assert_eq!(message.key, bid.bid);
    bid
}

/// The bid published last stands from `t` on.
pub(crate) fn stand(world: &World, t: u64) {
    let bid = read_back(world);
    world.close(Batch { t, bids: vec![Change::Put(bid.into())], ..Batch::default() });
}
