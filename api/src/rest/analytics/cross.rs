//! `cross-market-analysis`: how zones move together: Pearson correlation of every pair over the range, the same
//! over trailing windows of `correlation_window` hours, and the spread between them.
//!
//! Zones are paired bucket by bucket where both have a price; buckets are minutes up to 48 hours of range, and
//! 15 minutes beyond (they align for every zone's offset, hours do not). What is undefined (fewer than three
//! pairs, or no variance) is null. Spreads between currencies are null: they would mean nothing.

use std::collections::BTreeMap;

use model::money::price;
use model::time::{HOUR_MS, T, rfc3339};
use model::{Granularity, Zone};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::market::range;
use crate::error::{Error, ErrorBody};
use crate::history::{self, Range};
use crate::params::Params;
use crate::rest::{Answer, Shared, json};
use crate::series::candidates;
use crate::view::Series;

/// How zones move together.
#[derive(Serialize, ToSchema)]
pub(crate) struct CrossMarket {
    /// The moment the live part is at, UTC ms.
    t: T,
    /// Start of the range.
    start: String,
    /// End of the range, exclusive.
    end: String,
    /// What a date meant: the zones' common time zone, else UTC.
    timezone: String,
    /// Width of the paired buckets.
    granularity: &'static str,
    /// Length of the trailing windows, hours.
    correlation_window: u32,
    /// Zones that have prices in the range; rows and columns of the matrix in this order.
    zones: Vec<String>,
    /// Which series stands for each.
    series: Vec<Series>,
    /// Correlation over the range, symmetric, 1 on the diagonal; null where undefined.
    correlation_matrix: Vec<Vec<Option<f64>>>,
    /// Every pair, in the order of the matrix.
    pairs: Vec<Pair>,
}

/// Two zones.
#[derive(Serialize, ToSchema)]
pub(crate) struct Pair {
    a: String,
    b: String,
    /// Paired buckets in the range.
    count: usize,
    /// Over the range.
    correlation: Option<f64>,
    /// Over the last window of the range.
    latest_window: Option<f64>,
    /// Lowest over any window.
    lowest_window: Option<f64>,
    /// Highest over any window.
    highest_window: Option<f64>,
    /// a − b; null when the currencies differ or nothing pairs.
    spread: Option<Spread>,
}

/// The difference of two zones' prices.
#[derive(Serialize, ToSchema)]
pub(crate) struct Spread {
    currency: String,
    mean: f64,
    minimum: f64,
    maximum: f64,
    /// Over the last bucket that pairs.
    latest: f64,
}

/// Parameters of `cross-market-analysis`.
pub(crate) const ALLOWED: [&str; 4] = ["start_date", "end_date", "correlation_window", "market_zones"];

/// Correlations and spreads between zones.
#[utoipa::path(get, path = "/api/analytics/cross-market-analysis", tag = "analytics",
    params(("start_date" = Option<String>, Query, description = "Date or RFC 3339; 24 hours before the end without", example = "2025-11-18"),
        ("end_date" = Option<String>, Query, description = "Date (inclusive) or RFC 3339 (exclusive); now without", example = "2025-11-19"),
        ("correlation_window" = Option<u32>, Query, description = "Hours, 1 to 9600; 24 without", example = 24),
        ("market_zones" = Option<String>, Query, description = "Zones by any name, comma-separated; all that have prices without")),
    responses((status = 200, description = "Correlations and spreads", body = CrossMarket),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "Unknown zone: lists those known", body = ErrorBody),
        (status = 422, description = "The range holds too many bars", body = ErrorBody)))]
pub(crate) async fn cross_market_analysis(query: &str, app: Shared) -> Answer {
    let params = Params::parse(query, &ALLOWED)?;
    let window_hours = params.number("correlation_window", 1..=9_600_u32)?.unwrap_or(24);
    let names = params.list("market_zones");
    let zones = app.zones_or_all(&names)?;
    let snapshot = app.snapshot();
    let tz = common_timezone(zones.iter().map(|(_, zone)| zone.as_ref()));
    let (from_ms, to_ms) = range(&params, "start_date", "end_date", tz, snapshot.t)?;
    let granularity = if to_ms - from_ms <= 48 * HOUR_MS { Granularity::M1 } else { Granularity::M15 };
    let range = Range { granularity, from_ms, to_ms, max_bars: app.config.max_bars };
    let mut lines = Vec::new();
    for (asked, zone) in &zones {
        let candidates = candidates(zone, None, None);
        // Zones nobody asked for by name are left out unless they are live: no need to search the history for each.
        let live = candidates.iter().any(|series| snapshot.latest.contains_key(series));
        if names.is_empty() && !live {
            continue;
        }
        if let Some((series, rows)) = history::first_with_bars(&snapshot, &app.deps.store, &candidates, range).await? {
            let means = rows.iter().map(|row| (row.key.start_ms, row.bar.mean())).collect();
            let currency = zone.currency.as_str().to_owned();
            lines.push(Line { name: asked.clone(), series: app.labels.series(series), currency, means });
        }
    }
    let window_ms = i64::from(window_hours) * HOUR_MS;
    // Hundreds of pairs of thousands of buckets: real work, so off the threads that serve everybody else.
    let (lines, pairs) = tokio::task::spawn_blocking(move || {
        let pairs = every_pair(&lines, window_ms);
        (lines, pairs)
    })
    .await
    .map_err(|error| Error::Internal(format!("correlate zones: {error}")))?;
    json(&CrossMarket {
        t: snapshot.t,
        start: rfc3339(from_ms),
        end: rfc3339(to_ms),
        timezone: tz.name().to_owned(),
        granularity: granularity.as_str(),
        correlation_window: window_hours,
        correlation_matrix: matrix(&lines, &pairs),
        zones: lines.iter().map(|line| line.name.clone()).collect(),
        series: lines.into_iter().map(|line| line.series).collect(),
        pairs,
    })
}

/// One zone's mean prices, micros by bucket start.
struct Line {
    name: String,
    series: Series,
    currency: String,
    means: Vec<(i64, i64)>,
}

fn common_timezone<'a>(mut zones: impl Iterator<Item = &'a Zone>) -> chrono_tz::Tz {
    match zones.next() {
        Some(first) if zones.all(|zone| zone.timezone == first.timezone) => first.timezone,
        _ => chrono_tz::UTC,
    }
}

fn every_pair(lines: &[Line], window_ms: i64) -> Vec<Pair> {
    let indices = (0..lines.len()).flat_map(|a| (a + 1..lines.len()).map(move |b| (a, b)));
    indices.map(|(a, b)| pair(&lines[a], &lines[b], window_ms)).collect()
}

fn matrix(lines: &[Line], pairs: &[Pair]) -> Vec<Vec<Option<f64>>> {
    let by_name: BTreeMap<(&str, &str), Option<f64>> =
        pairs.iter().map(|pair| ((pair.a.as_str(), pair.b.as_str()), pair.correlation)).collect();
    let cell = |a: usize, b: usize| {
        let (first, second) = (&lines[a.min(b)], &lines[a.max(b)]);
        if a == b {
            let own: Vec<_> = first.means.iter().map(|(at, mean)| (*at, *mean, *mean)).collect();
            return Sums::of(&own).correlation();
        }
        by_name.get(&(first.name.as_str(), second.name.as_str())).copied().flatten()
    };
    (0..lines.len()).map(|a| (0..lines.len()).map(|b| cell(a, b)).collect()).collect()
}

fn pair(a: &Line, b: &Line, window_ms: i64) -> Pair {
    let paired = align(&a.means, &b.means);
    let (mut window, mut from) = (Sums::default(), 0);
    let (mut latest, mut lowest, mut highest) = (None, None::<f64>, None::<f64>);
    for (at, x, y) in &paired {
        window.add(*x, *y, 1);
        while paired[from].0 <= at - window_ms {
            window.add(paired[from].1, paired[from].2, -1);
            from += 1;
        }
        latest = window.correlation();
        if let Some(r) = latest {
            lowest = Some(lowest.map_or(r, |low| low.min(r)));
            highest = Some(highest.map_or(r, |high| high.max(r)));
        }
    }
    Pair {
        a: a.name.clone(),
        b: b.name.clone(),
        count: paired.len(),
        correlation: Sums::of(&paired).correlation(),
        latest_window: latest,
        lowest_window: lowest,
        highest_window: highest,
        spread: (a.currency == b.currency).then(|| spread(&a.currency, &paired)).flatten(),
    }
}

fn align(a: &[(i64, i64)], b: &[(i64, i64)]) -> Vec<(i64, i64, i64)> {
    let (mut paired, mut at) = (Vec::with_capacity(a.len().min(b.len())), 0);
    for (start, x) in a {
        while at < b.len() && b[at].0 < *start {
            at += 1;
        }
        if let Some((_, y)) = b.get(at).filter(|(other, _)| other == start) {
            paired.push((*start, *x, *y));
        }
    }
    paired
}

fn spread(currency: &str, paired: &[(i64, i64, i64)]) -> Option<Spread> {
    let differences = || paired.iter().map(|(_, x, y)| x - y);
    let sum: i128 = differences().map(i128::from).sum();
    Some(Spread {
        currency: currency.to_owned(),
        mean: price(model::money::div_round(sum, paired.len() as i128)?),
        minimum: price(differences().min()?),
        maximum: price(differences().max()?),
        latest: price(differences().next_back()?),
    })
}

/// The six sums of a correlation, exact: adding and taking away leaves no error behind.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    n: i128,
    x: i128,
    y: i128,
    xx: i128,
    yy: i128,
    xy: i128,
}

impl Sums {
    fn of(paired: &[(i64, i64, i64)]) -> Self {
        let mut sums = Self::default();
        for (_, x, y) in paired {
            sums.add(*x, *y, 1);
        }
        sums
    }

    fn add(&mut self, x: i64, y: i64, sign: i128) {
        let (x, y) = (i128::from(x), i128::from(y));
        self.n += sign;
        self.x += sign * x;
        self.y += sign * y;
        self.xx += sign * x * x;
        self.yy += sign * y * y;
        self.xy += sign * x * y;
    }

    /// Pearson's r, rounded to 10⁻⁹; `None` below three pairs or without variance.
    fn correlation(&self) -> Option<f64> {
        let n = self.n;
        let (a, b) = (determinant(n, self.xx, self.x, self.x), determinant(n, self.yy, self.y, self.y));
        if n < 3 || a <= 0.0 || b <= 0.0 {
            return None;
        }
        let r = determinant(n, self.xy, self.x, self.y) / (a.sqrt() * b.sqrt());
        Some((r.clamp(-1.0, 1.0) * 1e9).round() / 1e9)
    }
}

/// n · Σxy − Σx · Σy: exact where it fits into 128 bits, which only absurd prices over long ranges do not.
fn determinant(n: i128, xy: i128, x: i128, y: i128) -> f64 {
    let exact = n.checked_mul(xy).zip(x.checked_mul(y)).and_then(|(a, b)| a.checked_sub(b));
    exact.map_or_else(|| n as f64 * xy as f64 - x as f64 * y as f64, |exact| exact as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, currency: &str, means: &[(i64, i64)]) -> Line {
        let series = Series { zone: name.into(), location: name.into(), market: "CONTINUOUS".into(), currency: None };
        Line { name: name.into(), series, currency: currency.into(), means: means.to_vec() }
    }

    #[test]
    fn pairs_only_common_buckets() {
        let a = line("A", "USD", &[(0, 1_000_000), (60_000, 2_000_000), (120_000, 4_000_000), (180_000, 9_000_000)]);
        let b = line("B", "USD", &[(0, 2_000_000), (60_000, 4_000_000), (120_000, 8_000_000), (240_000, 1)]);
        let found = pair(&a, &b, HOUR_MS);
        assert_eq!((found.count, found.correlation), (3, Some(1.0)));
        let spread = found.spread.unwrap();
        assert_eq!((spread.mean, spread.minimum, spread.latest), (-2.333_333, -4.0, -4.0));
    }

    #[test]
    fn undefined_is_none() {
        let flat = line("F", "USD", &[(0, 5), (60_000, 5), (120_000, 5)]);
        let other = line("O", "INR", &[(0, 1), (60_000, 2), (120_000, 3)]);
        let found = pair(&flat, &other, HOUR_MS);
        assert_eq!((found.correlation, found.latest_window), (None, None));
        assert!(found.spread.is_none());
        assert!(pair(&line("X", "USD", &[]), &other, HOUR_MS).correlation.is_none());
    }

    #[test]
    fn windows_slide() {
        let a = line("A", "USD", &[(0, 1), (1, 2), (2, 3), (3, 2), (4, 1)]);
        let b = line("B", "USD", &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]);
        let found = pair(&a, &b, 3);
        assert_eq!(
            (found.highest_window, found.lowest_window, found.latest_window),
            (Some(1.0), Some(-1.0), Some(-1.0))
        );
    }
}
