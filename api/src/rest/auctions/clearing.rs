//! The clearing of a delivery interval, in its zone and in the one it is coupled with, and why it is so.

use model::time::T;
use model::{Clearing, SeriesKey};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{Answer, Shared, json};
use super::asked;
use super::explain::{Explain, explain};
use crate::books::Place;
use crate::error::{Error, ErrorBody};
use crate::params::Params;
use crate::view::auction::ClearingRow;

/// The clearing of one interval.
#[derive(Serialize, ToSchema)]
pub(crate) struct ClearingAnswer {
    /// The moment it is at, UTC ms.
    t: T,
    clearing: ClearingRow,
    /// The zone it clears together with, where that has bids, too.
    coupled: Option<ClearingRow>,
    explain: Explain,
}

/// How a delivery interval clears as its book stands, and why.
#[utoipa::path(get, path = "/api/market/{location}/{interval}/clearing", tag = "auctions",
    params(("location" = String, Path, description = "ZONE, ZONE/LOCATION (the slash as %2F), or a location's name if only one zone has it", example = "ES"),
        ("interval" = String, Path, description = "Any instant in the delivery interval: RFC 3339 or UTC milliseconds", example = "2030-06-20T22:00:00Z"),
        ("market" = Option<String>, Query, description = "Market; the zone's own, else the first that has bids there, without")),
    responses((status = 200, description = "Price, volumes, the marginal bid, and what became of the others", body = ClearingAnswer),
        (status = 400, description = "Bad parameter: says what is allowed", body = ErrorBody),
        (status = 404, description = "No such location, or no bids there: says where there are some", body = ErrorBody)))]
pub(crate) async fn clearing(location: &str, interval: &str, query: &str, app: &Shared) -> Answer {
    let params = Params::parse(query, &["market"])?;
    let asked = asked(location, interval, &params)?;
    let snapshot = app.snapshot();
    let place = Place::find(app, &snapshot, &asked)?;
    let book = app.books.cleared(&snapshot, place.auction).await?;
    let (interval, zone) = place.of(&book)?;
    // What was published counts; the book says the same, and says it for longer.
    let row = |zone: usize| -> Option<Clearing> {
        let series = SeriesKey { location: book.zones()[zone], ..place.series };
        let published = snapshot.clearing.get(&(series, place.start_ms)).map(|(_, row)| row.clone());
        let mut row = published.or_else(|| book.row(interval, zone))?;
        row.marginal.take_if(|(_, bid)| !app.reader().sees_bid(&snapshot, bid));
        Some(row)
    };
    let own = row(zone).ok_or_else(|| Error::Internal(format!("{place:?} has bids and no row")))?;
    let coupled = (0..book.zones().len()).find(|other| *other != zone).and_then(row);
    json(&ClearingAnswer {
        t: snapshot.t,
        clearing: ClearingRow::new(&app.labels, &own),
        coupled: coupled.map(|row| ClearingRow::new(&app.labels, &row)),
        explain: explain(&book, interval, zone, app.reader()),
    })
}
