//! pipeline: to be filled.
