//! Bars for the analyses: from the live state where it reaches, from the history before that.

use std::sync::Arc;

use model::time::rfc3339;
use model::{BarRow, Granularity, SeriesKey, Snapshot};
use sql::Store;

use crate::error::Error;

/// Which bars: one width, a half-open range of starts, at most so many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) granularity: Granularity,
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) max_bars: usize,
}

impl Range {
    /// Refuses a range that cannot fit, before anything is read.
    pub(crate) fn check(self) -> Result<Self, Error> {
        let bars = (self.to_ms - self.from_ms).checked_div(width_ms(self.granularity)).unwrap_or(i64::MAX);
        if bars > i64::try_from(self.max_bars).unwrap_or(i64::MAX) { Err(self.too_many()) } else { Ok(self) }
    }

    fn too_many(&self) -> Error {
        Error::Limit(format!(
            "{} to {} may hold more than {} bars of {}; ask for a shorter range or a coarser granularity",
            rfc3339(self.from_ms),
            rfc3339(self.to_ms),
            self.max_bars,
            self.granularity.as_str()
        ))
    }
}

/// The usual width of a bar; days may be an hour longer or shorter.
pub(crate) fn width_ms(granularity: Granularity) -> i64 {
    match granularity {
        Granularity::M1 => 60_000,
        Granularity::M5 => 300_000,
        Granularity::M15 => 900_000,
        Granularity::H1 => 3_600_000,
        Granularity::D1 => 86_400_000,
    }
}

/// The bars of one series, earliest first.
pub(crate) async fn bars(
    snapshot: &Arc<Snapshot>,
    store: &Store,
    series: SeriesKey,
    range: Range,
) -> Result<Vec<BarRow>, Error> {
    let Range { granularity, from_ms, to_ms, .. } = range.check()?;
    Ok(store.bars_at(snapshot, series, granularity, from_ms, to_ms).await?)
}

/// The bars of the first of several series that has any in the range, with the series they belong to.
pub(crate) async fn first_with_bars(
    snapshot: &Arc<Snapshot>,
    store: &Store,
    candidates: &[SeriesKey],
    range: Range,
) -> Result<Option<(SeriesKey, Vec<BarRow>)>, Error> {
    // The live ones first: nearly always one of them is meant.
    let (live, rest): (Vec<&SeriesKey>, Vec<&SeriesKey>) =
        candidates.iter().partition(|series| snapshot.latest.contains_key(*series));
    for series in live.into_iter().chain(rest) {
        let rows = bars(snapshot, store, *series, range).await?;
        if !rows.is_empty() {
            return Ok(Some((*series, rows)));
        }
    }
    Ok(None)
}
