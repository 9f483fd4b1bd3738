//! The whole filter tree on one screen, and the table of routes that it answers.
//!
//! The table labels metrics (a request counts under its route's template, never under its path) and is held
//! against the OpenAPI document and the running server by tests.

use std::convert::Infallible;
use std::sync::Arc;

use platform::permission::Permission;
use warp::filters::BoxedFilter;
use warp::http::Method;
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use crate::app::App;
use crate::auth::Access::{self, Member, Operator, Public};
use crate::error::Error;
use crate::rest::{
    Shared, actions, analytics, auctions, bids, explain, market, resources, settlement, simulate, sockets, sql, system,
};
use crate::{docs, web};

/// What a client hears while a restart repeats the past, or where the state is another process's.
pub(crate) const NOT_CURRENT: &str = "the state is not here yet, see /health: try again in a moment";

/// What follows `/api/` where numbers come from the state.
const NUMBERS: [&str; 6] = ["market", "bids", "settlement", "analytics", "explain", "sql"];

/// The prefixes under which the WebSocket's routes answer alike.
pub(crate) const SOCKET_PREFIXES: [&str; 3] = ["/api/ws/ws", "/api/ws", "/ws"];

const MARKET: Access = Member(Permission::MarketRead);
const BIDS: Access = Member(Permission::BidsRead);
const TRADE: Access = Member(Permission::BidsWrite);
const SETTLEMENT: Access = Member(Permission::SettlementRead);
const SQL: Access = Member(Permission::SqlQuery);

/// Every documented route: method, template, and what it asks of whoever calls it. Those of the sockets stand here without
/// their prefix.
pub(crate) const TABLE: [(Method, &str, Access); 29] = [
    (Method::GET, "/livez", Public),
    (Method::GET, "/readyz", Public),
    (Method::GET, "/health", Public),
    (Method::GET, "/metrics", Public),
    (Method::GET, "/api/openapi.json", Public),
    (Method::GET, "/api/market/zones", Public),
    (Method::GET, "/api/market/prices/latest", Public),
    (Method::GET, "/api/market/prices/{zone}/history", Public),
    (Method::GET, "/api/market/{location}/{interval}/book", Public),
    (Method::GET, "/api/market/{location}/{interval}/merit-order", Public),
    (Method::GET, "/api/market/{location}/{interval}/clearing", Public),
    (Method::POST, "/api/market/{location}/{interval}/what-if", MARKET),
    (Method::GET, "/api/market/{location}/awards", BIDS),
    (Method::GET, "/api/market/bid-kpis", BIDS),
    (Method::POST, "/api/bids", TRADE),
    (Method::GET, "/api/bids", BIDS),
    (Method::GET, "/api/bids/{id}", BIDS),
    (Method::GET, "/api/bids/{id}/events", BIDS),
    (Method::PATCH, "/api/bids/{id}", TRADE),
    (Method::DELETE, "/api/bids/{id}", TRADE),
    (Method::GET, "/api/settlement", SETTLEMENT),
    (Method::GET, "/api/analytics/market-analytics", Public),
    (Method::GET, "/api/analytics/anomaly-detection", Public),
    (Method::GET, "/api/analytics/cross-market-analysis", Public),
    (Method::GET, "/api/analytics/real-time-kpis", Public),
    (Method::GET, "/api/explain/bar/{location}/{minute}", Public),
    (Method::POST, "/api/sql", SQL),
    (Method::POST, "/simulate/price-update", Operator),
    (Method::POST, "/simulate/market-events", Operator),
];

/// The sockets' routes, under each of `SOCKET_PREFIXES`.
pub(crate) const SOCKETS: [(Method, &str, Access); 6] = [
    (Method::GET, "/market/{zone}", Public),
    (Method::GET, "/prices", Public),
    (Method::GET, "/health", Public),
    (Method::GET, "/stats", Public),
    (Method::POST, "/broadcast/price", Operator),
    (Method::POST, "/broadcast/alert", Operator),
];

/// A route.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) template: String,
    pub(crate) access: Access,
}

/// Every route, with the sockets' under each prefix.
pub(crate) fn all() -> Vec<Route> {
    let plain =
        TABLE.into_iter().map(|(method, template, access)| Route { method, template: template.to_owned(), access });
    let sockets = SOCKETS.into_iter().flat_map(|(method, rest, access)| {
        SOCKET_PREFIXES.map(|prefix| Route { method: method.clone(), template: format!("{prefix}{rest}"), access })
    });
    plain.chain(sockets).chain(actions::table()).chain(resources::table()).collect()
}

/// Finds the template that a path belongs to.
#[derive(Debug)]
pub(crate) struct Templates(Vec<Route>);

impl Templates {
    pub(crate) fn new() -> Self {
        let mut all = all();
        // A path that one template names in full must not be taken by another's parameter.
        all.sort_by_key(|route| route.template.matches('{').count());
        Self(all)
    }

    /// The template of a request, and what is asked of the caller; one label for the page's files and one for all that is
    /// unknown, so that nobody can make metrics grow. What is no route is the page, its files, or answered with an error.
    pub(crate) fn find(&self, method: &Method, path: &str) -> (&str, Access) {
        let found = self.0.iter().find(|route| route.method == *method && fits(&route.template, path));
        let other = if path.starts_with("/api/") { "unknown" } else { "page" };
        found.map_or((other, Public), |route| (&route.template, route.access))
    }

    /// Whether a path is a route's, by any method.
    pub(crate) fn knows(&self, path: &str) -> bool {
        self.0.iter().any(|route| fits(&route.template, path))
    }
}

pub(crate) fn fits(template: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    let mut parts = template.split('/');
    parts.by_ref().all(|part| segments.next().is_some_and(|s| s == part || (part.starts_with('{') && !s.is_empty())))
        && segments.next().is_none()
}

/// The filter tree. Never rejects: what no route takes is answered with an error.
pub(crate) fn tree(
    app: &Arc<App>,
) -> impl Filter<Extract = (impl Reply + use<>,), Error = Infallible> + Clone + Send + Sync + use<> {
    let app = &Shared::of(app);
    let api = system::routes(app)
        .or(docs::routes(app))
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
        .or(actions::routes(app))
        .unify()
        .or(resources::routes(app))
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
    let app = app.clone();
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
        let label = |path: &str| templates.find(&Method::GET, path).0.to_owned();
        assert_eq!(label("/api/market/prices/pjm/history"), "/api/market/prices/{zone}/history");
        assert_eq!(label("/api/market/es/1750536000000/book"), "/api/market/{location}/{interval}/book");
        assert_eq!(label("/api/ws/ws/market/PJM"), "/api/ws/ws/market/{zone}");
        assert_eq!(label("/api/market/prices/latest"), "/api/market/prices/latest");
        assert_eq!(label("/api/nonsense/12345"), "unknown");
        assert_eq!(label("/assets/x.js"), "page");
        assert!(templates.knows("/api/sql") && !templates.knows("/api/sql/") && !templates.knows("/api"));
    }
}
