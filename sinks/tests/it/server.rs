//! Where the servers are, and a name of its own for each test.

use std::sync::atomic::{AtomicU32, Ordering};

/// Address of a test server.
pub(crate) fn address(store: &str) -> String {
    let variable = format!("OPTIBID_TEST_{store}");
    std::env::var(&variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run these tests through `make test`, which starts the servers")
    })
}

/// A database or prefix that nobody else uses.
pub(crate) fn unique(test: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("sinks_{test}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The statements of a migration file: each ends with a semicolon at the end of a line, but not inside `$$ … $$`.
pub(crate) fn clickhouse_statements(text: &str) -> Vec<&str> {
    text.split(";\n")
        .map(str::trim)
        .filter(|statement| statement.lines().any(|line| !line.is_empty() && !line.starts_with("--")))
        .collect()
}
