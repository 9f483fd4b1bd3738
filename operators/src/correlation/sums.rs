//! The six sums of a correlation, carried in differential's *difference*.
//!
//! With n paired minutes and prices x, y (means of the minute bars, micros):
//! `r = (n·Σxy − Σx·Σy) / √((n·Σx² − (Σx)²) · (n·Σy² − (Σy)²))`.
//!
//! Sums, covariance and variances are exact integers, so a retraction leaves no trace and nothing depends on the
//! order. Bound: |price| ≤ 10¹⁵ micros and n ≤ 10,080 (a week of minutes) keep `n·Σx²` under 1.1·10³⁸, inside an
//! `i128`. Only the last step is in floating point, from exact operands by correctly rounded operations (IEEE 754
//! division, multiplication and square root), so every machine gets the same bits; its error is far below 10⁻⁹.

use differential_dataflow::difference::{Abelian, IsZero, Monoid, Multiply, Semigroup};
use serde::{Deserialize, Serialize};

/// The longest window the integer bounds allow: a week of minutes.
pub const MAX_WINDOW_MIN: u32 = 10_080;

/// n, Σx, Σy, Σx², Σy², Σxy of paired minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sums {
    /// Number of pairs.
    pub n: i64,
    x: i128,
    y: i128,
    xx: i128,
    yy: i128,
    xy: i128,
}

impl Sums {
    /// The sums of one pair of prices in micros. Prices beyond what a tick may carry are taken at the bound.
    pub fn pair(x: i64, y: i64) -> Self {
        let bound = model::money::MAX_PRICE_MICROS;
        let (x, y) = (i128::from(x.clamp(-bound, bound)), i128::from(y.clamp(-bound, bound)));
        Self { n: 1, x, y, xx: x * x, yy: y * y, xy: x * y }
    }

    /// r in 10⁻⁹, rounded half away from zero; `None` below `min_count` pairs or when either series never moved.
    pub fn r_nano(&self, min_count: i64) -> Option<i64> {
        if self.n < min_count.max(2) {
            return None;
        }
        let n = i128::from(self.n);
        let covariance = n * self.xy - self.x * self.y;
        let (spread_x, spread_y) = (n * self.xx - self.x * self.x, n * self.yy - self.y * self.y);
        if spread_x <= 0 || spread_y <= 0 {
            return None;
        }
        let r = covariance as f64 / (spread_x as f64 * spread_y as f64).sqrt();
        Some((r.clamp(-1.0, 1.0) * 1e9).round() as i64)
    }
}

impl IsZero for Sums {
    fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl Semigroup for Sums {
    fn plus_equals(&mut self, other: &Self) {
        self.n += other.n;
        self.x += other.x;
        self.y += other.y;
        self.xx += other.xx;
        self.yy += other.yy;
        self.xy += other.xy;
    }
}

impl Monoid for Sums {
    fn zero() -> Self {
        Self::default()
    }
}

impl Abelian for Sums {
    fn negate(&mut self) {
        *self = self.multiply(&-1);
    }
}

impl Multiply<isize> for Sums {
    type Output = Self;
    fn multiply(self, factor: &isize) -> Self {
        let (small, wide) = (*factor as i64, *factor as i128);
        Self {
            n: self.n * small,
            x: self.x * wide,
            y: self.y * wide,
            xx: self.xx * wide,
            yy: self.yy * wide,
            xy: self.xy * wide,
        }
    }
}

#[cfg(test)]
mod tests {
    use model::money::MAX_PRICE_MICROS;
    use proptest::prelude::*;

    use super::*;

    fn sum(pairs: &[(i64, i64)]) -> Sums {
        pairs.iter().fold(Sums::zero(), |mut sum, (x, y)| {
            sum.plus_equals(&Sums::pair(*x, *y));
            sum
        })
    }

    /// The textbook form: centred, two passes.
    fn textbook(pairs: &[(i64, i64)]) -> Option<f64> {
        let n = pairs.len() as f64;
        let mean = |of: fn(&(i64, i64)) -> i64| pairs.iter().map(|p| of(p) as f64).sum::<f64>() / n;
        let (mean_x, mean_y) = (mean(|p| p.0), mean(|p| p.1));
        let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
        for (x, y) in pairs {
            let (dx, dy) = (*x as f64 - mean_x, *y as f64 - mean_y);
            (xy, xx, yy) = (xy + dx * dy, xx + dx * dx, yy + dy * dy);
        }
        (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
    }

    #[test]
    fn undefined_is_none() {
        assert_eq!(Sums::zero().r_nano(0), None);
        assert_eq!(sum(&[(1, 2); 20]).r_nano(10), None, "zero variance");
        assert_eq!(sum(&[(1, 2), (2, 4), (3, 6)]).r_nano(10), None, "too few");
        assert_eq!(sum(&[(1, 2), (2, 4), (3, 6)]).r_nano(3), Some(1_000_000_000));
        assert_eq!(sum(&[(1, -2), (2, -4), (3, -6)]).r_nano(3), Some(-1_000_000_000));
    }

    #[test]
    fn a_week_of_the_largest_prices_fits() {
        let pairs: Vec<_> = (0..i64::from(MAX_WINDOW_MIN))
            .map(|i| if i % 2 == 0 { (i64::MAX, -MAX_PRICE_MICROS) } else { (-MAX_PRICE_MICROS, i64::MAX) })
            .collect();
        assert_eq!(sum(&pairs).r_nano(10), Some(-1_000_000_000));
    }

    proptest! {
        #[test]
        fn equals_the_textbook(pairs in prop::collection::vec((-90_000_000_i64..90_000_000, -90_000_000_i64..90_000_000), 3..80)) {
            let (found, expected) = (sum(&pairs).r_nano(3), textbook(&pairs));
            match (found, expected) {
                (Some(nano), Some(r)) => prop_assert!((nano as f64 - r * 1e9).abs() < 2.0, "{nano} {r}"),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn a_retraction_leaves_no_trace(keep in prop::collection::vec((any::<i64>(), any::<i64>()), 0..20), gone in (any::<i64>(), any::<i64>())) {
            let mut sums = sum(&keep);
            sums.plus_equals(&Sums::pair(gone.0, gone.1));
            let mut minus = Sums::pair(gone.0, gone.1);
            minus.negate();
            sums.plus_equals(&minus);
            prop_assert_eq!(sums, sum(&keep));
        }
    }
}
