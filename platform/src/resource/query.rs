//! What a list was asked for: filters, order, length, and where the last page ended.
//!
//! A cursor is the sort value and the id of the last row of a page, in base64: rows that come or go between two pages move
//! nothing, and rows with the same sort value are told apart. It holds nothing that the page did not show.

use chrono::{DateTime, Utc};
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use utoipa::ToSchema;
use uuid::Uuid;

use super::filter::{Filter, Key, Kind, MAX_TEXT, Sort};
use super::{Instant, Resource};
use crate::names;
use crate::validate::{self, FieldError, Fields, Problem};

/// Rows of a page when nobody says.
pub const DEFAULT_LIMIT: i64 = 50;
/// Rows of a page at most.
pub const MAX_LIMIT: i64 = 500;

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct Page<V> {
    /// Rows, in the order asked for.
    pub items: Vec<V>,
    /// Give it as `cursor` for the rows after these; absent when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "WyItY3JlYXRlZF90aW1lIiwi...")]
    pub next_cursor: Option<String>,
}

/// A value on its way to the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Id(Uuid),
    Flag(bool),
    Time(DateTime<Utc>),
    Count(i64),
}

impl Value {
    pub(super) fn sql(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Text(value) => value,
            Self::Id(value) => value,
            Self::Flag(value) => value,
            Self::Time(value) => value,
            Self::Count(value) => value,
        }
    }

    fn parse(kind: Kind, text: &str) -> Result<Self, Problem> {
        match kind {
            Kind::Text => names::line(text, 1, MAX_TEXT).map(Self::Text),
            Kind::Word(words) => {
                let known = words.iter().find(|word| **word == text);
                known.map(|word| Self::Text((*word).to_owned())).ok_or_else(|| {
                    Problem::allowed("not_allowed", "is none of the values that are allowed", words.join(", "))
                })
            }
            Kind::Id => validate::uuid(text).map(Self::Id),
            Kind::Flag => validate::one_of(text, &[("true", true), ("false", false)]).map(Self::Flag),
            Kind::Time => Instant::parse(text).map(|at| Self::Time(at.0)).ok_or_else(|| {
                Problem::allowed("invalid_instant", "is no instant", "RFC 3339, like 2026-01-31T12:00:00Z")
            }),
            Kind::Count => {
                text.parse().map(Self::Count).map_err(|_| Problem::new("invalid_type", "must be a whole number"))
            }
        }
    }

    fn of(row: &Row, index: usize, kind: Kind) -> Result<String, tokio_postgres::Error> {
        Ok(match kind {
            Kind::Text | Kind::Word(_) => row.try_get::<_, String>(index)?,
            Kind::Id => row.try_get::<_, Uuid>(index)?.to_string(),
            Kind::Flag => row.try_get::<_, bool>(index)?.to_string(),
            Kind::Time => Instant(row.try_get(index)?).to_string(),
            Kind::Count => row.try_get::<_, i64>(index)?.to_string(),
        })
    }
}

/// A list that can be asked for.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) sort: Sort,
    pub(super) limit: i64,
    /// Sort value and id of the last row that was seen.
    pub(super) after: Option<(Value, String)>,
    pub(super) filters: Vec<(Filter, Value)>,
    /// Pattern of `LIKE`.
    pub(super) search: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Cursor<'a>(&'a str, String, String);

impl Query {
    /// Reads the parameters of a request: each at most once, and none that there is not.
    pub(super) fn read<R: Resource>(parameters: &[(String, String)]) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::default();
        let mut query =
            Self { sort: R::SORTS[0], limit: DEFAULT_LIMIT, after: None, filters: Vec::new(), search: None };
        for (n, (name, text)) in parameters.iter().enumerate() {
            if parameters[..n].iter().any(|(before, _)| before == name) {
                fields.add([Problem::new("given_twice", "must be given once").of(name)]);
                continue;
            }
            query.set::<R>(name, text, &mut fields);
        }
        if let Some((_, text)) = parameters.iter().find(|(name, _)| name == "cursor") {
            let wrong = || Problem::new("invalid_cursor", "is no cursor of this list in this order");
            query.after = fields.take("cursor", query.cursor::<R>(text).ok_or_else(wrong));
        }
        fields.finish()?;
        Ok(query)
    }

    fn set<R: Resource>(&mut self, name: &str, text: &str, fields: &mut Fields) {
        match name {
            "cursor" => {}
            "limit" => {
                let limit = text.parse().map_err(|_| Problem::new("invalid_type", "must be a whole number"));
                let limit = limit.and_then(|limit: i64| validate::number(limit, &(1..=MAX_LIMIT)));
                self.limit = fields.take(name, limit).unwrap_or(DEFAULT_LIMIT);
            }
            "sort" => {
                let choices: Vec<(&str, Sort)> = R::SORTS.iter().map(|sort| (sort.name, *sort)).collect();
                self.sort = fields.take(name, validate::one_of(text, &choices)).unwrap_or(R::SORTS[0]);
            }
            "q" if !R::SEARCH.is_empty() => {
                let text = fields.take(name, names::line(text, 1, 100)).unwrap_or_default();
                let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
                self.search = Some(format!("%{escaped}%"));
            }
            _ => match R::FILTERS.iter().find(|filter| filter.name == name) {
                Some(filter) => {
                    let value = fields.take(name, Value::parse(filter.kind, text));
                    self.filters.extend(value.map(|value| (*filter, value)));
                }
                None => fields.add([unknown::<R>(name)]),
            },
        }
    }

    fn cursor<R: Resource>(&self, text: &str) -> Option<(Value, String)> {
        let bytes = BASE64URL_NOPAD.decode(text.get(..text.len().min(4_096))?.as_bytes()).ok()?;
        let Cursor(sort, value, id) = serde_json::from_slice(&bytes).ok()?;
        (sort == self.sort.name).then_some(())?;
        R::Id::parse(&id)?;
        let value = match self.sort.kind {
            // As it came from the database, whatever may be asked for.
            Kind::Text | Kind::Word(_) if !value.contains('\0') => Value::Text(value),
            Kind::Text | Kind::Word(_) => return None,
            kind => Value::parse(kind, &value).ok()?,
        };
        Some((value, id))
    }

    /// The cursor after a row: its sort value and its id are the columns from `index` on.
    pub(super) fn cursor_after(&self, row: &Row, index: usize) -> Result<String, tokio_postgres::Error> {
        let cursor = Cursor(self.sort.name, Value::of(row, index, self.sort.kind)?, row.try_get(index + 1)?);
        Ok(BASE64URL_NOPAD.encode(&serde_json::to_vec(&cursor).unwrap_or_default()))
    }
}

fn unknown<R: Resource>(name: &str) -> FieldError {
    let mut allowed = vec!["limit", "sort", "cursor"];
    allowed.extend((!R::SEARCH.is_empty()).then_some("q"));
    allowed.extend(R::FILTERS.iter().map(|filter| filter.name));
    let name: String = name.chars().take(64).collect();
    Problem::allowed("unknown_parameter", "there is no such parameter", allowed.join(", ")).of(name)
}
