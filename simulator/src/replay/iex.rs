//! Indian Energy Exchange price and volume JSON: 96 blocks of 15 minutes a day, one price an area.
//!
//! `Token_NO` n is the block that starts (n − 1) × 15 min after midnight in India (UTC+05:30); a file fetched
//! during the day ends early. Prices are Rs/MWh. Area volumes are cleared power in MW; the tick's volume is the
//! energy *bought* in the area over the block (MW × ¼ h), which adds up to the national cleared volume.
//! An area becomes zone `IEX-<area>`; one without a price in a block is left out. The JSON of the
//! real-time, day-ahead and green day-ahead markets looks alike: it is read as real-time (RTM) unless the file's
//! name says `dam`.

use model::{Market, Zones};
use serde::Deserialize;

use super::quote::{Quote, tidy};
use super::stamp::{DateOrder, parse};
use super::{Parsed, Source};
use crate::error::Error;

const BLOCK_MS: i64 = 900_000;

#[derive(Deserialize)]
struct File {
    #[serde(rename = "Delivery_Date_Details")]
    days: Vec<Day>,
}

#[derive(Deserialize)]
struct Day {
    #[serde(rename = "DeliveryDate")]
    date: String,
    // Values, so that one odd block does not cost the day.
    #[serde(rename = "Token_Wise")]
    blocks: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "Token_NO")]
    number: i64,
    #[serde(rename = "Area_Details")]
    areas: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Area {
    #[serde(rename = "Area_code")]
    code: String,
    #[serde(rename = "Area_Codes")]
    values: Values,
}

#[derive(Deserialize)]
struct Values {
    #[serde(rename = "Area_Price")]
    price: Option<f64>,
    #[serde(rename = "Buy_Volume")]
    bought_mw: Option<f64>,
}

/// Reads every day, block and area of a file.
pub fn read(source: &Source, zones: &Zones) -> Result<Parsed, Error> {
    let file: File = serde_json::from_slice(source.body())
        .map_err(|error| Error::Malformed { file: source.file.to_string(), reason: error.to_string() })?;
    let market = if source.stem().contains("dam") { Market::DayAhead15Min } else { Market::RealTime15Min };
    let mut parsed = Parsed::default();
    for day in file.days {
        for block in day.blocks {
            if let Err(reason) = read_block(&day.date, block, market, zones, source, &mut parsed) {
                parsed.bad(&source.file, 0, format!("{}: {reason}", day.date));
            }
        }
    }
    Ok(parsed)
}

fn read_block(
    date: &str,
    block: serde_json::Value,
    market: Market,
    zones: &Zones,
    source: &Source,
    parsed: &mut Parsed,
) -> Result<(), String> {
    let block: Block = serde_json::from_value(block).map_err(|error| format!("block: {error}"))?;
    if !(1..=96).contains(&block.number) {
        return Err(format!("block {} is not one of 1 to 96", block.number));
    }
    let midnight = parse(date, DateOrder::DayFirst).ok_or_else(|| format!("date {date:?} is no date"))?;
    for area in block.areas {
        let result = serde_json::from_value(area)
            .map_err(|error| format!("area: {error}"))
            .and_then(|area: Area| read_area(midnight, block.number, &area, market, zones, parsed));
        if let Err(reason) = result {
            parsed.bad(&source.file, 0, format!("{date} block {}: {reason}", block.number));
        }
    }
    Ok(())
}

fn read_area(
    midnight: chrono::NaiveDateTime,
    block: i64,
    area: &Area,
    market: Market,
    zones: &Zones,
    parsed: &mut Parsed,
) -> Result<(), String> {
    let Some(price) = area.values.price else {
        parsed.note("areas without a price, left out");
        return Ok(());
    };
    let code = format!("IEX-{}", area.code.trim());
    let zone = zones.get(&code).ok_or_else(|| format!("zone {code:?} is not in the zone table"))?;
    // India has had one offset since 1945: midnight is never ambiguous.
    let day_ms = model::time::local_to_utc_ms(midnight, zone.timezone, false).ok_or("midnight does not exist")?;
    let start_ms = day_ms + (block - 1) * BLOCK_MS;
    let quote = Quote {
        source: "iex",
        zone,
        location: &zone.code,
        market,
        start_ms,
        duration_ms: BLOCK_MS,
        published_ms: if market.is_day_ahead() { start_ms } else { start_ms + BLOCK_MS },
        price,
        components: None,
        volume: area.values.bought_mw.filter(|power| *power >= 0.0).map(|power| tidy(power / 4.0)),
        revision: 0,
        cancelled: false,
    };
    parsed.records.push(quote.record()?);
    Ok(())
}
