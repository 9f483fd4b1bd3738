//! What a list can be narrowed by and ordered by, as a resource says it.

use tokio_postgres::types::{FromSqlOwned, ToSql};
use uuid::Uuid;

use crate::validate;

/// Bytes of a text in a parameter at most.
pub(super) const MAX_TEXT: usize = 500;

/// What names a row: a UUID, or a code.
pub trait Key: ToSql + FromSqlOwned + std::fmt::Display + Sync + Send {
    /// Reads it; nothing if it cannot be one.
    fn parse(text: &str) -> Option<Self>
    where
        Self: Sized;
}

impl Key for Uuid {
    fn parse(text: &str) -> Option<Self> {
        validate::uuid(text).ok()
    }
}

impl Key for String {
    fn parse(text: &str) -> Option<Self> {
        (text.len() <= MAX_TEXT && !text.contains('\0')).then(|| text.to_owned())
    }
}

/// The type of a value in a filter or a sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A UUID.
    Id,
    /// `true` or `false`.
    Flag,
    /// An instant.
    Time,
    /// A whole number.
    Count,
}

/// A way to narrow a list.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    /// Its parameter.
    pub name: &'static str,
    /// Its condition, with `?` for the value.
    pub sql: &'static str,
    /// The value's type.
    pub kind: Kind,
}

/// An order of a list.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    /// How it is asked for: the column, with a `-` in front when it goes down.
    pub name: &'static str,
    /// The column's type; it is never null.
    pub kind: Kind,
}

impl Filter {
    /// A filter.
    pub const fn new(name: &'static str, sql: &'static str, kind: Kind) -> Self {
        Self { name, sql, kind }
    }
}

impl Sort {
    /// By name.
    pub const NAME: Self = Self::new("name", Kind::Text);
    /// The newest first.
    pub const NEWEST: Self = Self::new("-created_time", Kind::Time);
    /// The oldest first.
    pub const OLDEST: Self = Self::new("created_time", Kind::Time);

    /// An order.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }

    pub(super) fn column(&self) -> &'static str {
        self.name.strip_prefix('-').unwrap_or(self.name)
    }

    pub(super) fn is_down(&self) -> bool {
        self.name.starts_with('-')
    }
}
