//! The whole filter tree on one screen, and the table of routes that it answers.
//!
//! The table labels metrics (a request counts under its route's template, never under its path) and is held
//! against the OpenAPI document and the running server by tests.

use std::convert::Infallible;
use std::sync::Arc;

use warp::filters::BoxedFilter;
use warp::http::Method;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use crate::error::Error;
use crate::rest::{Shared, analytics, auctions, bids, explain, market, settlement, simulate, sockets, sql, system};
use crate::{docs, web};

/// What a client hears while a restart repeats the past, or where the state is another process's.
pub(crate) const NOT_CURRENT: &str = "the state is not here yet, see /health: try again in a moment";

/// What follows `/api/` where numbers come from the state.
const NUMBERS: [&str; 6] = ["market", "bids", "settlement", "analytics", "explain", "sql"];

/// The prefixes under which the WebSocket's routes answer alike.
pub(crate) const SOCKET_PREFIXES: [&str; 3] = ["/api/ws/ws", "/api/ws", "/ws"];

/// Every documented route: method and template. Those of the sockets stand here without their prefix.
pub(crate) const TABLE: [(Method, &str); 29] = [
    (Method::GET, "/livez"),
    (Method::GET, "/readyz"),
    (Method::GET, "/health"),
    (Method::GET, "/metrics"),
    (Method::GET, "/api/openapi.json"),
    (Method::GET, "/api/market/zones"),
    (Method::GET, "/api/market/prices/latest"),
    (Method::GET, "/api/market/prices/{zone}/history"),
    (Method::GET, "/api/market/{location}/{interval}/book"),
    (Method::GET, "/api/market/{location}/{interval}/merit-order"),
    (Method::GET, "/api/market/{location}/{interval}/clearing"),
    (Method::POST, "/api/market/{location}/{interval}/what-if"),
    (Method::GET, "/api/market/{location}/awards"),
    (Method::GET, "/api/market/bid-kpis"),
    (Method::POST, "/api/bids"),
    (Method::GET, "/api/bids"),
    (Method::GET, "/api/bids/{id}"),
    (Method::GET, "/api/bids/{id}/events"),
    (Method::PATCH, "/api/bids/{id}"),
    (Method::DELETE, "/api/bids/{id}"),
    (Method::GET, "/api/settlement"),
    (Method::GET, "/api/analytics/market-analytics"),
    (Method::GET, "/api/analytics/anomaly-detection"),
    (Method::GET, "/api/analytics/cross-market-analysis"),
    (Method::GET, "/api/analytics/real-time-kpis"),
    (Method::GET, "/api/explain/bar/{location}/{minute}"),
    (Method::POST, "/api/sql"),
    (Method::POST, "/simulate/price-update"),
    (Method::POST, "/simulate/market-events"),
];

/// The sockets' routes, under each of `SOCKET_PREFIXES`.
pub(crate) const SOCKETS: [(Method, &str); 6] = [
    (Method::GET, "/market/{zone}"),
    (Method::GET, "/prices"),
    (Method::GET, "/health"),
    (Method::GET, "/stats"),
    (Method::POST, "/broadcast/price"),
    (Method::POST, "/broadcast/alert"),
];

/// Every route, with the sockets' under each prefix.
pub(crate) fn all() -> Vec<(Method, String)> {
    let plain = TABLE.into_iter().map(|(method, template)| (method, template.to_owned()));
    let sockets = SOCKETS
        .into_iter()
        .flat_map(|(method, rest)| SOCKET_PREFIXES.map(|prefix| (method.clone(), format!("{prefix}{rest}"))));
    plain.chain(sockets).collect()
}

/// Finds the template that a path belongs to.
#[derive(Debug)]
pub(crate) struct Templates(Vec<(Method, String)>);

impl Templates {
    pub(crate) fn new() -> Self {
        let mut all = all();
        // A path that one template names in full must not be taken by another's parameter.
        all.sort_by_key(|(_, template)| template.matches('{').count());
        Self(all)
    }

    /// The template of a request; one label for the page's files and one for all that is unknown, so that nobody
    /// can make metrics grow.
    pub(crate) fn label(&self, method: &Method, path: &str) -> &str {
        let found = self.0.iter().find(|(known, template)| known == method && fits(template, path));
        let other = if path.starts_with("/api/") { "unknown" } else { "page" };
        found.map_or(other, |(_, template)| template)
    }

    /// Whether a path is a route's, by any method.
    pub(crate) fn knows(&self, path: &str) -> bool {
        self.0.iter().any(|(_, template)| fits(template, path))
    }
}

fn fits(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let mut parts = template.split('/');
    parts.by_ref().all(|part| segments.next().is_some_and(|s| s == part || (part.starts_with('{') && !s.is_empty())))
        && segments.next().is_none()
}

/// The filter tree. Never rejects: what no route takes is answered with an error.
pub(crate) fn tree(
    app: &Shared,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Infallible> + Clone + Send + Sync + use<> {
    let api = system::routes(app)
        .or(docs::routes())
        .unify()
        .or(not_ready(app))
        .unify()
        .or(market::routes(app))
        .unify()
        .or(auctions::routes(app))
        .unify()
        .or(bids::routes(app))
        .unify()
        .or(settlement::routes(app))
        .unify()
        .or(analytics::routes(app))
        .unify()
        .or(explain::routes(app))
        .unify()
        .or(sql::routes(app))
        .unify()
        .or(sockets::routes(app))
        .unify()
        .or(simulate::routes(app))
        .unify()
        .or(web::routes(app))
        .unify()
        .boxed();
    api.recover(rejected)
}

/// Answers for the routes whose numbers come from the state, while it is not as new as anything that anybody has seen of
/// it: no number at all is better than one of the past, or of half a state.
fn not_ready(app: &Shared) -> BoxedFilter<(Response,)> {
    let app = Arc::clone(app);
    let check = move |part: String| {
        let tells = NUMBERS.contains(&part.as_str()) && !(app.deps.is_current)();
        let answer = tells.then(|| Error::NotReady(NOT_CURRENT.to_owned()).into_response());
        async move { answer.ok_or_else(warp::reject::not_found) }
    };
    warp::path!("api" / String / ..).and_then(check).boxed()
}

async fn rejected(rejection: Rejection) -> Result<impl Reply + use<>, Infallible> {
    let error = if rejection.is_not_found() {
        Error::NoRoute("see /api/docs".to_owned())
    } else if rejection.find::<warp::reject::MethodNotAllowed>().is_some() {
        Error::MethodNotAllowed
    } else {
        Error::BadBody(format!("the request is not understood: {rejection:?}"))
    };
    Ok(error.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_counts_under_its_template() {
        let templates = Templates::new();
        let label = |path: &str| templates.label(&Method::GET, path).to_owned();
        assert_eq!(label("/api/market/prices/pjm/history"), "/api/market/prices/{zone}/history");
        assert_eq!(label("/api/market/es/1750536000000/book"), "/api/market/{location}/{interval}/book");
        assert_eq!(label("/api/ws/ws/market/PJM"), "/api/ws/ws/market/{zone}");
        assert_eq!(label("/api/market/prices/latest"), "/api/market/prices/latest");
        assert_eq!(label("/api/nonsense/12345"), "unknown");
        assert_eq!(label("/assets/x.js"), "page");
        assert!(templates.knows("/api/sql") && !templates.knows("/api/sql/") && !templates.knows("/api"));
    }
}
