//! The whole program, from outside: the real binary, real servers, real files.

mod architecture;
mod contract;
mod program;
mod readers;
mod real_files;
mod recompute;
mod servers;
