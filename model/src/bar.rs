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
        if n < 2 {
            return None;
        }
        // (Σp² − (Σp)²/n) / (n−1) with Σp = qn + r: exact, and no product is greater than the sums themselves, where
        // n·Σp² would leave an i128 at 13,000 ticks of 10⁹.
        let (q, r) = (self.sum_price.div_euclid(n), self.sum_price.rem_euclid(n));
        let spread = self.sum_price_sq - q * (self.sum_price + r) - (r * r + n - 1) / n;
        i64::try_from(isqrt(spread / (n - 1))).ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(prices: impl IntoIterator<Item = i64>) -> Bar {
        let bars: Vec<Bar> = prices.into_iter().map(|price| Bar::of(0, price, 1)).collect();
        Bar::merge(&bars).expect("at least one price")
    }

    #[test]
    fn the_standard_deviation_is_that_of_the_formula_rounded_down() {
        let mut price: i64 = 7;
        for n in 2..200_i128 {
            let bar = bar((0..n).map(|_| {
                price = price.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                price % 1_000_003
            }));
            let spread = n * bar.sum_price_sq - bar.sum_price * bar.sum_price;
            assert_eq!(bar.std().map(i128::from), Some((spread / (n * (n - 1))).isqrt()), "{bar:?}");
        }
        assert_eq!(bar([5]).std(), None);
    }

    #[test]
    fn the_standard_deviation_of_absurd_prices_is_exact_too() {
        let bound = crate::money::MAX_PRICE_MICROS;
        let bar = bar((0..100_000).map(|n| if n % 2 == 0 { bound } else { -bound }));
        // √(n / (n − 1)) · bound
        assert_eq!(bar.std(), Some(1_000_005_000_037_500));
    }
}
