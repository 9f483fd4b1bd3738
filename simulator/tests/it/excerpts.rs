//! Each adapter over a few real rows, worked out by hand.

use model::Market;
use model::wire::{Decoded, Decoder, Limits, Origin, TopicKind};
use simulator::replay::{Companions, Format, Parsed, Record, Replay, Source, read_beside};

use crate::data::{ZONES, at, excerpt, excerpt_source, location, parse};

fn only(name: &str, format: Format, records: usize) -> Parsed {
    let (found, parsed) = parse(&excerpt_source(name));
    assert_eq!(found, format, "{name}");
    assert_eq!(parsed.bad_rows, [], "{name}");
    assert_eq!(parsed.records.len(), records, "{name}");
    parsed
}

fn find<'a>(records: &'a [Record], place: &str, start: &str) -> &'a Record {
    let start = at(start);
    let mut found = records.iter().filter(|record| record.event_ms() == start && location(record) == place);
    let record = found.next().unwrap_or_else(|| panic!("no record of {place} at {start}"));
    assert!(found.next().is_none(), "two records of {place} at {start}");
    record
}

#[test]
fn nyiso_real_time_starts_where_the_previous_run_ended() {
    let parsed = only("nyiso_realtime_zone.csv", Format::NyisoZone, 30);
    let record = find(&parsed.records, "N.Y.C.", "2016-10-24T08:18:02Z");
    let tick = record.tick().unwrap();
    assert_eq!((tick.market_zone.as_str(), tick.market), ("NYISO", Some(Market::RealTime5Min)));
    assert_eq!((tick.duration_ms, tick.price), (Some(118_000), 2.23));
    assert_eq!(record.published_ms, at("2016-10-24T08:20:00Z"));
    assert_eq!(tick.id.as_deref(), Some("nyiso:REAL_TIME_5_MIN:N.Y.C.:2016-10-24T08:18:02.000Z"));
    let negative = find(&parsed.records, "WEST", "2016-10-24T08:23:44Z");
    assert_eq!((negative.tick().unwrap().price, negative.tick().unwrap().duration_ms), (-11.35, Some(76_000)));
    let first = find(&parsed.records, "H Q", "2016-10-24T04:00:00Z");
    assert_eq!(first.tick().unwrap().duration_ms, Some(300_000));
    // Rows were left out of the excerpt before 04:10: that interval is not stretched over the hole.
    assert_eq!(find(&parsed.records, "H Q", "2016-10-24T08:05:00Z").tick().unwrap().duration_ms, Some(300_000));
}

#[test]
fn nyiso_congestion_becomes_ours() {
    let text = "\"Time Stamp\",\"Name\",\"PTID\",\"LBMP ($/MWHr)\",\"Marginal Cost Losses ($/MWHr)\",\"Marginal Cost Congestion ($/MWHr)\"\n\
                \"10/23/2016 00:05:00\",\"CAPITL\",61757,20.61,-0.03,-21.03\n";
    let (_, parsed) = parse(&Source::new("x", text.as_bytes()));
    let tick = parsed.records[0].tick().unwrap();
    assert_eq!((tick.energy, tick.congestion, tick.loss), (Some(-0.39), Some(21.03), Some(-0.03)));
}

#[test]
fn nyiso_load_becomes_volume() {
    let paths = ["nyiso_realtime_zone.csv", "nyiso_pal.csv"].map(excerpt);
    let records: Vec<_> = Replay::open(&paths, &ZONES).unwrap().map(Result::unwrap).collect();
    let (_, load) = parse(&excerpt_source("nyiso_pal.csv"));
    let nyc = ZONES.get("NYISO").unwrap().location("N.Y.C.");
    let power =
        |start: &str| load.loads.iter().find(|l| l.location == nyc && l.start_ms == at(start)).unwrap().power_mw;
    let tick = find(&records, "N.Y.C.", "2016-10-24T08:18:02Z").tick().unwrap();
    assert!((tick.volume.unwrap() - power("2016-10-24T08:18:02Z") * 118.0 / 3600.0).abs() < 1e-5);
    assert_eq!(find(&records, "H Q", "2016-10-24T08:18:02Z").tick().unwrap().volume, None, "a proxy has no load");
}

#[test]
fn oasis_day_ahead_stamps_starts_and_rtc_stamps_ends() {
    let parsed = only("oasis_day_ahead.csv", Format::OasisDayAhead, 12);
    let tick = find(&parsed.records, "N.Y.C.", "2024-06-01T04:00:00Z").tick().unwrap();
    assert_eq!((tick.price, tick.market, tick.revision), (22.21, Some(Market::DayAheadHourly), Some(1)));
    let parsed = only("oasis_rtc.csv", Format::OasisRealTime, 12);
    let record = find(&parsed.records, "N.Y.C.", "2024-06-01T04:00:00Z");
    assert_eq!((record.tick().unwrap().price, record.tick().unwrap().market), (19.03, Some(Market::RealTime15Min)));
    assert_eq!(record.published_ms, at("2024-06-01T04:15:00Z"));
}

#[test]
fn a_higher_price_version_is_a_correction_of_the_same_id() {
    let text = "Eastern Date Hour,Eastern Date Hour Time Zone,Zone Name,Zone PTID,DAM Zonal LBMP,DAM Zonal Losses,DAM Zonal Congestion,DAM Zonal Price Version\n\
                6/1/24 0:00,EDT,N.Y.C.,61761,25.00,1.18,-2,12208\n\
                6/1/24 0:00,EDT,N.Y.C.,61761,22.21,1.18,0,1\n";
    let (_, parsed) = parse(&Source::new("x", text.as_bytes()));
    let ticks: Vec<_> = parsed
        .records
        .iter()
        .map(|r| (r.tick().unwrap().revision, r.tick().unwrap().price, r.tick().unwrap().congestion))
        .collect();
    assert_eq!(ticks, [(Some(1), 22.21, Some(0.0)), (Some(12208), 25.0, Some(2.0))]);
    assert_eq!(parsed.records[0].tick().unwrap().id, parsed.records[1].tick().unwrap().id);
}

#[test]
fn pjm_keeps_its_components_and_revisions() {
    let parsed = only("pjm_da_hrl_lmps.csv", Format::PjmLmp, 12);
    let tick = find(&parsed.records, "WEST INT HUB", "2025-05-01T04:00:00Z").tick().unwrap();
    assert_eq!((tick.price, tick.market), (33.346106, Some(Market::DayAheadHourly)));
    assert_eq!((tick.energy, tick.congestion, tick.loss), (Some(30.98), Some(2.644995), Some(-0.278889)));
    let parsed = only("pjm_rt_hrl_lmps.csv", Format::PjmLmp, 12);
    assert_eq!(parsed.records[0].tick().unwrap().market, Some(Market::RealTimeHourly));
    assert_eq!(parsed.records[0].published_ms, at("2025-05-01T05:00:00Z"));
}

#[test]
fn pjm_rows_that_are_not_current_are_corrected_or_withdrawn() {
    let header = "datetime_beginning_utc,datetime_beginning_ept,pnode_id,pnode_name,voltage,equipment,type,zone,system_energy_price_rt,total_lmp_rt,congestion_price_rt,marginal_loss_price_rt,row_is_current,version_nbr";
    let row = |name: &str, price: f64, current: &str, version: u32| {
        format!("5/1/2025 4:00:00 AM,5/1/2025 12:00:00 AM,1,{name},,,HUB,,{price},{price},0,0,{current},{version}\n")
    };
    let text = [
        format!("{header}\n"),
        row("EASTERN HUB", 11.0, "True", 2),
        row("EASTERN HUB", 10.0, "False", 1),
        row("OHIO HUB", 20.0, "False", 3),
    ];
    let (_, parsed) = parse(&Source::new("x", text.concat().as_bytes()));
    let of = |place: &str| {
        let records = parsed.records.iter().filter(|r| location(r) == place);
        records
            .map(|r| (r.tick().unwrap().revision, r.tick().unwrap().price, r.tick().unwrap().cancelled))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("EASTERN HUB"), [(Some(1), 10.0, false), (Some(2), 11.0, false)]);
    assert_eq!(of("OHIO HUB"), [(Some(3), 20.0, true)]);
}

#[test]
fn aemo_takes_the_pricing_run_and_the_columns_by_name() {
    let parsed = only("aemo_dispatchprice_2018.csv", Format::AemoMms, 1);
    assert_eq!(parsed.records[0].tick().unwrap().price, 67.58327);
    assert_eq!(parsed.notes.values().sum::<u64>(), 1, "{:?}", parsed.notes);
    let parsed = only("aemo_dispatchprice_2024.csv", Format::AemoMms, 4);
    let record = find(&parsed.records, "SA1", "2024-07-31T14:00:00Z");
    assert_eq!((record.tick().unwrap().price, record.tick().unwrap().market), (137.7, Some(Market::RealTime5Min)));
    assert_eq!(record.published_ms, at("2024-07-31T14:00:03Z"));
    // The same, with the columns in another order and two tables in one file.
    let text = "C,x,y\nI,DISPATCH,PRICE,9,RRP,INTERVENTION,REGIONID,SETTLEMENTDATE\nI,TRADING,PRICE,1,REGIONID,SETTLEMENTDATE,RRP\n\
                D,TRADING,PRICE,1,SA1,2024/08/01 00:05:00,9\nD,DISPATCH,PRICE,9,-1000,0,SA1,2024/08/01 00:05:00\nD,DISPATCH,OTHER,1,2\n";
    let (_, parsed) = parse(&Source::new("x", text.as_bytes()));
    let prices: Vec<_> = parsed.records.iter().map(|r| (r.tick().unwrap().price, r.tick().unwrap().revision)).collect();
    assert_eq!(prices, [(-1000.0, Some(0)), (9.0, Some(1))], "the trading price outranks the dispatch price");
    assert_eq!(parsed.bad_rows.len(), 1, "a row without its I row");
}

#[test]
fn aemo_trading_intervals_shrank_in_october_2021() {
    let parsed = only("aemo_tradingprice_2021_09.csv", Format::AemoMms, 3);
    assert!(
        parsed.records.iter().all(|r| r.tick().unwrap().market == Some(Market::RealTime30Min)
            && r.tick().unwrap().duration_ms == Some(1_800_000))
    );
    let parsed = only("aemo_tradingprice_2021_10.csv", Format::AemoMms, 3);
    assert!(
        parsed.records.iter().all(|r| r.tick().unwrap().market == Some(Market::RealTime5Min)
            && r.tick().unwrap().duration_ms == Some(300_000))
    );
    let row = |end: &str| format!("I,TRADING,PRICE,2,SETTLEMENTDATE,REGIONID,RRP\nD,TRADING,PRICE,2,{end},NSW1,1\n");
    for (end, duration) in [("2021/10/01 00:00:00", 1_800_000), ("2021/10/01 00:05:00", 300_000)] {
        let (_, parsed) = parse(&Source::new("x", row(end).as_bytes()));
        assert_eq!(parsed.records[0].tick().unwrap().duration_ms, Some(duration), "{end}");
    }
}

#[test]
fn aemo_demand_becomes_volume() {
    let paths = ["aemo_dispatchprice_2024.csv", "aemo_regionsum_2024.csv"].map(excerpt);
    let records: Vec<_> = Replay::open(&paths, &ZONES).unwrap().map(Result::unwrap).collect();
    let volume = find(&records, "SA1", "2024-07-31T14:00:00Z").tick().unwrap().volume.unwrap();
    assert!((volume - 1601.52 / 12.0).abs() < 1e-5, "{volume}");
}

#[test]
fn aemo_readings_are_metered_delivery() {
    let parsed = only("aemo_unit_scada_2024.csv", Format::AemoScada, 24);
    let record = &parsed.records[1];
    let meter = record.meter().unwrap();
    assert_eq!((meter.asset.as_str(), meter.power, meter.duration_ms), ("HDWF2", Some(99.7), 300_000));
    assert_eq!((record.event_ms(), record.published_ms), (at("2024-07-31T14:00:00Z"), at("2024-07-31T14:05:00Z")));
    let decoder = Decoder { zones: ZONES.clone(), names: Default::default(), limits: Limits::default() };
    let origin = Origin {
        topic: "optibid.meters".into(),
        partition: 0,
        partition_id: model::PartitionId::new("optibid.meters", 0),
        offset: 0,
        timestamp_ms: record.published_ms,
    };
    let mut out = Decoded::default();
    decoder.decode(TopicKind::Meters, &origin, &meter.to_json(), &mut out);
    assert_eq!((out.meters[0].power_kw, out.meters[0].start_ms), (99_700, record.event_ms()));
}

#[test]
fn aemo_loads_read_what_they_take() {
    let units = "I,PARTICIPANT_REGISTRATION,DUDETAILSUMMARY,1,DUID,START_DATE,END_DATE,DISPATCHTYPE,REGIONID\n\
        D,PARTICIPANT_REGISTRATION,DUDETAILSUMMARY,1,PUMP1,2020/01/01 00:00:00,,LOAD,NSW1\n";
    let readings = "I,DISPATCH,UNIT_SCADA,1,SETTLEMENTDATE,DUID,SCADAVALUE\nD,DISPATCH,UNIT_SCADA,1,2024/08/01 00:05:00,PUMP1,250\n";
    let mut companions = Companions::default();
    companions.learn(Format::AemoUnits, &Source::new("units", units.as_bytes()));
    let parsed = read_beside(Format::AemoScada, &Source::new("x", readings.as_bytes()), &ZONES, &companions).unwrap();
    assert_eq!(parsed.records[0].meter().unwrap().power, Some(-250.0));
    assert_eq!(parsed.notes.values().sum::<u64>(), 1);
}

#[test]
fn iex_blocks_are_quarter_hours_of_indian_time() {
    let parsed = only("iex_rtm.json", Format::IexJson, 8);
    let record = find(&parsed.records, "IEX-S1", "2022-10-16T18:30:00Z");
    assert_eq!(
        (record.tick().unwrap().price, record.tick().unwrap().volume, record.tick().unwrap().duration_ms),
        (3900.56, Some(228.735), Some(900_000))
    );
    assert_eq!(record.tick().unwrap().location, None, "an area is its own zone");
    assert!(parsed.records.iter().any(|r| r.event_ms() == at("2022-10-17T12:15:00Z")), "block 72");
}

#[test]
fn epf_days_get_their_23_and_25_hours_back() {
    for (name, zone, place, skipped, repeated) in [
        ("epf_de.csv", "EPEX-DE", "EPEX-DE", "2014-03-30T01:00:00Z", ["2014-10-26T00:00:00Z", "2014-10-26T01:00:00Z"]),
        (
            "epf_np.csv",
            "NORDPOOL",
            "NORDPOOL",
            "2014-03-30T01:00:00Z",
            ["2014-10-26T00:00:00Z", "2014-10-26T01:00:00Z"],
        ),
        ("epf_pjm.csv", "PJM", "COMED", "2014-03-09T07:00:00Z", ["2014-11-02T05:00:00Z", "2014-11-02T06:00:00Z"]),
    ] {
        // Ten rows: one falls away in spring, one counts twice in autumn.
        let parsed = only(name, Format::Epf, 10);
        assert!(
            parsed
                .records
                .iter()
                .all(|r| r.tick().unwrap().market_zone == zone
                    && r.tick().unwrap().market == Some(Market::DayAheadHourly))
        );
        let text = String::from_utf8(std::fs::read(excerpt(name)).unwrap()).unwrap();
        let price = |row: usize| text.lines().nth(row).unwrap().split(',').nth(1).unwrap().parse::<f64>().unwrap();
        let after_gap = find(&parsed.records, place, skipped).tick().unwrap().price;
        assert_eq!(after_gap, price(4), "{name}: 03:00 follows 01:00");
        let row = if zone == "PJM" { 7 } else { 8 };
        let rounded = (price(row) * 1e6).round() / 1e6;
        assert_eq!(
            repeated.map(|start| find(&parsed.records, place, start).tick().unwrap().price),
            [rounded, rounded],
            "{name}"
        );
    }
}
