//! The whole program, from outside: the real binary, real servers, real files.

#![allow(
    clippy::unwrap_used,
    clippy::too_many_lines,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test fails where it stands, is told from top to bottom, waits by the clock and says how far it is"
)]

mod architecture;
mod broker;
mod cluster;
mod contract;
mod door;
mod iberia;
mod kills;
mod migrate;
mod outages;
mod program;
mod readers;
mod real_files;
mod recompute;
mod resumes;
mod roles;
mod serve;
mod servers;
mod standby;
mod stores;
mod tenants;
mod tour;
mod wiped;
