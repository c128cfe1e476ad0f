//! Values and rules: pure, no I/O.

pub mod message;
