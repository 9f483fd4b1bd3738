//! TenneT's merit-order list, JSON: what balancing energy costs in the Netherlands, by quarter hour and volume.
//!
//! A threshold says: up to so many MW, summed from the cheapest, upward energy costs `price_up`, and downward energy is
//! worth `price_down`. The part between two thresholds is one bid of TenneT's, `tennet:<interval start>:up|down:<MW>`:
//! upward to sell; downward to buy, because who runs down buys the energy that was sold before. A threshold without a price
//! on one side adds nothing there.
//!
//! Stamps are interval starts by the clock of Amsterdam (`isp` 1 is at 00:00); of the hour that happens twice, `isp`, which
//! counts the quarter hours of the local day, tells which is meant. Both sides of the list are orders to TenneT and are
//! not traded with each other: upward may well be cheaper than downward. When the list was known the file does not
//! say: assumed is the start of the interval.

use chrono::{LocalResult, TimeZone};
use model::bid::{BidStatus, Side, Step};
use model::money::{price_micros, volume_kwh, volume_mwh};
use model::time::{local_day, rfc3339};
use model::wire::WireKind;
use model::{Market, Zone, Zones};
use serde::Deserialize;

use super::offer::{Judge, Offer};
use super::quote::zone;
use super::stamp::{DateOrder, parse};
use super::table::number;
use super::{Parsed, Source};
use crate::error::Error;

const ZONE: &str = "TENNET-NL";
const OPERATOR: &str = "TenneT";
const MARKET: Market = Market::RealTime15Min;

#[derive(Deserialize)]
struct File {
    #[serde(rename = "Response")]
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "TimeSeries")]
    series: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(rename = "Period")]
    period: Period,
}

#[derive(Deserialize)]
struct Period {
    // Values, so that one odd interval does not cost the others.
    #[serde(rename = "Points")]
    points: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Point {
    #[serde(rename = "timeInterval_start")]
    start: String,
    #[serde(rename = "isp", default)]
    isp: Option<Amount>,
    #[serde(rename = "Thresholds")]
    thresholds: Vec<Threshold>,
}

#[derive(Deserialize)]
struct Threshold {
    #[serde(rename = "capacity_threshold")]
    power: Amount,
    #[serde(rename = "price_up", default)]
    up: Option<Amount>,
    #[serde(rename = "price_down", default)]
    down: Option<Amount>,
}

/// A number, as a number or as text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Amount {
    Number(f64),
    Text(String),
}

impl Amount {
    fn value(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Text(text) => number(text.trim()),
        }
    }
}

/// Reads a file.
pub fn read(source: &Source, zones: &Zones) -> Result<Parsed, Error> {
    let zone = zone(zones, ZONE, source)?;
    let refuse = |error: serde_json::Error| Error::Malformed {
        file: source.file.to_string(),
        reason: format!("read merit-order list: {error}"),
    };
    let file: File = serde_json::from_slice(source.body()).map_err(refuse)?;
    let (mut parsed, mut judge) = (Parsed::default(), Judge::new(zones));
    for value in file.response.series.into_iter().flat_map(|series| series.period.points) {
        let read = serde_json::from_value::<Point>(value).map_err(|error| format!("interval: {error}"));
        let result = read.and_then(|point| Ok((start_ms(&point, zone)?, point)));
        match result {
            Ok((start_ms, point)) => {
                for (side, way) in [(Side::Sell, "up"), (Side::Buy, "down")] {
                    Ladder { start_ms, side, way, zone }.read(&point.thresholds, source, &mut judge, &mut parsed);
                }
            }
            Err(reason) => parsed.bad(&source.file, 0, reason),
        }
    }
    Ok(parsed)
}

/// Start of an interval, UTC ms.
fn start_ms(point: &Point, zone: &Zone) -> Result<i64, String> {
    let text = &point.start;
    let local = parse(text, DateOrder::DayFirst).ok_or_else(|| format!("interval start {text:?} is no time"))?;
    match zone.timezone.from_local_datetime(&local) {
        LocalResult::Single(at) => Ok(at.timestamp_millis()),
        LocalResult::Ambiguous(first, second) => {
            let (first, second) = (first.timestamp_millis(), second.timestamp_millis());
            let quarter = |at: i64| (at - local_day(at, zone.timezone).0) / i64::from(MARKET.interval_ms()) + 1;
            let isp = point.isp.as_ref().and_then(Amount::value);
            Ok(if isp == Some(quarter(second) as f64) { second } else { first })
        }
        LocalResult::None => Err(format!("interval start {text:?} does not exist: the clock skips it")),
    }
}

/// One side of the list.
struct Ladder<'a> {
    start_ms: i64,
    side: Side,
    way: &'static str,
    zone: &'a Zone,
}

impl Ladder<'_> {
    fn read(&self, thresholds: &[Threshold], source: &Source, judge: &mut Judge, parsed: &mut Parsed) {
        let mut below_kw = 0;
        for threshold in thresholds {
            let price = if self.side == Side::Sell { &threshold.up } else { &threshold.down };
            let Some(price) = price else { continue };
            match self.bid(&threshold.power, price, below_kw) {
                Ok((offer, up_to_kw)) => {
                    below_kw = up_to_kw;
                    match judge.record(offer) {
                        Ok(record) => parsed.records.push(record),
                        Err(reason) => parsed.bad(&source.file, 0, reason),
                    }
                }
                Err(reason) => {
                    parsed.bad(&source.file, 0, format!("{} {}: {reason}", rfc3339(self.start_ms), self.way))
                }
            }
        }
    }

    /// The part of the list above `below_kw`, and up to where it reaches.
    fn bid(&self, power: &Amount, price: &Amount, below_kw: i64) -> Result<(Offer<'_>, i64), String> {
        let up_to_kw = power.value().and_then(volume_kwh).ok_or("a threshold is no quantity")?;
        let price_micros = price.value().and_then(price_micros).ok_or("a price is no number within bounds")?;
        if up_to_kw <= below_kw {
            return Err(format!("threshold {} MW is not above the one before", volume_mwh(up_to_kw)));
        }
        let offer = Offer {
            id: format!("tennet:{}:{}:{}", rfc3339(self.start_ms), self.way, volume_mwh(up_to_kw)),
            revision: 0,
            status: BidStatus::Submitted,
            organisation: OPERATOR,
            asset: None,
            zone: &self.zone.code,
            market: MARKET,
            delivery_ms: self.start_ms,
            side: self.side,
            kind: WireKind::Curve,
            steps: vec![Step::flat(self.start_ms, price_micros, up_to_kw - below_kw)],
            entered_ms: self.start_ms,
            opens_ms: self.start_ms,
        };
        Ok((offer, up_to_kw))
    }
}
