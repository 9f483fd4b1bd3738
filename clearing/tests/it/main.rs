//! Integration tests: text scenarios, the brute-force oracle, random histories, the Iberian day.

mod brute;
mod histories;
mod iberia;
mod merit;
mod scenarios;
mod subsets;
