//! Effects outside our PostgreSQL: one module each, a trait, the real thing and a fake beside it.

pub mod clock;
pub mod email;
pub mod random;
