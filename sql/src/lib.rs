//! sql: to be filled.
