//! One error type, one table from error to status, one JSON body:
//! `{"error":{"code":"unknown_zone","message":"…","details":{…}}}`.
//!
//! What the client did wrong is said in full. What went wrong inside is logged with the request's id and
//! answered with a plain sentence: internals never leave the house.

use platform::refusal::{Failure, Refusal};
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
    /// Nobody has signed in, and this is for those who have.
    #[error(
        "sign in first: POST /api/auth/login, then send Authorization: Bearer <access token>; or an API key as X-API-Key"
    )]
    SignIn,
    /// Who it is could not be found out.
    #[error("{0}")]
    NotKnown(String),
    /// Known, and may not.
    #[error("{0}")]
    Denied(String),
    /// Fields that are not as they must be.
    #[error("{message}")]
    Invalid {
        /// All of them in one sentence.
        message: String,
        /// Each by itself.
        fields: Vec<platform::validate::FieldError>,
    },
    /// In the way of something of the platform: with a code of its own.
    #[error("{message}")]
    Clash {
        /// Stable name.
        code: &'static str,
        /// What stands in the way.
        message: String,
    },
    /// Changed since it was read.
    #[error("version {given} of it was changed since: version {stands} stands")]
    Stale {
        /// What the caller had read.
        given: i64,
        /// What stands.
        stands: i64,
    },
    /// A change that does not say of which version.
    #[error("say which version is changed: If-Match with the ETag that was read, or If-Match: * for whatever stands")]
    NoVersion,
    /// Too often.
    #[error("too many requests: try again in {retry_after_s} s")]
    TooOften {
        /// Seconds until it may be tried again.
        retry_after_s: u64,
    },
    /// More than the plan includes.
    #[error("{0}")]
    Quota(String),
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
            Self::SignIn => (StatusCode::UNAUTHORIZED, "sign_in"),
            Self::NotKnown(_) => (StatusCode::UNAUTHORIZED, "not_known"),
            Self::Denied(_) => (StatusCode::FORBIDDEN, "denied"),
            Self::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Self::Clash { code, .. } => (StatusCode::CONFLICT, code),
            Self::Stale { .. } => (StatusCode::PRECONDITION_FAILED, "stale"),
            Self::NoVersion => (StatusCode::PRECONDITION_REQUIRED, "no_version"),
            Self::TooOften { .. } => (StatusCode::TOO_MANY_REQUESTS, "too_often"),
            Self::Quota(_) => (StatusCode::FORBIDDEN, "quota_reached"),
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
            Self::Invalid { fields, .. } => json!({"fields": fields}),
            Self::Stale { given, stands } => json!({"given": given, "stands": stands}),
            Self::TooOften { retry_after_s } => json!({"retry_after_s": retry_after_s}),
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
        if let Self::TooOften { retry_after_s } = self {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after_s));
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

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let refusal = match failure {
            Failure::Refused(refusal) => refusal,
            Failure::Failed(error) if error.is_transient() => {
                tracing::warn!(%error, "the platform cannot answer now");
                return Self::Unavailable("accounts cannot be asked now: try again in a moment".to_owned());
            }
            Failure::Failed(error) => return Self::Internal(error.to_string()),
        };
        let message = refusal.to_string();
        match refusal {
            Refusal::Invalid(fields) => Self::Invalid { message, fields },
            Refusal::NotFound { .. } => Self::NotFound(message),
            Refusal::Conflict { code, message, .. } => Self::Clash { code, message },
            Refusal::Stale { given, stands } => Self::Stale { given, stands },
            Refusal::Forbidden(_) => Self::Denied(message),
            Refusal::Unknown(_) => Self::NotKnown(message),
            Refusal::TooOften { retry_after_ms } => Self::TooOften { retry_after_s: retry_after_ms.div_ceil(1_000) },
            Refusal::Quota { .. } => Self::Quota(message),
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
