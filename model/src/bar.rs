//! Bars: open, high, low, close and exact sums of the ticks of one bucket.

use serde::{Deserialize, Serialize};

use crate::location::SeriesKey;
use crate::money::{div_round, isqrt};
use crate::time::Granularity;

/// The numbers of one bar. Prices in micros, volumes in kWh; products exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Bar {
    /// Price of the first tick by (event time, partition, offset).
    pub open: i64,
    /// Highest price.
    pub high: i64,
    /// Lowest price.
    pub low: i64,
    /// Price of the last tick by (event time, partition, offset).
    pub close: i64,
    /// Number of ticks.
    pub count: i64,
    /// Σ price.
    pub sum_price: i128,
    /// Σ price².
    pub sum_price_sq: i128,
    /// Σ volume, kWh.
    pub sum_volume_kwh: i64,
    /// Σ price × volume.
    pub sum_price_volume: i128,
    /// Event time of the first tick, UTC ms.
    pub first_ms: i64,
    /// Event time of the last tick, UTC ms.
    pub last_ms: i64,
}

impl Bar {
    /// The bar of a single tick.
    pub fn of(event_ms: i64, price_micros: i64, volume_kwh: i64) -> Self {
        let (p, v) = (i128::from(price_micros), i128::from(volume_kwh));
        Self {
            open: price_micros,
            high: price_micros,
            low: price_micros,
            close: price_micros,
            count: 1,
            sum_price: p,
            sum_price_sq: p * p,
            sum_volume_kwh: volume_kwh,
            sum_price_volume: p * v,
            first_ms: event_ms,
            last_ms: event_ms,
        }
    }

    /// Adds a bar whose ticks all come after this one's.
    pub fn append(&mut self, later: &Self) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.count += later.count;
        self.sum_price += later.sum_price;
        self.sum_price_sq += later.sum_price_sq;
        self.sum_volume_kwh = self.sum_volume_kwh.saturating_add(later.sum_volume_kwh);
        self.sum_price_volume += later.sum_price_volume;
        self.last_ms = later.last_ms;
    }

    /// The bar of consecutive bars, earliest first; `None` for none.
    pub fn merge<'a>(bars: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        bars.into_iter().fold(None, |sum: Option<Self>, bar| match sum {
            None => Some(*bar),
            Some(mut sum) => {
                sum.append(bar);
                Some(sum)
            }
        })
    }

    /// Mean price in micros, rounded half away from zero.
    pub fn mean(&self) -> i64 {
        div_round(self.sum_price, i128::from(self.count)).unwrap_or(self.close)
    }

    /// Volume-weighted average price in micros; `None` without volume.
    pub fn vwap(&self) -> Option<i64> {
        div_round(self.sum_price_volume, i128::from(self.sum_volume_kwh))
    }

    /// Sample standard deviation of the tick prices in micros; `None` below two ticks.
    pub fn std(&self) -> Option<i64> {
        let n = i128::from(self.count);
        let spread = n * self.sum_price_sq - self.sum_price * self.sum_price;
        (n > 1).then(|| isqrt(spread / (n * (n - 1)))).and_then(|root| i64::try_from(root).ok())
    }
}

/// Which bar: a series, a width and a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BarKey {
    /// Location and market.
    pub series: SeriesKey,
    /// Width.
    pub granularity: Granularity,
    /// Start of the bucket, UTC ms.
    pub start_ms: i64,
}

/// A bar with its key, as it stands in tables and batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BarRow {
    /// Which bar.
    pub key: BarKey,
    /// End of the bucket, UTC ms (a local day has 23, 24 or 25 hours).
    pub end_ms: i64,
    /// Its numbers.
    pub bar: Bar,
}
