//! Where the servers are, and a name of its own for each test.

use std::sync::atomic::{AtomicU32, Ordering};

/// Address of a test server.
pub(crate) fn address(store: &str) -> String {
    let variable = format!("OPTIBID_TEST_{store}");
    std::env::var(&variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run these tests through `make test`, which starts the servers")
    })
}

/// A prefix that nobody else uses.
pub(crate) fn unique(test: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("platform_{test}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
