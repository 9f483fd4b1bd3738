//! Integration tests: adapters over excerpts, over whole files, over the days on which clocks change;
//! the generator's statistics and its truth; the producer against librdkafka's own broker.

#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

mod bids;
mod calendar;
mod data;
mod excerpts;
mod feed;
mod full_books;
mod full_files;
mod generator;
mod inputs;
mod mutated;
mod omie;
