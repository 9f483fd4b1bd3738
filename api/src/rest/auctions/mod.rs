//! `/api/market/{location}/…`: what is bid for a delivery interval, how it clears, why, and what would be if.
//!
//! An interval is named by any instant in it. Numbers that the dataflow publishes come from the state; what it does not
//! (merit orders, shares at the margin, the fate of complex bids) from a book of the same bids, cleared here.

pub(crate) mod awards;
pub(crate) mod bid_kpis;
pub(crate) mod book;
pub(crate) mod clearing;
pub(crate) mod explain;
pub(crate) mod merit_order;
pub(crate) mod what_if;

use model::LiveBid;
use serde::Serialize;
use utoipa::ToSchema;
use warp::Filter;

use super::market::market;
use super::{Routes, Shared, answer, read_body, with};
use crate::books::Asked;
use crate::error::Error;
use crate::params::{Params, decode, instant, raw_query};
use crate::view::bid::StepView;

/// `/api/market/{location}/{interval}/…`, `/api/market/{location}/awards` and `/api/market/bid-kpis`.
pub(crate) fn routes(app: &Shared) -> Routes {
    let get = warp::get().and(raw_query()).and(with(app));
    let book = warp::path!("api" / "market" / String / String / "book").and(get.clone()).then(
        |location: String, interval: String, query: String, app| {
            answer(async move { book::auction_book(&location, &interval, &query, &app) })
        },
    );
    let merit_order = warp::path!("api" / "market" / String / String / "merit-order").and(get.clone()).then(
        |location: String, interval: String, query: String, app| {
            answer(async move { merit_order::merit_order(&location, &interval, &query, &app).await })
        },
    );
    let clearing = warp::path!("api" / "market" / String / String / "clearing").and(get.clone()).then(
        |location: String, interval: String, query: String, app| {
            answer(async move { clearing::clearing(&location, &interval, &query, &app).await })
        },
    );
    let awards = warp::path!("api" / "market" / String / "awards")
        .and(get.clone())
        .then(|location: String, query: String, app| answer(async move { awards::awards(&location, &query, &app) }));
    let bid_kpis = warp::path!("api" / "market" / "bid-kpis")
        .and(get)
        .then(|query: String, app| answer(async move { bid_kpis::bid_kpis(&query, &app) }));
    let post = warp::post().and(raw_query()).and(warp::body::stream()).and(with(app));
    let what_if = warp::path!("api" / "market" / String / String / "what-if").and(post).then(
        |location: String, interval: String, query: String, body, app: Shared| {
            answer(async move {
                let body = read_body(body, app.config.body_limit_bytes).await?;
                what_if::what_if(&location, &interval, &query, &body, &app).await
            })
        },
    );
    let of_interval = book.or(merit_order).unify().or(clearing).unify().or(what_if).unify();
    of_interval.or(awards).unify().or(bid_kpis).unify().boxed()
}

/// What the path and the parameter `market` name.
fn asked(location: &str, interval: &str, params: &Params) -> Result<Asked, Error> {
    let at_ms = instant("interval", &decode(interval)?)?;
    Ok(Asked { location: decode(location)?, at_ms, market: market(params)? })
}

/// A bid with what it offers or asks for in one interval.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct IntervalBid {
    pub(crate) bid: String,
    /// Whose bid.
    pub(crate) organisation: String,
    /// `buy` or `sell`.
    #[schema(example = "sell")]
    pub(crate) side: &'static str,
    /// `curve`, `minimum_income` or `block`.
    #[schema(example = "curve")]
    pub(crate) kind: &'static str,
    /// MW of all its steps in the interval.
    pub(crate) power_mw: f64,
    /// Its steps in the interval.
    pub(crate) steps: Vec<StepView>,
}

impl IntervalBid {
    /// `None` for a bid with nothing in the interval that starts at `start_ms`.
    fn new(bid: &LiveBid, start_ms: i64) -> Option<Self> {
        let steps = || bid.steps.iter().filter(|step| step.start_ms == start_ms);
        steps().next()?;
        Some(Self {
            bid: bid.bid.clone(),
            organisation: bid.organisation.clone(),
            side: bid.side.as_str(),
            kind: bid.kind.as_str(),
            power_mw: model::money::volume_mwh(steps().map(|step| step.power_kw).fold(0, i64::saturating_add)),
            steps: steps().map(StepView::new).collect(),
        })
    }
}
