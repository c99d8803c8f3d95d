//! Benchmarks: each alternates the platform with the bare tool in one run, because absolute times
//! drift from machine to machine and from minute to minute.

pub mod billing;
pub mod bounds;
pub mod chaos;
pub mod cpu;
pub mod disk;
mod load;
pub mod memory;
pub mod network;
pub mod pages;
pub mod provision;
pub mod report;
pub mod resize;
pub mod strangers;
pub mod trials;
