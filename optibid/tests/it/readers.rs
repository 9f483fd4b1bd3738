//! Readers of the real files for the recomputation: the shortest possible, written from the files and the
//! data's own documentation, not from the adapters under test. Only what the comparison needs.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;

use crate::recompute::Price;

const MINUTE: i64 = 60_000;

/// The real data stands beside the checkout; `OPTIBID_DATA` says otherwise.
pub(crate) fn data() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let data = std::env::var_os("OPTIBID_DATA").map_or(beside, PathBuf::from);
    assert!(data.is_dir(), "no market data at {}: set OPTIBID_DATA to the folder that holds it", data.display());
    data
}

pub(crate) fn files(folder: &str, matches: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(data().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| matches(path.file_name().unwrap().to_str().unwrap()))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no files in {folder}");
    found
}

fn utc(text: &str, format: &str, offset_hours: f64) -> i64 {
    let local = NaiveDateTime::parse_from_str(text, format).unwrap_or_else(|e| panic!("{text:?}: {e}"));
    local.and_utc().timestamp_millis() - (offset_hours * 3_600_000.0) as i64
}

fn micros(text: &str) -> i64 {
    (text.trim().parse::<f64>().unwrap() * 1e6).round() as i64
}

/// NYISO real-time zonal prices of October 2016 (EDT, UTC−4): a row is stamped with the end of its interval,
/// which began where the zone's previous one ended.
pub(crate) fn nyiso_real_time(paths: &[PathBuf]) -> Vec<Price> {
    let mut ends: BTreeMap<String, BTreeMap<i64, i64>> = BTreeMap::new();
    for path in paths {
        for row in csv::Reader::from_path(path).unwrap().records() {
            let row = row.unwrap();
            let end = utc(&row[0], "%m/%d/%Y %H:%M:%S", -4.0);
            ends.entry(row[1].to_owned()).or_default().insert(end, micros(&row[3]));
        }
    }
    let mut prices = Vec::new();
    for (location, ends) in ends {
        let mut previous = None;
        for (end, micros) in ends {
            let start_ms = previous.unwrap_or(end - 5 * MINUTE);
            previous = Some(end);
            let zone = "NYISO".into();
            prices.push(Price { zone, location: location.clone(), market: "REAL_TIME_5_MIN", start_ms, micros });
        }
    }
    prices
}

/// PJM hourly LMPs: UTC start of the hour, current rows only.
pub(crate) fn pjm(path: &Path, market: &'static str) -> Vec<Price> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let columns: HashMap<String, usize> =
        reader.headers().unwrap().iter().enumerate().map(|(i, name)| (name.to_owned(), i)).collect();
    let lmp = columns.get("total_lmp_rt").or_else(|| columns.get("total_lmp_da")).copied().unwrap();
    reader
        .records()
        .map(Result::unwrap)
        .filter(|row| row[columns["row_is_current"]].eq_ignore_ascii_case("true"))
        .map(|row| Price {
            zone: "PJM".into(),
            location: row[columns["pnode_name"]].to_owned(),
            market,
            start_ms: utc(&row[columns["datetime_beginning_utc"]], "%m/%d/%Y %I:%M:%S %p", 0.0),
            micros: micros(&row[lmp]),
        })
        .collect()
}

/// AEMO MMS zip of DISPATCHPRICE or TRADINGPRICE: D rows, interval ending, UTC+10 all year, INTERVENTION 0.
pub(crate) fn aemo(path: &Path, interval_min: i64, market: &'static str) -> Vec<Price> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut text = String::new();
    archive.by_index(0).unwrap().read_to_string(&mut text).unwrap();
    let mut columns: HashMap<String, usize> = HashMap::new();
    let mut prices = Vec::new();
    for row in csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(text.as_bytes()).records() {
        let row = row.unwrap();
        match &row[0] {
            "I" => columns = row.iter().enumerate().map(|(i, name)| (name.to_owned(), i)).collect(),
            "D" if columns.get("INTERVENTION").is_none_or(|i| row[*i].parse::<f64>().unwrap() == 0.0) => {
                let end = utc(&row[columns["SETTLEMENTDATE"]], "%Y/%m/%d %H:%M:%S", 10.0);
                let region = row[columns["REGIONID"]].to_owned();
                prices.push(Price {
                    zone: region.clone(),
                    location: region,
                    market,
                    start_ms: end - interval_min * MINUTE,
                    micros: micros(&row[columns["RRP"]]),
                });
            }
            _ => {}
        }
    }
    prices
}

/// IEX real-time market: block n of the delivery date starts (n − 1) × 15 min after local midnight, UTC+05:30.
pub(crate) fn iex(path: &Path) -> Vec<Price> {
    let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut prices = Vec::new();
    for day in file["Delivery_Date_Details"].as_array().unwrap() {
        let date = format!("{} 00:00:00", day["DeliveryDate"].as_str().unwrap());
        let midnight = utc(&date, "%d/%m/%Y %H:%M:%S", 5.5);
        for block in day["Token_Wise"].as_array().unwrap() {
            let start_ms = midnight + (block["Token_NO"].as_i64().unwrap() - 1) * 15 * MINUTE;
            for area in block["Area_Details"].as_array().unwrap() {
                let Some(price) = area["Area_Codes"]["Area_Price"].as_f64() else { continue };
                let zone = format!("IEX-{}", area["Area_code"].as_str().unwrap());
                let micros = (price * 1e6).round() as i64;
                prices.push(Price { location: zone.clone(), zone, market: "REAL_TIME_15_MIN", start_ms, micros });
            }
        }
    }
    prices
}
