//! Pauses between attempts: exponential, with jitter, so that many sinks do not return to a store in step.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Pause before attempt `failures + 1`: `min · 2^(failures−1)`, at most `max`, of which the upper half is random.
pub(super) fn pause(min: Duration, max: Duration, failures: u32) -> Duration {
    let doubled = min.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let full = doubled.min(max.max(min));
    full.mul_f64(0.5 + 0.5 * random())
}

/// A number in [0, 1) from the standard library's per-process random keys: enough to spread retries.
fn random() -> f64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u8(0);
    (hasher.finish() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_never_leave_the_upper_half() {
        let (min, max) = (Duration::from_millis(100), Duration::from_secs(10));
        for failures in 1..80_u32 {
            let full = (100.0 * 2_f64.powi(failures as i32 - 1)).min(10_000.0) / 1000.0;
            let pause = pause(min, max, failures).as_secs_f64();
            assert!(pause >= full * 0.499 && pause <= full * 1.001, "{failures}: {pause} of {full}");
        }
    }
}
