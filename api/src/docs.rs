//! The API's own documentation: OpenAPI from the code, and Swagger UI, whose files are in the binary.

use std::sync::Arc;

use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{OpenApi as Document, PathItem};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::Config;
use warp::http::{Uri, header};
use warp::path::Tail;
use warp::{Filter, Reply};

use crate::error::{Error, ErrorBody};
use crate::params::{Params, raw_query};
use crate::rest::{
    Answer, Routes, Shared, actions, analytics, answer, auctions, bids, broadcast, explain, json, market, resources,
    settlement, simulate, sockets, sql, system,
};

/// Where the document is.
const DOCUMENT: &str = "/api/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "OptiBid",
        description = "Electricity markets as they are now. Every answer is at one moment T; corrections of the past \
                       are in it. Prices in currency per MWh, volumes in MWh, power in MW, instants in UTC. A date means the \
                       zone's local day. What is undefined is null."
    ),
    paths(
        system::livez, system::readyz, system::health, system::metrics, openapi,
        market::zones, market::latest, market::history,
        bids::write::create_bid, bids::write::amend_bid, bids::write::withdraw_bid,
        bids::read::list_bids, bids::read::bid, bids::read::bid_events,
        auctions::book::auction_book, auctions::merit_order::merit_order, auctions::clearing::clearing,
        auctions::what_if::what_if, auctions::awards::awards, auctions::bid_kpis::bid_kpis, settlement::settlement,
        analytics::market::market_analytics, analytics::anomalies::anomaly_detection,
        analytics::cross::cross_market_analysis, analytics::kpis::real_time_kpis,
        explain::explain_bar, sql::query,
        sockets::market_socket, sockets::prices_socket, sockets::health_of_sockets, sockets::stats_of_sockets,
        broadcast::price, broadcast::alert, simulate::price_update, simulate::market_events,
    ),
    modifiers(&Keys, &Aliases),
    tags(
        (name = "market", description = "The market as it is"),
        (name = "bids", description = "Bids: enter, amend, withdraw, look up"),
        (name = "auctions", description = "Books, merit orders, clearing, awards and key figures of bids by delivery interval"),
        (name = "settlement", description = "What deliveries come to, with profit and loss"),
        (name = "analytics", description = "What follows from it"),
        (name = "explain", description = "Where a number comes from"),
        (name = "sql", description = "Ask anything"),
        (name = "identity", description = "Who you are: register, sign in, second factor, sessions"),
        (name = "assets", description = "Sites and what stands on them"),
        (name = "organisation", description = "Your organisation, its members, keys and invitations"),
        (name = "notifications", description = "What you are told, and how"),
        (name = "dashboards", description = "Dashboards"),
        (name = "models", description = "The registry of models"),
        (name = "privacy", description = "Consents, and how long data is kept"),
        (name = "admin", description = "For operators of the platform"),
        (name = "rules", description = "Alert rules"),
        (name = "billing", description = "Plans, quotas and use"),
        (name = "flags", description = "What is switched on for your organisation"),
        (name = "audit", description = "Who did what, when, from where"),
        (name = "websocket", description = "The market as it changes"),
        (name = "simulate", description = "Pretend that something happened (administrators)"),
        (name = "system", description = "How the program is doing"),
    )
)]
struct Api;

struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        let header = ApiKey::Header(ApiKeyValue::new("X-Admin-Key"));
        components.add_security_scheme("admin_key", SecurityScheme::ApiKey(header));
        components
            .add_security_scheme("api_key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// Documents the WebSocket's routes under every prefix they answer at.
struct Aliases;

impl Modify for Aliases {
    fn modify(&self, document: &mut Document) {
        let known: Vec<(String, PathItem)> =
            document.paths.paths.iter().map(|(path, item)| (path.clone(), item.clone())).collect();
        for (path, item) in known {
            let Some(rest) = path.strip_prefix("/api/ws/ws/").or_else(|| path.strip_prefix("/api/ws/")) else {
                continue;
            };
            for prefix in crate::routes::SOCKET_PREFIXES {
                let alias = format!("{prefix}/{rest}");
                if alias != path {
                    let mut item = item.clone();
                    for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                        let id = operation.operation_id.get_or_insert_default();
                        *id = format!("{id}{}", prefix.replace('/', "_"));
                        operation.description = Some(format!("The same as `{path}`."));
                    }
                    document.paths.paths.insert(alias, item);
                }
            }
        }
    }
}

/// The OpenAPI document; of accounts and what they have only where there are any.
pub(crate) fn document(has_accounts: bool) -> Document {
    let mut document = Api::openapi();
    if has_accounts {
        actions::document(&mut document);
        resources::document(&mut document);
    }
    document
}

/// This API as an OpenAPI document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "system", responses(
    (status = 200, description = "OpenAPI 3.1", body = Object),
    (status = 400, description = "Unknown parameter", body = ErrorBody)))]
fn openapi(query: &str, document: &Document) -> Answer {
    Params::parse(query, &[])?;
    json(document)
}

/// `/api/openapi.json`, `/api/docs`, `/docs`.
pub(crate) fn routes(app: &Shared) -> Routes {
    let document = Arc::new(document(app.deps.platform.is_some()));
    let config = Arc::new(Config::from(DOCUMENT));
    let json = warp::path!("api" / "openapi.json").and(warp::get()).and(raw_query()).then(move |query: String| {
        let document = Arc::clone(&document);
        answer(async move { openapi(&query, &document) })
    });
    let long = warp::path!("api" / "docs" / ..).map(|| "/api/docs/");
    let short = warp::path!("docs" / ..).map(|| "/docs/");
    let page = long.or(short).unify().and(warp::get()).and(warp::path::full()).and(warp::path::tail()).then(
        move |base: &'static str, full: warp::path::FullPath, tail: Tail| {
            let config = Arc::clone(&config);
            answer(async move { swagger(base, full.as_str(), tail.as_str(), config) })
        },
    );
    json.or(page).unify().boxed()
}

fn swagger(base: &'static str, full: &str, tail: &str, config: Arc<Config<'static>>) -> Answer {
    // The page's own links are relative: without the slash at the end they would point elsewhere.
    if !full.starts_with(base) {
        return Ok(warp::redirect::permanent(Uri::from_static(base)).into_response());
    }
    match utoipa_swagger_ui::serve(tail, config) {
        Ok(Some(file)) => {
            let reply = warp::reply::Response::new(file.bytes.into_owned().into());
            Ok(warp::reply::with_header(reply, header::CONTENT_TYPE, file.content_type).into_response())
        }
        Ok(None) => Err(Error::NoRoute(full.to_owned())),
        Err(error) => Err(Error::Internal(format!("swagger file {tail}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn documents_the_route_table_and_nothing_else() {
        let document = serde_json::to_value(super::document(true)).unwrap();
        let documented: BTreeSet<String> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        let table: BTreeSet<String> =
            crate::routes::all().into_iter().map(|route| format!("{} {}", route.method, route.template)).collect();
        assert_eq!(documented, table);
    }
}
