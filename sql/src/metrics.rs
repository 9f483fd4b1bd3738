//! What the SQL surface counts.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// The metrics of the crate. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Queries finished, by outcome: `ok` or the SQLSTATE.
    pub queries: IntCounterVec,
    /// Time from a query's arrival to its last row, seconds.
    pub seconds: Histogram,
    /// Rows sent.
    pub rows: IntCounter,
    /// Queries running or waiting.
    pub active: IntGauge,
    /// History files read.
    pub history_files: IntCounter,
    /// Bytes of the history files read (their size, before row groups are skipped).
    pub history_bytes: IntCounter,
    /// Rows that came out of history files.
    pub history_rows: IntCounter,
    /// Scans that began again because compaction removed a file.
    pub history_retries: IntCounter,
    /// Connections of the PostgreSQL protocol.
    pub connections: IntGauge,
}

impl Metrics {
    /// Registers the metrics.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self::unregistered()?;
        registry.register(Box::new(metrics.queries.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        for counter in [
            &metrics.rows,
            &metrics.history_files,
            &metrics.history_bytes,
            &metrics.history_rows,
            &metrics.history_retries,
        ] {
            registry.register(Box::new(counter.clone()))?;
        }
        registry.register(Box::new(metrics.active.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        Ok(metrics)
    }

    /// Metrics that nobody collects: for the shell on a folder.
    pub fn unregistered() -> Result<Self, prometheus::Error> {
        let buckets = vec![0.001, 0.005, 0.02, 0.05, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0];
        Ok(Self {
            queries: IntCounterVec::new(
                Opts::new("optibid_sql_queries_total", "Queries finished, by outcome (ok or SQLSTATE)"),
                &["outcome"],
            )?,
            seconds: Histogram::with_opts(
                HistogramOpts::new("optibid_sql_query_seconds", "Time from arrival to last row").buckets(buckets),
            )?,
            rows: IntCounter::new("optibid_sql_rows_total", "Rows sent")?,
            active: IntGauge::new("optibid_sql_active_queries", "Queries running or waiting")?,
            history_files: IntCounter::new("optibid_sql_history_files_total", "History files read")?,
            history_bytes: IntCounter::new("optibid_sql_history_bytes_total", "Size of the history files read")?,
            history_rows: IntCounter::new("optibid_sql_history_rows_total", "Rows read from history files")?,
            history_retries: IntCounter::new(
                "optibid_sql_history_retries_total",
                "Scans begun again because a file was gone",
            )?,
            connections: IntGauge::new("optibid_sql_pgwire_connections", "Open PostgreSQL connections")?,
        })
    }
}
