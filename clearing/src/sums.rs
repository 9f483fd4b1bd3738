//! What the levels of a merit order hold and sum: kW and their worth per side, or the bends of linear segments.

use crate::tree::Summable;
use std::ops::{Add, Sub};

/// kW at a price level, and price × kW.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Level {
    pub(crate) sell: i64,
    pub(crate) buy: i64,
    pub(crate) sell_value: i128,
    pub(crate) buy_value: i128,
}

/// Quantity at p of the bends at or below p: Σ slope·p + offset, per side (buy: what has left the demand).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bend {
    pub(crate) slope: [i128; 2],
    pub(crate) offset: [i128; 2],
}

impl Add for Level {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            sell: self.sell + other.sell,
            buy: self.buy + other.buy,
            sell_value: self.sell_value + other.sell_value,
            buy_value: self.buy_value + other.buy_value,
        }
    }
}

impl Sub for Level {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            sell: self.sell - other.sell,
            buy: self.buy - other.buy,
            sell_value: self.sell_value - other.sell_value,
            buy_value: self.buy_value - other.buy_value,
        }
    }
}

impl Add for Bend {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            slope: [self.slope[0] + other.slope[0], self.slope[1] + other.slope[1]],
            offset: [self.offset[0] + other.offset[0], self.offset[1] + other.offset[1]],
        }
    }
}

impl Sub for Bend {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            slope: [self.slope[0] - other.slope[0], self.slope[1] - other.slope[1]],
            offset: [self.offset[0] - other.offset[0], self.offset[1] - other.offset[1]],
        }
    }
}

impl Summable for Level {}
impl Summable for Bend {}
