//! What the benches of the engine share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::T;
use timely::dataflow::operators::{Inspect, Probe};
use timely::dataflow::{ProbeHandle, StreamVec};

/// The numbers on the command line, in their order; what is none is an error. (Cargo adds `--bench`.)
pub(crate) fn numbers() -> Result<Vec<u64>, String> {
    let given = std::env::args().skip(1).filter(|text| text != "--bench");
    given.map(|text| text.parse().map_err(|error| format!("argument {text:?}: {error}"))).collect()
}

/// Counts what a stream says.
pub(crate) fn count<R: Clone + 'static>(stream: StreamVec<'_, T, R>, changes: &Arc<AtomicU64>, probe: &ProbeHandle<T>) {
    let changes = changes.clone();
    stream
        .inspect_core(move |event| {
            if let Ok((_, rows)) = event {
                changes.fetch_add(rows.len() as u64, Ordering::Relaxed);
            }
        })
        .probe_with(probe);
}
