//! The pipeline's metrics, declared in one place and listed in `docs/metrics.md`.

use model::Batch;
use model::wire::TopicKind;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, exponential_buckets,
};

/// Cheap to clone: handles to the same numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Messages read, by topic kind.
    pub read: IntCounterVec,
    /// Records the broker holds and we have not read, by topic.
    pub input_lag: IntGaugeVec,
    /// Records lost (gone from the broker before we read them), by topic.
    pub lost: IntCounterVec,
    /// Offsets skipped without loss (transaction markers, compaction), by topic.
    pub skipped: IntCounterVec,
    /// Partitions assigned.
    pub partitions: IntGauge,
    /// Tick records by what became of them.
    pub ticks: IntCounterVec,
    /// Refused records of every topic, by reason.
    pub dead_letters: IntCounterVec,
    /// T's closed.
    pub closed: IntCounter,
    /// Wall time minus the T closed last.
    pub frontier_lag: IntGauge,
    /// From minting a T to its batch being published.
    pub close_seconds: Histogram,
    /// Rows of a batch.
    pub batch_rows: Histogram,
    /// Batches closed and not delivered.
    pub backlog: IntGauge,
    /// Seconds that the fanout waited for full queues, by sink.
    pub blocked: IntCounterVec,
    /// T of the newest checkpoint.
    pub checkpoint_t: IntGauge,
    /// From a barrier's shards to its manifest.
    pub checkpoint_seconds: Histogram,
    /// Attempts to write a part of a checkpoint that failed.
    pub checkpoint_failures: IntCounter,
}

fn counters(registry: &Registry, name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    let metric = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn gauge(registry: &Registry, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
    let metric = IntGauge::new(name, help)?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: Vec<f64>) -> Result<Histogram, prometheus::Error> {
    let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

impl Metrics {
    /// Registers every metric.
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let input_lag = IntGaugeVec::new(
            Opts::new("optibid_pipeline_input_lag_records", "records the broker holds and we have not read"),
            &["topic"],
        )?;
        registry.register(Box::new(input_lag.clone()))?;
        let counter = |name, help| -> Result<IntCounter, prometheus::Error> {
            let metric = IntCounter::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let closed = counter("optibid_pipeline_closed_total", "moments (T) closed")?;
        let r = registry;
        Ok(Self {
            read: counters(r, "optibid_pipeline_messages_total", "messages read", "kind")?,
            input_lag,
            lost: counters(r, "optibid_pipeline_lost_records_total", "records gone before they were read", "topic")?,
            skipped: counters(r, "optibid_pipeline_skipped_offsets_total", "offsets skipped without loss", "topic")?,
            partitions: gauge(r, "optibid_pipeline_partitions", "partitions assigned")?,
            ticks: counters(r, "optibid_pipeline_ticks_total", "tick records by what became of them", "disposition")?,
            dead_letters: counters(r, "optibid_pipeline_dead_letters_total", "refused records", "reason")?,
            closed,
            frontier_lag: gauge(r, "optibid_pipeline_frontier_lag_ms", "wall time minus the T closed last")?,
            close_seconds: histogram(
                r,
                "optibid_pipeline_close_seconds",
                "from minting a T to its batch being published",
                exponential_buckets(0.000_25, 2.0, 16)?,
            )?,
            batch_rows: histogram(
                r,
                "optibid_pipeline_batch_rows",
                "rows of a closed batch",
                exponential_buckets(1.0, 4.0, 10)?,
            )?,
            backlog: gauge(r, "optibid_pipeline_backlog_batches", "batches closed and not delivered")?,
            blocked: counters(r, "optibid_pipeline_blocked_ms_total", "milliseconds waited for a full queue", "sink")?,
            checkpoint_t: gauge(r, "optibid_pipeline_checkpoint_t", "T of the newest checkpoint")?,
            checkpoint_seconds: histogram(
                r,
                "optibid_pipeline_checkpoint_seconds",
                "from a barrier's shards to its manifest",
                exponential_buckets(0.01, 2.0, 14)?,
            )?,
            checkpoint_failures: counter(
                "optibid_pipeline_checkpoint_failures_total",
                "failed attempts to write a part of a checkpoint",
            )?,
        })
    }

    pub(crate) fn read(&self, kind: TopicKind, messages: usize) {
        let label = match kind {
            TopicKind::Ticks => "ticks",
            TopicKind::Bids => "bids",
            TopicKind::Meters => "meters",
            TopicKind::Rules => "rules",
            TopicKind::Notices => "notices",
        };
        self.read.with_label_values(&[label]).inc_by(messages as u64);
    }

    pub(crate) fn batch(&self, batch: &Batch) {
        self.batch_rows.observe(batch.rows() as f64);
        let counts = &batch.counts;
        for (label, count) in [
            ("received", counts.received),
            ("applied", counts.applied),
            ("corrected", counts.corrected),
            ("superseded", counts.superseded),
            ("duplicate", counts.duplicates),
            ("dead_letter", counts.dead_letters),
        ] {
            if count > 0 {
                self.ticks.with_label_values(&[label]).inc_by(count);
            }
        }
        for letter in &batch.dead_letters {
            self.dead_letters.with_label_values(&[letter.reason.as_str()]).inc();
        }
    }
}
