//! The server, on a real Postgres.

mod frame;
