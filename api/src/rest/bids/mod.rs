//! `/api/bids`: enter, amend and withdraw bids, and look them up.
//!
//! ```text
//! POST, PATCH, DELETE ─► judged as the dataflow will judge it ─► Kafka ─► dataflow ─► state ─► GET
//! ```
//! The answer to a change comes when the broker has it; the state has it a moment later.

mod body;
pub(crate) mod read;
pub(crate) mod write;

use warp::Filter;

pub(crate) use body::{NewBid, judge};

use super::{Routes, Shared, answer, read_body, with};
use crate::params::raw_query;

/// `/api/bids` and `/api/bids/{id}`.
pub(crate) fn routes(app: &Shared) -> Routes {
    let all = warp::path!("api" / "bids");
    let one = warp::path!("api" / "bids" / String);
    let get = warp::get().and(raw_query()).and(with(app));
    let list = all.and(get.clone()).then(|query: String, app| answer(async move { read::list_bids(&query, &app) }));
    let single = one
        .and(get.clone())
        .then(|id: String, query: String, app| answer(async move { read::bid(&id, &query, &app).await }));
    let events = warp::path!("api" / "bids" / String / "events")
        .and(get)
        .then(|id: String, query: String, app| answer(async move { read::bid_events(&id, &query, &app).await }));
    let whole = raw_query().and(warp::body::stream()).and(with(app));
    let create = all.and(warp::post()).and(whole.clone()).then(|query: String, body, app: Shared| {
        answer(async move {
            let body = read_body(body, app.config.body_limit_bytes).await?;
            write::create_bid(&query, &body, &app).await
        })
    });
    let amend = one.and(warp::patch()).and(whole).then(|id: String, query: String, body, app: Shared| {
        answer(async move {
            let body = read_body(body, app.config.body_limit_bytes).await?;
            write::amend_bid(&id, &query, &body, &app).await
        })
    });
    let write = raw_query().and(with(app));
    let withdraw = one.and(warp::delete()).and(write).then(|id: String, query: String, app: Shared| {
        answer(async move { write::withdraw_bid(&id, &query, &app).await })
    });
    list.or(single).unify().or(events).unify().or(create).unify().or(amend).unify().or(withdraw).unify().boxed()
}
