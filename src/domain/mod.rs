//! Values and rules: pure, no I/O, no framework.
//!
//! # How to add a value
//!
//! A struct with a private field and `parse(&str) -> Result<Self, Rule>`: whoever holds the type
//! holds a valid value. Rows (`repository`) and DTOs (`http`) are structs of their own, with the
//! conversions beside them.

pub mod actor;
pub mod audit;
pub mod email;
pub mod exported_user;
pub mod file_format;
pub mod id;
pub mod idempotency;
pub mod imported_hash;
pub mod legacy_name;
pub mod locale;
pub mod lockout;
pub mod login_name;
pub mod message;
pub mod moment;
pub mod nickname;
pub mod outbox;
pub mod page;
pub mod password;
pub mod patch;
pub mod permission;
pub mod phone;
pub mod preferences;
pub mod profile;
pub mod role;
pub mod role_change;
pub mod search_form;
pub mod session;
pub mod signing_key;
pub mod token;
pub mod user;
pub mod user_import;
pub mod user_order;
pub mod user_record;
pub mod user_search;
pub mod user_selection;
