//! Whole real order books, compared with a recomputation that shares no code with the adapters; and every bid of them
//! through the decoder, as Kafka would bring it.

use std::collections::{BTreeMap, BTreeSet};

use model::bid::Side;
use model::wire::{WireBid, WireKind};
use simulator::Replay;
use simulator::replay::{BadRow, Body, Record};

use crate::data::{ZONES, at, decode_bid, whole, with_netherlands};
use crate::full_files::aemo;

fn start_ms(bid: &WireBid, step: &model::wire::WireStep) -> i64 {
    step.delivery.as_ref().unwrap_or(&bid.delivery).millis().unwrap()
}

fn bids(records: &[Record]) -> Vec<&WireBid> {
    records.iter().filter_map(Record::bid).collect()
}

fn open(paths: &[std::path::PathBuf]) -> (Vec<Record>, Vec<BadRow>) {
    let replay = Replay::open(paths, &ZONES).unwrap();
    let bad = replay.reports().iter().flat_map(|report| report.bad_rows.clone()).collect();
    let (announced, of_bids) = (replay.records(), replay.bids());
    let records: Vec<_> = replay.map(Result::unwrap).collect();
    assert_eq!((records.len() as u64, bids(&records).len() as u64), (announced, of_bids));
    assert!(records.windows(2).all(|pair| pair[0].published_ms <= pair[1].published_ms), "in order of publication");
    for record in records.iter().filter(|record| matches!(record.body, Body::Bid(_))) {
        decode_bid(&ZONES, record).unwrap();
    }
    (records, bad)
}

/// Period (from 0) and side → MW, and MW × price.
type Offered = BTreeMap<(i64, bool), (f64, f64)>;

fn assert_close(found: &Offered, expected: &Offered) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, (power, value)) in expected {
        let (found_power, found_value) = found[key];
        assert!((found_power - power).abs() < 1e-3 && (found_value - value).abs() < 1.0, "{key:?}");
    }
}

#[test]
fn the_book_of_mibel() {
    let (records, bad) = open(&[whole("omie")]);
    assert_eq!(bad.len(), 21, "stray rows");
    assert!(bad.iter().all(|row| row.reason == "period 25 is outside the day of 24"), "{bad:?}");
    assert_eq!(bad[0].line, 25);
    let bids = bids(&records);
    let is_unit = |bid: &&&WireBid| bid.organisation != "OMIE";
    let orders: BTreeSet<&str> = bids.iter().filter(is_unit).map(|bid| bid.bid.split(':').nth(2).unwrap()).collect();
    assert_eq!(orders.len(), 2_534);
    let of = |kind: fn(&WireKind) -> bool| bids.iter().filter(is_unit).filter(|bid| kind(&bid.kind)).count();
    let blocks = of(|kind| matches!(kind, WireKind::Block { .. }));
    let complex = of(|kind| matches!(kind, WireKind::MinimumIncome { .. }));
    let curves = of(|kind| matches!(kind, WireKind::Curve));
    assert_eq!((curves, complex, blocks), (2_501, 30, 19));
    let rest: Vec<&str> = bids.iter().filter(|bid| bid.organisation == "OMIE").map(|bid| bid.bid.as_str()).collect();
    let expected = ["border:3:export", "border:3:import", "capacity:es-pt", "capacity:pt-es"];
    assert_eq!(rest, expected.map(|id| format!("omie:20250621:{id}")));

    // Every step once, at its price, in its hour.
    let midnight = at("2025-06-20T22:00:00Z");
    let mut found = Offered::new();
    for bid in bids.iter().filter(is_unit) {
        for step in &bid.steps {
            let key = ((start_ms(bid, step) - midnight) / 3_600_000, bid.side == Side::Sell);
            let sum = found.entry(key).or_default();
            *sum = (sum.0 + step.power, sum.1 + step.power * step.price);
        }
    }
    // Bytes, not text: the files are Latin-1.
    let rows = |name: &str| {
        let bytes = std::fs::read(whole(&format!("omie/{name}"))).unwrap();
        bytes.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()).map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    let headers = rows("CAB_20250621.1");
    let is_sell: BTreeMap<&[u8], bool> = headers.iter().map(|row| (&row[..10], row[52] == b'V')).collect();
    let mut expected = Offered::new();
    for row in rows("DET_20250621.1") {
        let number = |from: usize, to: usize| str::from_utf8(&row[from..to]).unwrap().trim().parse::<f64>().unwrap();
        if number(15, 18) <= 24.0 {
            let sum = expected.entry((number(15, 18) as i64 - 1, is_sell[&row[..10]])).or_default();
            *sum = (sum.0 + number(41, 48), sum.1 + number(41, 48) * number(24, 41));
        }
    }
    assert_close(&found, &expected);

    let ticks: Vec<_> = records.iter().filter_map(Record::tick).collect();
    assert_eq!(ticks.len(), 24, "the hours 1 to 12 of both zones");
    let last = |zone: &str| ticks.iter().rev().find(|tick| tick.market_zone == zone).unwrap().price;
    assert_eq!((last("MIBEL-ES"), last("MIBEL-PT")), (0.0, 1.2));
}

#[test]
fn ten_bands_of_two_units() {
    for month in ["DVD_BID?_201804010000", "DVD_BID?_202102010000", "ARCHIVE%23BID?%23FILE01%23202408010000"] {
        let name = |table: &str| format!("aemo/PUBLIC_{}.zip", month.replace("BID?", table));
        let (days, periods) = (whole(&name("BIDDAYOFFER_D")), whole(&name("BIDPEROFFER_D")));
        let (records, bad) = open(&[periods.clone(), days.clone()]);
        assert!(bad.iter().all(|row| row.reason.starts_with("no BIDDAYOFFER_D of")), "{bad:?}");

        let prices: BTreeMap<(String, String), Vec<f64>> = aemo(&days)
            .into_iter()
            .filter(|row| row["BIDTYPE"] == "ENERGY")
            .map(|row| {
                let bands = (1..=10).map(|band| row[&format!("PRICEBAND{band}")].parse().unwrap()).collect();
                ((row["SETTLEMENTDATE"].clone(), row["DUID"].clone()), bands)
            })
            .collect();
        let (mut expected, mut without) = (BTreeMap::new(), 0);
        for row in aemo(&periods).into_iter().filter(|row| row["BIDTYPE"] == "ENERGY") {
            let Some(prices) = prices.get(&(row["SETTLEMENTDATE"].clone(), row["DUID"].clone())) else {
                without += 1;
                continue;
            };
            let end = chrono::NaiveDateTime::parse_from_str(&row["INTERVAL_DATETIME"], "%Y/%m/%d %H:%M:%S").unwrap();
            let mut left: f64 = row["MAXAVAIL"].parse().unwrap();
            let mut steps = Vec::new();
            for (band, price) in (1..).zip(prices) {
                let power = row[&format!("BANDAVAIL{band}")].parse::<f64>().unwrap().min(left);
                left -= power;
                if power > 0.0 {
                    steps.push((*price, power));
                }
            }
            if !steps.is_empty() {
                let start = end.and_utc().timestamp_millis() - 10 * 3_600_000 - 300_000;
                expected.insert((row["DUID"].clone(), start), steps);
            }
        }
        assert_eq!((bad.len(), without), (98, 98), "a day of which the files hold no prices");
        let found: BTreeMap<_, _> = bids(&records)
            .into_iter()
            .map(|bid| {
                assert_eq!((bid.market_zone.as_str(), bid.side), ("SA1", Side::Sell));
                let steps: Vec<_> = bid.steps.iter().map(|step| (step.price, step.power)).collect();
                ((bid.asset.clone().unwrap(), bid.delivery.millis().unwrap()), steps)
            })
            .collect();
        assert_eq!(found.len(), expected.len(), "{month}");
        assert!(found == expected, "{month}");
    }
}

#[test]
fn the_dutch_merit_order() {
    let zones = with_netherlands();
    let path = whole("misc/merit_order_list_28-02-2025_00_00_00.json");
    let records: Vec<_> = Replay::open(&[&path], &zones).unwrap().map(Result::unwrap).collect();
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let mut expected: BTreeMap<(i64, bool), (usize, f64)> = BTreeMap::new();
    for (quarter, point) in (0..).zip(json["Response"]["TimeSeries"][0]["Period"]["Points"].as_array().unwrap()) {
        for threshold in point["Thresholds"].as_array().unwrap() {
            let power: f64 = threshold["capacity_threshold"].as_str().unwrap().parse().unwrap();
            for (is_up, price) in [(true, "price_up"), (false, "price_down")] {
                if threshold[price].is_string() {
                    let side = expected.entry((quarter, is_up)).or_default();
                    *side = (side.0 + 1, power);
                }
            }
        }
    }
    let mut found: BTreeMap<(i64, bool), (usize, f64)> = BTreeMap::new();
    for record in &records {
        decode_bid(&zones, record).unwrap();
        let bid = record.bid().unwrap();
        let quarter = (bid.delivery.millis().unwrap() - at("2025-02-27T23:00:00Z")) / 900_000;
        let side = found.entry((quarter, bid.side == Side::Sell)).or_default();
        *side = (side.0 + 1, side.1 + bid.steps[0].power);
    }
    assert_eq!(found, expected, "all thresholds with a price, up to the last");
}
