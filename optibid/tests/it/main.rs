//! The whole program, from outside: the real binary, real servers, real files.

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
mod serve;
mod servers;
mod standby;
mod stores;
mod wiped;
