//! What clearing says: the price of each delivery interval, and who was awarded what.

use serde::{Deserialize, Serialize};

use crate::bid::Side;
use crate::location::SeriesKey;

/// The clearing of one zone and delivery interval as its book stands. Prices in micros, power in kW, surplus in
/// micro-currency. `sold_kw + import_kw == bought_kw`, always.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Clearing {
    /// Location and market.
    pub series: SeriesKey,
    /// Start of the delivery interval, UTC ms.
    pub start_ms: i64,
    /// Its length, ms.
    pub duration_ms: u32,
    /// The clearing price; `None` when nothing is traded.
    pub price_micros: Option<i64>,
    /// Lowest and highest price that would clear; different in a vertical gap.
    pub range_micros: Option<(i64, i64)>,
    /// Accepted sales.
    pub sold_kw: i64,
    /// Accepted purchases.
    pub bought_kw: i64,
    /// Net flow into the zone from the zones it is coupled with.
    pub import_kw: i64,
    /// Whether its price differs from a coupled zone's because the capacity between them is used up.
    pub congested: bool,
    /// The bid that sets the price, and its side.
    pub marginal: Option<(Side, String)>,
    /// Buyers' surplus of the interval.
    pub buy_surplus_micros: i64,
    /// Sellers' surplus of the interval.
    pub sell_surplus_micros: i64,
    /// Everything for sale, blocks and complex orders included.
    pub offered_kw: i64,
    /// Everything asked for.
    pub wanted_kw: i64,
    /// The dearest price at which somebody buys, of plain bids.
    pub best_buy_micros: Option<i64>,
    /// The cheapest price at which somebody sells, of plain bids.
    pub best_sell_micros: Option<i64>,
    /// Bids with something in the interval.
    pub bids: i64,
}

/// Key of a clearing row: series and start of the interval, UTC ms.
pub type ClearingKey = (SeriesKey, i64);

impl Clearing {
    /// The row's key.
    pub fn key(&self) -> ClearingKey {
        (self.series, self.start_ms)
    }

    /// Whether every kW bought is sold or imported.
    pub fn balanced(&self) -> bool {
        self.sold_kw + self.import_kw == self.bought_kw
    }
}

/// What a bid was awarded in one delivery interval: said once the gate is closed, and revised with the past.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Award {
    /// The bid.
    pub bid: String,
    /// Whose.
    pub organisation: String,
    /// The unit behind it.
    pub asset: Option<String>,
    /// Location and market.
    pub series: SeriesKey,
    /// Start of the delivery interval, UTC ms.
    pub start_ms: i64,
    /// Its length, ms.
    pub duration_ms: u32,
    /// Buy or sell.
    pub side: Side,
    /// Accepted power, kW, > 0.
    pub power_kw: i64,
    /// The clearing price, micros per MWh.
    pub price_micros: i64,
}

/// Key of an award: bid and start of the interval, UTC ms.
pub type AwardKey = (String, i64);

impl Award {
    /// The row's key.
    pub fn key(&self) -> AwardKey {
        (self.bid.clone(), self.start_ms)
    }
}
