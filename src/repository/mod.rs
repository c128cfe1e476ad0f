//! All SQL: one file a family of tables.
//!
//! # How to add a statement
//!
//! A function on `&mut PgConnection` with what it needs as arguments: `find_*` answers an `Option`,
//! a write says how many rows it hit. It begins and commits nothing, checks no permission and reads
//! no clock. Name each constraint in the migration and map it in [`error`]. Each function is run by
//! a test against PostgreSQL, since queries are checked there and not by the compiler.

pub mod adoption;
pub mod audit_chain;
pub mod audit_log;
pub mod email_changes;
pub mod error;
pub mod export;
pub mod idempotency_keys;
mod ids;
mod interval;
pub mod jobs;
pub mod login_throttle;
pub mod notices;
pub mod one_time_tokens;
pub mod outbox;
pub mod pool;
pub mod role_changes;
pub mod schema;
pub mod search_words;
pub mod sessions;
pub mod signing_keys;
pub mod user_imports;
pub mod user_preferences;
pub mod user_search;
pub mod users;
