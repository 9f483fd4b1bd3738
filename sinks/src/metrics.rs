//! What the driver measures, once for every sink; the label says which.

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};
use prometheus::{Histogram, core::Collector};

/// Metrics of every sink.
#[derive(Clone, Debug)]
pub struct Metrics {
    acked_lag_seconds: GaugeVec,
    acked_t: IntGaugeVec,
    queue_rows: IntGaugeVec,
    queue_limit_rows: IntGaugeVec,
    up: IntGaugeVec,
    rows_total: IntCounterVec,
    writes_total: IntCounterVec,
    retries_total: IntCounterVec,
    write_seconds: HistogramVec,
}

impl Metrics {
    /// Declares them all in `registry`.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        Ok(Self {
            acked_lag_seconds: register(
                registry,
                GaugeVec::new(
                    Opts::new("optibid_sinks_acked_lag_seconds", "T offered minus T safely written"),
                    &["sink"],
                )?,
            )?,
            acked_t: gauge(registry, "optibid_sinks_acked_t", "T up to which everything is safely written")?,
            queue_rows: gauge(registry, "optibid_sinks_queue_rows", "rows waiting or being written")?,
            queue_limit_rows: gauge(registry, "optibid_sinks_queue_limit_rows", "rows at which the source is slowed")?,
            up: gauge(registry, "optibid_sinks_up", "1 when the last attempt succeeded")?,
            rows_total: counter(registry, "optibid_sinks_written_rows_total", "rows safely written", &["sink"])?,
            writes_total: counter(registry, "optibid_sinks_writes_total", "runs safely written", &["sink"])?,
            retries_total: counter(
                registry,
                "optibid_sinks_retries_total",
                "failed attempts, by kind",
                &["sink", "kind"],
            )?,
            write_seconds: register(
                registry,
                HistogramVec::new(
                    HistogramOpts::new("optibid_sinks_write_seconds", "time of one successful write")
                        .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]),
                    &["sink"],
                )?,
            )?,
        })
    }

    /// Metrics that nobody scrapes: for tests, examples and tools.
    pub fn unregistered() -> Self {
        Self::new(&Registry::new()).expect("an empty registry refuses no name")
    }

    pub(crate) fn of(&self, sink: &str) -> SinkMetrics {
        SinkMetrics {
            acked_lag_seconds: self.acked_lag_seconds.with_label_values(&[sink]),
            acked_t: self.acked_t.with_label_values(&[sink]),
            queue_rows: self.queue_rows.with_label_values(&[sink]),
            queue_limit_rows: self.queue_limit_rows.with_label_values(&[sink]),
            up: self.up.with_label_values(&[sink]),
            rows_total: self.rows_total.with_label_values(&[sink]),
            writes_total: self.writes_total.with_label_values(&[sink]),
            transient_total: self.retries_total.with_label_values(&[sink, "transient"]),
            permanent_total: self.retries_total.with_label_values(&[sink, "permanent"]),
            write_seconds: self.write_seconds.with_label_values(&[sink]),
        }
    }
}

/// The metrics of one sink.
#[derive(Debug)]
pub(crate) struct SinkMetrics {
    pub(crate) acked_lag_seconds: Gauge,
    pub(crate) acked_t: IntGauge,
    pub(crate) queue_rows: IntGauge,
    pub(crate) queue_limit_rows: IntGauge,
    pub(crate) up: IntGauge,
    pub(crate) rows_total: IntCounter,
    pub(crate) writes_total: IntCounter,
    pub(crate) transient_total: IntCounter,
    pub(crate) permanent_total: IntCounter,
    pub(crate) write_seconds: Histogram,
}

fn register<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> Result<C, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGaugeVec, prometheus::Error> {
    register(registry, IntGaugeVec::new(Opts::new(name, help), &["sink"])?)
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}
