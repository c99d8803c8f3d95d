//! Instances and trials: from the request to the report, with the host played by the test.

mod create;
mod delete;
pub mod desk;
mod graphs;
mod in_force;
mod isolation;
mod oversee;
mod pages;
mod power;
mod reports;
mod resize;
mod set_aside;
mod trials;
