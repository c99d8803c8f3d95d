//! What administrators see across all tenants.  These statements run as the platform.

pub mod audit;
pub mod customers;
pub mod instances;
pub mod mail;
pub mod operations;
pub mod overview;
pub mod trials;
