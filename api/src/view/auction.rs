//! Books, clearing, awards and key figures of bids as clients see them, the same over REST and over the WebSocket. Power in MW, prices in
//! currency per MWh, surplus in currency.

use model::money::{price, volume_mwh};
use model::time::{T, rfc3339};
use model::{Award, BidKpi, Clearing, Side};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Labels, Series};

/// The bid that sets a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Marginal {
    /// `buy` or `sell`.
    #[schema(example = "sell")]
    pub(crate) side: &'static str,
    /// Its id.
    pub(crate) bid: String,
}

impl Marginal {
    pub(crate) fn new((side, bid): &(Side, String)) -> Self {
        Self { side: side.as_str(), bid: bid.clone() }
    }
}

/// The top of an interval's book, and what is in it.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct BookRow {
    #[serde(flatten)]
    pub(crate) series: Series,
    /// Start of the delivery interval.
    pub(crate) start: String,
    /// Its length, ms.
    pub(crate) duration_ms: u32,
    /// The dearest price at which somebody buys, of plain bids; null when nobody does.
    pub(crate) best_buy: Option<f64>,
    /// The cheapest price at which somebody sells, of plain bids; null when nobody does.
    pub(crate) best_sell: Option<f64>,
    /// Everything for sale, blocks and complex bids included.
    pub(crate) offered_mw: f64,
    /// Everything asked for.
    pub(crate) wanted_mw: f64,
    /// Bids with something in the interval.
    pub(crate) bids: i64,
}

impl BookRow {
    pub(crate) fn new(labels: &Labels, row: &Clearing) -> Self {
        Self {
            series: labels.series(row.series),
            start: rfc3339(row.start_ms),
            duration_ms: row.duration_ms,
            best_buy: row.best_buy_micros.map(price),
            best_sell: row.best_sell_micros.map(price),
            offered_mw: volume_mwh(row.offered_kw),
            wanted_mw: volume_mwh(row.wanted_kw),
            bids: row.bids,
        }
    }
}

/// The clearing of one zone and delivery interval as its book stands. `sold_mw + import_mw = bought_mw`.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct ClearingRow {
    #[serde(flatten)]
    pub(crate) series: Series,
    /// Start of the delivery interval.
    pub(crate) start: String,
    /// Its length, ms.
    pub(crate) duration_ms: u32,
    /// The clearing price; null when nothing is traded.
    pub(crate) price: Option<f64>,
    /// Lowest price that would clear.
    pub(crate) price_low: Option<f64>,
    /// Highest price that would clear; another one in a vertical gap.
    pub(crate) price_high: Option<f64>,
    /// Accepted sales.
    pub(crate) sold_mw: f64,
    /// Accepted purchases.
    pub(crate) bought_mw: f64,
    /// Net flow in from the zones it is coupled with.
    pub(crate) import_mw: f64,
    /// Whether its price differs from a coupled zone's because the capacity between them is used up.
    pub(crate) congested: bool,
    /// The bid that sets the price.
    pub(crate) marginal: Option<Marginal>,
    /// Buyers' surplus of the interval.
    pub(crate) buy_surplus: f64,
    /// Sellers' surplus of the interval.
    pub(crate) sell_surplus: f64,
}

impl ClearingRow {
    pub(crate) fn new(labels: &Labels, row: &Clearing) -> Self {
        Self {
            series: labels.series(row.series),
            start: rfc3339(row.start_ms),
            duration_ms: row.duration_ms,
            price: row.price_micros.map(price),
            price_low: row.range_micros.map(|(low, _)| price(low)),
            price_high: row.range_micros.map(|(_, high)| price(high)),
            sold_mw: volume_mwh(row.sold_kw),
            bought_mw: volume_mwh(row.bought_kw),
            import_mw: volume_mwh(row.import_kw),
            congested: row.congested,
            marginal: row.marginal.as_ref().map(Marginal::new),
            buy_surplus: price(row.buy_surplus_micros),
            sell_surplus: price(row.sell_surplus_micros),
        }
    }
}

/// What a bid was awarded in one delivery interval.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct AwardView {
    pub(crate) bid: String,
    pub(crate) organisation: String,
    /// The unit behind it.
    pub(crate) asset: Option<String>,
    #[serde(flatten)]
    pub(crate) series: Series,
    /// Start of the delivery interval.
    pub(crate) start: String,
    /// Its length, ms.
    pub(crate) duration_ms: u32,
    /// `buy` or `sell`.
    #[schema(example = "sell")]
    pub(crate) side: &'static str,
    /// Accepted power.
    pub(crate) power_mw: f64,
    /// The clearing price.
    pub(crate) price: f64,
    /// T at which it was said, or last revised.
    pub(crate) t: T,
}

impl AwardView {
    pub(crate) fn new(labels: &Labels, t: T, award: &Award) -> Self {
        Self {
            bid: award.bid.clone(),
            organisation: award.organisation.clone(),
            asset: award.asset.clone(),
            series: labels.series(award.series),
            start: rfc3339(award.start_ms),
            duration_ms: award.duration_ms,
            side: award.side.as_str(),
            power_mw: volume_mwh(award.power_kw),
            price: price(award.price_micros),
            t,
        }
    }
}

/// What an organisation has in the book of one delivery interval, and how much of it was taken.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct BidKpiView {
    /// Whose bids.
    #[schema(example = "Acme")]
    pub(crate) organisation: String,
    #[serde(flatten)]
    pub(crate) series: Series,
    /// `buy` or `sell`.
    #[schema(example = "sell")]
    pub(crate) side: &'static str,
    /// Start of the delivery interval.
    pub(crate) start: String,
    /// Its length, ms.
    pub(crate) duration_ms: u32,
    /// Bids that count in the book.
    pub(crate) live_bids: i64,
    /// Bids taken back.
    pub(crate) withdrawn_bids: i64,
    /// Bids refused by the market.
    pub(crate) rejected_bids: i64,
    /// Bids past their gate without a result.
    pub(crate) expired_bids: i64,
    /// Power that live bids offer or ask for.
    pub(crate) offered_mw: f64,
    /// Its mean price, weighted by power; null where nothing is offered.
    pub(crate) mean_price: Option<f64>,
    /// Power awarded; 0 until the gate closes.
    pub(crate) awarded_mw: f64,
    /// Awarded of offered energy; null until the gate closes, and where nothing is offered.
    pub(crate) acceptance_percent: Option<f64>,
    /// T at which it was said, or last revised.
    pub(crate) t: T,
}

impl BidKpiView {
    pub(crate) fn new(labels: &Labels, t: T, row: &BidKpi) -> Self {
        Self {
            organisation: row.key.organisation.clone(),
            series: labels.series(row.key.series),
            side: row.key.side.as_str(),
            start: rfc3339(row.key.start_ms),
            duration_ms: row.key.duration_ms,
            live_bids: row.live,
            withdrawn_bids: row.withdrawn,
            rejected_bids: row.rejected,
            expired_bids: row.expired,
            offered_mw: volume_mwh(row.offered_kw),
            mean_price: row.mean_price_micros.map(price),
            awarded_mw: volume_mwh(row.awarded_kw),
            acceptance_percent: row.acceptance_ppm.map(|ppm| ppm as f64 / 10_000.0),
            t,
        }
    }
}
