//! Bids of the National Electricity Market: ten prices a trading day (`BIDDAYOFFER_D`), ten quantities an interval
//! (`BIDPEROFFER_D`).
//!
//! A unit's energy offer for one interval becomes one bid, `aemo:<unit>:<interval start>`, to sell; to buy where
//! `DIRECTION` (or the table of units) says load, then with `:load` behind the id, because a battery has both. A step is a
//! band with a quantity. `MAXAVAIL` bounds the sum: what lies above is what the unit would least like to run at (sell:
//! dearest, buy: cheapest) and is left out.
//!
//! * A trading day runs from 04:00 to 04:00. `INTERVAL_DATETIME` is the interval's *end*; tables without it count
//!   `PERIODID`s from the start of the trading day. Before October 2021 some tables have half-hourly rows: a file is
//!   half-hourly if every stamp in it is on the half hour.
//! * A price is what the unit gets at its own connection, which losses can carry a little beyond the limits of the region:
//!   it is set to the limit.
//! * A rebid moves quantities; prices are fixed for the trading day (National Electricity Rules 3.8.22). So a row whose own
//!   day offer is not in the files takes the prices of the day's last one.
//! * The revision is `OFFERDATE` in seconds and then `VERSIONNO`: the same from whatever file, and higher for a rebid. A
//!   rebid of nothing withdraws; a first offer of nothing is no bid.
//! * Bids for frequency control (every other `BIDTYPE`) are no energy and are left out. The tables have no intervention
//!   run; rows that say `INTERVENTION=1` all the same are left out, as with prices.

use model::Zones;
use model::bid::{BidStatus, Side, Step};
use model::time::{DAY_MS, rfc3339};
use model::wire::WireKind;

use super::offers::{DayOffer, Grid, Key, Kind, OTHERS, Period, day_offer, is_energy, kind, period};
use super::rows::each;
use crate::error::Error;
use crate::replay::offer::{Judge, Offer};
use crate::replay::{Companions, Parsed, Source};

/// Reads the bids of a file; `companions` hold the prices of the bands and the units.
pub fn read(source: &Source, zones: &Zones, companions: &Companions) -> Result<Parsed, Error> {
    let (mut parsed, mut periods) = (Parsed::default(), Vec::new());
    each(source, &mut parsed, OTHERS, kind, |row, parsed| {
        if is_energy(row, parsed) {
            match row.kind() {
                Kind::Day => day_offer(row).map(|_| ())?,
                Kind::Period => periods.push(period(row)?),
            }
        }
        Ok(())
    });
    if companions.offers.is_empty() && !periods.is_empty() {
        let reason = "quantities of bids without their prices: no BIDDAYOFFER_D is among the files".to_owned();
        return Err(Error::Malformed { file: source.file.to_string(), reason });
    }
    let grid = Grid::of(&periods);
    periods.sort_by_cached_key(|row| (row.key.unit.clone(), row.key.is_load, grid.start_ms(row), row.revision));
    let mut judge = Judge::new(zones);
    let mut last: Option<Bid> = None;
    for row in &periods {
        let before = last.take().filter(|last| last.is_version_of(row, &grid));
        let bid = Bid { key: &row.key, start_ms: grid.start_ms(row), is_live: before.is_some_and(|last| last.is_live) };
        match bid.send(row, &grid, companions, &mut judge, &mut parsed) {
            Ok(is_live) => last = Some(Bid { is_live, ..bid }),
            Err(reason) => {
                parsed.bad(&source.file, row.line, reason);
                last = Some(bid);
            }
        }
    }
    Ok(parsed)
}

/// A bid, and whether a version of it stands.
struct Bid<'a> {
    key: &'a Key,
    start_ms: i64,
    is_live: bool,
}

impl Bid<'_> {
    fn is_version_of(&self, row: &Period, grid: &Grid) -> bool {
        let is_same = self.key.unit == row.key.unit && self.key.is_load == row.key.is_load;
        is_same && self.start_ms == grid.start_ms(row)
    }

    /// Sends the version that a row is; says whether it stands.
    fn send(
        &self,
        row: &Period,
        grid: &Grid,
        companions: &Companions,
        judge: &mut Judge,
        parsed: &mut Parsed,
    ) -> Result<bool, String> {
        let unit = companions.units.at(&row.key.unit, self.start_ms).ok_or_else(|| {
            parsed.note("rows of units whose region is not known");
            format!("the region of unit {} is not known: no DUDETAILSUMMARY has it", row.key.unit)
        })?;
        let day = companions.offers.of(&row.key, row.revision);
        let day =
            day.ok_or_else(|| format!("no BIDDAYOFFER_D of {} for {}", row.key.unit, market_day(row.key.day_ms)))?;
        if day.revision != row.revision {
            parsed.note("rebids priced by another offer of their day (prices are fixed for a day)");
        }
        let side = if row.key.is_load || unit.is_load { Side::Buy } else { Side::Sell };
        let limits = judge.limits(&unit.region, grid.market(), self.start_ms);
        let steps = steps(self.start_ms, side, limits, day, row, parsed);
        let status = match (steps.is_empty(), self.is_live) {
            (true, false) => {
                parsed.note("rows that offer nothing, left out");
                return Ok(false);
            }
            (true, true) => BidStatus::Withdrawn,
            (false, true) => BidStatus::Amended,
            (false, false) => BidStatus::Submitted,
        };
        let participant = day.participant.as_deref().or(unit.participant.as_deref());
        let end = if row.key.is_load { ":load" } else { "" };
        let offer = Offer {
            id: format!("aemo:{}:{}{end}", row.key.unit, rfc3339(self.start_ms)),
            revision: row.revision,
            status,
            organisation: participant.unwrap_or(&row.key.unit),
            asset: Some(&row.key.unit),
            zone: &unit.region,
            market: grid.market(),
            delivery_ms: self.start_ms,
            side,
            kind: WireKind::Curve,
            steps,
            entered_ms: row.entered_ms,
            opens_ms: row.key.day_ms - DAY_MS,
        };
        parsed.records.push(judge.record(offer)?);
        Ok(status != BidStatus::Withdrawn)
    }
}

/// Bands with a quantity, the most wanted first, up to what is available.
fn steps(
    start_ms: i64,
    side: Side,
    (floor, cap): (i64, i64),
    day: &DayOffer,
    row: &Period,
    parsed: &mut Parsed,
) -> Vec<Step> {
    let mut bands: Vec<(i64, i64)> = day.price_micros.into_iter().zip(row.band_kw).collect();
    bands.sort_by_key(|(price, _)| if side == Side::Sell { *price } else { -*price });
    let (mut left_kw, mut is_cut, mut is_beyond) = (row.max_kw.unwrap_or(i64::MAX), false, false);
    let mut steps = Vec::new();
    for (price, power_kw) in bands {
        let within_kw = power_kw.min(left_kw);
        left_kw -= within_kw;
        is_cut |= within_kw < power_kw;
        if within_kw > 0 {
            let price_micros = price.max(floor).min(cap);
            is_beyond |= price_micros != price;
            steps.push(Step::flat(start_ms, price_micros, within_kw));
        }
    }
    parsed.note_times("offers above MAXAVAIL, cut to it", u64::from(is_cut));
    parsed.note_times("offers with prices beyond the limits of the region, set to the limit", u64::from(is_beyond));
    steps
}

/// A day of market time, for a person.
fn market_day(day_ms: i64) -> String {
    rfc3339(day_ms + super::MARKET_OFFSET_MS).chars().take(10).collect()
}
