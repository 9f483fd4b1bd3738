//! Bids of AEMO and TenneT over made-up rows: bands, rebids, loads, unknown units, quarter hours of a long night.

use std::fmt::Write as _;

use model::bid::{BidStatus, Side};
use model::wire::WireBid;
use model::{Market, Zones};
use proptest::prelude::*;
use simulator::replay::{Companions, Format, Parsed, Source, read, read_beside};

use crate::data::{ZONES, at, decode_bid, with_netherlands};
use crate::mutated::{apply, damage};

const DAY: &str = "I,BID,BIDDAYOFFER_D,3,SETTLEMENTDATE,DUID,BIDTYPE,DIRECTION,OFFERDATE,VERSIONNO,PARTICIPANTID,PRICEBAND1,PRICEBAND2,PRICEBAND3,PRICEBAND4,PRICEBAND5,PRICEBAND6,PRICEBAND7,PRICEBAND8,PRICEBAND9,PRICEBAND10\n";
const PERIOD: &str = "I,BID,BIDPEROFFER_D,3,SETTLEMENTDATE,DUID,BIDTYPE,DIRECTION,INTERVAL_DATETIME,OFFERDATE,PERIODID,VERSIONNO,MAXAVAIL,BANDAVAIL1,BANDAVAIL2,BANDAVAIL3,BANDAVAIL4,BANDAVAIL5,BANDAVAIL6,BANDAVAIL7,BANDAVAIL8,BANDAVAIL9,BANDAVAIL10\n";

fn day(unit: &str, direction: &str) -> String {
    format!(
        "D,BID,BIDDAYOFFER_D,3,2024/08/01 00:00:00,{unit},ENERGY,{direction},2024/07/31 21:00:00,1,HALLETT,-1000,-50,0,10,20,30,40,50,300,17600\n"
    )
}

/// A row with quantities in bands 1, 3 and 10.
fn period(unit: &str, direction: &str, end: &str, offered: &str, bands: [&str; 3], most: &str) -> String {
    let [first, third, last] = bands;
    format!(
        "D,BID,BIDPEROFFER_D,3,2024/08/01 00:00:00,{unit},ENERGY,{direction},{end},{offered},1,1,{most},{first},0,{third},0,0,0,0,0,0,{last}\n"
    )
}

fn aemo(text: &str) -> Parsed {
    let source = Source::new("bids.csv", text.as_bytes());
    assert_eq!(Format::detect(&source), Some(Format::AemoBids));
    read(Format::AemoBids, &source, &ZONES).unwrap()
}

fn bids(parsed: &Parsed) -> Vec<&WireBid> {
    parsed.records.iter().map(|record| decode_bid(&ZONES, record).map(|_| record.bid().unwrap()).unwrap()).collect()
}

fn steps(bid: &WireBid) -> Vec<(f64, f64)> {
    bid.steps.iter().map(|step| (step.price, step.power)).collect()
}

#[test]
fn bands_become_steps_up_to_what_is_available() {
    let text = DAY.to_owned()
        + &day("AGLHAL", "GEN")
        + PERIOD
        + &period("AGLHAL", "GEN", "2024/08/01 04:05:00", "2024/07/31 21:00:00", ["20", "30.5", "255"], "160");
    let parsed = aemo(&text);
    assert_eq!(parsed.bad_rows, []);
    let [bid] = bids(&parsed)[..] else { panic!("one bid") };
    assert_eq!(bid.bid, "aemo:AGLHAL:2024-07-31T18:00:00.000Z");
    assert_eq!(steps(bid), [(-1000.0, 20.0), (0.0, 30.5), (17_500.0, 109.5)], "17,600 is above the cap of the day");
    assert_eq!((bid.side, bid.market, bid.status), (Side::Sell, Market::RealTime5Min, BidStatus::Submitted));
    assert_eq!((bid.market_zone.as_str(), bid.organisation.as_str()), ("SA1", "HALLETT"));
    assert_eq!(bid.asset.as_deref(), Some("AGLHAL"));
    assert_eq!(bid.delivery.millis(), Some(at("2024-07-31T18:00:00Z")));
    assert_eq!(bid.timestamp.millis(), Some(at("2024-07-31T11:00:00Z")));
    assert_eq!(parsed.notes.len(), 2, "{:?}", parsed.notes);
}

#[test]
fn a_rebid_is_a_higher_revision_of_the_same_bid_and_one_of_nothing_withdraws() {
    let row = |offered: &str, bands| period("AGLHAL", "GEN", "2024/08/01 12:00:00", offered, bands, "160");
    let text = DAY.to_owned()
        + &day("AGLHAL", "GEN")
        + PERIOD
        + &row("2024/08/01 11:00:00", ["0", "0", "0"])
        + &row("2024/08/01 10:00:00", ["0", "20", "0"])
        + &row("2024/07/31 21:00:00", ["10", "0", "0"])
        + &period("AGLHAL", "GEN", "2024/08/01 12:05:00", "2024/07/31 21:00:00", ["0", "0", "0"], "0");
    let parsed = aemo(&text);
    let found = bids(&parsed);
    let statuses: Vec<_> = found.iter().map(|bid| (bid.status, steps(bid))).collect();
    let expected = [
        (BidStatus::Submitted, vec![(-1000.0, 10.0)]),
        (BidStatus::Amended, vec![(0.0, 20.0)]),
        (BidStatus::Withdrawn, vec![]),
    ];
    assert_eq!(statuses, expected);
    assert!(found.windows(2).all(|pair| pair[0].bid == pair[1].bid && pair[0].revision < pair[1].revision));
    let notes: Vec<_> = parsed.notes.iter().map(|(note, times)| (note.split(',').next().unwrap(), *times)).collect();
    let priced = "rebids priced by another offer of their day (prices are fixed for a day)";
    assert_eq!(notes, [(priced, 2), ("rows that offer nothing", 1)]);
    // Standing since before the book of the day opened; or known when it was entered.
    assert_eq!(parsed.records[1].published_ms, at("2024-08-01T00:00:00Z"));
}

#[test]
fn a_battery_buys_dearest_first_and_sells() {
    let text = DAY.to_owned()
        + &day("HDWF2", "GEN")
        + &day("HDWF2", "LOAD")
        + PERIOD
        + &period("HDWF2", "LOAD", "2024/08/02 04:00:00", "2024/07/31 21:00:00", ["20", "30", "40"], "80")
        + &period("HDWF2", "GEN", "2024/08/02 04:00:00", "2024/07/31 21:00:00", ["20", "0", "0"], "");
    let parsed = aemo(&text);
    let seen: Vec<_> = bids(&parsed).iter().map(|bid| (bid.bid.clone(), bid.side, steps(bid))).collect();
    let id = "aemo:HDWF2:2024-08-01T17:55:00.000Z".to_owned();
    let expected = [
        (id.clone(), Side::Sell, vec![(-1000.0, 20.0)]),
        (format!("{id}:load"), Side::Buy, vec![(17_500.0, 40.0), (0.0, 30.0), (-1000.0, 10.0)]),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn units_are_where_the_registration_says_and_unknown_ones_are_reported() {
    let row = |unit: &str| period(unit, "", "2024/08/01 04:05:00", "2024/07/31 21:00:00", ["1", "0", "0"], "9");
    let text = DAY.to_owned() + &day("PUMP1", "") + &day("NEW1", "") + PERIOD + &row("PUMP1") + &row("NEW1");
    let units = "C,x,y,z\nI,PARTICIPANT_REGISTRATION,DUDETAILSUMMARY,7,DUID,START_DATE,DISPATCHTYPE,REGIONID,PARTICIPANTID\n\
                 D,PARTICIPANT_REGISTRATION,DUDETAILSUMMARY,7,PUMP1,2020/01/01 00:00:00,LOAD,NSW1,PUMPCO\n\
                 D,PARTICIPANT_REGISTRATION,DUDETAILSUMMARY,7,PUMP1,2025/01/01 00:00:00,GENERATOR,VIC1,PUMPCO\n\
                 D,PARTICIPANT_REGISTRATION,DUDETAILSUMMARY,7,PUMP2,yesterday,LOAD,NSW1,PUMPCO\n";
    let (bids_file, units_file) =
        (Source::new("bids.csv", text.as_bytes()), Source::new("units.csv", units.as_bytes()));
    assert_eq!(Format::detect(&units_file), Some(Format::AemoUnits));
    let mut companions = Companions::default();
    companions.learn(Format::AemoUnits, &units_file);
    companions.learn(Format::AemoBids, &bids_file);
    let told = read_beside(Format::AemoUnits, &units_file, &ZONES, &companions).unwrap().bad_rows;
    assert_eq!(told.iter().map(|bad| bad.line).collect::<Vec<_>>(), [5]);
    let parsed = read_beside(Format::AemoBids, &bids_file, &ZONES, &companions).unwrap();
    let [bid] = bids(&parsed)[..] else { panic!("one bid") };
    assert_eq!((bid.side, bid.market_zone.as_str()), (Side::Buy, "NSW1"));
    let told: Vec<String> = parsed.bad_rows.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["bids.csv:6: the region of unit NEW1 is not known: no DUDETAILSUMMARY has it"]);
    assert_eq!(parsed.notes.get("rows of units whose region is not known"), Some(&1));
}

#[test]
fn bad_rows_and_what_is_left_out() {
    let good = period("AGLHAL", "GEN", "2024/08/01 04:05:00", "2024/07/31 21:00:00", ["1", "0", "0"], "9");
    let text = DAY.to_owned()
        + &day("AGLHAL", "GEN")
        + &day("AGLHAL", "GEN").replace("-50", "cheap")
        + PERIOD
        + &good
        + &good.replace(",9,1,", ",9,-1,")
        + &good.replace("04:05:00", "04:99:00")
        + &good.replace("2024/08/01 00:00:00", "2024/08/02 00:00:00")
        + &good.replace("ENERGY", "RAISEREG")
        + "D,BID,OTHER,1,x\n";
    let parsed = aemo(&text);
    assert_eq!(bids(&parsed).len(), 1);
    let told: Vec<String> = parsed.bad_rows.iter().map(ToString::to_string).collect();
    let expected = [
        "bids.csv:3: PRICEBAND2 is \"cheap\", which is no number",
        "bids.csv:6: BANDAVAIL1 -1 MW is no quantity",
        "bids.csv:7: INTERVAL_DATETIME \"2024/08/01 04:99:00\" is no time",
        "bids.csv:10: no I row for table BID, OTHER",
        "bids.csv:8: no BIDDAYOFFER_D of AGLHAL for 2024-08-02",
    ];
    assert_eq!(told, expected);
    assert_eq!(parsed.notes.values().sum::<u64>(), 1, "{:?}", parsed.notes);
}

#[test]
fn quantities_without_any_prices_are_an_error() {
    let row = period("AGLHAL", "GEN", "2024/08/01 04:05:00", "2024/07/31 21:00:00", ["1", "0", "0"], "9");
    let error = read(Format::AemoBids, &Source::new("x", (PERIOD.to_owned() + &row).into_bytes()), &ZONES).unwrap_err();
    assert!(error.to_string().contains("no BIDDAYOFFER_D is among the files"), "{error}");
}

#[test]
fn half_hours_before_october_2021_and_periods_counted_from_four_in_the_morning() {
    let columns = PERIOD.replace("INTERVAL_DATETIME,", "");
    let row = |date: &str, period: u32| {
        format!(
            "D,BID,BIDPEROFFER_D,3,{date} 00:00:00,AGLHAL,ENERGY,GEN,2021/01/01 00:00:00,{period},1,9,1,0,0,0,0,0,0,0,0,0\n"
        )
    };
    for (date, period, start, market) in [
        ("2021/09/30", 1, "2021-09-29T18:00:00Z", Market::RealTime30Min),
        ("2021/09/30", 48, "2021-09-30T17:30:00Z", Market::RealTime30Min),
        ("2021/10/01", 1, "2021-09-30T18:00:00Z", Market::RealTime5Min),
        ("2021/10/01", 288, "2021-10-01T17:55:00Z", Market::RealTime5Min),
    ] {
        let prices = day("AGLHAL", "GEN").replace("2024/08/01", date).replace("17600", "10000");
        let parsed = aemo(&(DAY.to_owned() + &prices + &columns + &row(date, period)));
        let [bid] = bids(&parsed)[..] else { panic!("one bid, {:?}", parsed.bad_rows) };
        assert_eq!((bid.delivery.millis(), bid.market), (Some(at(start)), market), "{date} {period}");
    }
}

fn list(points: &[(&str, &str, &str)]) -> Source {
    let mut text =
        "{\"Response\":{\"informationType\":\"MERIT_ORDER_LIST\",\"TimeSeries\":[{\"Period\":{\"Points\":[".to_owned();
    for (at, (start, isp, thresholds)) in points.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(text, "{comma}{{\"timeInterval_start\":\"{start}\",\"isp\":\"{isp}\",\"Thresholds\":[{thresholds}]}}")
            .unwrap();
    }
    Source::new("list.json", (text + "]}}]}}").into_bytes())
}

fn tennet(zones: &Zones, source: &Source) -> Parsed {
    assert_eq!(Format::detect(source), Some(Format::TennetLadder));
    read(Format::TennetLadder, source, zones).unwrap()
}

#[test]
fn the_dutch_list_becomes_a_bid_for_each_threshold_and_side() {
    let zones = with_netherlands();
    let first = "{\"capacity_threshold\":\"1\",\"price_down\":\"155.000\",\"price_up\":\"55.000\"}";
    let second = "{\"capacity_threshold\":\"10\",\"price_down\":\"-1.5\",\"price_up\":null}";
    let third = "{\"capacity_threshold\":20,\"price_up\":60}";
    let broken = "{\"capacity_threshold\":\"many\",\"price_up\":1}";
    let point = [first, second, third, broken].join(",");
    let parsed = tennet(&zones, &list(&[("2025-02-28T00:00", "1", &point), ("2025-02-28T25:00", "2", first)]));
    let seen: Vec<_> = parsed
        .records
        .iter()
        .map(|record| {
            decode_bid(&zones, record).unwrap();
            let bid = record.bid().unwrap();
            assert_eq!((bid.organisation.as_str(), bid.market), ("TenneT", Market::RealTime15Min));
            (bid.bid.as_str(), bid.side, steps(bid))
        })
        .collect();
    let expected = [
        ("tennet:2025-02-27T23:00:00.000Z:up:1", Side::Sell, vec![(55.0, 1.0)]),
        ("tennet:2025-02-27T23:00:00.000Z:up:20", Side::Sell, vec![(60.0, 19.0)]),
        ("tennet:2025-02-27T23:00:00.000Z:down:1", Side::Buy, vec![(155.0, 1.0)]),
        ("tennet:2025-02-27T23:00:00.000Z:down:10", Side::Buy, vec![(-1.5, 9.0)]),
    ];
    assert_eq!(seen, expected);
    assert_eq!(parsed.bad_rows.len(), 2, "{:?}", parsed.bad_rows);
}

#[test]
fn the_hour_that_happens_twice_is_told_apart_by_its_number() {
    let zones = with_netherlands();
    let threshold = "{\"capacity_threshold\":\"1\",\"price_up\":\"55.000\"}";
    let points = [
        ("2024-10-27T02:00", "9", threshold),
        ("2024-10-27T02:00", "13", threshold),
        ("2024-10-27T03:00", "17", threshold),
    ];
    let parsed = tennet(&zones, &list(&points));
    let starts: Vec<i64> =
        parsed.records.iter().map(|record| record.bid().unwrap().delivery.millis().unwrap()).collect();
    assert_eq!(starts, ["2024-10-27T00:00:00Z", "2024-10-27T01:00:00Z", "2024-10-27T02:00:00Z"].map(at));
}

#[test]
fn without_its_zone_the_dutch_list_is_an_error() {
    let without = Zones::built_in();
    if without.get("TENNET-NL").is_none() {
        let error = read(Format::TennetLadder, &list(&[]), &without).unwrap_err().to_string();
        assert!(error.contains("zone TENNET-NL is not in the zone table"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever happens to the bytes, what is sent is what the market's rules accept.
    #[test]
    fn damage_never_becomes_a_dead_letter(damages in prop::collection::vec(damage(), 1..8)) {
        let rows: String = (1..=6)
            .map(|n| {
                let end = format!("2024/08/01 04:{:02}:00", n * 5);
                period("AGLHAL", "GEN", &end, "2024/07/31 21:00:00", ["20", "30.5", "255"], "160")
                    + &period("AGLHAL", "LOAD", &end, "2024/07/31 22:00:00", ["20", "0", "0"], "160")
            })
            .collect();
        let text = DAY.to_owned() + &day("AGLHAL", "GEN") + &day("AGLHAL", "LOAD") + PERIOD + &rows;
        let mut bytes = text.into_bytes();
        damages.iter().for_each(|damage| apply(&mut bytes, damage));
        let parsed = read(Format::AemoBids, &Source::new("x", bytes), &ZONES);
        for record in parsed.map_or_else(|_| Vec::new(), |parsed| parsed.records) {
            let decoded = decode_bid(&ZONES, &record);
            prop_assert!(decoded.is_ok(), "{decoded:?}");
        }
    }
}
