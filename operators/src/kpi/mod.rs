//! Key figures of every series over trailing windows, and the spread against the zone's reference.
//!
//! ```text
//! minute bars ──by series──► figures (window.rs: what slides) ──by reference──► spread ──► Kpi
//! ```
//! ```sql
//! select series, w as window_min, last(close), last(last_ms), last(close) - first(open) as change, …, min(low), max(high),
//!        sum(sum_price) / sum(count) as mean, sum(sum_price_volume) / sum(volume) as vwap,
//!        stddev_samp(close - lag(close) over (order by start)) as volatility, sum(volume), sum(count)
//! from minute_bars, windows where start > T - w and start <= T group by series, w
//! ```
//! The window slides with T: minute m enters at T = m (day-ahead bars wait for it) and leaves at T = m + w, exactly,
//! whether or not anything else happens then. An empty window has no row. The reference's own spread is 0.
//!
//! * Late and corrected minutes revise every window they lie in; duplicates never get here.
//! * State: 96 bytes a minute bar of the longest window (1,440 by default) and future ones, shared by all windows of
//!   the series; sums and the last row a window.

mod series;
mod spread;
#[cfg(test)]
mod tests;
mod window;

use differential_dataflow::{AsCollection, VecCollection};
use model::{BarRow, Kpi, T, Zones};

use crate::config::Config;
use crate::keyed::keyed;

/// State that a minute bar of the longest window takes.
pub const BYTES_PER_MINUTE: usize = size_of::<window::Minute>();

/// Key figures per series and window, from minute bars.
pub fn kpis<'s>(
    config: &Config,
    zones: &Zones,
    minute_bars: VecCollection<'s, T, BarRow, isize>,
) -> VecCollection<'s, T, Kpi, isize> {
    let figures = series::Figures::new(config.kpis.windows_min.clone());
    let figures = keyed("KpiFigures", minute_bars.inner, |(row, _, _)| row.key.series, figures).side;
    let references = spread::References::new(zones);
    let group = move |figure: &series::Figure| references.of(figure.series);
    keyed("KpiSpread", figures, group, spread::Spread).changes.as_collection()
}
