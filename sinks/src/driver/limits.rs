//! How much a sink may gather, hold and wait for. One section a store: `[sinks.<store>.driver]`.

use model::humane::Span;
use serde::{Deserialize, Serialize};

/// Limits of one sink's driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Rows after which a run is written without waiting for more.
    pub max_rows: usize,
    /// How long the first batch of a run waits for company; `0ms` writes whatever is there.
    pub max_delay: Span,
    /// Rows held (waiting and being written) before the source is slowed. Nothing is ever dropped.
    pub queue_rows: usize,
    /// A write without an answer for this long counts as failed.
    pub write_timeout: Span,
    /// First pause after a failure; doubles each time.
    pub retry_min: Span,
    /// Longest pause after a transient failure.
    pub retry_max: Span,
    /// Pause after a permanent failure (the store refuses the data): a person must act.
    pub retry_permanent: Span,
    /// How long a shutdown waits for the queue to be written.
    pub drain: Span,
    /// Whether `/readyz` fails while the store is down.
    pub required: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Limits {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        max_rows: 20_000,
        max_delay: Span::from_millis(0),
        queue_rows: 500_000,
        write_timeout: Span::from_millis(30_000),
        retry_min: Span::from_millis(100),
        retry_max: Span::from_millis(10_000),
        retry_permanent: Span::from_millis(30_000),
        drain: Span::from_millis(1_500),
        required: true,
    };

    /// The defaults with another run length and delay: what most stores set.
    pub const fn gathering(self, max_rows: usize, max_delay_ms: u64) -> Self {
        Self { max_rows, max_delay: Span::from_millis(max_delay_ms), ..self }
    }

    /// Queue room, at least one row and at most what a semaphore counts.
    pub(super) fn room(self) -> usize {
        self.queue_rows.clamp(1, (u32::MAX >> 3) as usize)
    }

    /// Rows of one run: never so many that a waiting batch could not enter meanwhile.
    pub(super) fn run_rows(self) -> usize {
        self.max_rows.clamp(1, self.room().div_ceil(2))
    }
}
