//! The four analyses that existing clients call. All are computed from bars, at one T.

pub(crate) mod anomalies;
pub(crate) mod cross;
pub(crate) mod kpis;
pub(crate) mod market;

use warp::Filter;

use super::{Routes, Shared, answer, with};
use crate::params::raw_query;

/// `/api/analytics/…`.
pub(crate) fn routes(app: &Shared) -> Routes {
    let get = warp::get().and(raw_query()).and(with(app));
    let market = warp::path!("api" / "analytics" / "market-analytics")
        .and(get.clone())
        .then(|query: String, app| answer(async move { market::market_analytics(&query, &app).await }));
    let anomalies = warp::path!("api" / "analytics" / "anomaly-detection")
        .and(get.clone())
        .then(|query: String, app| answer(async move { anomalies::anomaly_detection(&query, &app).await }));
    let cross = warp::path!("api" / "analytics" / "cross-market-analysis")
        .and(get.clone())
        .then(|query: String, app| answer(async move { cross::cross_market_analysis(&query, app).await }));
    let kpis = warp::path!("api" / "analytics" / "real-time-kpis")
        .and(get)
        .then(|query: String, app| answer(async move { kpis::real_time_kpis(&query, &app) }));
    market.or(anomalies).unify().or(cross).unify().or(kpis).unify().boxed()
}
