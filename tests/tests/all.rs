//! Every integration test, in one binary: one link, one Postgres, one place to filter by name.
//! `tests/run server`, `tests/run libvirt` and so on run a module.

mod cloud_init;
mod crash;
mod libvirt;
mod server;
mod structure;
