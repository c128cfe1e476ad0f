//! The tests run the real PostgreSQL of this machine.

mod finding;
mod lives;
