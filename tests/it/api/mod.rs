//! The API, one file a noun, called through the real router.

mod attacks;
mod bad_input;
mod cors;
mod deletion;
mod docs;
mod email_change;
mod errors;
mod export;
mod headers;
mod health;
mod keys;
mod lockout;
mod login;
mod me;
mod password_reset;
mod passwords;
mod phone_accounts;
mod rate_limits;
mod refresh;
mod registration;
mod sessions;
mod urls;
mod users;
mod verification;
mod welcome;
