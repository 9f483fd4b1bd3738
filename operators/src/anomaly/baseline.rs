//! What a price is judged against: a centre and a spread of the closes before it. Pure integer functions.
//!
//! * plain: mean `Σx/n` and sample standard deviation `√((n·Σx² − (Σx)²) / (n·(n−1)))`;
//! * robust: median and `1.4826 · median |x − median|`; the median of an even number is the mean of the middle two.
//!
//! Everything is in whole micros: means and medians rounded half away from zero, the standard deviation down.
//! `z = 1000 · (value − centre) / spread` in 10⁻³, rounded half away from zero: anyone can repeat it from the
//! numbers shown. Undefined (`None`) with fewer than [`least_count`] closes or a spread of 0.
//! Bounds: |x| ≤ 10¹⁵ and n ≤ 1440 keep every product inside an `i128`.

use model::money::{div_round, isqrt};

/// The most bars a baseline may have: a day of minutes.
pub const MAX_WINDOW_BARS: u32 = 1440;

/// A centre and a spread, in micros. The spread is above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// Mean or median.
    pub centre: i64,
    /// Standard deviation, or the MAD scaled to one.
    pub spread: i64,
}

impl Baseline {
    /// z of `value` in 10⁻³.
    pub fn z_milli(&self, value: i64) -> i64 {
        let distance = 1000 * (i128::from(value) - i128::from(self.centre));
        div_round(distance, i128::from(self.spread)).unwrap_or(if distance < 0 { i64::MIN } else { i64::MAX })
    }
}

/// The fewest closes that make a baseline of up to `window_bars`: 5, or all of a shorter window, never below 2.
pub fn least_count(window_bars: u32) -> usize {
    window_bars.clamp(2, 5) as usize
}

/// Mean and standard deviation.
pub fn plain(closes: impl Iterator<Item = i64>, least: usize) -> Option<Baseline> {
    let (mut n, mut sum, mut squares) = (0_i128, 0_i128, 0_i128);
    for close in closes.map(i128::from) {
        n += 1;
        sum += close;
        squares += close * close;
    }
    if n < least.max(2) as i128 {
        return None;
    }
    let spread = i64::try_from(isqrt((n * squares - sum * sum) / (n * (n - 1)))).ok()?;
    (spread > 0).then_some(Baseline { centre: div_round(sum, n)?, spread })
}

/// Median and scaled MAD. `scratch` is only there to spare allocations.
pub fn robust(closes: impl Iterator<Item = i64>, least: usize, scratch: &mut Vec<i64>) -> Option<Baseline> {
    scratch.clear();
    scratch.extend(closes);
    if scratch.len() < least.max(2) {
        return None;
    }
    let centre = median(scratch)?;
    scratch.iter_mut().for_each(|close| *close = close.saturating_sub(centre).saturating_abs());
    let spread = div_round(i128::from(median(scratch)?) * 14_826, 10_000)?;
    (spread > 0).then_some(Baseline { centre, spread })
}

/// The median; reorders its input.
fn median(values: &mut [i64]) -> Option<i64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let even = values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable(middle);
    let upper = i128::from(*upper);
    match below.iter().max() {
        Some(lower) if even => div_round(i128::from(*lower) + upper, 2),
        _ => i64::try_from(upper).ok(),
    }
}

#[cfg(test)]
mod tests {
    use model::money::MAX_PRICE_MICROS;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn undefined_is_none() {
        assert_eq!(plain([5, 5, 5, 5, 5, 5].into_iter(), 5), None, "no spread");
        assert_eq!(plain([1, 2, 3, 4].into_iter(), 5), None, "too few");
        assert_eq!(robust([7, 7, 7, 7, 900].into_iter(), 5, &mut Vec::new()), None, "more than half are equal");
        assert_eq!((least_count(0), least_count(3), least_count(30)), (2, 3, 5));
    }

    #[test]
    fn a_worked_example() {
        let closes = [10_000_000, 12_000_000, 11_000_000, 13_000_000, 14_000_000];
        let found = plain(closes.into_iter(), 5).unwrap();
        assert_eq!(found, Baseline { centre: 12_000_000, spread: 1_581_138 });
        assert_eq!(found.z_milli(20_000_000), 5060);
        let found = robust(closes.into_iter(), 5, &mut Vec::new()).unwrap();
        assert_eq!(found, Baseline { centre: 12_000_000, spread: 1_482_600 });
        assert_eq!(found.z_milli(4_000_000), -5396);
    }

    #[test]
    fn the_largest_window_of_the_largest_prices_fits() {
        let closes = || (0..i64::from(MAX_WINDOW_BARS)).map(|i| if i % 2 == 0 { 1 } else { -1 } * MAX_PRICE_MICROS);
        assert_eq!(plain(closes(), 5).unwrap().centre, 0);
        assert_eq!(robust(closes(), 5, &mut Vec::new()).unwrap().spread, 1_482_600_000_000_000);
        assert_eq!(
            Baseline { centre: -MAX_PRICE_MICROS, spread: 1 }.z_milli(MAX_PRICE_MICROS),
            2_000_000_000_000_000_000
        );
    }

    proptest! {
        #[test]
        fn equals_the_textbook(closes in prop::collection::vec(-500_000_000_i64..500_000_000, 5..60), value in -900_000_000_i64..900_000_000) {
            let n = closes.len() as f64;
            let mean = closes.iter().map(|x| *x as f64).sum::<f64>() / n;
            let std = (closes.iter().map(|x| (*x as f64 - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            if let Some(found) = plain(closes.iter().copied(), 5) {
                prop_assert!((found.centre as f64 - mean).abs() <= 0.51);
                prop_assert!((found.spread as f64 - std).abs() <= 1.01);
                let z = 1000.0 * (value as f64 - found.centre as f64) / found.spread as f64;
                prop_assert!((found.z_milli(value) as f64 - z).abs() <= 0.51 + z.abs() * 1e-12);
            } else {
                prop_assert!(std < 1.0);
            }
        }

        #[test]
        fn median_is_the_middle_of_the_sorted(mut values in prop::collection::vec(-1000_i64..1000, 1..40)) {
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let twice = sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2];
            let found = median(&mut values).unwrap();
            prop_assert!((2 * found - twice).abs() <= 1);
            prop_assert!(2 * found.abs() >= twice.abs(), "half away from zero");
        }
    }
}
