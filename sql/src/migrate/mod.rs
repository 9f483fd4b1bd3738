//! Brings the tables of Postgres and ClickHouse up to date: the numbered files of `sql/schemas`, built in.
//!
//! Files are applied in order, each once, under a lock, and recorded with a checksum in the table `migrations`. A file
//! that was applied may never change: that is refused, and so is a database that knows migrations which this program
//! does not. Running it again does nothing. To change a table add the next number.

mod clickhouse;
mod files;
mod postgres;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use clickhouse::{ClickHouse, clickhouse};
pub use files::{CLICKHOUSE, Migration, POSTGRES};
pub use postgres::postgres;

/// Why the tables are not up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Postgres could not be reached, or refused.
    #[error("migrate postgres{}: {}", at(.0), reason(.1))]
    Postgres(Option<&'static str>, #[source] tokio_postgres::Error),
    /// ClickHouse could not be reached, or refused.
    #[error("migrate clickhouse{}: {}", at(.0), .1)]
    ClickHouse(Option<&'static str>, #[source] ::clickhouse::error::Error),
    /// A file was changed after it had been applied.
    #[error(
        "migration {name} was applied with checksum {applied} but is now {built_in}: add a new migration instead of changing it"
    )]
    Changed {
        /// The file.
        name: String,
        /// What the database recorded.
        applied: String,
        /// What is built in.
        built_in: String,
    },
    /// The database was migrated by a newer program.
    #[error("the database has migration {0} ({1}), which this program does not know: run a newer one")]
    Newer(u32, String),
    /// Somebody else is migrating, and does not come to an end.
    #[error("another process holds the migration lock for more than {0:?}")]
    Locked(Duration),
}

impl Error {
    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Postgres(_, error) => error.as_db_error().is_none(),
            Self::ClickHouse(_, error) => {
                matches!(error, ::clickhouse::error::Error::Network(_) | ::clickhouse::error::Error::TimedOut)
            }
            Self::Locked(_) => true,
            Self::Changed { .. } | Self::Newer(..) => false,
        }
    }
}

fn at(file: &Option<&'static str>) -> String {
    file.map(|file| format!(" ({file})")).unwrap_or_default()
}

fn reason(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} [{}]", db.message(), db.code().code()),
        None => error.to_string(),
    }
}

/// A file that the database says was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) checksum: String,
}

/// The files still to be applied; an error when the past does not fit what is built in.
pub(crate) fn pending<'a>(built_in: &'a [Migration], applied: &[Applied]) -> Result<Vec<&'a Migration>, Error> {
    for done in applied {
        let Some(file) = built_in.iter().find(|file| file.version == done.version) else {
            return Err(Error::Newer(done.version, done.name.clone()));
        };
        if file.checksum() != done.checksum {
            let (applied, built_in) = (done.checksum.clone(), file.checksum());
            return Err(Error::Changed { name: file.name.to_owned(), applied, built_in });
        }
    }
    Ok(built_in.iter().filter(|file| applied.iter().all(|done| done.version != file.version)).collect())
}
