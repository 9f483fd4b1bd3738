//! Whole real files, compared with a recomputation that shares no code with the adapters: every price is read with
//! the `csv` crate alone and its instant worked out with fixed offsets (none of these files crosses a clock change).

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDateTime;
use simulator::replay::{Record, Replay};

use crate::data::{ZONES, location, whole};

const MINUTE_MS: i64 = 60_000;
/// (location, interval start) → (price, duration).
type Prices = BTreeMap<(String, i64), (f64, i64)>;

fn replay<P: AsRef<Path>>(paths: &[P]) -> (Vec<Record>, u64) {
    let replay = Replay::open(paths, &ZONES).unwrap();
    let bad: Vec<_> = replay.reports().iter().flat_map(|report| &report.bad_rows).collect();
    assert!(bad.is_empty(), "{bad:?}");
    let announced = replay.records();
    let records: Vec<_> = replay.map(Result::unwrap).collect();
    assert_eq!(records.len() as u64, announced);
    assert!(records.windows(2).all(|pair| pair[0].published_ms <= pair[1].published_ms), "in order of publication");
    (records, announced)
}

fn prices(records: &[Record]) -> Prices {
    let entry = |record: &Record| {
        (
            (location(record).to_owned(), record.event_ms()),
            (record.tick().unwrap().price, i64::from(record.tick().unwrap().duration_ms.unwrap())),
        )
    };
    records.iter().map(entry).collect()
}

fn rows(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    reader.records().map(|row| row.unwrap().iter().map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn file(path: &Path) -> Vec<Vec<String>> {
    rows(&std::fs::read(path).unwrap()).split_off(1)
}

fn utc(text: &str, format: &str, offset_hours: i64) -> i64 {
    NaiveDateTime::parse_from_str(text, format).unwrap().and_utc().timestamp_millis() - offset_hours * 60 * MINUTE_MS
}

/// Equal, with a word on the first difference instead of a page of both.
fn assert_same(found: &Prices, expected: &Prices) {
    assert_eq!(found.len(), expected.len(), "number of intervals");
    for (key, (price, duration)) in expected {
        let (found_price, found_duration) = found.get(key).unwrap_or_else(|| panic!("no {key:?}"));
        assert!((found_price - price).abs() <= 5.1e-7, "{key:?}: {found_price} instead of {price}");
        assert_eq!(found_duration, duration, "{key:?}");
    }
}

#[test]
fn nyiso_real_time_days_and_their_load() {
    let folder = whole("nyiso_rt5m_2016");
    let (records, count) = replay(&[&folder]);
    assert_eq!(count, 4320 + 4380 + 4350 + 4320);
    let format = "%m/%d/%Y %H:%M:%S";
    let mut expected = Prices::new();
    let mut load: BTreeMap<(String, i64), f64> = BTreeMap::new();
    for day in 23..=26 {
        let mut previous: BTreeMap<String, i64> = BTreeMap::new();
        for row in file(&folder.join(format!("201610{day}realtime_zone.csv"))) {
            let end = utc(&row[0], format, -4);
            let start = previous.insert(row[1].clone(), end).unwrap_or(end - 5 * MINUTE_MS);
            expected.insert((row[1].clone(), start), (row[3].parse().unwrap(), end - start));
        }
        for row in file(&folder.join(format!("201610{day}pal.csv"))) {
            load.insert((row[2].clone(), utc(&row[0], format, -4)), row[4].parse().unwrap());
        }
    }
    assert_same(&prices(&records), &expected);
    let mut with_volume = 0;
    for record in &records {
        let tick = record.tick().unwrap();
        let parts = tick.energy.unwrap() + tick.congestion.unwrap() + tick.loss.unwrap();
        assert!((parts - tick.price).abs() < 1e-6, "{tick:?}");
        // A run's load is stamped with its start, so that every price finds exactly one reading.
        let power = load.get(&(location(record).to_owned(), record.event_ms()));
        assert_eq!(power.is_some(), tick.volume.is_some(), "{tick:?}");
        if let (Some(power), Some(volume)) = (power, tick.volume) {
            let hours = f64::from(tick.duration_ms.unwrap()) / 3_600_000.0;
            assert!((volume - power * hours).abs() < 1e-5);
            with_volume += 1;
        }
    }
    assert_eq!(with_volume, count / 15 * 11, "11 zones have load, 4 proxies have none");
    assert!(records.iter().any(|record| record.tick().unwrap().price < 0.0));
}

#[test]
fn nyiso_oasis_summer() {
    let path = whole("nyiso_oasis_2024/OASIS_Day-Ahead_Market_Zonal_LBMP.csv");
    let (records, _) = replay(&[&path]);
    let expected = file(&path)
        .into_iter()
        .map(|row| ((row[2].clone(), utc(&row[0], "%m/%d/%y %H:%M", -4)), (row[4].parse().unwrap(), 60 * MINUTE_MS)));
    assert_same(&prices(&records), &expected.collect());
    let versions: i64 = records.iter().map(|record| record.tick().unwrap().revision.unwrap()).sum();
    assert_eq!(versions, file(&path).iter().map(|row| row[7].parse::<i64>().unwrap()).sum::<i64>());

    let path = whole("nyiso_oasis_2024/OASIS_Real_Time_Commitment_Zonal_LBMP.csv");
    let (records, _) = replay(&[&path]);
    let expected = file(&path).into_iter().map(|row| {
        let start = utc(&row[0], "%Y/%m/%d %H:%M:%S", -4) - 15 * MINUTE_MS;
        ((row[1].clone(), start), (row[3].parse().unwrap(), 15 * MINUTE_MS))
    });
    assert_same(&prices(&records), &expected.collect());
}

#[test]
fn pjm_hubs() {
    for name in ["da", "rt"] {
        let path = whole(&format!("pjm_2025/{name}_hrl_lmps.csv"));
        let (records, count) = replay(&[&path]);
        let rows = file(&path);
        assert_eq!(count, rows.len() as u64);
        let expected = rows.iter().map(|row| {
            let start = utc(&row[0], "%m/%d/%Y %I:%M:%S %p", 0);
            assert_eq!(start, utc(&row[1], "%m/%d/%Y %I:%M:%S %p", -4), "the Eastern column agrees");
            ((row[3].clone(), start), (row[9].parse().unwrap(), 60 * MINUTE_MS))
        });
        assert_same(&prices(&records), &expected.collect());
        let congestion: f64 = records.iter().map(|record| record.tick().unwrap().congestion.unwrap()).sum();
        let expected: f64 = rows.iter().map(|row| row[10].parse::<f64>().unwrap()).sum();
        assert!((congestion - expected).abs() < 1e-3);
    }
}

/// Rows of the archive's D lines as column → value.
pub(crate) fn aemo(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut zip.by_index(0).unwrap(), &mut bytes).unwrap();
    let rows = rows(&bytes);
    let header = rows.iter().find(|row| row[0] == "I").unwrap().clone();
    let values = rows.into_iter().filter(|row| row[0] == "D");
    values.map(|row| header.iter().cloned().zip(row).collect()).collect()
}

fn aemo_prices(name: &str, minutes: i64) -> Prices {
    let rows = aemo(&whole(name)).into_iter().filter(|row| row.get("INTERVENTION").is_none_or(|run| run == "0"));
    let entry = |row: BTreeMap<String, String>| {
        let end = utc(&row["SETTLEMENTDATE"], "%Y/%m/%d %H:%M:%S", 10);
        ((row["REGIONID"].clone(), end - minutes * MINUTE_MS), (row["RRP"].parse().unwrap(), minutes * MINUTE_MS))
    };
    rows.map(entry).collect()
}

#[test]
fn aemo_archives_of_every_age() {
    for (name, minutes) in [
        ("aemo/PUBLIC_DVD_DISPATCHPRICE_201804010000.zip", 5),
        ("aemo/PUBLIC_DVD_DISPATCHPRICE_202104010000.zip", 5),
        ("aemo/PUBLIC_ARCHIVE%23DISPATCHPRICE%23FILE01%23202408010000.zip", 5),
        ("aemo/PUBLIC_DVD_TRADINGPRICE_201804010000.zip", 30),
        ("aemo/PUBLIC_DVD_TRADINGPRICE_202109010000.zip", 30),
        ("aemo/PUBLIC_DVD_TRADINGPRICE_202110010000.zip", 5),
        ("aemo/PUBLIC_ARCHIVE%23TRADINGPRICE%23FILE01%23202409010000.zip", 5),
    ] {
        let (records, _) = replay(&[whole(name)]);
        assert_same(&prices(&records), &aemo_prices(name, minutes));
    }
}

#[test]
fn aemo_readings_of_every_age() {
    for name in [
        "aemo/PUBLIC_DVD_DISPATCH_UNIT_SCADA_201804010000.zip",
        "aemo/PUBLIC_DVD_DISPATCH_UNIT_SCADA_202112010000.zip",
        "aemo/PUBLIC_ARCHIVE%23DISPATCH_UNIT_SCADA%23FILE01%23202409010000.zip",
    ] {
        let (records, _) = replay(&[whole(name)]);
        let found = records.iter().map(|record| {
            let meter = record.meter().unwrap();
            assert_eq!((meter.duration_ms, record.published_ms), (300_000, record.event_ms() + 5 * MINUTE_MS));
            ((meter.asset.clone(), record.event_ms()), (meter.power.unwrap(), 5 * MINUTE_MS))
        });
        let expected = aemo(&whole(name)).into_iter().map(|row| {
            let end = utc(&row["SETTLEMENTDATE"], "%Y/%m/%d %H:%M:%S", 10);
            ((row["DUID"].clone(), end - 5 * MINUTE_MS), (row["SCADAVALUE"].parse().unwrap(), 5 * MINUTE_MS))
        });
        let found: Prices = found.collect();
        assert!(found.len() > 1_000 || records.is_empty(), "{name}: {}", found.len());
        assert_same(&found, &expected.collect());
    }
}

#[test]
fn iex_day() {
    let path = whole("iex_india/IEX_RTMPriceVolume_17Oct.txt");
    let (records, count) = replay(&[&path]);
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let midnight = utc("2022-10-16 18:30:00", "%Y-%m-%d %H:%M:%S", 0);
    let mut expected = Prices::new();
    let (mut cleared, mut sold) = (0.0, 0.0);
    for token in json["Delivery_Date_Details"][0]["Token_Wise"].as_array().unwrap() {
        let start = midnight + (token["Token_NO"].as_i64().unwrap() - 1) * 15 * MINUTE_MS;
        cleared += token["All_India_DAM_GDAM_RTM"]["Cleared_Volume"].as_f64().unwrap();
        for area in token["Area_Details"].as_array().unwrap() {
            let zone = format!("IEX-{}", area["Area_code"].as_str().unwrap());
            expected.insert((zone, start), (area["Area_Codes"]["Area_Price"].as_f64().unwrap(), 15 * MINUTE_MS));
            sold += area["Area_Codes"]["Sell_Volume"].as_f64().unwrap();
        }
    }
    assert_eq!(count, 72 * 13);
    assert_same(&prices(&records), &expected);
    let volume: f64 = records.iter().filter_map(|record| record.tick().unwrap().volume).sum();
    assert!((volume - cleared / 4.0).abs() < 0.5, "{volume} MWh instead of {}", cleared / 4.0);
    assert!((sold - cleared).abs() < 2.0, "what is sold is what is bought");
}

#[test]
fn epf_six_years() {
    for (name, zone) in [("DE", "EPEX-DE"), ("NP", "NORDPOOL"), ("PJM", "COMED")] {
        let path = whole(&format!("epf/{name}.csv"));
        let (records, count) = replay(&[&path]);
        let rows = file(&path);
        // Every spring takes a row away and every autumn gives one: no spring without its autumn in these years.
        assert_eq!((count, rows.len()), (52_416, 52_416));
        assert!(
            records.windows(2).all(|pair| pair[1].event_ms() - pair[0].event_ms() == 60 * MINUTE_MS),
            "no hour missing"
        );
        assert!(records.iter().all(|record| location(record) == zone));
        // Each stamp of the file is the wall time of its record.
        let tz = ZONES.get(&records[0].tick().unwrap().market_zone).unwrap().timezone;
        let by_stamp: BTreeMap<_, f64> = rows.iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect();
        for record in &records {
            let local = chrono::DateTime::from_timestamp_millis(record.event_ms()).unwrap().with_timezone(&tz);
            let price = by_stamp[&local.format("%Y-%m-%d %H:%M:%S").to_string()];
            assert!((price - record.tick().unwrap().price).abs() <= 5.1e-7, "{local}");
        }
    }
}

#[test]
fn everything_at_once_is_one_ordered_feed() {
    let paths = ["nyiso_rt5m_2016", "iex_india", "aemo", "pjm_2025", "omie", "misc"].map(whole);
    let replay = Replay::open(&paths, &ZONES).unwrap();
    let unknown = replay.reports().iter().filter(|report| report.format.is_none()).count();
    assert_eq!(unknown, 1, "files of other formats are passed over, and said to be");
    assert!(replay.bids() > 0 && replay.bids() < replay.records());
    let (mut count, mut last) = (0, i64::MIN);
    let expected = replay.records();
    for record in replay {
        let record = record.unwrap();
        assert!(record.published_ms >= last);
        (last, count) = (record.published_ms, count + 1);
    }
    assert_eq!(count, expected);
}
