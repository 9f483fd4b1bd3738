//! What is owed once delivery is over: meter readings, the settlement of each delivery interval, and profit and loss.
//!
//! Signs are the party's: power is positive towards the grid, money is positive when the party receives it. What is not
//! known yet is `None`, never 0.

use serde::{Deserialize, Serialize};

use crate::location::{LocationId, PartitionId, SeriesKey};
use crate::money::div_round;

/// kW × ms in a MWh.
const KW_MS_IN_MWH: i128 = 1_000 * 3_600_000;

/// What a unit delivered in an interval, as its meter says. Of all readings of one asset and start the highest
/// (revision, partition, offset) stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MeterReading {
    /// The unit.
    pub asset: String,
    /// Start of the metered interval, UTC ms.
    pub start_ms: i64,
    /// Its length, ms.
    pub duration_ms: u32,
    /// Mean power, kW: positive when delivered to the grid, negative when taken from it.
    pub power_kw: i64,
    /// Higher replaces lower.
    pub revision: i64,
    /// This revision takes the reading back.
    pub cancelled: bool,
    /// Who published it.
    pub source: Option<String>,
    /// Kafka partition it came from.
    pub partition: PartitionId,
    /// Kafka offset it came from.
    pub offset: i64,
}

impl MeterReading {
    /// The largest power that a reading may say, MW, in either direction.
    pub const MAX_POWER_MW: f64 = 1e9;

    /// Order among readings of one asset and start.
    pub fn rank(&self) -> (i64, PartitionId, i64) {
        (self.revision, self.partition, self.offset)
    }

    /// End of the metered interval, UTC ms.
    pub fn end_ms(&self) -> i64 {
        self.start_ms.saturating_add(i64::from(self.duration_ms))
    }
}

/// The settlement of one delivery interval: of an asset with all awards of its bids, or of a bid without an asset.
/// Amounts in micro-currency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Settlement {
    /// Whose.
    pub organisation: String,
    /// The unit; empty for a bid without one.
    pub asset: String,
    /// The bid without an asset; empty where there is an asset.
    pub bid: String,
    /// Location and market.
    pub series: SeriesKey,
    /// Start of the delivery interval, UTC ms.
    pub start_ms: i64,
    /// Its length, ms.
    pub duration_ms: u32,
    /// Start of the day of delivery, UTC ms.
    pub day_ms: i64,
    /// Power awarded: sales less purchases, kW.
    pub scheduled_kw: i64,
    /// Schedule × clearing price.
    pub day_ahead_micros: i64,
    /// Mean power metered; `None` until readings cover the interval, and without an asset.
    pub metered_kw: Option<i64>,
    /// Metered less scheduled.
    pub imbalance_kw: Option<i64>,
    /// The real-time price of the interval, micros per MWh; `None` until the interval is over and there is one.
    pub real_time_price_micros: Option<i64>,
    /// Imbalance × real-time price.
    pub imbalance_micros: Option<i64>,
    /// What is owed for imbalance beyond the tolerance, ≥ 0.
    pub penalty_micros: Option<i64>,
    /// Day-ahead + imbalance − penalty; without an asset the day-ahead amount alone.
    pub total_micros: Option<i64>,
}

/// Key of a settlement row: organisation, asset, bid, series, start and length of the interval.
pub type SettlementKey = (String, String, String, SeriesKey, i64, u32);

impl Settlement {
    /// The row's key.
    pub fn key(&self) -> SettlementKey {
        let Self { organisation, asset, bid, series, start_ms, duration_ms, .. } = self;
        (organisation.clone(), asset.clone(), bid.clone(), *series, *start_ms, *duration_ms)
    }

    /// Whether something that it depends on is not known yet.
    pub fn is_open(&self) -> bool {
        self.total_micros.is_none()
    }
}

/// Profit and loss of an organisation's asset (or of its bids without one) in a zone on a day of delivery: what is known
/// so far. Amounts in micro-currency.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Pnl {
    /// Whose.
    pub organisation: String,
    /// The unit; empty for bids without one.
    pub asset: String,
    /// The zone's index.
    pub zone: LocationId,
    /// Start of the day of delivery, UTC ms.
    pub day_ms: i64,
    /// Its end, UTC ms.
    pub day_end_ms: i64,
    /// Σ day-ahead amounts.
    pub day_ahead_micros: i64,
    /// Σ imbalance amounts that are known.
    pub imbalance_micros: i64,
    /// Σ penalties that are known.
    pub penalty_micros: i64,
    /// Day-ahead + imbalance − penalty.
    pub total_micros: i64,
    /// Settlement rows in it.
    pub intervals: i64,
    /// Those of them whose total is not known yet.
    pub open_intervals: i64,
}

/// Key of a P&L row: organisation, asset, zone and start of the day.
pub type PnlKey = (String, String, LocationId, i64);

impl Pnl {
    /// The row's key.
    pub fn key(&self) -> PnlKey {
        (self.organisation.clone(), self.asset.clone(), self.zone, self.day_ms)
    }
}

/// Power × time × price, in micro-currency × kW·ms per MWh: exact, to be added up before [`amount_micros`] rounds.
pub fn exact_amount(power_kw: i64, duration_ms: u32, price_micros: i64) -> i128 {
    (i128::from(power_kw) * i128::from(duration_ms)).saturating_mul(i128::from(price_micros))
}

/// An exact amount in micro-currency, rounded half away from zero; what no `i64` holds is held at its bound.
pub fn amount_micros(exact: i128) -> i64 {
    clamp(div_round_wide(exact, KW_MS_IN_MWH))
}

/// What is owed for an imbalance: of what exceeds `tolerance_ppm` of the schedule, `penalty_ppm` of its value at the
/// real-time price (whatever the price's sign).
pub fn penalty_micros(
    (scheduled_kw, imbalance_kw): (i64, i64),
    duration_ms: u32,
    price_micros: i64,
    (tolerance_ppm, penalty_ppm): (i64, i64),
) -> i64 {
    let tolerance_kw = div_round_wide(i128::from(scheduled_kw).abs() * i128::from(tolerance_ppm), 1_000_000);
    let beyond_kw = clamp((i128::from(imbalance_kw).abs() - tolerance_kw).max(0));
    let value = exact_amount(beyond_kw, duration_ms, price_micros.saturating_abs());
    // ppm first would leave an i128 with absurd numbers; whole micros lose nothing that is kept.
    let value = i128::from(amount_micros(value));
    clamp(div_round_wide(value * i128::from(penalty_ppm), 1_000_000))
}

/// The nearest `i64`.
pub fn clamp(value: i128) -> i64 {
    i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })
}

fn div_round_wide(numerator: i128, denominator: i128) -> i128 {
    let half = denominator / 2;
    (if numerator >= 0 { numerator.saturating_add(half) } else { numerator.saturating_sub(half) }) / denominator
}

/// Mean power of readings that cover `duration_ms`, from Σ kW × ms.
pub fn mean_kw(kw_ms: i128, duration_ms: u32) -> Option<i64> {
    div_round(kw_ms, i128::from(duration_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u32 = 3_600_000;
    const EUR: i64 = 1_000_000;

    #[test]
    fn amounts_are_power_times_time_times_price() {
        assert_eq!(amount_micros(exact_amount(50_000, HOUR, 40 * EUR)), 2_000 * EUR);
        assert_eq!(amount_micros(exact_amount(-50_000, HOUR / 4, 40 * EUR)), -500 * EUR);
        // Half a micro is rounded away from zero.
        assert_eq!(amount_micros(exact_amount(1, HOUR, 500)), 1);
        assert_eq!(amount_micros(exact_amount(-1, HOUR, 500)), -1);
        assert_eq!(amount_micros(exact_amount(1_000_000_000_000, HOUR, 1_000_000_000 * EUR)), i64::MAX);
        assert_eq!(amount_micros(i128::MIN), i64::MIN);
    }

    #[test]
    fn a_penalty_is_for_what_exceeds_the_tolerance() {
        // 8 MW short of 50 MW with 10 % free: 3 MW at 60, of which 20 %.
        let owed = |imbalance_kw, price| penalty_micros((50_000, imbalance_kw), HOUR, price, (100_000, 200_000));
        assert_eq!(owed(-8_000, 60 * EUR), 36 * EUR);
        assert_eq!(owed(8_000, 60 * EUR), 36 * EUR);
        assert_eq!(owed(8_000, -60 * EUR), 36 * EUR);
        assert_eq!(owed(-5_000, 60 * EUR), 0);
        assert_eq!(penalty_micros((50_000, -8_000), HOUR, 60 * EUR, (0, 0)), 0);
        assert!(penalty_micros((0, i64::MIN), u32::MAX, i64::MIN, (0, 100_000_000)) > 0);
    }
}
