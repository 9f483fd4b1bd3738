//! Key figures of bids: what an organisation has in the book of one delivery interval, and how much of it was taken.

use serde::{Deserialize, Serialize};

use crate::bid::Side;
use crate::location::SeriesKey;

/// What a row of bid KPIs is about. Ordered by place and time first, as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BidKpiKey {
    /// Location and market.
    pub series: SeriesKey,
    /// Start of the delivery interval, UTC ms.
    pub start_ms: i64,
    /// Its length, ms: where a market has intervals of several lengths, kW of one are not kW of the other.
    pub duration_ms: u32,
    /// Buy or sell.
    pub side: Side,
    /// Whose bids.
    pub organisation: String,
}

/// The figures of one organisation, side and delivery interval. Power in kW, prices in micros per MWh.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BidKpi {
    /// What it is about.
    pub key: BidKpiKey,
    /// Bids that count in the book.
    pub live: i64,
    /// Bids taken back by their owner.
    pub withdrawn: i64,
    /// Bids refused by the market.
    pub rejected: i64,
    /// Bids past their gate without a result.
    pub expired: i64,
    /// Power that the live bids offer or ask for.
    pub offered_kw: i64,
    /// Its mean price, weighted by power; `None` where nothing is offered.
    pub mean_price_micros: Option<i64>,
    /// Power awarded; 0 until the gate closes.
    pub awarded_kw: i64,
    /// Awarded of offered energy, ppm; `None` until the gate closes, and where nothing is offered.
    pub acceptance_ppm: Option<i64>,
}

impl BidKpi {
    /// The row's key.
    pub fn key(&self) -> BidKpiKey {
        self.key.clone()
    }
}
