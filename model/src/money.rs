//! Prices and volumes as integers.
//!
//! Price: 10⁻⁶ currency per MWh in an `i64`. Volume: kWh in an `i64`. The bounds below keep every sum
//! the dataflow makes inside an `i128`.

/// Micro-units in one currency unit.
pub const MICROS: i64 = 1_000_000;
/// The largest absolute price accepted: ±10⁹ currency per MWh. Anything beyond is a dead letter.
pub const MAX_PRICE_MICROS: i64 = 1_000_000_000 * MICROS;
/// The largest volume accepted: 10⁹ MWh, in kWh.
pub const MAX_VOLUME_KWH: i64 = 1_000_000_000_000;

/// Price in currency per MWh to micros, rounded half away from zero. `None` for NaN, infinity or |price| > 10⁹.
pub fn price_micros(price: f64) -> Option<i64> {
    let scaled = (price * MICROS as f64).round();
    (scaled.is_finite() && scaled.abs() <= MAX_PRICE_MICROS as f64).then_some(scaled as i64)
}

/// Price in currency per MWh of micros.
pub fn price(micros: i64) -> f64 {
    micros as f64 / MICROS as f64
}

/// Volume in MWh to kWh, rounded. `None` for NaN, infinity, a negative volume or one above 10⁹ MWh.
pub fn volume_kwh(mwh: f64) -> Option<i64> {
    let scaled = (mwh * 1000.0).round();
    (scaled.is_finite() && (0.0..=MAX_VOLUME_KWH as f64).contains(&scaled)).then_some(scaled as i64)
}

/// MWh of kWh.
pub fn volume_mwh(kwh: i64) -> f64 {
    kwh as f64 / 1000.0
}

/// `numerator / denominator` rounded half away from zero; `None` for a zero denominator or a result outside `i64`.
pub fn div_round(numerator: i128, denominator: i128) -> Option<i64> {
    if denominator == 0 {
        return None;
    }
    let (n, d) = if denominator < 0 { (-numerator, -denominator) } else { (numerator, denominator) };
    let half = d / 2;
    let rounded = if n >= 0 { (n + half) / d } else { (n - half) / d };
    i64::try_from(rounded).ok()
}

/// Integer square root of a non-negative number, rounded down.
pub fn isqrt(value: i128) -> i128 {
    value.max(0).isqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_price() {
        for bad in [f64::NAN, f64::INFINITY, -f64::INFINITY, 1.1e9, -1.1e9] {
            assert_eq!(price_micros(bad), None, "{bad}");
        }
        assert_eq!(price_micros(-1000.0), Some(-1_000_000_000));
        assert_eq!(price_micros(0.000_000_5), Some(1));
        assert_eq!(volume_kwh(-0.1), None);
    }

    #[test]
    fn divides_like_a_person() {
        assert_eq!(div_round(7, 2), Some(4));
        assert_eq!(div_round(-7, 2), Some(-4));
        assert_eq!(div_round(7, -2), Some(-4));
        assert_eq!(div_round(1, 0), None);
    }
}
