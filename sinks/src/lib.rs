//! sinks: to be filled.
