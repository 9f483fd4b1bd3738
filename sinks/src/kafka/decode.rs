//! Messages of the changelog back into what they say: the other direction of [`super::encode`]. Pure.

use model::clearing::{AwardKey, ClearingKey};
use model::settlement::{PnlKey, SettlementKey};
use model::table::Table;
use model::time::Granularity;
use model::{
    Alert, Award, BarKey, BarRow, BidKpi, BidKpiKey, Clearing, Correlation, DeadLetter, Kpi, LiveBid, LocationId,
    LocationName, Market, Names, Notice, Pnl, Rule, SeriesKey, Settlement, Side, TickRow,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::encode::{Name, Ticks};
use super::lines::{
    AlertLine, AwardLine, BarLine, BidKpiLine, BidLine, ClearingLine, CorrelationLine, KpiLine, LetterLine, PnlLine,
    SettlementLine,
};
use super::topics::Kind;
use crate::Error;

/// What one message says. A key alone: the row is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Name(LocationName),
    Bar(BarKey, Option<Box<BarRow>>),
    Kpi((SeriesKey, u32), Option<Box<Kpi>>),
    Alert(Box<Alert>),
    Correlation((SeriesKey, SeriesKey, u32, u32), Option<Box<Correlation>>),
    Bid(String, Option<Box<LiveBid>>),
    Clearing(ClearingKey, Option<Box<Clearing>>),
    Award(AwardKey, Option<Box<Award>>),
    Settlement(SettlementKey, Option<Box<Settlement>>),
    Pnl(PnlKey, Option<Box<Pnl>>),
    BidKpi(BidKpiKey, Option<Box<BidKpi>>),
    Rule(String, Option<Box<Rule>>),
    Ticks(Vec<TickRow>),
    Notice(Box<Notice>),
    DeadLetter(Box<DeadLetter>),
    /// Nothing that the live state needs: a withdrawn alert left its table.
    Nothing,
}

/// Reads a message. Registers the names it brings.
pub(super) fn decode(names: &Names, kind: Kind, key: &str, value: Option<&[u8]>) -> Result<Said, Error> {
    let read = || match value {
        Some(value) => row(names, kind, key, value),
        None => gone(kind, key),
    };
    read().ok_or_else(|| {
        let shown = value.map(|value| String::from_utf8_lossy(&value[..value.len().min(300)]).into_owned());
        Error::Schema(format!("cannot read {kind:?} {key:?}: {shown:?} (written by a newer program?)"))
    })
}

fn row(names: &Names, kind: Kind, key: &str, value: &[u8]) -> Option<Said> {
    Some(match kind {
        Kind::Table(Table::Bars) => {
            let row = line::<BarLine<'_>>(value)?.row(names)?;
            Said::Bar(row.key, Some(Box::new(row)))
        }
        Kind::Table(Table::Kpis) => {
            let row = line::<KpiLine<'_>>(value)?.row(names)?;
            Said::Kpi(row.key(), Some(Box::new(row)))
        }
        Kind::Table(Table::Correlations) => {
            let row = line::<CorrelationLine<'_>>(value)?.row(names)?;
            Said::Correlation(row.key(), Some(Box::new(row)))
        }
        Kind::Table(Table::Bids) => {
            let row = line::<BidLine<'_>>(value)?.row(names)?;
            Said::Bid(row.bid.clone(), Some(Box::new(row)))
        }
        Kind::Table(Table::Clearing) => {
            let row = line::<ClearingLine<'_>>(value)?.row(names)?;
            Said::Clearing(row.key(), Some(Box::new(row)))
        }
        Kind::Table(Table::Awards) => {
            let row = line::<AwardLine<'_>>(value)?.row(names)?;
            Said::Award(row.key(), Some(Box::new(row)))
        }
        Kind::Table(Table::Settlement) => {
            let row = line::<SettlementLine<'_>>(value)?.row(names)?;
            Said::Settlement(row.key(), Some(Box::new(row)))
        }
        Kind::Table(Table::Pnl) => {
            let row = line::<PnlLine<'_>>(value)?.row()?;
            Said::Pnl(row.key(), Some(Box::new(row)))
        }
        Kind::Table(Table::BidKpis) => {
            let row = line::<BidKpiLine<'_>>(value)?.row(names)?;
            Said::BidKpi(row.key(), Some(Box::new(row)))
        }
        Kind::Table(Table::Anomalies) | Kind::Withdrawn => {
            Said::Alert(Box::new(line::<AlertLine<'_>>(value)?.row(names)?))
        }
        Kind::Table(Table::Ticks) | Kind::Moments => return None,
        Kind::Names => {
            let Name { zone, location } = owned(value)?;
            let id = LocationId(u64::from_str_radix(key, 16).ok()?);
            let name = LocationName { id, zone, location };
            names.learn(&name);
            Said::Name(name)
        }
        Kind::Rules => Said::Rule(key.to_owned(), Some(Box::new(owned(value)?))),
        Kind::Notices => Said::Notice(Box::new(owned(value)?)),
        Kind::Ticks => {
            let Ticks { partitions, rows } = owned(value)?;
            // Two partitions that share a hash were refused by the source.
            partitions.iter().for_each(|(topic, partition)| drop(names.partition(topic, *partition)));
            Said::Ticks(rows)
        }
        Kind::DeadLetters => Said::DeadLetter(Box::new(owned::<LetterLine>(value)?.row())),
    })
}

/// The key of a tombstone. Names of locations may contain the separator; what stands around them may not.
fn gone(kind: Kind, key: &str) -> Option<Said> {
    Some(match kind {
        Kind::Table(Table::Bars) => Said::Bar(bar_key(key)?, None),
        Kind::Table(Table::Kpis) => {
            let (series, window) = key.rsplit_once('|')?;
            Said::Kpi((series_of(series)?, window.parse().ok()?), None)
        }
        Kind::Table(Table::Correlations) => {
            let mut parts = key.rsplitn(3, '|');
            let (lag, window) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
            let (a, b) = pair(parts.next()?)?;
            Said::Correlation((a, b, window, lag), None)
        }
        Kind::Table(Table::Bids) => Said::Bid(key.to_owned(), None),
        Kind::Table(Table::Clearing) => {
            let (series, start) = key.rsplit_once('|')?;
            Said::Clearing((series_of(series)?, start.parse().ok()?), None)
        }
        Kind::Table(Table::Awards) => {
            let (bid, start) = key.rsplit_once('|')?;
            Said::Award((bid.to_owned(), start.parse().ok()?), None)
        }
        Kind::Table(Table::Settlement) => Said::Settlement(settlement_key(key)?, None),
        Kind::Table(Table::Pnl) => Said::Pnl(pnl_key(key)?, None),
        Kind::Table(Table::BidKpis) => Said::BidKpi(bid_kpi_key(key)?, None),
        Kind::Rules => Said::Rule(key.to_owned(), None),
        Kind::Table(Table::Anomalies) | Kind::Withdrawn => Said::Nothing,
        _ => return None,
    })
}

/// The columns of an escaped key.
fn columns<const N: usize>(key: &str) -> Option<[String; N]> {
    let columns: Vec<String> = key.split('|').map(|text| text.replace("%7C", "|").replace("%25", "%")).collect();
    columns.try_into().ok()
}

fn settlement_key(key: &str) -> Option<SettlementKey> {
    let [organisation, asset, bid, zone, location, market, start, duration] = columns(key)?;
    let series = SeriesKey { location: LocationId::new(&zone, &location), market: Market::parse(&market)? };
    Some((organisation, asset, bid, series, start.parse().ok()?, duration.parse().ok()?))
}

fn pnl_key(key: &str) -> Option<PnlKey> {
    let [organisation, asset, zone, start] = columns(key)?;
    Some((organisation, asset, LocationId::new(&zone, &zone), start.parse().ok()?))
}

/// A bar's key as its message has it: `zone|location|market|granularity|start`.
pub(super) fn bar_key(key: &str) -> Option<BarKey> {
    let mut parts = key.rsplitn(3, '|');
    let start_ms = parts.next()?.parse().ok()?;
    let granularity = Granularity::parse(parts.next()?)?;
    Some(BarKey { series: series_of(parts.next()?)?, granularity, start_ms })
}

/// `zone|location|market|side|start|duration|organisation`: the first side between a series and two numbers. Both the
/// location and the organisation may contain the separator.
fn bid_kpi_key(text: &str) -> Option<BidKpiKey> {
    let mut cuts = text.match_indices('|').map(|(at, _)| at);
    cuts.find_map(|at| {
        let mut rest = text[at + 1..].splitn(4, '|');
        let side = match rest.next()? {
            "buy" => Side::Buy,
            "sell" => Side::Sell,
            _ => return None,
        };
        Some(BidKpiKey {
            series: series_of(&text[..at])?,
            side,
            start_ms: rest.next()?.parse().ok()?,
            duration_ms: rest.next()?.parse().ok()?,
            organisation: rest.next()?.to_owned(),
        })
    })
}

/// `zone|location|market`.
fn series_of(text: &str) -> Option<SeriesKey> {
    let (zone, rest) = text.split_once('|')?;
    let (location, market) = rest.rsplit_once('|')?;
    Some(SeriesKey { location: LocationId::new(zone, location), market: Market::parse(market)? })
}

/// `zone|location|market|zone|location|market`: the first market that leaves a series on either side.
fn pair(text: &str) -> Option<(SeriesKey, SeriesKey)> {
    let cuts = text.match_indices('|').map(|(at, _)| at);
    cuts.into_iter().find_map(|at| Some((series_of(&text[..at])?, series_of(&text[at + 1..])?)))
}

fn line<'a, L: Deserialize<'a>>(value: &'a [u8]) -> Option<L> {
    serde_json::from_slice(value).ok()
}

fn owned<L: DeserializeOwned>(value: &[u8]) -> Option<L> {
    serde_json::from_slice(value).ok()
}

#[cfg(test)]
mod tests;
