//! The API, one file a noun, called through the real router.

mod attacks;
mod bad_input;
mod cors;
mod docs;
mod errors;
mod headers;
mod health;
mod idempotency;
mod keys;
mod lockout;
mod login;
mod me;
mod phone_accounts;
mod rate_limits;
mod refresh;
mod registration;
mod sessions;
mod urls;
mod users;
mod verification;
mod welcome;
