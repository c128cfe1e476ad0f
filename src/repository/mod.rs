//! All SQL: one module a table family.
//!
//! Functions take `&mut PgConnection`: the caller begins and commits. They check no permission and
//! read no clock. `find_*` gives an `Option`; a write that must hit one row says in its result
//! whether it did.

pub mod jobs;
