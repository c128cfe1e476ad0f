//! The one integration binary: everything in it shares one build and one PostgreSQL.

mod harness;
mod support;
