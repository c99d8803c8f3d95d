pub mod api;
pub mod desired;
pub mod reports;
pub mod web;
