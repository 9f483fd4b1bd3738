//! Integration tests: a whole day of a real market.

mod files;
mod iberia;
mod published;
