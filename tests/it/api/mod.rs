//! The API, one file a noun, called through the real router.

mod bad_input;
mod login;
mod registration;
mod verification;
mod welcome;
