//! The complete book of MIBEL for 2025-06-21 against what was published. The files: `$OPTIBID_DATA`, or `shared/data` beside
//! the workspace.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use auction::{Book, OrderId};
use model::{Award, BidEvent, BidKind, Clearing, LiveBid, Side};

use crate::files::{bids, book};
use crate::published::{flows, prices};

/// Zones of the book.
const SPAIN: usize = 0;
const PORTUGAL: usize = 1;
/// How close a price must come, micro-EUR per MWh: a cent, to which prices are published.
const CENT: i64 = 10_000;
/// How close a flow must come, kW: to which flows are published.
const FLOW: i64 = 100;

fn folder() -> PathBuf {
    let folder = std::env::var_os("OPTIBID_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from)
        .join("omie");
    assert!(folder.exists(), "{} is missing: set OPTIBID_DATA to the folder of real market data", folder.display());
    folder
}

fn row(book: &Book, interval: u16, zone: usize) -> Clearing {
    book.row(interval, zone).expect("bids in every hour and zone")
}

/// Everything that the book says.
fn told(book: &Book) -> Vec<(Clearing, Clearing, BTreeMap<OrderId, Award>)> {
    let intervals = book.intervals().all();
    intervals.map(|hour| (row(book, hour, SPAIN), row(book, hour, PORTUGAL), book.awards(hour))).collect()
}

/// Official prices of Spain that bids give when they are cleared.
fn exact(bids: &[BidEvent]) -> usize {
    let mut book = book(bids);
    book.clear();
    let is_exact = |(hour, official): &(u16, [i64; 2])| {
        row(&book, *hour, SPAIN).price_micros.is_some_and(|price| (price - official[SPAIN]).abs() <= CENT)
    };
    prices(&folder()).iter().filter(|published| is_exact(published)).count()
}

fn has_minimum(bid: &BidEvent) -> bool {
    bid.steps.iter().any(|step| step.min_power_kw > 0)
}

#[test]
fn prices_and_flows_are_the_published_ones() {
    let bids = bids(&folder());
    let mut book = book(&bids);
    let capacities = bids.iter().filter(|bid| matches!(bid.kind, BidKind::Capacity { .. })).count();
    assert_eq!((bids.len(), capacities), (2_554, 2));
    assert_eq!(book.day().orders().len(), 2_552, "the day took every bid");
    assert_eq!(book.clear(), (0..24).collect::<Vec<_>>());

    for component in book.day().components() {
        assert_eq!(component.bound, component.welfare, "proven optimal");
    }
    let (prices, flows) = (prices(&folder()), flows(&folder()));
    assert_eq!((prices.len(), flows.len()), (12, 24));
    for (hour, official) in prices {
        for zone in [SPAIN, PORTUGAL] {
            let price = row(&book, hour, zone).price_micros.expect("a price");
            assert!((price - official[zone]).abs() <= CENT, "hour {hour}, zone {zone}: {price}, not {official:?}");
        }
    }
    for (hour, flow) in flows {
        let imports = [SPAIN, PORTUGAL].map(|zone| row(&book, hour, zone).import_kw);
        assert!((imports[PORTUGAL] - flow).abs() <= FLOW, "hour {hour}: to Portugal {imports:?}, not {flow}");
        assert_eq!(imports[SPAIN], -imports[PORTUGAL]);
        assert_eq!(book.day().result(hour).flow, imports[PORTUGAL]);
    }
    for (hour, (spain, portugal, awards)) in (0..).zip(told(&book)) {
        for row in [spain, portugal] {
            let sum = |side| {
                let of = awards.values().filter(|award| (award.series, award.side) == (row.series, side));
                of.map(|award| award.power_kw).sum::<i64>()
            };
            assert_eq!((sum(Side::Sell), sum(Side::Buy)), (row.sold_kw, row.bought_kw), "hour {hour}");
            assert_eq!(row.sold_kw + row.import_kw, row.bought_kw, "hour {hour}");
        }
    }
}

#[test]
fn an_amendment_there_and_back_changes_nothing() {
    let bids = bids(&folder());
    let mut book = book(&bids);
    book.clear();
    let before = told(&book);
    let is_plain = |bid: &&BidEvent| bid.kind == BidKind::Curve && !has_minimum(bid) && bid.asset.is_some();
    let is_scalable = |bid: &&BidEvent| matches!(bid.kind, BidKind::MinimumIncome { .. });
    let is_block = |bid: &&BidEvent| matches!(bid.kind, BidKind::Block { .. });
    let one_each = [bids.iter().find(is_plain), bids.iter().find(is_scalable), bids.iter().find(is_block)];
    for bid in one_each.map(|bid| bid.expect("one of each kind")) {
        let mut amended = bid.clone();
        amended.steps[0].power_kw *= 2;
        book.take_out(bid);
        book.enter(LiveBid::new(amended.clone()));
        book.clear();
        assert_ne!(told(&book), before, "{}", bid.bid);
        book.take_out(&amended);
        book.enter(LiveBid::new(bid.clone()));
        book.clear();
        assert_eq!(told(&book), before, "{}", bid.bid);
    }
}

/// What the conditions of complex bids are worth: without them the published prices do not come out.
#[test]
fn simpler_rules_miss_most_prices() {
    let bids = bids(&folder());
    assert_eq!(exact(&bids), 12);
    let is_block = |bid: &BidEvent| matches!(bid.kind, BidKind::Block { .. });
    let is_scalable = |bid: &BidEvent| matches!(bid.kind, BidKind::MinimumIncome { .. });
    let is_plain = |bid: &&BidEvent| !is_block(bid) && !is_scalable(bid) && !has_minimum(bid);
    let plain: Vec<BidEvent> = bids.iter().filter(is_plain).cloned().collect();
    assert_eq!(exact(&plain), 3, "plain bids alone");
    let mut naive: Vec<BidEvent> = bids.into_iter().filter(|bid| !is_block(bid)).collect();
    for bid in &mut naive {
        if is_scalable(bid) {
            bid.kind = BidKind::Curve;
        }
        bid.steps.iter_mut().for_each(|step| step.min_power_kw = 0);
    }
    assert_eq!(exact(&naive), 1, "all steps of complex bids, without their conditions");
}
