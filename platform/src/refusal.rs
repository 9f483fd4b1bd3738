//! What is answered to somebody who asked for what cannot be: not an error of ours, and worded for them.

use uuid::Uuid;

use crate::error::Error;
use crate::validate::FieldError;

/// Why a wish is not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Fields that are not as they must be.
    #[error("{} not as {} must be", fields(.0), if .0.len() == 1 { "it" } else { "they" })]
    Invalid(Vec<FieldError>),
    /// There is no such thing, or it is another's: which of the two is not told.
    #[error("no {what} {id}")]
    NotFound {
        /// What was looked for: `site`.
        what: &'static str,
        /// Its id, as it was asked for.
        id: String,
    },
    /// It is there already, or in use.
    #[error("{message}")]
    Conflict {
        /// A stable name: `site_exists`, `site_in_use`.
        code: &'static str,
        /// Fields that are to blame, if any are.
        fields: Vec<&'static str>,
        /// For people.
        message: String,
    },
    /// It was changed since: the version that was read is no longer the one that stands.
    #[error("version {given} of it was changed since: version {stands} stands")]
    Stale {
        /// What the caller had read.
        given: i64,
        /// What stands.
        stands: i64,
    },
    /// Not for this caller.
    #[error("this needs {0}")]
    Forbidden(String),
    /// Who it is could not be found out; one text for all reasons.
    #[error("{0}")]
    Unknown(&'static str),
    /// Too often.
    #[error("too many attempts: try again in {} s", .retry_after_ms.div_ceil(1_000))]
    TooOften {
        /// Milliseconds until it may be tried again.
        retry_after_ms: u64,
    },
    /// More than the plan of the organisation includes.
    #[error("the plan includes {limit} {what}")]
    Quota {
        /// Of what.
        what: &'static str,
        /// So many.
        limit: i64,
    },
}

fn fields(errors: &[FieldError]) -> String {
    let names: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    let is = if names.len() == 1 { "is" } else { "are" };
    format!("{} {is}", names.join(", "))
}

impl Refusal {
    /// No such thing.
    pub fn not_found(what: &'static str, id: Uuid) -> Self {
        Self::NotFound { what, id: id.to_string() }
    }

    /// A conflict that no field is to blame for.
    pub fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self::Conflict { code, fields: Vec::new(), message: message.into() }
    }
}

/// Why something was not done: refused, or failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The caller's doing.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ours, or of something that we need.
    #[error(transparent)]
    Failed(#[from] Error),
}

/// What most of the platform returns.
pub type Outcome<V> = Result<V, Failure>;

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(Error::Postgres(error))
    }
}

impl From<Vec<FieldError>> for Failure {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Refused(Refusal::Invalid(errors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::validate::Problem;

    #[test]
    fn fields_are_named() {
        let error = |field: &str| Problem::new("required", "is missing").of(field);
        assert_eq!(Refusal::Invalid(vec![error("name")]).to_string(), "name is not as it must be");
        assert_eq!(
            Refusal::Invalid(vec![error("name"), error("zone")]).to_string(),
            "name, zone are not as they must be"
        );
    }
}
