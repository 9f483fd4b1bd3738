//! What the database refuses, as it is told to the caller: by field, without what was sent and without names of ours.

use tokio_postgres::error::{DbError, SqlState};

use super::Editable;
use crate::refusal::{Failure, Refusal};
use crate::validate::Problem;

/// What was being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum During {
    /// A row was made or changed.
    Write,
    /// A row was removed.
    Delete,
}

/// The refusal in an error of the database; what is none stays an error.
pub(super) fn refused<R: Editable>(error: tokio_postgres::Error, during: During) -> Failure {
    match error.as_db_error().and_then(|db| refusal::<R>(db, during)) {
        Some(refusal) => refusal.into(),
        None => error.into(),
    }
}

fn refusal<R: Editable>(db: &DbError, during: During) -> Option<Refusal> {
    let constraint = db.constraint().unwrap_or_default();
    let invalid = |field: String, problem: Problem| Some(Refusal::Invalid(vec![problem.of(field)]));
    let code = db.code();
    if *code == SqlState::UNIQUE_VIOLATION {
        return Some(exists::<R>(constraint));
    }
    if *code == SqlState::FOREIGN_KEY_VIOLATION && during == During::Delete {
        let others = db.table().unwrap_or("others").replace('_', " ");
        let message = format!("this {} is in use by {others}: remove those first", R::WHAT);
        return Some(Refusal::conflict(R::IN_USE, message));
    }
    if *code == SqlState::FOREIGN_KEY_VIOLATION {
        return invalid(field::<R>(constraint), Problem::new("unknown_reference", "does not exist"));
    }
    if *code == SqlState::CHECK_VIOLATION {
        return invalid(field::<R>(constraint), Problem::new("not_allowed", "is not as it must be"));
    }
    if *code == SqlState::NOT_NULL_VIOLATION {
        return invalid(db.column().unwrap_or("body").to_owned(), Problem::new("required", "is missing"));
    }
    if *code == SqlState::NUMERIC_VALUE_OUT_OF_RANGE || *code == SqlState::DATETIME_FIELD_OVERFLOW {
        return invalid("body".to_owned(), Problem::new("out_of_range", "has a number or a time that is too large"));
    }
    if *code == SqlState::UNTRANSLATABLE_CHARACTER || *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE {
        return invalid("body".to_owned(), Problem::new("control_character", "has a character that cannot be kept"));
    }
    // A policy, not a missing grant: that would be an error of ours.
    let by_policy = *code == SqlState::INSUFFICIENT_PRIVILEGE && db.routine() == Some("ExecWithCheckOptions");
    by_policy.then(|| Refusal::Forbidden(format!("to be whoever may change this {}", R::WHAT)))
}

fn exists<R: Editable>(constraint: &str) -> Refusal {
    let fields = columns::<R>(constraint);
    let what = R::WHAT;
    let message = match fields.as_slice() {
        [] => format!("there is such a {what} already"),
        fields => format!("there is a {what} with this {} already", fields.join(" and ").replace('_', " ")),
    };
    Refusal::Conflict { code: R::EXISTS, fields, message }
}

/// The one field to be named.
fn field<R: Editable>(constraint: &str) -> String {
    columns::<R>(constraint).last().map_or_else(|| "body".to_owned(), |column| (*column).to_owned())
}

/// The columns of a constraint by its name: PostgreSQL makes `table_column_check`, `table_a_b_key`, `table_a_b_fkey`.
fn columns<R: Editable>(constraint: &str) -> Vec<&'static str> {
    if let Some((_, field)) = R::CONSTRAINTS.iter().find(|(name, _)| *name == constraint) {
        return vec![field];
    }
    let Some(rest) = constraint.strip_prefix(R::TABLE).and_then(|rest| rest.strip_prefix('_')) else {
        return Vec::new();
    };
    let rest = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    let kinds = ["_key", "_fkey", "_check", "_pkey"];
    let Some(mut rest) = kinds.iter().find_map(|kind| rest.strip_suffix(kind)) else { return Vec::new() };
    let mut found = Vec::new();
    while !rest.is_empty() {
        // The longest first: `name` is in `name_of`.
        let known = R::WRITABLE.iter().filter(|column| {
            rest.strip_prefix(**column).is_some_and(|after| after.is_empty() || after.starts_with('_'))
        });
        match known.max_by_key(|column| column.len()) {
            Some(column) => {
                found.push(*column);
                rest = rest[column.len()..].trim_start_matches('_');
            }
            None => rest = rest.split_once('_').map_or("", |(_, after)| after),
        }
    }
    found
}
