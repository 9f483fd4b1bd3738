//! Integration tests: adapters over excerpts, over whole files, over the days on which clocks change.

mod calendar;
mod data;
mod excerpts;
mod full_files;
mod mutated;
