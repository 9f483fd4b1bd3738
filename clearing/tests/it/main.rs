//! Integration tests: text scenarios, the brute-force oracle, random histories. A whole day of a real market is in the
//! tests of the crate `auction`.

mod brute;
mod histories;
mod merit;
mod scenarios;
mod subsets;
