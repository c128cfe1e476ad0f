//! The API, one file a noun, called through the real router.

mod attacks;
mod bad_input;
mod cors;
mod deletion;
mod docs;
mod email_change;
mod errors;
mod headers;
mod health;
mod lockout;
mod login;
mod password_reset;
mod passwords;
mod rate_limits;
mod registration;
mod urls;
mod users;
mod verification;
mod welcome;
