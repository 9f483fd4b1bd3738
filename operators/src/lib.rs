//! operators: to be filled.
