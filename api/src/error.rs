//! One error type, one table from error to status, one JSON body:
//! `{"error":{"code":"unknown_zone","message":"…","details":{…}}}`.
//!
//! What the client did wrong is said in full. What went wrong inside is logged with the request's id and
//! answered with a plain sentence: internals never leave the house.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use warp::Reply;
use warp::http::{HeaderValue, StatusCode, header};
use warp::reply::Response;

/// Why a request (or the server) failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address to listen on cannot be had.
    #[error("listen on {address}: {source}")]
    Listen {
        /// Address asked for.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// A metric could not be registered.
    #[error("register metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// The configuration is not possible.
    #[error("configuration of the api: {0}")]
    Config(String),
    /// A parameter is missing, unknown or out of its range.
    #[error("{message}")]
    BadParameter {
        /// What was wrong and what is allowed.
        message: String,
        /// The same for programs.
        details: Value,
    },
    /// The body is not what the route takes.
    #[error("{0}")]
    BadBody(String),
    /// No such zone.
    #[error("unknown zone {zone:?}")]
    UnknownZone {
        /// As the client wrote it.
        zone: String,
        /// What there is.
        known: Vec<String>,
    },
    /// No such thing at a known route.
    #[error("{0}")]
    NotFound(String),
    /// No such route.
    #[error("no such route: {0}")]
    NoRoute(String),
    /// The route exists, with other methods.
    #[error("this route does not take that method")]
    MethodNotAllowed,
    /// The thing is there already, or no longer as the request takes it to be.
    #[error("{message}")]
    Conflict {
        /// What stands in the way.
        message: String,
        /// What there is, for programs.
        details: Value,
    },
    /// The bid is against a rule of its market.
    #[error("bid {bid}: {broken}")]
    BidRefused {
        /// Which bid.
        bid: String,
        /// The rule, the value, and what is allowed.
        broken: model::Broken,
    },
    /// The administrator's key is missing or wrong.
    #[error("this needs the administrator's key, as header X-Admin-Key or Authorization: Bearer")]
    Unauthorized,
    /// The browser's origin is not allowed.
    #[error("this origin is not allowed")]
    Forbidden,
    /// None of the types asked for can be sent.
    #[error("cannot answer as {asked:?}; can as {can}")]
    NotAcceptable {
        /// The Accept header.
        asked: String,
        /// What can be sent.
        can: &'static str,
    },
    /// The body is too large.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The query was refused or failed: the client's doing.
    #[error("{message}")]
    BadQuery {
        /// What is wrong with it.
        message: String,
        /// PostgreSQL's code for that.
        sqlstate: String,
    },
    /// A limit of rows, memory or time was reached.
    #[error("{0}")]
    Limit(String),
    /// It took too long.
    #[error("no answer within {0}")]
    Timeout(model::humane::Span),
    /// Something that is needed does not answer now.
    #[error("{0}")]
    Unavailable(String),
    /// The state is not here yet, or not here at all. Nothing is wrong: clients that ask again and again fill no log.
    #[error("{0}")]
    NotReady(String),
    /// Our fault. The text is logged, not sent.
    #[error("{0}")]
    Internal(String),
}

impl Error {
    /// A parameter that is not as it must be; `allowed` says how.
    pub fn parameter(name: &str, given: &str, allowed: impl Into<Value>) -> Self {
        let allowed = allowed.into();
        let text = match &allowed {
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Self::BadParameter {
            message: format!("parameter {name}={given:?} is not allowed: {text}"),
            details: json!({"parameter": name, "given": given, "allowed": allowed}),
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Unavailable(_) | Self::NotReady(_))
    }

    /// The one table: status and stable code.
    pub fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::BadParameter { .. } => (StatusCode::BAD_REQUEST, "bad_parameter"),
            Self::BadBody(_) => (StatusCode::BAD_REQUEST, "bad_body"),
            Self::BadQuery { .. } => (StatusCode::BAD_REQUEST, "bad_query"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
            Self::UnknownZone { .. } => (StatusCode::NOT_FOUND, "unknown_zone"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
            Self::NoRoute(_) => (StatusCode::NOT_FOUND, "no_route"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NotAcceptable { .. } => (StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
            Self::Conflict { .. } => (StatusCode::CONFLICT, "conflict"),
            Self::BidRefused { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "bid_refused"),
            Self::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            Self::Limit(_) => (StatusCode::UNPROCESSABLE_ENTITY, "limit_reached"),
            Self::Unavailable(_) | Self::NotReady(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, "timeout"),
            Self::Internal(_) | Self::Listen { .. } | Self::Metrics(_) | Self::Config(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        }
    }

    /// The body that tells the client.
    pub fn body(&self) -> ErrorBody {
        let (status, code) = self.status();
        let internal = status == StatusCode::INTERNAL_SERVER_ERROR;
        let message = if internal { "something went wrong here; it is logged".to_owned() } else { self.to_string() };
        let details = match self {
            Self::BadParameter { details, .. } | Self::Conflict { details, .. } => details.clone(),
            Self::BidRefused { bid, broken } => {
                json!({"bid": bid, "rule": broken.rule, "value": broken.value, "bound": broken.bound})
            }
            Self::UnknownZone { zone, known } => json!({"given": zone, "known": known}),
            Self::BadQuery { sqlstate, .. } => json!({"sqlstate": sqlstate}),
            Self::TooLarge { limit } => json!({"limit_bytes": limit}),
            _ => json!({}),
        };
        ErrorBody { error: ErrorDetail { code: code.to_owned(), message, details } }
    }

    /// The answer. Logs what is our fault.
    pub fn into_response(self) -> Response {
        let (status, code) = self.status();
        if status.is_server_error() && !matches!(self, Self::NotReady(_)) {
            tracing::warn!(code, error = %self, "request failed");
        }
        let mut response = warp::reply::with_status(warp::reply::json(&self.body()), status).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<sql::Error> for Error {
    fn from(error: sql::Error) -> Self {
        match error {
            sql::Error::TooManyRows { .. } | sql::Error::Memory(_) | sql::Error::Timeout { .. } => {
                Self::Limit(error.to_string())
            }
            error if error.is_users() => {
                Self::BadQuery { message: error.to_string(), sqlstate: error.sqlstate().to_owned() }
            }
            error if error.is_transient() => Self::Unavailable(error.to_string()),
            error => Self::Internal(error.to_string()),
        }
    }
}

/// Every error looks like this.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// What went wrong, for programs and for people.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ErrorDetail {
    /// Stable name, e.g. `unknown_zone`.
    #[schema(example = "bad_parameter")]
    pub code: String,
    /// For people: what was wrong and what is allowed.
    pub message: String,
    /// For programs: the parameter, the value given, the values allowed.
    #[schema(value_type = Object)]
    pub details: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_allowed_and_hides_what_is_internal() {
        let error = Error::parameter("granularity", "week", json!(["minute", "hour"]));
        assert_eq!(error.to_string(), "parameter granularity=\"week\" is not allowed: minute, hour");
        assert_eq!(error.status().0, StatusCode::BAD_REQUEST);
        let internal = Error::Internal("password=hunter2 refused".to_owned());
        assert!(!internal.body().error.message.contains("hunter2"));
        assert_eq!(internal.into_response().status(), 500);
    }
}
