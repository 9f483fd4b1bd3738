//! Integration tests: adapters over excerpts, over whole files, over the days on which clocks change;
//! the generator's statistics and its truth.

mod calendar;
mod data;
mod excerpts;
mod full_files;
mod generator;
mod mutated;
