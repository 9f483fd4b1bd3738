//! Rows of bids: prices of a day, quantities of an interval, and which interval that is.

use std::collections::HashMap;

use model::Market;
use model::money::{price_micros, volume_kwh};
use model::time::{HOUR_MS, rfc3339};

use super::rows::{Row, each};
use super::{FIVE_MINUTE_SETTLEMENT_MS, INTERVENTION_LEFT_OUT, MINUTES_5_MS, MINUTES_30_MS};
use crate::replay::{Parsed, Source};

const BANDS: usize = 10;
/// A trading day begins so long after midnight.
const DAY_BEGINS_MS: i64 = 4 * HOUR_MS;
/// Revisions leave room for so many versions of one second.
const VERSIONS: i64 = 1_000;
pub(super) const OTHERS: &str = "rows of tables that hold no bids, left out";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Day,
    Period,
}

pub(super) fn kind(report: &str, table: &str) -> Option<Kind> {
    match (report, table) {
        ("BID", "BIDDAYOFFER_D") => Some(Kind::Day),
        ("BID", "BIDPEROFFER_D") => Some(Kind::Period),
        _ => None,
    }
}

/// What a day offer and its periods share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Midnight that begins the trading day's date, UTC ms.
    pub(super) day_ms: i64,
    pub(super) unit: String,
    pub(super) is_load: bool,
}

/// Prices of the bands on a trading day, as offered once.
#[derive(Clone, Debug)]
pub(super) struct DayOffer {
    pub(super) revision: i64,
    pub(super) participant: Option<String>,
    pub(super) price_micros: [i64; BANDS],
}

/// The day offers of all files.
#[derive(Clone, Debug, Default)]
pub(crate) struct DayOffers {
    by_key: HashMap<Key, Vec<DayOffer>>,
}

impl DayOffers {
    /// Takes the day offers of a file; what is wrong with them is said when it is read.
    pub(crate) fn learn(&mut self, source: &Source) {
        let mut parsed = Parsed::default();
        each(source, &mut parsed, OTHERS, kind, |row, parsed| match row.kind() {
            Kind::Day if is_energy(row, parsed) => {
                let (key, offer) = day_offer(row)?;
                self.by_key.entry(key).or_default().push(offer);
                Ok(())
            }
            _ => Ok(()),
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// The day offer of a revision, or the last of the day.
    pub(super) fn of(&self, key: &Key, revision: i64) -> Option<&DayOffer> {
        let offers = self.by_key.get(key)?;
        let own = offers.iter().find(|offer| offer.revision == revision);
        own.or_else(|| offers.iter().max_by_key(|offer| offer.revision))
    }
}

/// A row of quantities.
pub(super) struct Period {
    pub(super) line: u64,
    pub(super) key: Key,
    end_ms: Option<i64>,
    period: i64,
    pub(super) entered_ms: i64,
    pub(super) revision: i64,
    pub(super) max_kw: Option<i64>,
    pub(super) band_kw: [i64; BANDS],
}

/// Whether a row is an offer of energy; counts it otherwise.
pub(super) fn is_energy(row: &Row<'_, Kind>, parsed: &mut Parsed) -> bool {
    if row.is_intervention() {
        parsed.note(INTERVENTION_LEFT_OUT);
        return false;
    }
    let is_energy = row.optional("BIDTYPE").is_none_or(|kind| kind.eq_ignore_ascii_case("ENERGY"));
    if !is_energy {
        parsed.note("bids for frequency control (BIDTYPE other than ENERGY), left out");
    }
    is_energy
}

fn key(row: &Row<'_, Kind>) -> Result<Key, String> {
    let is_load = row.optional("DIRECTION").is_some_and(|direction| direction.eq_ignore_ascii_case("LOAD"));
    let day_ms = row.instant("SETTLEMENTDATE")?;
    Ok(Key { day_ms, unit: row.text("DUID")?.to_owned(), is_load })
}

/// When it was offered, UTC ms, and the revision that follows from it.
fn offered(row: &Row<'_, Kind>) -> Result<(i64, i64), String> {
    let at_ms = match row.optional_instant("OFFERDATE")? {
        Some(at_ms) => at_ms,
        None => row.instant("LASTCHANGED")?,
    };
    let version = row.optional_number("VERSIONNO")?.unwrap_or(0.0).clamp(0.0, (VERSIONS - 1) as f64) as i64;
    let seconds = at_ms.div_euclid(1_000);
    if seconds < 0 {
        return Err(format!("offered at {}, before there was a market", rfc3339(at_ms)));
    }
    Ok((at_ms, seconds * VERSIONS + version))
}

fn bands(name: &str, of: impl Fn(&str) -> Result<i64, String>) -> Result<[i64; BANDS], String> {
    let mut bands = [0; BANDS];
    for (band, held) in (1..).zip(bands.iter_mut()) {
        *held = of(&format!("{name}{band}"))?;
    }
    Ok(bands)
}

pub(super) fn day_offer(row: &Row<'_, Kind>) -> Result<(Key, DayOffer), String> {
    let price = |name: &str| {
        let price = row.number(name)?;
        price_micros(price).ok_or_else(|| format!("{name} {price} is out of bounds"))
    };
    let participant = row.optional("PARTICIPANTID").map(str::to_owned);
    let offer = DayOffer { revision: offered(row)?.1, participant, price_micros: bands("PRICEBAND", price)? };
    Ok((key(row)?, offer))
}

pub(super) fn period(row: &Row<'_, Kind>) -> Result<Period, String> {
    let power = |name: &str| match row.optional_number(name)? {
        Some(mw) => volume_kwh(mw).map(Some).ok_or_else(|| format!("{name} {mw} MW is no quantity")),
        None => Ok(None),
    };
    let end_ms = row.optional_instant("INTERVAL_DATETIME")?;
    let period = match end_ms {
        Some(_) => 0,
        None => row.number("PERIODID")?.clamp(0.0, 1_000.0) as i64,
    };
    if end_ms.is_none() && period < 1 {
        return Err("PERIODID is below 1".to_owned());
    }
    let (entered_ms, revision) = offered(row)?;
    let band_kw = bands("BANDAVAIL", |name| Ok(power(name)?.unwrap_or(0)))?;
    Ok(Period {
        line: row.line,
        key: key(row)?,
        end_ms,
        period,
        entered_ms,
        revision,
        max_kw: power("MAXAVAIL")?,
        band_kw,
    })
}

/// The intervals of a file.
pub(super) struct Grid {
    is_half_hourly: bool,
}

impl Grid {
    pub(super) fn of(periods: &[Period]) -> Self {
        let on_half_hour = |row: &Period| match row.end_ms {
            Some(end_ms) => end_ms.rem_euclid(MINUTES_30_MS) == 0,
            None => row.period <= 48,
        };
        let is_old = |row: &Period| row.key.day_ms < FIVE_MINUTE_SETTLEMENT_MS;
        Self { is_half_hourly: periods.iter().all(|row| is_old(row) && on_half_hour(row)) }
    }

    fn duration_ms(&self) -> i64 {
        if self.is_half_hourly { MINUTES_30_MS } else { MINUTES_5_MS }
    }

    pub(super) fn market(&self) -> Market {
        if self.is_half_hourly { Market::RealTime30Min } else { Market::RealTime5Min }
    }

    pub(super) fn start_ms(&self, row: &Period) -> i64 {
        let counted = || row.key.day_ms + DAY_BEGINS_MS + row.period * self.duration_ms();
        row.end_ms.unwrap_or_else(counted) - self.duration_ms()
    }
}
