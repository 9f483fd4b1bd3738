//! What bids were awarded, once their gates were closed.

use std::collections::BTreeSet;

use model::time::{T, parse_range_end, parse_range_start};
use model::{Award, LocationId};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::market::market;
use super::super::{Answer, Shared, json};
use crate::error::{Error, ErrorBody};
use crate::params::{Params, decode};
use crate::series;
use crate::view::auction::AwardView;

/// Awards that match.
#[derive(Serialize, ToSchema)]
pub(crate) struct AwardsView {
    /// The one moment all of them are at, UTC ms.
    t: T,
    count: usize,
    /// Whether the limit cut later ones off.
    truncated: bool,
    /// By interval, then bid.
    awards: Vec<AwardView>,
}

/// What bids were awarded in the delivery intervals that the state keeps.
#[utoipa::path(get, path = "/api/market/{location}/awards", tag = "auctions",
    params(("location" = String, Path, description = "ZONE, ZONE/LOCATION (the slash as %2F), or a location's name if only one zone has it", example = "ES"),
        ("from" = Option<String>, Query, description = "Intervals that start at or after this: date (the zone's local day) or RFC 3339"),
        ("to" = Option<String>, Query, description = "Intervals that start before this: date (inclusive) or RFC 3339 (exclusive)"),
        ("organisation" = Option<String>, Query, description = "Whose", example = "Acme"),
        ("bid" = Option<String>, Query, description = "Of which bid"),
        ("market" = Option<String>, Query, description = "Market; all without", example = "DAY_AHEAD_HOURLY"),
        ("limit" = Option<usize>, Query, description = "At most so many, up to 10,000; 1,000 without", example = 1000)),
    responses((status = 200, description = "Awards", body = AwardsView),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "No such location", body = ErrorBody)))]
pub(crate) fn awards(location: &str, query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &["from", "to", "organisation", "bid", "market", "limit"])?;
    let market = market(&params)?;
    let places = series::find(&app.labels, &decode(location)?, market)?;
    let places: BTreeSet<LocationId> = places.into_iter().map(|series| series.location).collect();
    let timezone = places.first().map_or(chrono_tz::UTC, |place| app.deps.zones.timezone(*place));
    let form = "a date like 2025-11-18 (the zone's local day) or RFC 3339";
    let time = |name: &str, parse: fn(&str, chrono_tz::Tz) -> Option<i64>| match params.text(name)? {
        None => Ok(None),
        Some(text) => parse(text, timezone).map(Some).ok_or_else(|| Error::parameter(name, text, form)),
    };
    let (from_ms, to_ms) = (time("from", parse_range_start)?, time("to", parse_range_end)?);
    let (organisation, bid) = (params.text("organisation")?, params.text("bid")?);
    let limit = params.number("limit", 1..=10_000_usize)?.unwrap_or(1_000);
    let snapshot = app.snapshot();
    let admits = |award: &Award| {
        app.reader().sees(&award.organisation)
            && places.contains(&award.series.location)
            && market.is_none_or(|market| award.series.market == market)
            && from_ms.is_none_or(|from_ms| award.start_ms >= from_ms)
            && to_ms.is_none_or(|to_ms| award.start_ms < to_ms)
            && organisation.is_none_or(|organisation| award.organisation == organisation)
            && bid.is_none_or(|bid| award.bid == bid)
    };
    let mut found: Vec<&(T, Award)> = snapshot.awards.values().filter(|(_, award)| admits(award)).collect();
    found.sort_by(|(_, one), (_, other)| (one.start_ms, &one.bid).cmp(&(other.start_ms, &other.bid)));
    let truncated = found.len() > limit;
    let awards: Vec<_> =
        found.into_iter().take(limit).map(|(t, award)| AwardView::new(&app.labels, *t, award)).collect();
    json(&AwardsView { t: snapshot.t, count: awards.len(), truncated, awards })
}
