//! OMIE's order book over made-up rows: versions, blocks, borders, days of 23 and 25 hours, and what is wrong with rows.

use model::bid::{BidStatus, Side};
use model::wire::{WireBid, WireKind};
use model::{Market, Zones};
use proptest::prelude::*;
use simulator::replay::{Companions, Format, Parsed, Source, read_beside};
use simulator::{Error, Replay};

use crate::data::{ZONES, at, decode_bid};
use crate::mutated::{apply, damage};

fn cab(order: u32, version: u32, unit: &str, side: char, fixed: &str, border: u8, inserted: &str) -> String {
    format!(
        "{order:>10}{version:>5}{unit:<7}{:<30}{side}O{fixed:>17}{:>7}{border:>2}{inserted}\r\n",
        "A \u{d1}", "99.9"
    )
    .replace('\u{d1}', "N")
}

/// Order and version; period, block, sub-order and group; price, MW, MAV and MAR.
fn det(order: (u32, u32), place: (u32, u32, u32, u32), terms: (&str, &str, &str, &str)) -> String {
    let ((order, version), (period, block, step, group), (price, power, mav, mar)) = (order, place, terms);
    format!("{order:>10}{version:>5}{period:>3}{block:>2}{step:>2}{group:>2}{price:>17}{power:>7}{mav:>7}{mar:>5}\r\n")
}

fn plain(order: (u32, u32), period: u32, step: u32, price: &str, power: &str) -> String {
    det(order, (period, 0, step, 0), (price, power, "0.0", "0.000"))
}

const NOON: &str = "20250620101500";
const UNITS: &str = "id_unidad,cat_bidding_zone\nLUSO1,PT\nSOL1,ES\n";
const BORDERS: &str = "OMIE - Mercado de electricidad;Fecha Emisi\u{f3}n :20/06/2025 - 13:40;;21/06/2025;Capacidad de impor/expor casaci\u{f3}n;;;;\n\n\
    Periodo;Fecha;Frontera;Capacidad;Ocupaci\u{f3}n;libre;Capacidad;Ocupaci\u{f3}n;libre;\n";

/// What each file of a day is read to, given in any order.
fn read_all(zones: &Zones, files: &[(&str, &str)]) -> Vec<Result<Parsed, Error>> {
    let latin = |text: &str| text.chars().map(|character| character as u8).collect::<Vec<u8>>();
    let sources: Vec<Source> = files.iter().map(|(name, text)| Source::new(name, latin(text))).collect();
    let format = |source: &Source| Format::detect(source).unwrap_or_else(|| panic!("{} has no format", source.file));
    let mut companions = Companions::default();
    sources.iter().for_each(|source| companions.learn(format(source), source));
    sources.iter().map(|source| read_beside(format(source), source, zones, &companions)).collect()
}

/// A day's book; the records and problems of the steps.
fn book(date: &str, headers: &str, details: &str) -> Parsed {
    let (cab, det) = (format!("CAB_{date}.1"), format!("DET_{date}.1"));
    let files = [(det.as_str(), details), (cab.as_str(), headers), ("units.csv", UNITS)];
    read_all(&ZONES, &files).remove(0).unwrap()
}

fn bids(parsed: &Parsed) -> Vec<&WireBid> {
    parsed.records.iter().map(|record| record.bid().unwrap()).collect()
}

fn find<'a>(parsed: &'a Parsed, id: &str, revision: i64) -> &'a WireBid {
    let found = bids(parsed).into_iter().find(|bid| bid.bid == id && bid.revision == revision);
    found.unwrap_or_else(|| panic!("no {id} of revision {revision}"))
}

/// Interval start, price and power of each step.
fn steps(bid: &WireBid) -> Vec<(i64, f64, f64)> {
    let start = |step: &model::wire::WireStep| step.delivery.as_ref().unwrap_or(&bid.delivery).millis().unwrap();
    bid.steps.iter().map(|step| (start(step), step.price, step.power)).collect()
}

#[test]
fn an_order_becomes_a_bid_for_its_curve_and_one_for_each_block() {
    let headers = cab(7, 1, "SOL1", 'V', "0.000", 1, NOON) + &cab(8, 1, "LUSO1", 'C', "0.000", 2, NOON);
    let details = [
        plain((7, 1), 2, 2, "30.000", "5.0"),
        plain((7, 1), 2, 1, "-10.500", "4.0"),
        plain((7, 1), 1, 1, "20.000", "3.1"),
        plain((7, 1), 3, 1, "20.000", "0.0"),
        det((7, 1), (4, 2, 1, 3), ("50.000", "10.0", "0.0", "0.500")),
        det((7, 1), (5, 2, 1, 3), ("50.000", "20.0", "0.0", "0.500")),
        plain((8, 1), 1, 1, "10.000", "1.0"),
        plain((8, 1), 1, 2, "90.000", "2.0"),
    ];
    let parsed = book("20250621", &headers, &details.concat());
    assert_eq!(parsed.bad_rows, []);
    assert_eq!(parsed.records.len(), 3);
    assert_eq!(parsed.notes.values().sum::<u64>(), 1, "{:?}", parsed.notes);
    let hour = |hour: i64| at("2025-06-20T22:00:00Z") + (hour - 1) * 3_600_000;

    let curve = find(&parsed, "omie:20250621:7", 1);
    assert_eq!(steps(curve), [(hour(1), 20.0, 3.1), (hour(2), -10.5, 4.0), (hour(2), 30.0, 5.0)]);
    assert_eq!((curve.side, &curve.kind, curve.status), (Side::Sell, &WireKind::Curve, BidStatus::Submitted));
    assert_eq!((curve.market_zone.as_str(), curve.market), ("MIBEL-ES", Market::DayAheadHourly));
    assert_eq!((curve.organisation.as_str(), curve.asset.as_deref()), ("SOL1", Some("SOL1")));
    assert_eq!(curve.timestamp.millis(), Some(at("2025-06-20T08:15:00Z")));
    assert_eq!(curve.published, Some(curve.timestamp.clone()));

    let block = find(&parsed, "omie:20250621:7:2", 1);
    assert_eq!(steps(block), [(hour(4), 50.0, 10.0), (hour(5), 50.0, 20.0)]);
    let group = Some("omie:20250621:7:group:3".to_owned());
    assert_eq!(block.kind, WireKind::Block { min_acceptance_ratio: 0.5, parent: None, exclusive_group: group });

    let buy = find(&parsed, "omie:20250621:8", 1);
    assert_eq!((buy.market_zone.as_str(), buy.side), ("MIBEL-PT", Side::Buy));
    assert_eq!(steps(buy), [(hour(1), 90.0, 2.0), (hour(1), 10.0, 1.0)], "dearest first to buy");
    parsed.records.iter().for_each(|record| drop(decode_bid(&ZONES, record).unwrap()));
}

#[test]
fn a_fixed_term_or_a_minimum_quantity_makes_a_scalable_complex_order() {
    let headers = cab(1, 0, "SOL1", 'V', "1500.500", 1, NOON)
        + &cab(2, 0, "SOL1", 'V', "0.000", 1, NOON)
        + &cab(3, 0, "SOL1", 'C', "9.000", 1, NOON);
    let details = plain((1, 0), 1, 1, "10.000", "1.0")
        + &det((2, 0), (1, 0, 1, 0), ("10.000", "8.0", "5.0", "0.000"))
        + &plain((3, 0), 1, 1, "10.000", "1.0");
    let parsed = book("20250621", &headers, &details);
    let kind = |order: u32| find(&parsed, &format!("omie:20250621:{order}"), 0).kind.clone();
    assert_eq!(kind(1), WireKind::MinimumIncome { fixed: 1500.5, variable: None });
    assert_eq!(kind(2), WireKind::MinimumIncome { fixed: 0.0, variable: None });
    assert_eq!(find(&parsed, "omie:20250621:2", 0).steps[0].min_power, Some(5.0));
    assert_eq!(kind(3), WireKind::Curve, "who buys has no income");
    assert_eq!(parsed.notes.len(), 1, "{:?}", parsed.notes);
}

#[test]
fn every_version_is_sent_and_what_the_next_has_not_is_withdrawn() {
    let headers = cab(7, 1, "SOL1", 'V', "0.000", 1, "20250620080000")
        + &cab(7, 12, "SOL1", 'V', "0.000", 1, "20250620090000")
        + &cab(7, 3, "SOL1", 'V', "0.000", 1, "20250620083000");
    let details = plain((7, 12), 1, 1, "40.000", "1.0")
        + &plain((7, 1), 1, 1, "20.000", "1.0")
        + &det((7, 1), (4, 1, 1, 0), ("50.000", "10.0", "0.0", "1.000"));
    let parsed = book("20250621", &headers, &details);
    let seen: Vec<_> = bids(&parsed).iter().map(|bid| (bid.bid.clone(), bid.revision, bid.status)).collect();
    let (curve, block) = ("omie:20250621:7".to_owned(), "omie:20250621:7:1".to_owned());
    let expected = [
        (curve.clone(), 1, BidStatus::Submitted),
        (block.clone(), 1, BidStatus::Submitted),
        (curve.clone(), 3, BidStatus::Withdrawn),
        (block, 3, BidStatus::Withdrawn),
        (curve, 12, BidStatus::Amended),
    ];
    assert_eq!(seen, expected, "version 3 has no steps");
    parsed.records.iter().for_each(|record| drop(decode_bid(&ZONES, record).unwrap()));
}

#[test]
fn what_was_entered_long_before_is_known_when_the_book_opens_and_nothing_after_the_gate() {
    let headers =
        cab(1, 0, "SOL1", 'V', "0.000", 1, "20250318101015") + &cab(2, 1, "NEW1", 'V', "0.000", 2, "20250620120001");
    let details = plain((1, 0), 1, 1, "10.000", "1.0") + &plain((2, 1), 1, 1, "10.000", "1.0");
    let parsed = book("20250621", &headers, &details);
    let [standing, late] = &parsed.records[..] else { panic!("two bids") };
    assert_eq!(standing.event_ms(), at("2025-03-18T09:10:15Z"));
    assert_eq!(standing.published_ms, at("2025-06-19T22:00:00Z"));
    let gate = at("2025-06-20T10:00:00Z");
    assert_eq!((late.event_ms(), late.published_ms), (gate, gate));
    assert_eq!(late.bid().unwrap().market_zone, "MIBEL-PT", "by its border");
    assert_eq!(parsed.notes.len(), 2, "{:?}", parsed.notes);
}

#[test]
fn days_have_23_24_and_25_hours_and_four_times_as_many_quarters() {
    for (date, midnight, hours, inserted) in [
        ("20250330", "2025-03-29T23:00:00Z", 23, "20250328090000"),
        ("20250621", "2025-06-20T22:00:00Z", 24, "20250620090000"),
        ("20241027", "2024-10-26T22:00:00Z", 25, "20241026090000"),
    ] {
        for (market, periods) in [(Market::DayAheadHourly, hours), (Market::DayAhead15Min, hours * 4)] {
            let headers = cab(1, 1, "SOL1", 'V', "0.000", 1, inserted);
            let rows: String = (1..=periods).map(|period| plain((1, 1), period, 1, "5.000", "1.0")).collect();
            let stray = plain((1, 1), periods + 1, 1, "5.000", "1.0");
            let parsed = book(date, &headers, &(rows + &stray));
            let reasons: Vec<_> = parsed.bad_rows.iter().map(|bad| (bad.line, bad.reason.clone())).collect();
            let reason = format!("period {} is outside the day of {periods}", periods + 1);
            assert_eq!(reasons, [(u64::from(periods) + 1, reason)], "{date}");
            let bid = find(&parsed, &format!("omie:{date}:1"), 1);
            assert_eq!(bid.market, market, "{date}");
            let length = i64::from(market.interval_ms());
            let starts: Vec<i64> = steps(bid).iter().map(|step| step.0).collect();
            let expected: Vec<i64> = (0..i64::from(periods)).map(|period| at(midnight) + period * length).collect();
            assert_eq!(starts, expected, "{date}");
            decode_bid(&ZONES, &parsed.records[0]).unwrap();
        }
    }
}

#[test]
fn bad_rows_cost_only_themselves() {
    let headers = cab(7, 1, "SOL1", 'X', "0.000", 1, NOON)
        + &cab(8, 1, "SOL1", 'V', "0.000", 1, "20250620996000")
        + &cab(9, 1, "SOL1", 'V', "0.000", 1, NOON);
    let good = plain((9, 1), 1, 1, "20.000", "1.0");
    let details = [
        good.clone(),
        "short\r\n".to_owned(),
        good.replace("1.0", "1x0"),
        plain((7, 1), 1, 1, "20.000", "1.0"),
        det((9, 1), (25, 0, 1, 0), ("20.000", "1.0", "0.0", "0.000")),
        det((9, 1), (2, 0, 1, 0), ("20.000", "1.0", "2.0", "0.000")),
        // Both break a rule of the market: its cap; one price in a block.
        plain((9, 1), 3, 1, "4000.010", "1.0").replace(" 3 0 1", " 3 1 1"),
        det((9, 1), (4, 2, 1, 0), ("20.000", "1.0", "0.0", "1.000")),
        det((9, 1), (5, 2, 1, 0), ("21.000", "1.0", "0.0", "1.000")),
    ];
    let files = [("CAB_20250621.1", headers.as_str()), ("DET_20250621.1", &details.concat())];
    let [headers, details] = &read_all(&ZONES, &files)[..] else { panic!("two files") };
    let reasons = |parsed: &Result<Parsed, Error>| {
        parsed.as_ref().unwrap().bad_rows.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let expected = [
        "CAB_20250621.1:1: side is 'X' in columns 52..53",
        "CAB_20250621.1:2: time of insertion is '20250620996000' in columns 80..94",
    ];
    assert_eq!(reasons(headers), expected);
    let expected = [
        "DET_20250621.1:2: row has 5 bytes, fewer than 60",
        "DET_20250621.1:3: power is '    1x0' in columns 41..48",
        "DET_20250621.1:5: period 25 is outside the day of 24",
        "DET_20250621.1:6: minimum quantity 2000 kW is outside 0..=1000",
        "DET_20250621.1:4: order 7 version 1 has no header",
        "DET_20250621.1:7: bid omie:20250621:9:1: price_limit: 4000.01; allowed: -500 to 4000",
        "DET_20250621.1:8: bid omie:20250621:9:2: block: price 21; allowed: 20 in all",
    ];
    assert_eq!(reasons(details), expected);
    assert_eq!(steps(find(details.as_ref().unwrap(), "omie:20250621:9", 1)).len(), 1);
}

#[test]
fn borders_become_capacity_and_flows_whatever_the_price() {
    let headers = cab(1, 1, "SOL1", 'V', "0.000", 1, NOON) + &cab(2, 1, "MORO1", 'C', "0.000", 5, NOON);
    let details = plain((1, 1), 1, 1, "20.000", "1.0") + &plain((2, 1), 1, 1, "20.000", "1.0");
    let rows = "1;21/06/2025;2;-3.056,0;0;-3.363,1;3.960,0;307,1;3.652,9;\n2;21/06/2025;2;-100,5;0;0;0;0;0;\n\
                1;21/06/2025;3;-1.300,0;-1.300,0;0;1.750,0;0;3.050,0;\n2;21/06/2025;3;-1.300,0;0;0;1.950,0;1.950,5;0;\n\
                1;21/06/2025;4;-60,0;0;-60,0;62,6;0;62,6;\n1;21/06/2025;5;-600,0;0;0;915,3;810,0;105,3;\n\
                25;21/06/2025;3;-1,0;-1,0;0;1,0;0;0;\n2;21/06/2025;3;-1.3x0,0;0;0;1,0;1,0;0;\n";
    let borders = format!("{BORDERS}{rows}");
    let files = [("capacidad.1", borders.as_str()), ("CAB_20250621.1", &headers), ("DET_20250621.1", &details)];
    let parsed = read_all(&ZONES, &files).remove(0).unwrap();
    assert_eq!(parsed.bad_rows.iter().map(|bad| bad.line).collect::<Vec<_>>(), [11, 10], "{:?}", parsed.bad_rows);
    let first = at("2025-06-20T22:00:00Z");
    let seen: Vec<_> = bids(&parsed).iter().map(|bid| (bid.bid.as_str(), bid.side, steps(bid))).collect();
    let expected = [
        ("omie:20250621:border:3:export", Side::Buy, vec![(first + 3_600_000, 4000.0, 1950.5)]),
        ("omie:20250621:border:3:import", Side::Sell, vec![(first, -500.0, 1300.0)]),
        ("omie:20250621:capacity:es-pt", Side::Sell, vec![(first, 0.0, 3960.0)]),
        ("omie:20250621:capacity:pt-es", Side::Sell, vec![(first, 0.0, 3056.0), (first + 3_600_000, 0.0, 100.5)]),
    ];
    assert_eq!(seen, expected, "Morocco bids in the book, Andorra has no flow");
    let capacity = find(&parsed, "omie:20250621:capacity:pt-es", 0);
    assert_eq!(
        (capacity.market_zone.as_str(), &capacity.kind),
        ("MIBEL-PT", &WireKind::Capacity { to: "MIBEL-ES".into() })
    );
    parsed.records.iter().for_each(|record| drop(decode_bid(&ZONES, record).unwrap()));
}

#[test]
fn official_prices_are_ticks_of_both_zones() {
    let text =
        "MARGINALPDBC;\n2025;06;21;1;128.89;120.5;\n2025;06;21;24;-1;0;\n2025;06;21;25;1;1;\n2025;13;21;1;1;1;\n*\n";
    let parsed = read_all(&ZONES, &[("marginalpdbc_20250621.2", text)]).remove(0).unwrap();
    assert_eq!(parsed.bad_rows.iter().map(|bad| bad.line).collect::<Vec<_>>(), [5, 4], "{:?}", parsed.bad_rows);
    let ticks: Vec<_> = parsed.records.iter().map(|record| record.tick().unwrap()).collect();
    let seen: Vec<_> = ticks.iter().map(|tick| (tick.market_zone.as_str(), tick.price)).collect();
    assert_eq!(seen, [("MIBEL-ES", 120.5), ("MIBEL-PT", 128.89), ("MIBEL-ES", 0.0), ("MIBEL-PT", -1.0)]);
    let id = "omie:DAY_AHEAD_HOURLY:MIBEL-ES:2025-06-20T22:00:00.000Z";
    assert_eq!(
        (ticks[0].id.as_deref(), ticks[0].revision, ticks[0].market),
        (Some(id), Some(2), Some(Market::DayAheadHourly))
    );
}

#[test]
fn a_file_without_its_other_half_says_so() {
    let headers = cab(1, 1, "SOL1", 'V', "0.000", 1, NOON);
    let details = plain((1, 1), 1, 1, "20.000", "1.0");
    let files = [
        ("CAB_20250621.1", headers.as_str()),
        ("DET_20250622.1", &details),
        ("capacidad_inter_pbc_20250621.1", BORDERS),
        ("DET.txt", &details),
    ];
    let told: Vec<String> = read_all(&ZONES, &files).into_iter().map(|read| read.unwrap_err().to_string()).collect();
    let expected = [
        "DET_20250621 is not among",
        "CAB_20250622 is not among",
        "CAB_20250621 and DET_20250621",
        "is not in its name",
    ];
    told.iter().zip(expected).for_each(|(told, expected)| assert!(told.contains(expected), "{told}"));

    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| std::fs::write(folder.path().join(name), text.as_bytes()).unwrap());
    std::fs::write(folder.path().join("CAB_20250622.1"), &headers).unwrap();
    let replay = Replay::open(&[folder.path()], &ZONES).unwrap();
    let seen: Vec<_> = replay.reports().iter().map(|report| (report.bids, report.bad_rows.len())).collect();
    assert_eq!(seen, [(0, 1), (0, 0), (0, 1), (1, 0), (0, 1)], "one day of the folder is whole");
    assert_eq!((replay.records(), replay.bids()), (1, 1));
    let named = Replay::open(&[folder.path().join("CAB_20250621.1")], &ZONES);
    assert!(named.unwrap_err().to_string().contains("DET_20250621 is not among the files"));
}

#[test]
fn of_two_versions_of_a_file_the_later_counts() {
    let headers = cab(1, 1, "SOL1", 'V', "0.000", 1, NOON);
    let details = |price: &str| plain((1, 1), 1, 1, price, "1.0");
    let (old, new) = (details("20.000"), details("30.000"));
    let files = [("CAB_20250621.1", headers.as_str()), ("DET_20250621.2", &new), ("DET_20250621.1", &old)];
    let read: Vec<_> = read_all(&ZONES, &files).into_iter().map(Result::unwrap).collect();
    assert_eq!(read.iter().map(|parsed| parsed.records.len()).collect::<Vec<_>>(), [0, 1, 0]);
    assert_eq!(read[2].notes.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever happens to the bytes, what is sent is what the market's rules accept.
    #[test]
    fn damage_never_becomes_a_dead_letter(
        which in 0..3_usize,
        damages in prop::collection::vec(damage(), 1..8),
    ) {
        let headers = cab(7, 1, "SOL1", 'V', "5.000", 1, NOON) + &cab(7, 2, "SOL1", 'C', "0.000", 2, NOON);
        let details: String = (1..=4)
            .map(|period| {
                plain((7, 1), period, 1, "20.000", "1.0")
                    + &det((7, 2), (period, 1, 1, 1), ("50.000", "10.0", "0.0", "1.000"))
                    + &det((7, 2), (period, 0, 1, 0), ("50.000", "10.0", "9.0", "0.000"))
            })
            .collect();
        let borders = format!("{BORDERS}1;21/06/2025;2;-3.056,0;0;-3.363,1;3.960,0;307,1;3.652,9;\n1;21/06/2025;3;-1.300,0;-1.300,0;0;1.750,0;0;3.050,0;\n");
        let formats = [Format::OmieHeaders, Format::OmieDetails, Format::OmieBorders];
        let mut texts = [headers.into_bytes(), details.into_bytes(), borders.into_bytes()];
        damages.iter().for_each(|damage| apply(&mut texts[which], damage));
        let names = ["CAB_20250621.1", "DET_20250621.1", "capacidad_20250621.1"];
        let sources: Vec<Source> = names.iter().zip(texts).map(|(name, bytes)| Source::new(name, bytes)).collect();
        let mut companions = Companions::default();
        formats.iter().zip(&sources).for_each(|(format, source)| companions.learn(*format, source));
        for (format, source) in formats.iter().zip(&sources) {
            for record in read_beside(*format, source, &ZONES, &companions).map_or_else(|_| Vec::new(), |parsed| parsed.records) {
                let decoded = decode_bid(&ZONES, &record);
                prop_assert!(decoded.is_ok(), "{decoded:?}");
            }
        }
    }
}
