//! The embedded history: Parquet files that the history sink writes, found and read.
//!
//! `<root>/<table>/day=YYYY-MM-DD/<firstT>-<lastT>.parquet`, each a log of versions. The folder is the only index:
//! a listing is believed for a second, and files that compaction has taken away make the scan list afresh and begin
//! again ([`crate::history::newest`]). A query reads the days its time range touches, no others.

pub(crate) mod newest;
pub(crate) mod scan;
pub(crate) mod wanted;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::TryStreamExt;
use model::table::Table;
use model::time::{DAY_MS, T};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::HistoryConfig;
use crate::error::Error;

/// One file of the log.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// Where it is, how large.
    pub(crate) object: ObjectMeta,
    /// Days since 1970 of its partition.
    pub(crate) day: i64,
    /// T of its oldest version.
    pub(crate) first_t: T,
    /// T of its newest version.
    pub(crate) last_t: T,
}

type Listing = (Instant, T, Arc<[File]>);

/// The folder.
#[derive(Debug)]
pub(crate) struct History {
    store: Arc<dyn ObjectStore>,
    root: Path,
    ttl: Duration,
    listings: Mutex<HashMap<Table, Listing>>,
}

impl History {
    /// Opens the folder or bucket; it need not exist yet.
    pub(crate) fn open(config: &HistoryConfig) -> Result<Self, Error> {
        let refuse = |error: String| Error::Config(format!("history {:?}: {error}", config.url));
        let (store, root): (Arc<dyn ObjectStore>, Path) = if config.url.contains("://") {
            let url = ListingTableUrl::parse(&config.url).map_err(|error| refuse(error.to_string()))?;
            let options = config.options.iter().map(|(key, value)| (key.clone(), value.expose().clone()));
            let (store, root) =
                object_store::parse_url_opts(url.as_ref(), options).map_err(|error| refuse(error.to_string()))?;
            (Arc::from(store), root)
        } else {
            let path = std::path::absolute(&config.url).map_err(|error| refuse(error.to_string()))?;
            let root = Path::from_absolute_path(path).map_err(|error| refuse(error.to_string()))?;
            (Arc::new(LocalFileSystem::new()), root)
        };
        Ok(Self {
            store,
            root,
            ttl: config.listing_ttl.map_or(Duration::from_secs(1), |ttl| ttl.0),
            listings: Mutex::default(),
        })
    }

    /// The store that holds the files.
    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The name under which DataFusion knows the store.
    pub(crate) fn store_url() -> ObjectStoreUrl {
        ObjectStoreUrl::parse("history://embedded").expect("a constant URL with scheme and host")
    }

    /// The newest T that any file tells of; 0 for an empty folder.
    pub(crate) async fn newest_t(&self) -> Result<T, object_store::Error> {
        let mut newest = 0;
        for table in Table::ALL {
            let files = self.files(table, 0, false).await?;
            newest = files.iter().map(|file| file.last_t).filter(|t| *t != T::MAX).fold(newest, T::max);
        }
        Ok(newest)
    }

    /// Every file of a table by day and T, at least those written up to `written_t`. `afresh` asks the store even if a listing is at hand.
    pub(crate) async fn files(
        &self,
        table: Table,
        written_t: T,
        afresh: bool,
    ) -> Result<Arc<[File]>, object_store::Error> {
        if !afresh
            && let Some((at, known_t, files)) = self.listings.lock().get(&table)
            && at.elapsed() < self.ttl
            && *known_t >= written_t
        {
            return Ok(Arc::clone(files));
        }
        let folder = self.root.clone().join(table.name());
        let objects: Vec<ObjectMeta> = match self.store.list(Some(&folder)).try_collect().await {
            Ok(objects) => objects,
            // A store that has never been written to has no folder.
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut files: Vec<File> = objects.into_iter().filter_map(|object| File::parse(&folder, object)).collect();
        files.sort_by(|a, b| (a.day, a.first_t, &a.object.location).cmp(&(b.day, b.first_t, &b.object.location)));
        let files: Arc<[File]> = files.into();
        self.listings.lock().insert(table, (Instant::now(), written_t, Arc::clone(&files)));
        Ok(files)
    }
}

impl File {
    /// Reads day and T's from the name; `None` for what is no finished file of the log.
    fn parse(folder: &Path, object: ObjectMeta) -> Option<Self> {
        let parts: Vec<String> = object.location.prefix_match(folder)?.map(|part| part.as_ref().to_owned()).collect();
        let [day, name] = parts.as_slice() else { return None };
        let date = NaiveDate::parse_from_str(day.strip_prefix("day=")?, "%Y-%m-%d").ok()?;
        let day = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis().div_euclid(DAY_MS);
        let mut numbers = name.strip_suffix(".parquet")?.split('-').map(str::parse::<T>);
        // A name without two numbers may hold anything: never skipped by T.
        let (first_t, last_t) = match (numbers.next(), numbers.next()) {
            (Some(Ok(first)), Some(Ok(last))) => (first, last),
            _ => (0, T::MAX),
        };
        Some(Self { object, day, first_t, last_t })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Option<(i64, T, T)> {
        let object = ObjectMeta {
            location: Path::from(path),
            last_modified: chrono::DateTime::UNIX_EPOCH,
            size: 1,
            e_tag: None,
            version: None,
        };
        File::parse(&Path::from("root/bars"), object).map(|file| (file.day, file.first_t, file.last_t))
    }

    #[test]
    fn names_tell_day_and_versions() {
        assert_eq!(parse("root/bars/day=1970-01-03/5-9.parquet"), Some((2, 5, 9)));
        assert_eq!(parse("root/bars/day=1969-12-31/compacted.parquet"), Some((-1, 0, T::MAX)));
        for other in
            ["root/bars/day=1970-01-03/5-9.parquet.tmp", "root/bars/5-9.parquet", "root/bars/day=x/5-9.parquet"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
