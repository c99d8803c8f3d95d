//! Instances and trials: from the request to the report, with the host played by the test.

mod create;
mod delete;
pub(super) mod desk;
mod graphs;
mod isolation;
mod pages;
mod power;
mod reports;
mod resize;
mod trials;
