//! simulator: to be filled.
