//! The API, one file a noun, called through the real router.

mod bad_input;
mod lockout;
mod login;
mod registration;
mod users;
mod verification;
mod welcome;
